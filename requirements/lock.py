"""Write the lock files anew: every version pinned, every file hashed, no address of an index.

Run by `make locks`. Each `.in` file is one environment of its own; peers and clients pin botocore against each other.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


def lock(source: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        venv = Path(scratch) / "venv"
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        python = venv / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "--quiet", "pip-tools"], check=True)
        target = source.with_suffix(".lock")
        options = ["--generate-hashes", "--allow-unsafe", "--no-emit-index-url", "--no-emit-find-links"]
        options += ["--no-emit-trusted-host", "--no-header", "--strip-extras", "--quiet", "--upgrade"]
        command = [python, "-m", "piptools", "compile", *options, "--output-file", target, source]
        subprocess.run(command, check=True, cwd=HERE)
    lines = [line for line in target.read_text().splitlines() if not line.lstrip().startswith("# via")]
    lines = [line for line in lines if not line.lstrip().startswith("#")]
    target.write_text("\n".join(lines) + "\n")
    print(target.name)


if __name__ == "__main__":
    for name in sys.argv[1:] or sorted(path.name for path in HERE.glob("*.in")):
        lock(HERE / name)
