"""Make `.venvs/NAME` from `NAME.lock`, unless it was made from that lock file by this Python.

Run by the tests and the benchmarks: `environment.py NAME [pip's options]`. Its exit status is pip's.
"""

import hashlib
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main(name: str, *options: str) -> int:
    lock, environment = HERE / f"{name}.lock", HERE.parent / ".venvs" / name
    stamp = environment / ".made-from"
    wanted = f"{hashlib.sha256(lock.read_bytes()).hexdigest()} {sys.version}"
    if stamp.exists() and stamp.read_text() == wanted:
        return 0
    print(f"Making {environment} ...", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", "--clear", environment], check=True)
    command = [environment / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    status = subprocess.run([*command, *options, "--require-hashes", "-r", lock], check=False).returncode
    if status == 0:
        stamp.write_text(wanted)
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
