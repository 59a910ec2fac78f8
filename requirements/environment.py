"""Make `.venvs/NAME` from `NAME.lock`, unless it was made from that lock file by this Python.

Run by the tests and the benchmarks: `environment.py NAME [pip's options]`. Its exit status is pip's. With the option
`--bare`, which is none of pip's, it is a directory of packages alone, as people make one to put it into a function's
package or a layer.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
BARE = "--bare"


def main(name: str, *options: str) -> int:
    lock, environment = HERE / f"{name}.lock", HERE.parent / ".venvs" / name
    stamp = environment / ".made-from"
    wanted = f"{hashlib.sha256(lock.read_bytes()).hexdigest()} {sys.version}"
    if stamp.exists() and stamp.read_text() == wanted:
        return 0
    print(f"Making {environment} ...", file=sys.stderr)
    shutil.rmtree(environment, ignore_errors=True)
    if BARE in options:
        python, place = Path(sys.executable), ["--no-compile", "--target", environment]
    else:
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        python, place = environment / "bin" / "python", []
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += [*place, *(option for option in options if option != BARE), "--require-hashes", "-r", lock]
    status = subprocess.run(command, check=False).returncode
    if status == 0:
        stamp.write_text(wanted)
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
