"""Where AWS's runtimes look for libraries and programs, and so every root that a managed runtime runs in has them."""

LIBRARY_PATH = "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib"
"""`LD_LIBRARY_PATH`. The dynamic linker reads it once, at exec, so a zygote must start with it."""

PROGRAM_PATH = "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin"
"""`PATH`."""
