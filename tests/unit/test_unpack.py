"""Zips that mean harm, and zips that do not: what becomes of each on disk."""

import contextlib
import io
import os
import stat
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ondol.sandbox.errors import SandboxError, UnpackRefused
from ondol.sandbox.jail import unpack
from ondol.sandbox.jail.unpack import Unpacker
from ondol.sandbox.limits import UnpackLimits

LIMITS = UnpackLimits(bytes=1_000_000, entries=100)


def entry(name: str, mode: int = stat.S_IFREG | 0o644, system: int = 3) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, date_time=(2024, 2, 29, 12, 30, 2))
    info.create_system = system
    info.external_attr = mode << 16
    return info


def archive(*entries: tuple[zipfile.ZipInfo | str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", compression) as file:
        for info, content in entries:
            file.writestr(info, content, compress_type=compression)
    return written.getvalue()


def extract(content: bytes, directory: Path, limits: UnpackLimits = LIMITS) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        Unpacker(descriptor, limits).unpack(io.BytesIO(content))
    finally:
        os.close(descriptor)


def refusal(content: bytes, directory: Path, limits: UnpackLimits = LIMITS) -> str:
    with pytest.raises(UnpackRefused) as refused:
        extract(content, directory, limits)
    return str(refused.value)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory to unpack into, with a neighbour that no archive may reach."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("untouched")
    inside = tmp_path / "inside"
    inside.mkdir()
    return inside


def outside_is_untouched(tree: Path) -> bool:
    outside = tree.parent / "outside"
    return [path.name for path in outside.iterdir()] == ["secret"] and (outside / "secret").read_text() == "untouched"


class TestHonest:
    def test_files_are_where_and_what_the_archive_says(self, tree: Path) -> None:
        extract(archive(("app.py", b"x = 1\n"), ("a/b/c.txt", b"deep"), ("empty", b"")), tree)
        assert (tree / "app.py").read_bytes() == b"x = 1\n"
        assert (tree / "a/b/c.txt").read_bytes() == b"deep"
        assert (tree / "empty").read_bytes() == b""

    @pytest.mark.parametrize(
        ("mode", "expected"),
        [(0o644, 0o644), (0o600, 0o644), (0o400, 0o644), (0o700, 0o755), (0o755, 0o755), (0o7777, 0o755), (0, 0o644)],
    )
    def test_everything_is_readable_and_what_runs_runs_for_all(self, tree: Path, mode: int, expected: int) -> None:
        extract(archive((entry("f", stat.S_IFREG | mode), b"")), tree)
        assert stat.S_IMODE((tree / "f").stat().st_mode) == expected

    def test_modes_of_archives_made_on_windows_are_no_unix_modes(self, tree: Path) -> None:
        extract(archive((entry("f", stat.S_IFLNK | 0o755, system=0), b"text")), tree)
        assert (tree / "f").read_bytes() == b"text"
        assert stat.S_IMODE((tree / "f").stat().st_mode) == 0o644

    def test_directories_can_be_entered_by_all(self, tree: Path) -> None:
        extract(archive((entry("d/", stat.S_IFDIR | 0o700), b""), ("d/f", b"")), tree)
        assert stat.S_IMODE((tree / "d").stat().st_mode) == 0o755

    def test_links_are_kept_as_links(self, tree: Path) -> None:
        extract(archive(("real", b"1"), (entry("link", stat.S_IFLNK | 0o777), b"real")), tree)
        assert (tree / "link").readlink() == Path("real")

    def test_a_link_may_lead_anywhere_for_it_is_followed_only_inside_a_sandbox(self, tree: Path) -> None:
        extract(archive((entry("link", stat.S_IFLNK | 0o777), b"/opt/lib/x.so")), tree)
        assert (tree / "link").readlink() == Path("/opt/lib/x.so")

    def test_names_in_any_script(self, tree: Path) -> None:
        extract(archive(("온돌/方.txt", b"warm")), tree)
        assert (tree / "온돌/方.txt").read_bytes() == b"warm"

    def test_names_without_the_utf8_mark_keep_their_bytes(self, tree: Path) -> None:
        content = archive(("xx.txt", b"1")).replace(b"xx.txt", "é.txt".encode())
        extract(content, tree)
        assert (tree / "é.txt").exists()

    def test_dots_and_doubled_slashes_mean_nothing(self, tree: Path) -> None:
        extract(archive(("./a//b/./c", b"1")), tree)
        assert (tree / "a/b/c").read_bytes() == b"1"

    def test_of_two_entries_with_one_name_the_later_stays(self, tree: Path) -> None:
        with pytest.warns(UserWarning, match="Duplicate"):
            content = archive(("f", b"first, and longer"), ("f", b"second"))
        extract(content, tree)
        assert (tree / "f").read_bytes() == b"second"

    def test_times_are_kept_so_that_compiled_files_stay_valid(self, tree: Path) -> None:
        exact = entry("exact")
        exact.extra = struct.pack("<HHBi", 0x5455, 5, 1, 1_700_000_001)
        extract(archive((entry("coarse"), b""), (exact, b"")), tree)
        assert (tree / "exact").stat().st_mtime == 1_700_000_001
        assert (tree / "coarse").stat().st_mtime == 1_709_209_802

    def test_archives_behind_a_prefix_and_in_zip64(self, tree: Path) -> None:
        written = io.BytesIO()
        with zipfile.ZipFile(written, "w") as file, file.open("big", "w", force_zip64=True) as member:
            member.write(b"content")
        extract(b"#!/bin/sh\n" + written.getvalue(), tree)
        assert (tree / "big").read_bytes() == b"content"

    def test_an_empty_archive_is_an_empty_tree(self, tree: Path) -> None:
        extract(archive(), tree)
        assert list(tree.iterdir()) == []


class TestHostile:
    @pytest.mark.parametrize(
        "name", ["../outside/x", "a/../../outside/x", "..", "a/..", "/etc/x", "//etc/x", "a/../b", "./../x"]
    )
    def test_paths_that_lead_out(self, tree: Path, name: str) -> None:
        text = refusal(archive((name, b"x")), tree)
        assert "leads out" in text or "absolute" in text
        assert outside_is_untouched(tree)

    @pytest.mark.parametrize("target", [b"../outside", b"/", b".", b"loop"])
    def test_nothing_is_written_through_a_link(self, tree: Path, target: bytes) -> None:
        hostile = archive((entry("loop", stat.S_IFLNK | 0o777), target), ("loop/x", b"x"))
        assert "link" in refusal(hostile, tree)
        assert outside_is_untouched(tree)

    def test_no_directory_is_made_through_a_link(self, tree: Path) -> None:
        hostile = archive((entry("l", stat.S_IFLNK | 0o777), b"../outside"), (entry("l/d/", stat.S_IFDIR | 0o755), b""))
        assert "link" in refusal(hostile, tree)
        assert outside_is_untouched(tree)

    def test_a_file_replaces_a_link_and_does_not_follow_it(self, tree: Path) -> None:
        with pytest.warns(UserWarning, match="Duplicate"):
            content = archive((entry("l", stat.S_IFLNK | 0o777), b"../outside/secret"), ("l", b"mine"))
        extract(content, tree)
        assert (tree / "l").read_bytes() == b"mine"
        assert not (tree / "l").is_symlink()
        assert outside_is_untouched(tree)

    def test_a_link_does_not_replace_a_directory(self, tree: Path) -> None:
        hostile = archive(("d/f", b"1"), (entry("d", stat.S_IFLNK | 0o777), b"../outside"), ("d/x", b"2"))
        assert "'d'" in refusal(hostile, tree)
        assert outside_is_untouched(tree)

    @pytest.mark.parametrize("kind", [stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK])
    def test_devices_and_pipes(self, tree: Path, kind: int) -> None:
        assert "neither a file" in refusal(archive((entry("d", kind | 0o666), b"")), tree)
        assert list(tree.iterdir()) == []

    def test_a_bomb_is_stopped_at_the_limit(self, tree: Path) -> None:
        bomb = archive(("zeros", bytes(50_000_000)))
        assert len(bomb) < 100_000
        assert refusal(bomb, tree) == "Unzipped size must be smaller than 1000000 bytes"
        assert (tree / "zeros").stat().st_size <= LIMITS.bytes

    def test_many_small_bombs_count_together(self, tree: Path) -> None:
        assert "Unzipped size" in refusal(archive(*((f"z{n}", bytes(300_000)) for n in range(5))), tree)

    def test_a_directory_that_understates_sizes_gains_nothing(self, tree: Path) -> None:
        content = bytearray(archive(("zeros", bytes(5_000_000))))
        central = content.rindex(b"PK\x01\x02")
        struct.pack_into("<I", content, central + 24, 10)
        refusal(bytes(content), tree)
        assert sum(path.stat().st_size for path in tree.iterdir()) <= LIMITS.bytes

    def test_more_entries_than_allowed(self, tree: Path) -> None:
        assert "more than 100" in refusal(archive(*((f"f{n}", b"") for n in range(101))), tree)

    def test_directories_that_are_only_implied_count_too(self, tree: Path) -> None:
        assert "more than 100" in refusal(archive(("/".join(["d"] * 150) + "/f", b"")), tree)

    @pytest.mark.parametrize("name", ["x" * 256, "d/" * 300 + "f", "/".join(["y" * 200] * 30)])
    def test_paths_that_nothing_could_open(self, tree: Path, name: str) -> None:
        assert "too long" in refusal(archive((name, b"")), tree)

    @pytest.mark.parametrize("target", [b"", b"x" * 5000, b"a\0b"])
    def test_links_to_what_no_path_can_name(self, tree: Path, target: bytes) -> None:
        assert "symbolic link" in refusal(archive((entry("l", stat.S_IFLNK | 0o777), target)), tree)

    def test_a_file_where_a_directory_must_be(self, tree: Path) -> None:
        assert "'f/x'" in refusal(archive(("f", b""), ("f/x", b"")), tree)

    def test_null_bytes_in_names(self, tree: Path) -> None:
        assert "null byte" in refusal(archive(("aXb", b"")).replace(b"aXb", b"a\0b"), tree)

    def test_an_entry_without_a_name(self, tree: Path) -> None:
        # So long that it stands in no time of day: those are in there too, as two bytes each.
        content = bytearray(archive(("named", b""), compression=zipfile.ZIP_STORED).replace(b"named", b""))
        struct.pack_into("<H", content, 26, 0)
        struct.pack_into("<H", content, content.index(b"PK\x01\x02") + 28, 0)
        struct.pack_into("<LL", content, content.index(b"PK\x05\x06") + 12, 46, 30)
        assert refusal(bytes(content), tree) == "an entry has no name"

    def test_encryption(self, tree: Path) -> None:
        content = bytearray(archive(("f", b"1")))
        for signature, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
            content[content.index(signature) + offset] |= 1
        assert "encrypted" in refusal(bytes(content), tree)

    @pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    def test_compressions_that_aws_does_not_take(self, tree: Path, method: int) -> None:
        assert "not supported" in refusal(archive(("f", b"1"), compression=method), tree)

    @pytest.mark.parametrize(
        "content",
        [b"", b"PK", b"not a zip at all", archive(("f", b"12345" * 100))[:-30]],
        ids=["nothing", "its first letters", "words", "one cut short"],
    )
    def test_what_is_no_archive(self, tree: Path, content: bytes) -> None:
        assert "broken" in refusal(content, tree)

    def test_content_that_fails_its_checksum(self, tree: Path) -> None:
        content = archive(("f", b"content"), compression=zipfile.ZIP_STORED).replace(b"content", b"c0ntent", 1)
        assert "broken" in refusal(content, tree)


names = st.lists(st.sampled_from(["a", "b", "..", ".", "", "c"]), min_size=1, max_size=5).map("/".join).filter(bool)
kinds = st.sampled_from([stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK])
contents = st.sampled_from([b"../outside", b"a", b"..", b"/", b"../outside/secret"])


@pytest.mark.filterwarnings("ignore:Duplicate name")
@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(names, kinds, contents), max_size=8))
def test_no_mixture_of_entries_reaches_outside(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[str, int, bytes]]
) -> None:
    base = tmp_path_factory.mktemp("tree")
    (base / "outside").mkdir()
    (base / "outside/secret").write_text("untouched")
    (base / "inside").mkdir()
    content = archive(*((entry(name, kind | 0o777), data) for name, kind, data in entries))
    with contextlib.suppress(UnpackRefused):
        extract(content, base / "inside")
    assert sorted(path.name for path in base.iterdir()) == ["inside", "outside"]
    assert outside_is_untouched(base / "inside")


@pytest.mark.root
class TestConfined:
    UID = 60_123

    @staticmethod
    def confined(content: bytes, destination: Path, limits: UnpackLimits = LIMITS) -> None:
        source = destination.parent / "archive.zip"
        source.write_bytes(content)
        with source.open("rb") as file:
            unpack.unpack_confined(file.fileno(), destination, limits, TestConfined.UID)

    def test_the_tree_is_there_and_belongs_to_nobody_with_power(self, tmp_path: Path) -> None:
        self.confined(archive(("a/f", b"1")), tmp_path / "tree")
        assert (tmp_path / "tree/a/f").read_bytes() == b"1"
        assert (tmp_path / "tree/a/f").stat().st_uid == self.UID
        assert stat.S_IMODE((tmp_path / "tree").stat().st_mode) == 0o755

    def test_a_tree_that_is_there_is_left_alone(self, tmp_path: Path) -> None:
        self.confined(archive(("f", b"1")), tmp_path / "tree")
        self.confined(b"no archive at all", tmp_path / "tree")
        assert (tmp_path / "tree/f").read_bytes() == b"1"

    def test_what_is_refused_leaves_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(UnpackRefused, match="leads out"):
            self.confined(archive(("f", b"1"), ("../x", b"2")), tmp_path / "tree")
        assert [path.name for path in tmp_path.iterdir()] == ["archive.zip"]

    def test_a_directory_of_a_million_entries_exhausts_the_child_alone(self, tmp_path: Path) -> None:
        record = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"f"
        count = 1_000_000
        end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 65535, 65535, len(record) * count, 0, 0)
        with pytest.raises(UnpackRefused, match="directory is too large"):
            self.confined(record * count + end, tmp_path / "tree")
        assert [path.name for path in tmp_path.iterdir()] == ["archive.zip"]

    def test_a_place_that_cannot_be_written_is_the_machines_fault(self, tmp_path: Path) -> None:
        source = tmp_path / "archive.zip"
        source.write_bytes(archive(("f", b"1")))
        with source.open("rb") as file, pytest.raises(SandboxError, match="missing"):
            unpack.unpack_confined(file.fileno(), tmp_path / "missing/tree", LIMITS, self.UID)
