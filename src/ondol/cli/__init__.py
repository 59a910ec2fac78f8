"""The `ondol` command: one file for each subcommand, and what they share.

`up` runs ondol in this process; `doctor` looks at this machine; all others speak AWS's API to an ondol that runs, like
any other client. Nothing here decides anything of the platform. What is slow to import is imported where it is needed,
because a person waits for `ondol --help`.
"""
