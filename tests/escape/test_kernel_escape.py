"""What hostile code can ask of the kernel."""

import pytest
from prison import Prison

pytestmark = pytest.mark.sandbox


def test_new_worlds_cannot_be_made_or_entered(prison: Prison) -> None:
    found = prison.results(
        """
NAMESPACES = {"mount": 0x20000, "cgroup": 0x2000000, "uts": 0x4000000, "ipc": 0x8000000, "user": 0x10000000,
              "pid": 0x20000000, "network": 0x40000000, "time": 0x80}
SIGCHLD = 17
for name, flag in NAMESPACES.items():
    report(**{f"unshare {name}": call((272, 97), flag)})
    if name != "time":
        report(**{f"clone {name}": call((56, 220), flag | SIGCHLD, 0, 0, 0, 0)})
report(enter=call((308, 268), os.open("/proc/self/ns/net", os.O_RDONLY), 0),
       chroot=call((161, 51), b"/tmp"), pivot=call((155, 41), b".", b"."))
"""
    )
    assert set(found.values()) == {"EPERM"}
    assert len(found) == 18


def test_clone3_hides_its_flags_so_it_is_not_there(prison: Prison) -> None:
    found = prison.results("report(clone3=call((435, 435), 0, 0))")
    assert found == {"clone3": "ENOSYS"}


def test_nothing_can_be_mounted(prison: Prison) -> None:
    found = prison.results(
        """
report(mount=call((165, 40), b"tmpfs", b"/tmp", b"tmpfs", 0, 0), umount=call((166, 39), b"/tmp", 2),
       open_tree=call((428, 428), -100, b"/", 1), move=call((429, 429), -100, b"/", -100, b"/tmp", 0),
       fsopen=call((430, 430), b"tmpfs", 0), setattr=call((442, 442), -100, b"/", 0, 0, 0),
       handle=call((304, 265), -100, 0, 0))
"""
    )
    assert set(found.values()) == {"EPERM"}


def test_the_kernels_deep_interfaces_are_closed(prison: Prison) -> None:
    found = prison.results(
        """
report(bpf=call((321, 280), 0, 0, 0), keyctl=call((250, 219), 0, 0),
       add_key=call((248, 217), b"user", b"x", b"x", 1, -1), request_key=call((249, 218), b"user", b"x", 0, -1),
       io_uring=call((425, 425), 8, ctypes.create_string_buffer(120)),
       userfaultfd=call((323, 282), 0), perf=call((298, 241), 0, 0, -1, -1, 0), ptrace=call((101, 117), 0, 0, 0, 0),
       module=call((313, 273), 0, 0, 0), kexec=call((246, 104), 0, 0, 0, 0), reboot=call((169, 142), 0, 0, 0, 0),
       clock=call((227, 112), 0, ctypes.create_string_buffer(16)), swap=call((167, 224), b"/tmp/x", 0),
       syslog=call((103, 116), 2, 0, 0), personality=call((135, 92), 0xFFFFFFFF), acct=call((163, 89), 0),
       fanotify=call((300, 262), 0, 0), quota=call((179, 60), 0, 0, 0, 0))
"""
    )
    assert set(found.values()) == {"EPERM"}


def test_odd_sockets_are_refused_and_ordinary_ones_are_not(prison: Prison) -> None:
    found = prison.results(
        """
def family(number, kind=socket.SOCK_DGRAM):
    socket.socket(number, kind).close()
report(vsock=refusal(family, 40, socket.SOCK_STREAM), alg=refusal(family, 38, socket.SOCK_SEQPACKET),
       packet=refusal(family, 17, socket.SOCK_RAW), can=refusal(family, 29, socket.SOCK_RAW),
       bluetooth=refusal(family, 31, socket.SOCK_RAW), xdp=refusal(family, 44, socket.SOCK_RAW),
       tipc=refusal(family, 30), raw=refusal(socket.socket, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
report(fine=[refusal(family, number) for number in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6)])
"""
    )
    assert found.pop("fine") == ["done"] * 3
    assert found.pop("raw") == "EPERM"
    assert set(found.values()) == {"EAFNOSUPPORT"}


def test_ordinary_programs_still_run(prison: Prison) -> None:
    found = prison.results(
        """
import asyncio, concurrent.futures, resource
async def work():
    process = await asyncio.create_subprocess_exec("/bin/echo", "sub", stdout=subprocess.PIPE)
    return (await process.communicate())[0].decode()
with concurrent.futures.ThreadPoolExecutor(4) as pool:
    threads = list(pool.map(lambda n: n * n, range(4)))
report(threads=threads, processes=subprocess.check_output("echo a | cat", shell=True, text=True),
       loop=asyncio.run(work()),
       descriptors=resource.getrlimit(resource.RLIMIT_NOFILE), core=resource.getrlimit(resource.RLIMIT_CORE))
"""
    )
    assert found == {
        "threads": [0, 1, 4, 9],
        "processes": "a\n",
        "loop": "sub\n",
        "descriptors": [1024, 1024],
        "core": [0, 0],
    }
