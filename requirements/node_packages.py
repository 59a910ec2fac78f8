"""Make `.venvs/node` from node/package-lock.json: AWS's SDK for JavaScript, and AWS's Node interface client, which is
built where it is installed.

Run by the tests. Its exit status is npm's. Building takes a minute, so what was built is kept in the user's cache, for
this lock file and this Node, and `.venvs/node` is a link to it: another clone finds it there.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE = HERE / "node"
PLACE = HERE.parent / ".venvs" / "node"
CLIENT = Path("node_modules", "aws-lambda-ric")


def main() -> int:
    asked = "console.log(JSON.stringify([process.version, process.arch, process.execPath]))"
    told = subprocess.run(["node", "-e", asked], check=True, capture_output=True, text=True).stdout
    lock = (SOURCE / "package-lock.json").read_bytes()
    kept = _cache() / hashlib.sha256(lock + told.encode()).hexdigest()[:16]
    if not kept.exists():
        print(f"Making {kept}, which takes a minute ...", file=sys.stderr)
        status = _make(kept, Path(json.loads(told)[2]).parents[1])
        if status != 0:
            return status
    PLACE.parent.mkdir(exist_ok=True)
    PLACE.unlink(missing_ok=True)
    PLACE.symlink_to(kept)
    return 0


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ondol-tests" / "node"


def _make(kept: Path, prefix: Path) -> int:
    """Whole or not at all: another clone may be making it too."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as scratch:
        made = Path(scratch, "made")
        shutil.copytree(SOURCE, made)
        # The build is partly written in Python, for one that has distutils or setuptools.
        environment = {**os.environ, "MAKEFLAGS": f"-j{os.cpu_count()}", "npm_config_python": sys.executable}
        if (prefix / "include" / "node" / "node.h").exists():
            environment["npm_config_nodedir"] = str(prefix)  # else the build fetches Node's headers
        command = ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"]
        status = subprocess.run(command, cwd=made, env=environment, check=False).returncode
        if status != 0:
            return status
        shutil.rmtree(made / CLIENT / "deps")  # the sources of what it is linked with
        if not kept.exists():
            made.rename(kept)
    return 0


if __name__ == "__main__":
    sys.exit(main())
