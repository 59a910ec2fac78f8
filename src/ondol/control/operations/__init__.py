"""AWS's control operations, by subject. Each module holds a table from an operation's name to what does it."""
