"""The base root of a Node runtime: what is in it, and that it works by itself."""

import os
import re
import subprocess
from pathlib import Path

import msgspec
import pytest

from ondol.runtimes import catalog
from ondol.sandbox.errors import SandboxError
from ondol.sandbox.jail import base_node, base_root
from ondol.sandbox.paths import LIBRARY_PATH

NODES = [found for name, found in catalog.find().runtimes.items() if name.startswith("nodejs")]
pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not NODES, reason="this machine has no Node: install it with the system's packages"),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    destination = tmp_path_factory.mktemp("roots") / NODES[-1].name
    base_root.build(NODES[-1], destination)
    return destination


def inside(root: Path, code: str, environment: dict[str, str]) -> str:
    """Output of code run by the root's Node, inside it, by nobody in particular."""

    def enter() -> None:
        os.chroot(root)
        os.chdir("/")
        os.setgroups([])
        os.setgid(12345)
        os.setuid(12345)

    command = [base_node.PROGRAM, "-e", code]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, preexec_fn=enter
    ).stdout.strip()


@pytest.mark.parametrize("path", [LIBRARY_PATH, "/opt/lib"])
def test_the_interpreter_runs_from_var_lang(root: Path, path: str) -> None:
    code = "console.log(process.versions.node, process.execPath, require('tls').rootCertificates.length > 50)"
    assert inside(root, code, {"LD_LIBRARY_PATH": path}) == f"{NODES[-1].version} /var/lang/bin/node true"


def test_nothing_else_of_the_hosts_comes_along(root: Path) -> None:
    assert [path.name for path in (root / "var/lang/bin").iterdir()] == ["node"]
    assert list((root / "var/lang/lib").iterdir()) == []
    assert list((root / "opt/nodejs/node_modules").iterdir()) == []


def test_the_bootstrap_is_in_its_place(root: Path) -> None:
    assert (root / "var/runtime/bootstrap.js").exists()
    assert (root / "var/runtime/ondol_runtime/loop.js").exists()
    assert not (root / "var/runtime/__init__.py").exists()


def test_what_is_current_is_left_alone(root: Path) -> None:
    before = root.stat().st_ino
    base_root.build(NODES[-1], root)
    assert root.stat().st_ino == before


def test_an_interpreter_that_is_not_what_it_was_said_to_be_is_refused(tmp_path: Path) -> None:
    changed = msgspec.structs.replace(NODES[-1], version="99.0.0")
    with pytest.raises(SandboxError, match=r"Node 99\.0\.0, yet in its root"):
        base_root.build(changed, tmp_path / "root")
    assert not (tmp_path / "root").exists()


def test_sources_that_a_distribution_keeps_outside_the_program_are_laid_where_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path / "share/nodejs/lexer.js"
    outside.parent.mkdir(parents=True)
    outside.write_text("module.exports = 1;")
    binary = tmp_path / "node"
    binary.write_bytes(b"\x7fELF\0" + bytes(outside) + b"\0" + bytes(outside.with_name("gone.js")) + b"\0")
    named = re.compile(re.escape(bytes(tmp_path)) + rb"/share/[\w./@-]+\.js(?=\0)")
    monkeypatch.setattr(base_node, "_OUTSIDE_SOURCE", named)
    base_node.copy_outside_sources(tmp_path / "root", [binary])
    laid = [path for path in (tmp_path / "root").rglob("*") if path.is_file()]
    assert laid == [tmp_path / "root" / outside.relative_to("/")]
