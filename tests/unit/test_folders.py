"""Folders as code: what of one becomes a package, what it is never led to, and when it is given up."""

import asyncio
import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ondol.folders.allowed import AllowedFolders, Folder, FolderError
from ondol.folders.reading import FolderLimits, FolderRead, read_folder
from ondol.folders.watch import FolderWatch
from ondol.linux.beneath import open_beneath

ENOUGH = FolderLimits(1_000_000, 1_000)


def read(folder: Path, limits: FolderLimits = ENOUGH) -> FolderRead:
    return read_folder(AllowedFolders([folder]).find(str(folder)), limits, lambda _: None)


def names(package: bytes) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        return archive.namelist()


def test_the_same_content_is_the_same_package(tmp_path: Path) -> None:
    for folder in (one := tmp_path / "one", two := tmp_path / "two"):
        (folder / "below").mkdir(parents=True)
        for name in ("m.py", "below/x") if folder is one else ("below/x", "m.py"):
            (folder / name).write_text(name)
    os.utime(one / "m.py", (1, 1))
    assert read(one) == read(two)
    (two / "m.py").chmod(0o755)
    assert read(one) != read(two)


def test_what_tools_leave_behind_is_no_part_of_it(tmp_path: Path) -> None:
    for name in (".git/config", "__pycache__/m.pyc", "m.py", "m.py~", ".m.py.swp", "node_modules/x/index.js"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    assert names(read(tmp_path).package) == ["m.py", "node_modules/x/index.js"]


def test_too_much_is_given_up(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(101))
    with pytest.raises(FolderError, match="holds more than 100 bytes"):
        read(tmp_path, FolderLimits(100, 10))
    (tmp_path / "another").write_text("")
    with pytest.raises(FolderError, match="holds more than 1 files"):
        read(tmp_path, FolderLimits(1000, 1))


def test_a_name_that_no_zip_can_have_is_said(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff")).write_text("")
    with pytest.raises(FolderError, match="not UTF-8"):
        read(tmp_path)


@pytest.mark.parametrize("path", ["../secret", "up/secret", "absolute", "inside/../../secret", "magic"])
def test_nothing_leads_out_of_a_directory(tmp_path: Path, path: str) -> None:
    (tmp_path / "secret").write_text("secret")
    (folder := tmp_path / "folder").mkdir()
    (folder / "inside").mkdir()
    (folder / "up").symlink_to("..")
    (folder / "absolute").symlink_to(tmp_path / "secret")
    (folder / "magic").symlink_to("/proc/self/root")
    directory = os.open(folder, os.O_PATH)
    try:
        with pytest.raises(OSError, match=r"Invalid cross-device link|Too many levels"):
            open_beneath(directory, path, os.O_RDONLY)
        os.close(open_beneath(directory, "inside", os.O_RDONLY))
    finally:
        os.close(directory)


def test_a_folder_is_found_by_where_it_really_is(tmp_path: Path) -> None:
    (allowed := tmp_path / "allowed" / "deep").mkdir(parents=True)
    (link := tmp_path / "link").symlink_to(allowed.parent)
    folders = AllowedFolders([link])
    assert folders.find(str(link / "deep")).path == allowed
    assert folders.find(str(allowed)).path == allowed
    with pytest.raises(FolderError, match="start ondol with --hot-reload"):
        folders.find(str(tmp_path))


def watched(tmp_path: Path, change: Callable[[], None]) -> list[Folder]:
    """What is told of a folder `tmp_path/allowed/f` after a change; a mark in another one says that all was heard."""

    async def watching() -> list[Folder]:
        told: list[Folder] = []
        marked = asyncio.Event()

        def changed(folder: Folder) -> None:
            told.append(folder)
            if folder.inner == "mark":
                marked.set()

        watch = FolderWatch(changed)
        folders = AllowedFolders([tmp_path / "allowed"])
        for name in ("f", "mark"):
            look = watch.looking(folder := folders.find(str(tmp_path / "allowed" / name)))
            look.approach()
            read_folder(folder, ENOUGH, look.enter)
            look.over()
        change()
        (tmp_path / "allowed" / "mark" / "now").write_text("")
        await asyncio.wait_for(marked.wait(), 5)
        watch.forget(folder)
        (tmp_path / "allowed" / "mark" / "later").write_text("")
        watch.close()
        return [folder for folder in told if folder.inner != "mark"]

    for name in ("f/below", "mark"):
        (tmp_path / "allowed" / name).mkdir(parents=True)
    return asyncio.run(watching())


CHANGES: dict[str, Callable[[Path], object]] = {
    "a new file": lambda folder: (folder / "x").write_text("x"),
    "a new file below": lambda folder: (folder / "below" / "x").write_text("x"),
    "a new directory": lambda folder: (folder / "new").mkdir(),
    "another mode": lambda folder: (folder / "below").chmod(0o700),
    "a directory that goes": lambda folder: (folder / "below").rmdir(),
    "itself elsewhere": lambda folder: folder.rename(folder.with_name("elsewhere")),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_is_told_once_when_it_is_quiet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], object]
) -> None:
    # A busy machine may take longer between two steps of one change.
    monkeypatch.setattr("ondol.folders.watch.QUIET_MS", 100)
    folder = tmp_path / "allowed" / "f"
    assert [told.path for told in watched(tmp_path, lambda: change(folder) and None)] == [folder]


@pytest.mark.parametrize("name", ["f/__pycache__", "f/.m.py.swp", "other", "other/f"])
def test_what_does_not_belong_is_not_told(tmp_path: Path, name: str) -> None:
    assert watched(tmp_path, lambda: (tmp_path / "allowed" / name).mkdir(parents=True)) == []
