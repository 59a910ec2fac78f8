"""What is advised where no user namespace can be made, against files that stand for the kernel's."""

from pathlib import Path

import pytest

from ondol.sandbox.jail import power

SWITCHES = {
    "proc/sys/user/max_user_namespaces": "96365\n",
    "proc/sys/kernel/unprivileged_userns_clone": "1\n",
    "proc/sys/kernel/apparmor_restrict_unprivileged_userns": "0\n",
}
ROOT = "22 1 254:1 / / rw,relatime - ext4 /dev/root rw\n"
PROC = "24 22 0:22 / /proc rw,nosuid - proc proc rw\n"
MASK = "30 24 0:26 /null /proc/kcore rw,nosuid - tmpfs tmpfs rw\n"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """The root of a machine that forbids nothing."""
    for name, text in SWITCHES.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    own = tmp_path / "proc/self"
    own.mkdir()
    (own / "status").write_text("Name:\tpython\nSeccomp:\t0\n")
    (own / "mountinfo").write_text(ROOT + PROC)
    return tmp_path


@pytest.mark.parametrize(
    ("switch", "position"), [(name, "1" if "restrict" in name else "0") for name in power.SWITCHES]
)
def test_a_switch_that_forbids_is_named_with_the_command_that_turns_it(
    machine: Path, switch: str, position: str
) -> None:
    (machine / switch).write_text(f"{position}\n")
    said = power.advice(machine)
    assert said == f"run ondol as root, or let users make namespaces: {power.SWITCHES[switch][1]}"
    assert switch.removeprefix("proc/sys/").replace("/", ".") in said


def test_a_switch_that_this_kernel_has_not_is_not_named(machine: Path) -> None:
    for name in SWITCHES:
        (machine / name).unlink()
    assert "sysctl" not in power.advice(machine)


def test_a_container_is_told_the_flags_that_it_lacks(machine: Path) -> None:
    (machine / "proc/self/mountinfo").write_text(ROOT + PROC + MASK)
    assert power.advice(machine).endswith("start it with --security-opt systempaths=unconfined")
    (machine / "proc/self/status").write_text("Name:\tpython\nSeccomp:\t2\n")
    assert "seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths" in power.advice(machine)
    (machine / "proc/self/mountinfo").write_text(ROOT + PROC)
    assert power.advice(machine).endswith("--security-opt apparmor=unconfined")
