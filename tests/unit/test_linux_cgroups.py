"""Which kind of control groups is found, and what is written to them, against files that stand for the kernel's."""

import os
from pathlib import Path

import pytest

from ondol.linux import cgroups

MEGABYTE = 1 << 20
OWNER = "ondol-test"
KERNELS = {
    "cgroup.procs": "",
    "cgroup.freeze": "0",
    "cgroup.kill": "",
    "cgroup.subtree_control": "",
    "tasks": "",
    "pids.max": "max",
    "memory.max": "max",
    "memory.swap.max": "max",
    "memory.oom.group": "0",
    "memory.events": "low 0\nhigh 0\nmax 3\noom 1\noom_kill 1\noom_group_kill 0\n",
    "memory.peak": "12345\n",
    "cpu.max": "max 100000",
    "cpu.stat": "usage_usec 42\nuser_usec 40\nsystem_usec 2\n",
}


class Kernel:
    """A directory whose new subdirectories are filled as those of a cgroup file system are."""

    def __init__(self, point: Path, monkeypatch: pytest.MonkeyPatch, controllers: str) -> None:
        self.point = point
        point.mkdir()
        (point / "cgroup.controllers").write_text(controllers)
        (point / "cgroup.subtree_control").write_text("")
        (point / "cgroup.procs").write_text("")
        make, remove = cgroups.os.mkdir, cgroups.os.rmdir

        def mkdir(path: str, mode: int = 0o777) -> None:
            make(path, mode)
            for name, content in KERNELS.items():
                Path(path, name).write_text(content)

        def rmdir(path: str) -> None:
            if Path(path).is_dir():
                for file in Path(path).iterdir():
                    if file.is_file():
                        file.unlink()
            remove(path)

        monkeypatch.setattr(cgroups.os, "mkdir", mkdir)
        monkeypatch.setattr(cgroups.os, "rmdir", rmdir)

    def read(self, path: str) -> str:
        return (self.point / OWNER / path).read_text()


def mounted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *lines: str) -> None:
    table = tmp_path / "mounts"
    table.write_text("".join(f"{line}\n" for line in lines))
    monkeypatch.setattr(cgroups, "MOUNTS", str(table))


@pytest.fixture
def unified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    kernel = Kernel(tmp_path / "unified", monkeypatch, "cpuset cpu io memory pids")
    mounted(monkeypatch, tmp_path, f"cgroup2 {kernel.point} cgroup2 rw,nosuid 0 0")
    return kernel


def test_version_2_hands_its_controllers_down_and_limits_with_them(unified: Kernel) -> None:
    groups = cgroups.probe(OWNER)
    assert groups.shortfalls == ()
    groups.create("one")
    groups.limit_memory("one", 128 * MEGABYTE)
    groups.limit_cpu("one", 0.5)
    assert (unified.point / "cgroup.subtree_control").read_text() == "+memory +cpu +pids"
    assert unified.read("cgroup.subtree_control") == "+memory +cpu +pids"
    assert unified.read("one/pids.max") == "1024"
    assert unified.read("one/memory.max") == str(128 * MEGABYTE)
    assert unified.read("one/memory.swap.max").startswith("0")
    assert unified.read("one/cpu.max").startswith("10000 20000")


def test_version_2_freezes_measures_and_removes(unified: Kernel) -> None:
    groups = cgroups.probe(OWNER)
    groups.create("one")
    groups.freeze("one")
    assert unified.read("one/cgroup.freeze") == "1"
    groups.thaw("one")
    assert unified.read("one/cgroup.freeze") == "0"
    assert groups.out_of_memory("one")
    assert groups.remove("one")
    assert groups.remove("one")
    groups.create("two")
    groups.sweep()
    assert not (unified.point / OWNER).exists()


def test_a_share_below_what_the_kernel_takes_gets_its_least(unified: Kernel) -> None:
    groups = cgroups.probe(OWNER)
    groups.create("one")
    groups.limit_cpu("one", 0.001)
    assert unified.read("one/cpu.max").startswith("1000 20000")


def test_controllers_of_version_1_are_used_where_version_2_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Kernel(tmp_path / "unified", monkeypatch, "")
    for name in ("memory", "cpu,cpuacct", "freezer"):
        (tmp_path / name).mkdir()
    mounted(
        monkeypatch,
        tmp_path,
        f"cgroup {tmp_path}/memory cgroup rw,memory 0 0",
        f"cgroup {tmp_path}/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0",
        f"cgroup {tmp_path}/freezer cgroup rw,freezer 0 0",
        f"cgroup2 {tmp_path}/unified cgroup2 rw 0 0",
    )
    groups = cgroups.probe(OWNER)
    assert (groups.memory_limit, groups.cpu_limit, groups.process_limit, groups.freezer) == (True, True, False, True)
    (shortfall,) = groups.shortfalls
    assert "number of a function's processes" in shortfall
    groups.create("one")
    assert (tmp_path / "cpu,cpuacct" / OWNER / "one").is_dir()
    assert len(groups.entrances("one")) == 3


def test_without_any_everything_is_missing_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounted(monkeypatch, tmp_path, "tmpfs /tmp tmpfs rw 0 0")
    groups = cgroups.probe(OWNER)
    assert len(groups.shortfalls) == 4
    groups.create("one")
    groups.limit_memory("one", MEGABYTE)
    groups.limit_cpu("one", 1.0)
    groups.freeze("one")
    assert groups.entrances("one") == []
    assert groups.remove("one")


class TestDelegated:
    """A group that a service manager has made for ondol alone, and lets it divide."""

    @pytest.fixture
    def own(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
        (tmp_path / "unified").mkdir()
        own = Kernel(tmp_path / "unified/run-1.scope", monkeypatch, "cpu memory pids")
        (own.point / "cgroup.procs").write_text(f"{os.getpid()}\n")
        (tmp_path / "own").write_text("1:name=systemd:/init.scope\n0::/run-1.scope\n")
        monkeypatch.setattr(cgroups, "OWN_GROUPS", str(tmp_path / "own"))
        mounted(monkeypatch, tmp_path, f"cgroup2 {tmp_path}/unified cgroup2 rw 0 0")
        return own

    def test_groups_are_made_below_it(self, own: Kernel) -> None:
        groups = cgroups.delegated(OWNER)
        assert groups is not None
        assert groups.point == str(own.point)
        groups.claim()
        groups.create("a")
        groups.limit_memory("a", 128 * MEGABYTE)
        assert own.read("a/memory.max") == str(128 * MEGABYTE)
        assert own.read("a/pids.max") == "1024"

    def test_a_group_that_others_are_in_is_not_ours(self, own: Kernel) -> None:
        (own.point / "cgroup.procs").write_text(f"1\n{os.getpid()}\n")
        assert cgroups.delegated(OWNER) is None

    def test_a_group_that_counts_no_memory_is_of_no_use(self, own: Kernel) -> None:
        (own.point / "cgroup.controllers").write_text("pids\n")
        assert cgroups.delegated(OWNER) is None

    def test_a_group_that_cannot_be_written_is_not_ours(self, own: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cgroups.os, "access", lambda path, _mode: not path.endswith("subtree_control"))
        assert cgroups.delegated(OWNER) is None

    def test_where_there_is_no_version_2_nothing_is_delegated(
        self, own: Kernel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        mounted(monkeypatch, tmp_path, "cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0")
        assert cgroups.delegated(OWNER) is None
