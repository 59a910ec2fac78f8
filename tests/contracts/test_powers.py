"""With which powers sandboxes can be made, whose they then are, and what is said where they cannot."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import ordinary_user

pytestmark = pytest.mark.root

ONDOL = Path(sys.executable).with_name("ondol")


def examine(*before: str) -> dict[str, Any]:
    """What `ondol doctor` finds when it is run through these programs."""
    command = [*before, str(ONDOL), "doctor", "--json"]
    examined = subprocess.run(command, check=False, capture_output=True, text=True, cwd="/")
    report: dict[str, Any] = json.loads(examined.stdout)
    return report


def as_user(*options: str) -> tuple[str, ...]:
    return (sys.executable, ordinary_user.__file__, *options)


def in_shell(script: str) -> tuple[str, ...]:
    """Run a script, and what follows after it."""
    return ("sh", "-c", f'{script} && exec "$@"', "sh")


@pytest.mark.parametrize(
    ("before", "own_users"),
    [
        (as_user(), False),
        (as_user("--range"), True),
        (as_user("unshare", "--user", "--map-root-user"), False),
        (("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"), True),
    ],
    ids=["a user", "a user with a range", "root of a user's namespace", "root without CAP_SYS_ADMIN"],
)
def test_sandboxes_can_be_made_by(before: tuple[str, ...], own_users: bool) -> None:
    report = examine(*before)
    assert report["usable"], report["advice"]
    found = report["sandboxes"]
    assert found["own_uid"] is own_users
    assert {name for name, enforced in found.items() if enforced is False} - {"own_uid"} == {"cpu_limit"}
    said = " ".join(report["advice"])
    assert "share of the processor is not limited" in said
    assert ("no users of their own" in said) is not own_users


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (("setpriv", "--bounding-set=-all", "--inh-caps=-all"), "start the container with --privileged."),
        (
            as_user("unshare", "--user", "--map-root-user", *in_shell("echo 0 > /proc/sys/user/max_user_namespaces")),
            "let users make namespaces: sysctl -w user.max_user_namespaces=10000.",
        ),
        (
            ("unshare", "--mount", *in_shell("mount -t tmpfs none /proc/fs"), *as_user()),
            "start it with --security-opt systempaths=unconfined.",
        ),
    ],
    ids=["root without capabilities", "a user who may make no namespace", "a user who sees a part of /proc"],
)
def test_one_sentence_says_what_to_do_for(before: tuple[str, ...], said: str) -> None:
    report = examine(*before)
    assert not report["usable"]
    (advice,) = [sentence for sentence in report["advice"] if sentence.startswith("Functions cannot run here")]
    assert advice.endswith(said)
