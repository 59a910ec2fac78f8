"""Which disks of a /tmp are used again: those that nobody has written to."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.root

ACTS = {
    "nothing": "pass",
    "reads": "os.listdir('.'); os.statvfs('.')",
    "a file": "open('file', 'w').close()",
    "a file that is gone": "open('file', 'w').close(); os.unlink('file')",
    "a file without a name": "os.close(os.open('.', os.O_TMPFILE | os.O_RDWR))",
    "content without a name": "file = os.open('.', os.O_TMPFILE | os.O_RDWR); os.write(file, b'x'); os.close(file)",
    "a directory that is gone": "os.mkdir('directory'); os.rmdir('directory')",
    "the times of the root": "os.utime('.')",
}
SCRIPT = """
import json, os, sys
from ondol.linux import mounts, namespaces
from ondol.sandbox.jail.spawner.events import EventLoop
from ondol.sandbox.jail.spawner.tmp_disks import TmpDisks

os.chdir(sys.argv[1])
for name in ("scratch", "images", "tmp"):
    os.mkdir(name)
namespaces.unshare(namespaces.NEW_MOUNTS)
mounts.make_private()
mounts.mount("tmpfs", "scratch", "tmpfs", 0)
events = EventLoop()
disks = TmpDisks(os.path.abspath("images"), os.path.abspath("scratch"), events)

def use(act):
    disk = disks.open(64)
    if disk.kind == "disk":
        mounts.mount(f"/proc/self/fd/{disk.descriptor}", "tmp", "ext4", mounts.NO_ATIME, "noinit_itable,nobarrier")
    else:
        mounts.attach(disk.descriptor, "tmp")
    os.close(disk.descriptor)
    disk.keep(mounts.clone_tree("tmp", 0))
    kind, found = disk.kind, os.listdir("tmp")
    if os.fork() == 0:
        os.chdir("tmp")
        exec(act)
        os._exit(0)
    os.wait()
    mounts.detach("tmp")
    disk.release()
    return kind, found

def prepared(problem):
    assert problem is None, problem
    print(json.dumps([use(act) for act in sys.argv[2:]]))
    raise SystemExit

disks.prepare(64, prepared)
events.run()
"""


def kinds(directory: Path, *acts: str) -> list[list[object]]:
    """The kind of the disk on which each act was done, one after the other, and what was found on it."""
    command = [sys.executable, "-c", SCRIPT, str(directory), *acts]
    done: list[list[object]] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return done


@pytest.mark.parametrize("name", ["nothing", "reads"])
def test_a_disk_that_nobody_wrote_to_is_used_again_and_again(name: str, tmp_path: Path) -> None:
    assert kinds(tmp_path, *[ACTS[name]] * 4) == [["disk", []], *[["mounted disk", []]] * 3]


@pytest.mark.parametrize("name", list(ACTS)[2:])
def test_a_disk_that_was_written_to_is_not(name: str, tmp_path: Path) -> None:
    assert kinds(tmp_path, "pass", ACTS[name], "pass") == [["disk", []], ["mounted disk", []], ["disk", []]]
