"""AWS's operations on triggers, a module for each kind of thing."""
