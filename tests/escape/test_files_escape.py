"""What of the host's files, and of its own, hostile code can reach."""

import os
from pathlib import Path

import pytest
from prison import Prison

pytestmark = pytest.mark.sandbox


def test_the_hosts_files_are_not_there(prison: Prison) -> None:
    prison.directory.joinpath("secret").write_text("secret")
    found = prison.results(
        f"""
def entries(path):
    with contextlib.suppress(PermissionError):
        return os.listdir(path)
    return []
report(shadow=refusal(open, "/etc/shadow"), data=refusal(open, {str(prison.directory / "secret")!r}),
       top=sorted(os.listdir("/")), home=entries("/root"),
       up=os.path.realpath("/../../.."), work=refusal(os.listdir, "/proc/1/root"))
"""
    )
    assert found["shadow"] in ("ENOENT", "EACCES")
    assert found["data"] == "ENOENT"
    assert {"home", "srv", "boot", "sys"}.isdisjoint(found["top"])
    assert found["up"] == "/"
    assert found["home"] == []
    assert found["work"] == "EACCES"


def test_code_and_system_cannot_be_written(prison: Prison) -> None:
    found = prison.results(
        """
def write(path):
    open(path, "w").close()
places = ("/var/task/new", "/var/task/hostile.py", "/opt/new", "/var/runtime/new", "/etc/passwd", "/usr/bin/new",
          "/var/lang/new", "/new", "/dev/new")
report(**{place: refusal(write, place) for place in places}, chmod=refusal(os.chmod, "/var/task", 0o777))
"""
    )
    assert set(found.values()) <= {"EROFS", "EACCES", "EPERM"}


def test_the_kernels_switches_cannot_be_turned(prison: Prison) -> None:
    found = prison.results(
        """
def write(path):
    with open(path, "w") as file:
        file.write("1")
places = ("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/panic", "/proc/sysrq-trigger", "/proc/sys/vm/drop_caches",
          "/proc/sys/net/ipv4/ip_forward")
report(**{place: refusal(write, place) for place in places})
"""
    )
    assert set(found.values()) <= {"EROFS", "EACCES", "EPERM", "ENOENT"}


def test_the_kernels_memory_and_keys_cannot_be_read(prison: Prison) -> None:
    found = prison.results(
        """
def read(path):
    with contextlib.suppress(FileNotFoundError):
        with open(path, "rb") as file:
            return len(file.read(64))
    return 0
def length(path):
    try:
        return read(path)
    except PermissionError:
        return 0
report(**{path: length(path) for path in ("/proc/kcore", "/proc/keys", "/proc/kmsg", "/proc/timer_list", "/dev/mem")})
"""
    )
    assert set(found.values()) == {0}


def test_device_nodes_can_neither_be_made_nor_found(prison: Prison) -> None:
    found = prison.results(
        """
import stat
report(made=refusal(os.mknod, "/tmp/disk", 0o600 | stat.S_IFBLK, os.makedev(254, 0)),
       there=sorted(os.listdir("/dev")), blocks=refusal(os.listdir, "/sys/block"))
"""
    )
    assert found["made"] == "EPERM"
    assert found["there"] == ["fd", "full", "null", "random", "stderr", "stdin", "stdout", "urandom", "zero"]
    assert found["blocks"] == "ENOENT"


def test_set_user_id_programs_give_no_power(prison: Prison) -> None:
    found = prison.results(
        """
import shutil
shutil.copy("/usr/bin/cat", "/tmp/cat")
os.chmod("/tmp/cat", 0o6755)
status = subprocess.run(["/tmp/cat", "/proc/self/status"], capture_output=True, text=True).stdout
own = open("/proc/self/status").read()
facts = {line.split(":")[0]: line.split(":")[1].split() for line in own.splitlines() if ":" in line}
report(child=status.split("Uid:")[1].split()[:4], uid=facts["Uid"], groups=facts.get("Groups"),
       capabilities=[facts[name][0] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")],
       no_new=facts["NoNewPrivs"], root=refusal(os.setuid, 0))
"""
    )
    assert len(set(found["uid"])) == 1
    assert found["uid"][0] not in ("0", str(os.geteuid()))
    assert found["child"] == found["uid"]
    assert set(found["capabilities"]) == {"0" * 16}
    assert found["groups"] == []
    assert found["no_new"] == ["1"]
    assert found["root"] in ("EPERM", "EINVAL")


def test_nothing_of_ours_is_inherited_or_seen(prison: Prison) -> None:
    found = prison.results(
        """
opened = {name: os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")
          if os.path.lexists(f"/proc/self/fd/{name}")}
report(opened=opened, runtime=os.listdir("/var/runtime"), ours=[name for name in sys.modules if "ondol." in name],
       environment=open("/proc/self/environ").read().split("\\0"), command=open("/proc/self/cmdline").read(),
       group=open("/proc/self/cgroup").read().split(),
       first=refusal(lambda: [os.readlink(f"/proc/1/fd/{name}") for name in os.listdir("/proc/1/fd")]))
"""
    )
    opened = found["opened"]
    assert opened["0"] == "/dev/null"
    assert opened["1"] == opened["2"]
    assert opened["1"].startswith("pipe:")
    # What the Runtime API is spoken through: its own ends, one to read from and one to write to.
    coming, going = [target for name, target in opened.items() if name not in "012"]
    assert coming.startswith("pipe:")
    assert going.startswith("pipe:")
    assert len({coming, going, opened["1"]}) == 3
    assert "zygote.py" not in found["runtime"]
    assert "ondol" not in found["runtime"]
    assert found["ours"] == []
    assert [entry for entry in found["environment"] if entry and not entry.startswith("LD_LIBRARY_PATH=")] == []
    assert found["command"].startswith("/var/lang/bin/python3")
    assert all(line.split(":", 2)[2] == "/" for line in found["group"])
    assert found["first"] == "EACCES"


def test_mounts_of_the_host_cannot_be_seen_beyond_their_names(prison: Prison) -> None:
    found = prison.results(
        """
report(points=[line.split()[4] for line in open("/proc/self/mountinfo")],
       options=[line.split()[5] for line in open("/proc/self/mountinfo") if line.split()[4] in ("/", "/var/task")])
"""
    )
    assert all(
        point == "/" or Path(point).parts[1] in ("proc", "dev", "etc", "tmp", "var", "opt") for point in found["points"]
    )
    assert all({"ro", "nosuid", "nodev"} <= set(options.split(",")) for options in found["options"])
