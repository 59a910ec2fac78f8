"""How isolation is made. Knows processes, mounts and limits; knows nothing of functions."""
