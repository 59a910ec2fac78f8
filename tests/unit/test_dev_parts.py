"""The parts of `ondol dev`: what counts as a change, what is broken, how an error in a log is read."""

import io
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from ondol.cli.feed import Deployed, TextFeed
from ondol.cli.package import DirectorySource
from ondol.cli.syntax import faults
from ondol.cli.traces import Kind, lines_of
from ondol.cli.watcher import Watcher, relevant
from ondol.cli.workbench import faults_by

SCRATCH = (
    "__pycache__/app.cpython-313.pyc",
    ".git/index",
    ".venv/bin/python",
    "lib/.pytest_cache/x",
    "app.py~",
    ".app.py.swp",
    ".#app.py",
    "4913",
)


def test_only_what_is_packaged_counts_as_a_change() -> None:
    kept = ("app.py", "templates/page.html", "node_modules/left/index.js", ".env", "gitignore")
    paths = [f"/fn/{name}" for name in (*kept, *SCRATCH)]
    assert relevant(Path("/fn"), ["/fn", *paths]) == frozenset(kept)


def test_what_does_not_count_is_not_packaged_either(tmp_path: Path) -> None:
    for name in ("app.py", "node_modules/left/index.js", *SCRATCH):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    assert DirectorySource(tmp_path).names == {"app.py", "node_modules/left/index.js"}


def test_a_package_for_a_local_upload_is_stored_unless_it_is_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "app.py").write_text("x = 1\n" * 1000)
    source = DirectorySource(tmp_path)

    def methods(content: bytes) -> set[int]:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return {entry.compress_type for entry in archive.infolist()}

    assert methods(source.zipped(None)) == {zipfile.ZIP_DEFLATED}
    assert methods(source.zipped(None, small=False)) == {zipfile.ZIP_STORED}
    monkeypatch.setattr("ondol.cli.package._STORED_BYTES", 5999)
    assert methods(source.zipped(None, small=False)) == {zipfile.ZIP_DEFLATED}


def test_changes_that_come_together_are_one_and_none_is_lost(tmp_path: Path) -> None:
    with Watcher(tmp_path) as watcher:
        # Before anybody waits: the watch begins when the watcher is made.
        (tmp_path / "__pycache__").mkdir()
        (tmp_path / "early.py").write_text("1")
        assert watcher.changed() == {"early.py"}
        saving = threading.Thread(target=_save_as_editors_do, args=(tmp_path,))
        saving.start()
        saved: set[str] = set()
        while not saved >= {"app.py", "lib"}:
            saved |= watcher.changed()
        saving.join()
        assert saved <= {"app.py", "app.py.new", "lib", "lib/more.py"}


def _save_as_editors_do(directory: Path) -> None:
    (directory / ".app.py.swp").write_text("1")
    (directory / "app.py.new").write_text("2")
    (directory / "app.py.new").rename(directory / "app.py")
    (directory / "lib").mkdir()
    (directory / "lib" / "more.py").write_text("3")


def test_a_fault_has_a_file_a_line_and_a_place(tmp_path: Path) -> None:
    good, bad, null = tmp_path / "good.py", tmp_path / "bad.py", tmp_path / "null.py"
    good.write_text("x = '\\d'\n")
    bad.write_text("def h(event, context):\n    retrun event\n")
    null.write_bytes(b"x = 1\0")
    found = faults([str(good), str(bad), str(tmp_path / "gone.py"), str(null)])
    assert [(fault.file, fault.line) for fault in found] == [(str(bad), 2), (str(null), 1)]
    assert (found[0].message, found[0].column, found[0].source) == (
        "SyntaxError: invalid syntax",
        12,
        "    retrun event",
    )


def test_another_interpreter_says_the_same(tmp_path: Path) -> None:
    (tmp_path / "bad é.py").write_text("x = (\n")
    files = [str(tmp_path / "bad é.py")]
    assert faults_by(sys.executable, files) == faults(files) != []
    assert faults_by("/bin/false", files) == []


def _source_line(name: str, number: int) -> str | None:
    return {("app.py", 3): '    return e["missing"]', ("index.js", 2): "  throw new Error('no');"}.get((name, number))


def test_a_python_error_is_read() -> None:
    message = (
        "[ERROR] KeyError: 'missing'\rTraceback (most recent call last):\r"
        '\u00a0\u00a0File "/var/task/app.py", line 3, in h\r\u00a0\u00a0\u00a0\u00a0return e["missing"]\r'
        '\u00a0\u00a0File "/var/lang/lib/python3.13/os.py", line 9, in environ\r\u00a0\u00a0\u00a0\u00a0raise\n'
    )
    assert list(lines_of(message, "examples/fn", _source_line)) == [
        (Kind.HEADLINE, "[ERROR] KeyError: 'missing'"),
        (Kind.HEADLINE, "Traceback (most recent call last):"),
        (Kind.FRAME, '  File "examples/fn/app.py", line 3, in h'),
        (Kind.SOURCE, '    return e["missing"]'),
        (Kind.TEXT, '  File "/var/lang/lib/python3.13/os.py", line 9, in environ'),
        (Kind.TEXT, "    raise"),
    ]


def test_a_node_frame_gets_its_source() -> None:
    message = "Error: no\n    at handler (file:///var/task/index.js:2:9)\n    at run (/var/runtime/x.mjs:1:1)\n"
    assert list(lines_of(message, "fn", _source_line)) == [
        (Kind.TEXT, "Error: no"),
        (Kind.FRAME, "    at handler (fn/index.js:2:9)"),
        (Kind.SOURCE, "      throw new Error('no');"),
        (Kind.TEXT, "    at run (/var/runtime/x.mjs:1:1)"),
    ]


def test_a_plain_line_stays_as_it_is() -> None:
    assert list(lines_of("hello\n", "fn", _source_line)) == [(Kind.TEXT, "hello")]


def test_a_redeploy_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    feed = TextFeed(tmp_path)
    feed.deployed(Deployed("greet", True, 2100, 137, ()))
    feed.deployed(Deployed("greet", False, 142, 137, ("app.py",)))
    feed.deployed(Deployed("greet", False, 9, 137, ("a", "b", "c", "d", "e")))
    assert capsys.readouterr().out.splitlines() == [
        "Created greet in 2100 ms",
        "Updated greet in 142 ms (app.py)",
        "Updated greet in 9 ms (a, b, c and 2 more)",
    ]
