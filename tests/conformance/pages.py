"""Pages of docs/, followed as they are written."""

import os
import re
import subprocess
from pathlib import Path

from ondol_process import RUNTIME, OndolProcess

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PROGRAMS = tuple(ROOT / place / "bin" for place in (".venv", ".venvs/clients", ".venvs/chalice"))
NODE_MODULES = ROOT / ".venvs" / "node" / "node_modules"
"""What the page installs, as `tests/prepare.py` has done."""

SQS = 'sqs="aws --endpoint-url $AWS_ENDPOINT_URL sqs"\n'
"""What sections take from an earlier one."""

_SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
_BLOCK = re.compile(r"^```\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INSTALL = re.compile(r"^(?:pip|npm) install .*\n", re.MULTILINE)


def follow(page: str, title: str | None, ondol: OndolProcess, place: Path) -> list[str]:
    """Type all that a section says, or a page that has none, in an empty directory; the answer is every line that was
    printed.

    Only what installs a client is left out. A command that fails fails the test.
    """
    (place / "node_modules").symlink_to(NODE_MODULES)
    parts = _SECTION.split((DOCS / page).read_text())
    blocks = _BLOCK.findall(parts[0] if title is None else parts[parts.index(title) + 1])
    script = SQS + "".join(_INSTALL.sub("", block) for block in blocks)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    own = {
        "AWS_ENDPOINT_URL": ondol.endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_PAGER": "",
        "RUNTIME": RUNTIME,
        "HOME": str(place),
        "PATH": ":".join([*map(str, PROGRAMS), os.environ["PATH"]]),
    }
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        check=False,
        capture_output=True,
        text=True,
        cwd=place,
        env=inherited | own,
        timeout=180,
    )
    assert ended.returncode == 0, ended.stderr + ended.stdout
    return ended.stdout.splitlines()
