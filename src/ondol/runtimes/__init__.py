"""Language runtimes: which ones this machine has, and the code of ours that runs inside a sandbox."""
