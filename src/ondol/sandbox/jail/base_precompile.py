"""Compile /var/lang and /var/runtime so that nothing is compiled, or checked for change, when a function starts.

Run by the interpreter of a base root, inside it, as root; any Python from 3.8 on. A compiled file that the host had
made from the same source is kept: only its head is rewritten, from "valid while the source is unchanged" to "valid".
"""

import importlib.util
import os
import py_compile
import sys
from pathlib import Path

ROOTS = (f"/var/lang/lib/python{sys.version_info[0]}.{sys.version_info[1]}", "/var/runtime")
UNCHECKED = (1).to_bytes(4, "little")
BY_TIME = bytes(4)


def settle(source: Path) -> None:
    """Leave one compiled file beside `source` that is never checked; a source that does not compile gets none."""
    compiled = Path(importlib.util.cache_from_source(str(source)))
    if compiled.exists() and reuse(source, compiled):
        return
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    try:
        py_compile.compile(str(source), str(compiled), doraise=True, invalidation_mode=mode)
    except (py_compile.PyCompileError, UnicodeDecodeError):
        # Such a source is data to some tool: importing it fails as it would anywhere.
        if compiled.exists():
            compiled.unlink()


def reuse(source: Path, compiled: Path) -> bool:
    """Keep the host's compiled file if it belongs to this source and this interpreter."""
    content = compiled.read_bytes()
    status = source.stat()
    time = (int(status.st_mtime) & 0xFFFFFFFF).to_bytes(4, "little")
    size = (status.st_size & 0xFFFFFFFF).to_bytes(4, "little")
    if content[:16] != importlib.util.MAGIC_NUMBER + BY_TIME + time + size:
        return False
    digest = importlib.util.source_hash(source.read_bytes())
    compiled.write_bytes(importlib.util.MAGIC_NUMBER + UNCHECKED + digest + content[16:])
    return True


def main() -> None:
    """Share the work out over processes: the pools of the library need /dev/shm, which a base root has not got."""
    sources = [path for root in ROOTS for path in sorted(Path(root).rglob("*.py"))]
    shares = os.cpu_count() or 1
    children = []
    for share in range(shares):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                for source in sources[share::shares]:
                    settle(source)
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    statuses = [os.waitpid(child, 0)[1] for child in children]
    if any(statuses):
        sys.exit("some of the standard library could not be compiled")


main()
