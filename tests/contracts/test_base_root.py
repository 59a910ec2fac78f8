"""The base root of a runtime: what is in it, that it works by itself, and when it is made again."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ondol.model.runtime import Launch, Runtime
from ondol.runtimes import catalog
from ondol.runtimes.sdk import PACKAGES
from ondol.sandbox.errors import SandboxError
from ondol.sandbox.jail import base_root
from ondol.sandbox.paths import LIBRARY_PATH, PROGRAM_PATH

pytestmark = pytest.mark.root

MEBIBYTE = 1 << 20
AWS_PATH = {"LD_LIBRARY_PATH": LIBRARY_PATH, "PATH": PROGRAM_PATH}
HERE = catalog.find().resolve(f"python3.{sys.version_info[1]}", nearest=True)


def changed(runtime: Runtime, **fields: str) -> Runtime:
    known = {name: getattr(runtime, name) for name in runtime.__struct_fields__}
    return Runtime(**{**known, **fields})


def inside(root: Path, *command: str, environment: dict[str, str] | None = None) -> str:
    """Output of a program run inside a root by nobody in particular."""

    def enter() -> None:
        os.chroot(root)
        os.chdir("/")
        os.setgroups([])
        os.setgid(12345)
        os.setuid(12345)

    ended = subprocess.run(
        command,
        env=AWS_PATH if environment is None else environment,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=enter,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    destination = tmp_path_factory.mktemp("roots") / HERE.name
    base_root.build(HERE, destination)
    return destination


class TestPython:
    def test_the_interpreter_runs_from_var_lang(self, root: Path) -> None:
        code = "import sys, os; print(sys.version.split()[0], sys.prefix, sys.executable, os.__file__)"
        short = HERE.name
        expected = f"{HERE.version} /var/lang /var/lang/bin/python3 /var/lang/lib/{short}/os.py"
        assert inside(root, "/var/lang/bin/python3", "-c", code) == expected

    def test_it_runs_whatever_linker_path_a_function_sets(self, root: Path) -> None:
        for variables in ({}, {"LD_LIBRARY_PATH": "/opt/lib"}):
            assert inside(root, "/var/lang/bin/python3", "-c", "import ssl; print(1)", environment=variables) == "1"

    def test_modules_that_need_libraries_work(self, root: Path) -> None:
        code = """
import ctypes, decimal, hashlib, json, locale, os, pwd, sqlite3, ssl, time, zlib
assert sqlite3.connect(":memory:").execute("select 1").fetchone() == (1,)
assert hashlib.sha256(b"").hexdigest()[:4] == "e3b0"
assert ssl.create_default_context().cert_store_stats()["x509_ca"] > 50
assert ctypes.CDLL(None).getpid() == os.getpid()
assert pwd.getpwnam("sbx_user1051").pw_uid == 993
assert locale.setlocale(locale.LC_ALL, "") == "en_US.UTF-8"
assert time.tzname == ("UTC", "UTC")
print("well")
"""
        assert inside(root, "/var/lang/bin/python3", "-c", code, environment={"LANG": "en_US.UTF-8"}) == "well"

    def test_nothing_is_compiled_when_a_function_starts(self, root: Path) -> None:
        code = """
import asyncio, http.client, os, sys
sources = [m for m in list(sys.modules.values()) if (getattr(m, "__file__", "") or "").endswith(".py") and m.__spec__]
assert len(sources) > 50
print([m.__file__ for m in sources if m.__spec__.cached and not os.path.exists(m.__spec__.cached)])
"""
        assert inside(root, "/var/lang/bin/python3", "-c", code) == "[]"
        unchecked = next((root / "var/runtime/__pycache__").glob("bootstrap.*.pyc")).read_bytes()[4:8]
        assert unchecked == b"\x01\0\0\0"

    def test_no_packages_but_the_sdk_and_no_test_suites_come_along(self, root: Path) -> None:
        library = root / f"var/lang/lib/{HERE.name}"
        there = {path.stem for path in (library / "site-packages").iterdir()} - {"__pycache__"}
        assert there == set(PACKAGES)
        assert not {"test", "tests", "idlelib", "tkinter"} & {path.name for path in library.rglob("*")}

    def test_the_bootstrap_is_in_its_place(self, root: Path) -> None:
        assert (root / "var/runtime/bootstrap.py").exists()
        assert (root / "var/runtime/ondol_runtime/loop.py").exists()
        assert not (root / "var/runtime/__init__.py").exists()


class TestSystem:
    def test_its_programs_work(self, root: Path) -> None:
        script = 'test "$(echo abc | sed s/b/B/ | grep B)" = aBc && curl --version | grep -c OpenSSL && cat /etc/hosts'
        assert inside(root, "/bin/sh", "-c", script).startswith("1\n127.0.0.1 localhost")

    def test_nobody_gains_power_by_a_program_of_it(self, root: Path) -> None:
        for path in root.rglob("*"):
            mode = path.lstat().st_mode
            assert not mode & (stat.S_ISUID | stat.S_ISGID), path
            assert stat.S_ISDIR(mode) or stat.S_ISREG(mode) or stat.S_ISLNK(mode), path
            assert stat.S_ISLNK(mode) or path == root / "tmp" or not mode & stat.S_IWOTH, path

    def test_the_directories_that_sandboxes_mount_on_are_there(self, root: Path) -> None:
        for name in ("var/task", "opt", "tmp", "proc", "dev"):
            assert (root / name).is_dir()
        assert not (root / "sys").exists()
        assert not list((root / "tmp").iterdir())
        assert (root / f"opt/python/lib/{HERE.name}/site-packages").is_dir()

    def test_it_is_small(self, root: Path) -> None:
        assert sum(path.lstat().st_blocks * 512 for path in root.rglob("*")) < 160 * MEBIBYTE

    def test_a_custom_runtime_has_all_but_the_interpreter(self, tmp_path: Path) -> None:
        runtime = Runtime(name="provided.al2023", version="al2023", launch=Launch.EXEC, command=())
        base_root.build(runtime, tmp_path / "root")
        assert inside(tmp_path / "root", "/bin/bash", "-c", "echo $((6 * 7))") == "42"
        assert list((tmp_path / "root/var/lang/bin").iterdir()) == []


class TestBuilding:
    def test_what_is_current_is_left_alone(self, root: Path) -> None:
        before = root.stat().st_ino
        base_root.build(HERE, root)
        assert root.stat().st_ino == before

    def test_a_changed_bootstrap_makes_it_anew(self, tmp_path: Path) -> None:
        bootstrap = tmp_path / "bootstrap"
        shutil.copytree(HERE.bootstrap_dir or "", bootstrap)
        runtime = changed(HERE, bootstrap_dir=str(bootstrap))
        destination = tmp_path / "root"
        base_root.build(runtime, destination)
        (bootstrap / "bootstrap.py").write_text("# another\n")
        base_root.build(runtime, destination)
        assert (destination / "var/runtime/bootstrap.py").read_text() == "# another\n"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["bootstrap", "root", "root.stamp"]

    def test_a_root_that_lost_its_stamp_is_made_anew(self, root: Path) -> None:
        (root / "var/runtime/bootstrap.py").write_text("# damaged\n")
        root.with_name(root.name + ".stamp").unlink()
        base_root.build(HERE, root)
        assert (root / "var/runtime/bootstrap.py").read_text() != "# damaged\n"

    def test_an_interpreter_that_is_not_what_it_was_said_to_be_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(SandboxError, match=r"Python 3\.99\.0, yet in its root"):
            base_root.build(changed(HERE, version="3.99.0"), tmp_path / "root")
        assert not (tmp_path / "root").exists()

    def test_a_program_that_is_no_interpreter_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(SandboxError, match="/bin/true does not say where its parts are"):
            base_root.build(changed(HERE, interpreter="/bin/true"), tmp_path / "root")

    def test_a_root_that_does_not_work_says_what_does_not(self, root: Path, tmp_path: Path) -> None:
        broken = tmp_path / "root"
        shutil.copytree(root, broken, symlinks=True)
        for path in broken.rglob("_sqlite3.*"):
            path.unlink()
        with pytest.raises(SandboxError, match="cannot import sqlite3"):
            base_root.self_test(broken, HERE)
