"""Images as files: which one is chosen and believed, what is fetched, and what hostile layers make of a tree."""

import contextlib
import gzip
import io
import json
import os
import stat
import tarfile
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oci_images import (
    MadeImage,
    Registry,
    descriptor,
    digest,
    entry,
    index,
    layer,
    make,
    write_docker_save,
    write_layout,
)
from ondol.config import ConfigError, load
from ondol.model.runtime import Launch
from ondol.runtimes.oci.choice import Execution, this_machine
from ondol.runtimes.oci.errors import ImageError, RegistryUnreachable
from ondol.runtimes.oci.fetch import fetch
from ondol.runtimes.oci.kept import FetchedImage, prepare
from ondol.runtimes.oci.launch import runtime_on
from ondol.runtimes.oci.reference import LocalImage, RegistryImage, parse
from ondol.runtimes.oci.registry import check_url
from ondol.runtimes.oci.runtime_images import check_images
from ondol.sandbox.errors import UnpackRefused
from ondol.sandbox.jail import image_root, layer_stream
from ondol.sandbox.jail.layer_stream import LayerStream
from ondol.sandbox.jail.layer_tree import LayerTree
from ondol.sandbox.limits import UnpackLimits

LIMITS = UnpackLimits(bytes=1_000_000, entries=100)
DIRECTORY, SYMLINK, HARD_LINK = tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
A = "a" * 64
ELSEWHERE = {"amd64": "arm64", "arm64": "amd64"}.get(this_machine().architecture, "riscv64")


def unpack(directory: Path, *layers: bytes, limits: UnpackLimits = LIMITS) -> LayerTree:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        tree = LayerTree(descriptor, limits)
        for content in layers:
            tree.lay(io.BytesIO(content))
        return tree
    finally:
        os.close(descriptor)


def refusal(directory: Path, *layers: bytes, limits: UnpackLimits = LIMITS) -> str:
    with pytest.raises(UnpackRefused) as refused:
        unpack(directory, *layers, limits=limits)
    return str(refused.value)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory to unpack into, with a neighbour that no layer may reach."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("untouched")
    (tmp_path / "inside").mkdir()
    return tmp_path / "inside"


def outside_is_untouched(tree: Path) -> bool:
    outside = tree.parent / "outside"
    return [path.name for path in outside.iterdir()] == ["secret"] and (outside / "secret").read_text() == "untouched"


def files(tree: Path) -> list[str]:
    return sorted(str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_symlink() or not path.is_dir())


class TestReference:
    def test_a_path_names_a_layout_or_one_image_of_it(self, tmp_path: Path) -> None:
        assert parse(f"oci:{tmp_path}") == LocalImage(tmp_path)
        assert parse(f"oci:{tmp_path}:java") == LocalImage(tmp_path, "java")

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("registry.example:5000/name:tag", RegistryImage("registry.example:5000", "name", "tag", None)),
            ("images.example/lambda/java:21", RegistryImage("images.example", "lambda/java", "21", None)),
            (f"localhost/a@sha256:{A}", RegistryImage("localhost", "a", None, f"sha256:{A}")),
            (f"[::1]:5000/a/b:1@sha256:{A}", RegistryImage("[::1]:5000", "a/b", "1", f"sha256:{A}")),
            ("images.example/library/python", RegistryImage("images.example", "library/python", None, None)),
        ],
    )
    def test_a_name_in_a_registry(self, text: str, expected: RegistryImage) -> None:
        assert parse(f"oci:{text}") == expected

    @pytest.mark.parametrize(
        "text",
        [
            *("docker://x", "oci:", "oci:python:3.12", "oci:host.example/", "oci:host.example/Upper"),
            *("oci:host.example/a@sha256:12", "oci:host.example/a:b:c", "oci:host.example/../a", "oci:h.x?y/a"),
        ],
    )
    def test_what_names_no_image(self, text: str) -> None:
        with pytest.raises(ImageError, match="oci:"):
            parse(text)


class TestConfiguration:
    def configured(self, directory: Path, text: str) -> Any:
        file = directory / "ondol.toml"
        file.write_text(text)
        return load({}, {}, file).runtimes

    def test_a_runtime_is_an_image_and_a_path_is_from_where_the_file_is(self, tmp_path: Path) -> None:
        found = self.configured(tmp_path, '[runtimes]\njava21 = "oci:/a"\n"python3.12" = "oci:./b"\n')
        assert {name: image.reference for name, image in found.items()} == {
            "java21": "oci:/a",
            "python3.12": f"oci:{tmp_path}/b",
        }
        assert check_images(found, ["java21", "python3.12"])["java21"] == "oci:/a"

    def test_errors_name_the_line(self, tmp_path: Path) -> None:
        found = self.configured(tmp_path, 'port = 1\n[runtimes]\n\ncobol = "oci:/a"\n')
        with pytest.raises(ConfigError, match=r"runtimes\.cobol in .*ondol\.toml, line 4 is no runtime of Lambda's"):
            check_images(found, ["java21"])
        found = self.configured(tmp_path, '[runtimes]\n"ruby3.3" = "ruby:3"\n')
        with pytest.raises(ConfigError, match=r"line 2: 'ruby:3' names no image"):
            check_images(found, ["ruby3.3"])

    def test_a_name_with_a_dot_wants_quotes(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="line 2 is a table: quote the name"):
            self.configured(tmp_path, '[runtimes]\nruby3.3 = "oci:/a"\n')
        with pytest.raises(ConfigError, match="must be a text"):
            self.configured(tmp_path, "[runtimes]\njava21 = 21\n")
        with pytest.raises(ConfigError, match="must be a table"):
            self.configured(tmp_path, 'runtimes = "java21"\n')


class TestFetch:
    ONE = layer(("f", b"one"))

    @staticmethod
    def fetch(source: Path | str, images: Path) -> FetchedImage:
        return fetch(f"oci:{source}", images, lambda text: None)

    @pytest.fixture
    def images(self, tmp_path: Path) -> Path:
        images = tmp_path / "images"
        images.mkdir()
        return images

    def layers(self, images: Path, fetched: FetchedImage) -> list[bytes]:
        directory = images / fetched.digest.removeprefix("sha256:") / "layers"
        contents = [(directory / str(number)).read_bytes() for number in range(len(fetched.diff_ids))]
        return [gzip.decompress(one) if one.startswith(b"\x1f\x8b") else one for one in contents]

    def test_a_layout_in_a_directory_and_in_a_tar(self, tmp_path: Path, images: Path) -> None:
        image = make([self.ONE, layer(("g", b""))], {"Entrypoint": ["/e"], "Env": ["A=b"]})
        layout = write_layout(tmp_path / "layout", image)
        with tarfile.open(tmp_path / "layout.tar", "w") as archive:
            archive.add(layout, ".")
        for source in (layout, tmp_path / "layout.tar"):
            fetched = self.fetch(source, images)
            assert fetched.digest == image.manifest["digest"]
            assert fetched.execution == Execution(env=("A=b",), entrypoint=("/e",))
            assert self.layers(images, fetched) == list(image.layers)

    def test_what_docker_saves(self, tmp_path: Path, images: Path) -> None:
        image = make([self.ONE], {"Cmd": ["x"]})
        saved = write_docker_save(tmp_path / "saved.tar", image, "team/image:7")
        assert self.layers(images, self.fetch(saved, images)) == [self.ONE]
        assert self.fetch(f"{saved}:7", images).digest == digest(image.config)
        with pytest.raises(ImageError, match=r"0 such images.*team/image:7"):
            self.fetch(f"{saved}:8", images)

    def test_of_several_images_the_one_for_this_machine_or_of_the_name(self, tmp_path: Path, images: Path) -> None:
        here, there = make([self.ONE]), make([self.ONE], architecture=ELSEWHERE)
        assert self.fetch(write_layout(tmp_path / "both", there, here), images).digest == here.manifest["digest"]
        other = make([self.ONE], {"Cmd": ["other"]})
        named = write_layout(tmp_path / "named", here, other, names=["first", "second"])
        assert self.fetch(f"{named}:second", images).digest == other.manifest["digest"]
        with pytest.raises(ImageError, match=r"several images.*first, second"):
            self.fetch(named, images)
        with pytest.raises(ImageError, match="no image called 'third', but first, second"):
            self.fetch(f"{named}:third", images)

    def test_an_index_below_an_index(self, tmp_path: Path, images: Path) -> None:
        image = make([self.ONE])
        below = index(image)
        layout = write_layout(tmp_path / "nested", image)
        (layout / "blobs/sha256" / digest(below).removeprefix("sha256:")).write_bytes(below)
        kind = "application/vnd.oci.image.index.v1+json"
        (layout / "index.json").write_text(json.dumps({"manifests": [descriptor(kind, below)]}))
        assert self.fetch(layout, images).digest == image.manifest["digest"]

    def test_another_machines_image(self, tmp_path: Path, images: Path) -> None:
        foreign = make([self.ONE], architecture=ELSEWHERE)
        machine = this_machine()
        with pytest.raises(ImageError, match=f"made for linux/{ELSEWHERE}, and this machine is {machine}"):
            self.fetch(write_layout(tmp_path / "a", foreign), images)
        del foreign.manifest["platform"]
        with pytest.raises(ImageError, match=f"made for linux/{ELSEWHERE}"):
            self.fetch(write_layout(tmp_path / "b", foreign), images)

    @pytest.mark.parametrize("part", ["config", "manifest", "layer"])
    @pytest.mark.parametrize("change", ["other", "longer", "missing"])
    def test_what_is_not_what_its_digest_says(self, tmp_path: Path, images: Path, part: str, change: str) -> None:
        image = make([self.ONE])
        layout = write_layout(tmp_path / "layout", image)
        kinds = {"config": image.config, "manifest": image.blobs[image.manifest["digest"]]}
        content = kinds.get(part, gzip.compress(self.ONE, 1, mtime=0))
        blob = layout / "blobs/sha256" / digest(content).removeprefix("sha256:")
        changed = {"other": content.replace(content[-3:], b"xyz"), "longer": content + b" ", "missing": None}[change]
        if changed is None:
            blob.unlink()
        else:
            blob.write_bytes(changed)
        with pytest.raises(ImageError, match=r"is really|lacks|longer"):
            self.fetch(layout, images)
        assert list(images.iterdir()) == []

    @pytest.mark.parametrize("name", ["sha256:../../../etc/passwd", "md5:12", "sha256:" + "A" * 64])
    def test_a_digest_that_is_none(self, tmp_path: Path, images: Path, name: str) -> None:
        layout = write_layout(tmp_path / "layout", make([self.ONE]))
        (layout / "index.json").write_text(json.dumps({"manifests": [{"digest": name, "size": 1}]}))
        with pytest.raises(ImageError, match="no sha256"):
            self.fetch(layout, images)

    @pytest.mark.parametrize(
        "content", [b"", b"{}", b"[]", b'{"manifests": 1}', b'{"config": {}, "layers": []}', b"\xff"]
    )
    def test_an_index_that_is_none(self, tmp_path: Path, images: Path, content: bytes) -> None:
        layout = write_layout(tmp_path / "layout", make([self.ONE]))
        (layout / "index.json").write_bytes(content)
        with pytest.raises(ImageError, match="not what the specification says"):
            self.fetch(layout, images)

    def test_what_is_no_image_at_all(self, tmp_path: Path, images: Path) -> None:
        (tmp_path / "text").write_text("text")
        for source in ("nowhere", "images", "text"):
            with pytest.raises(ImageError, match="no image"):
                self.fetch(tmp_path / source, images)

    def test_more_than_an_image_may_have(self, tmp_path: Path, images: Path) -> None:
        with pytest.raises(ImageError, match="it has 128 layers"):
            self.fetch(write_layout(tmp_path / "many", make([self.ONE] * 128)), images)
        with pytest.raises(ImageError, match="it has 0 layers"):
            self.fetch(write_layout(tmp_path / "none", make([])), images)

    def test_leftovers_of_a_killed_fetch_are_swept_and_none_is_taken_for_an_image(
        self, tmp_path: Path, images: Path
    ) -> None:
        image = make([self.ONE])
        name = str(image.manifest["digest"]).removeprefix("sha256:")
        (images / f".{name}.1.fetching/layers").mkdir(parents=True)
        (images / name / "layers").mkdir(parents=True)
        prepare(images)
        assert [path.name for path in images.iterdir()] == [name]
        assert self.layers(images, self.fetch(write_layout(tmp_path / "layout", image), images)) == [self.ONE]


class TestRegistry:
    IMAGE = make([layer(("f", b"content" * 1000))])
    TAGS: ClassVar = {"1": IMAGE.blobs[str(IMAGE.manifest["digest"])], "all": index(IMAGE)}

    def fetch(self, name: str, images: Path) -> tuple[FetchedImage, list[str]]:
        said: list[str] = []
        images.mkdir(exist_ok=True)
        return fetch(f"oci:{name}", images, said.append), said

    @pytest.mark.parametrize("tag", ["1", "all"])
    def test_a_tag_is_pulled_with_a_token_that_follows_no_redirect(self, tmp_path: Path, tag: str) -> None:
        with Registry("a/b", self.TAGS, self.IMAGE) as registry:
            fetched, said = self.fetch(f"{registry.host}/a/b:{tag}", tmp_path / "images")
        assert fetched.digest == self.IMAGE.manifest["digest"]
        assert len(list((tmp_path / "images").glob("*/layers/0"))) == 1
        assert said[-1].startswith("fetched 0 MB in 1 layers (sha256:")

    def test_docker_credentials_are_used(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with Registry("a/b", self.TAGS, self.IMAGE, secret="me:pass:word") as registry:
            name = f"{registry.host}/a/b:1"
            monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
            with pytest.raises(ImageError, match="docker login"):
                self.fetch(name, tmp_path / "images")
            auth = {"auth": "bWU6cGFzczp3b3Jk"}
            (tmp_path / "config.json").write_text(json.dumps({"auths": {registry.host: auth}}))
            assert self.fetch(name, tmp_path / "images")[0].digest == self.IMAGE.manifest["digest"]

    def test_what_was_fetched_serves_while_the_registry_is_away(self, tmp_path: Path) -> None:
        images = tmp_path / "images"
        with Registry("a/b", self.TAGS, self.IMAGE) as registry:
            tagged = f"{registry.host}/a/b:1"
            pinned = f"{registry.host}/a/b@{self.IMAGE.manifest['digest']}"
            with pytest.raises(ImageError, match=r"has no a/b:2"):
                self.fetch(f"{registry.host}/a/b:2", images)
            self.fetch(tagged, images)
            before = len(registry.asked)
            self.fetch(pinned, images)
            assert not [path for path in registry.asked[before:] if "elsewhere" in path and path.endswith("layer")]
            before = len(registry.asked)
            assert self.fetch(pinned, images)[1] == []
            assert len(registry.asked) == before, "what a digest names is never asked for twice"
        fetched, said = self.fetch(tagged, images)
        assert fetched.digest == self.IMAGE.manifest["digest"]
        assert said[-1].endswith("using what was fetched before")
        with pytest.raises(RegistryUnreachable):
            self.fetch(f"{registry.host}/a/b:all", images)

    def test_a_registry_that_answers_a_digest_with_something_else(self, tmp_path: Path) -> None:
        wrong = f"sha256:{A}"
        with (
            Registry("a/b", {wrong: self.TAGS["1"]}, self.IMAGE) as registry,
            pytest.raises(ImageError, match="really"),
        ):
            self.fetch(f"{registry.host}/a/b@{wrong}", tmp_path / "images")

    def test_other_machines_are_asked_with_https_alone(self, tmp_path: Path) -> None:
        for realm in ("http://192.0.2.1/token", "ftp://127.0.0.1/token", "http://127.0.0.1@192.0.2.1/token"):
            with pytest.raises(ImageError, match="not https"):
                check_url(realm)


class TestLaunch:
    @staticmethod
    def launched(name: str = "java21", **execution: Any) -> tuple[tuple[str, ...], str, bool]:
        runtime = runtime_on(name, FetchedImage(f"sha256:{A}", (), Execution(**execution)))
        assert runtime.launch is Launch.EXEC
        assert runtime.image is not None
        return runtime.command, runtime.image.directory, runtime.image.takes_handler

    def test_as_docker_would(self) -> None:
        launched = self.launched(entrypoint=("java", "-jar"), cmd=("a.jar",), working_dir="/app")
        assert launched == (("java", "-jar", "a.jar"), "/app", False)
        assert self.launched(entrypoint=("./run",), working_dir="/app")[0] == ("/app/./run",)

    def test_as_aws_does(self) -> None:
        assert self.launched(
            entrypoint=("/lambda-entrypoint.sh",), cmd=("image.handler",), working_dir="/var/task"
        ) == (
            ("/lambda-entrypoint.sh",),
            "/var/task",
            True,
        )
        assert self.launched(cmd=("/bin/bash",)) == (("/var/runtime/bootstrap",), "/var/task", False)

    def test_provided_runs_the_functions_own_bootstrap(self) -> None:
        launched = self.launched("provided.al2023", entrypoint=("/lambda-entrypoint.sh",), working_dir="/x")
        assert launched == ((), "/var/task", False)


class TestHonestLayers:
    def test_files_links_and_modes(self, tree: Path) -> None:
        unpack(
            tree,
            layer(
                (entry("bin/sh", mode=0o4755), b"shell"),
                (entry("bin/bash", HARD_LINK, target="bin/sh"), b""),
                (entry("sh", SYMLINK, target="/bin/sh"), b""),
                (entry("closed", DIRECTORY, 0o500), b""),
                (entry("private", mode=0o2640), b""),
            ),
            layer((entry("closed/f"), b"later")),
        )
        assert (tree / "bin/bash").stat().st_ino == (tree / "bin/sh").stat().st_ino
        assert stat.S_IMODE((tree / "bin/sh").stat().st_mode) == 0o755
        assert stat.S_IMODE((tree / "private").stat().st_mode) == 0o640
        assert (tree / "sh").readlink() == Path("/bin/sh")
        assert (tree / "closed/f").read_bytes() == b"later"

    def test_a_later_layer_replaces_whatever_stands_there(self, tree: Path) -> None:
        below = layer(("file", b"1"), ("directory/f", b"1"), (entry("link", SYMLINK, target="file"), b""))
        above = layer(
            (entry("file", DIRECTORY, 0o755), b""),
            ("directory", b"2"),
            (entry("link", DIRECTORY, 0o755), b""),
            ("link/f", b"2"),
        )
        unpack(tree, below, above)
        assert files(tree) == ["directory", "link/f"]
        assert (tree / "file").is_dir()

    def test_a_whiteout_removes_what_is_below_it_and_nothing_beside_it(self, tree: Path) -> None:
        below = layer(("a/f", b""), ("a/g", b""), ("b/deep/f", b""), ("c", b"below"))
        above = layer((".wh.b", b""), ("a/.wh.f", b""), ("c", b"above"), (".wh.c", b""), (".wh.never", b""))
        unpack(tree, below, above)
        assert files(tree) == ["a/g", "c"]
        assert (tree / "c").read_bytes() == b"above"

    @pytest.mark.parametrize("last", [False, True])
    def test_an_opaque_directory_keeps_what_its_own_layer_has(self, tree: Path, last: bool) -> None:
        below = layer(("d/old", b""), ("d/sub/old", b""), ("d/gone/old", b""), ("other", b""))
        opaque = ("d/.wh..wh..opq", b"")
        own = (("d/new", b""), ("d/sub/new", b""))
        unpack(tree, below, layer(*own, opaque) if last else layer(opaque, *own))
        assert files(tree) == ["d/new", "d/sub/new", "other"]
        assert not (tree / "d/gone").exists()

    def test_devices_are_left_out_and_counted(self, tree: Path) -> None:
        laid = unpack(tree, layer((entry("d", tarfile.BLKTYPE), b""), (entry("c", tarfile.CHRTYPE), b""), ("f", b"")))
        assert (files(tree), laid.devices) == (["f"], 2)

    def test_names_in_any_script_and_long_ones(self, tree: Path) -> None:
        long = "/".join(["온돌" * 20] * 8)
        unpack(tree, layer((f"./{long}", b"warm")))
        assert (tree / long).read_bytes() == b"warm"

    def test_names_with_the_roots_slash(self, tree: Path) -> None:
        linked = entry("/app/same", HARD_LINK, target="/app/run")
        unpack(tree, layer(("/app/run", b"warm"), (linked, b""), ("//gone", b"")), layer(("/.wh.gone", b"")))
        assert files(tree) == ["app/run", "app/same"]
        assert (tree / "app/same").read_bytes() == b"warm"


class TestHostileLayers:
    @pytest.mark.parametrize("time", ["1e30", "inf"])
    def test_times_that_no_file_can_have(self, tree: Path, time: str) -> None:
        strange = entry("f", tarfile.REGTYPE)
        strange.pax_headers = {"mtime": time}
        assert "a layer is broken" in refusal(tree, layer((strange, b"")))

    @pytest.mark.parametrize("name", ["../outside/x", "a/../../outside/x", "..", "/../x", "a/../b", "./../x"])
    @pytest.mark.parametrize("kind", [tarfile.REGTYPE, DIRECTORY, SYMLINK, HARD_LINK])
    def test_names_that_lead_out(self, tree: Path, name: str, kind: bytes) -> None:
        text = refusal(tree, layer((entry(name, kind, target="x"), b"")))
        assert "leads out" in text
        assert outside_is_untouched(tree)

    @pytest.mark.parametrize("target", ["../outside", "/", ".", "loop"])
    @pytest.mark.parametrize("same_layer", [True, False])
    def test_nothing_is_written_through_a_link(self, tree: Path, target: str, same_layer: bool) -> None:
        link, file = (entry("loop", SYMLINK, target=target), b""), ("loop/secret", b"x")
        layers = [layer(link, file)] if same_layer else [layer(link), layer(file)]
        assert "'loop/secret' leads through 'loop', which is a link" in refusal(tree, *layers)
        assert outside_is_untouched(tree)

    @pytest.mark.parametrize("name", ["link/.wh.secret", "link/.wh..wh..opq"])
    def test_no_whiteout_reaches_through_a_link(self, tree: Path, name: str) -> None:
        assert "a link" in refusal(tree, layer((entry("link", SYMLINK, target="../outside"), b"")), layer((name, b"")))
        assert outside_is_untouched(tree)

    @pytest.mark.parametrize("name", [".wh...", ".wh..", ".wh.", "a/.wh..."])
    def test_whiteouts_of_what_is_no_entry(self, tree: Path, name: str) -> None:
        assert "whiteout of nothing" in refusal(tree, layer((name, b"")))
        assert outside_is_untouched(tree)

    @pytest.mark.parametrize(
        ("target", "reason"),
        [
            ("../outside/secret", "leads out"),
            ("/etc/passwd", "not there"),
            ("link/secret", "a link"),
            ("nothing", "no file of the image"),
            ("no/thing", "not there"),
            ("d", "no file of the image"),
            ("hard/f", "replaces"),
            (".", "hard link to nothing"),
        ],
    )
    def test_hard_links_to_what_is_not_the_images(self, tree: Path, target: str, reason: str) -> None:
        link = (entry("link", SYMLINK, target="../outside"), b"")
        hostile = layer(
            link, (entry("d", DIRECTORY), b""), ("hard/f", b""), (entry("hard", HARD_LINK, target=target), b"")
        )
        assert reason in refusal(tree, hostile)
        assert outside_is_untouched(tree)

    def test_a_hard_link_to_a_link_is_the_link_and_what_follows_replaces_it(self, tree: Path) -> None:
        link = (entry("link", SYMLINK, target="../outside/secret"), b"")
        unpack(tree, layer(link, (entry("hard", HARD_LINK, target="link"), b""), ("hard", b"overwritten")))
        assert (tree / "hard").read_bytes() == b"overwritten"
        assert outside_is_untouched(tree)

    def test_limits_count_what_is_written(self, tree: Path) -> None:
        many = layer(*((f"f{number}", b"") for number in range(101)))
        assert "more than 100 files" in refusal(tree, many)
        deep = layer(("/".join(["d"] * 101) + "/f", b""))
        assert "more than 100 files" in refusal(tree, deep)
        assert "more than 1000000 bytes" in refusal(tree, layer(("a", bytes(600_000)), ("b", bytes(600_000))))

    @pytest.mark.parametrize("content", [b"no tar at all" * 100, layer(("f", b"1" * 2000))[:1000]])
    def test_what_is_no_layer(self, tree: Path, content: bytes) -> None:
        assert "broken" in refusal(tree, content)

    @pytest.mark.parametrize("name", ["x" * 256, "d/" * 300 + "f", "/".join(["y" * 200] * 30)])
    def test_paths_that_nothing_could_open(self, tree: Path, name: str) -> None:
        assert "too long" in refusal(tree, layer((name, b"")))


names = st.lists(st.sampled_from(["a", "b", "..", ".", "", ".wh.a", ".wh..wh..opq"]), min_size=1, max_size=4)
kinds = st.sampled_from([tarfile.REGTYPE, DIRECTORY, SYMLINK, HARD_LINK])
targets = st.sampled_from(["../outside", "a", "..", "/", "../outside/secret", "b/a"])
layers = st.lists(st.tuples(names.map("/".join).filter(bool), kinds, targets), max_size=6)


@settings(max_examples=200, deadline=None)
@given(st.lists(layers, max_size=3))
def test_no_mixture_of_entries_reaches_outside(
    tmp_path_factory: pytest.TempPathFactory, mixture: list[list[tuple[str, bytes, str]]]
) -> None:
    base = tmp_path_factory.mktemp("tree")
    (base / "outside").mkdir()
    (base / "outside/secret").write_text("untouched")
    (base / "inside").mkdir()
    contents = [layer(*((entry(name, kind, target=target), b"") for name, kind, target in one)) for one in mixture]
    with contextlib.suppress(UnpackRefused):
        unpack(base / "inside", *contents)
    assert sorted(path.name for path in base.iterdir()) == ["inside", "outside"]
    assert outside_is_untouched(base / "inside")


class TestStream:
    CONTENT = layer(("f", b"content"))

    def read(self, blob: bytes, diff_id: str | None = None) -> None:
        stream = LayerStream(io.BytesIO(blob))
        stream.check(diff_id or digest(self.CONTENT))

    def test_plain_and_gzip(self) -> None:
        self.read(self.CONTENT)
        self.read(gzip.compress(self.CONTENT[:1000]) + gzip.compress(self.CONTENT[1000:]))

    def test_what_is_not_what_the_config_says(self) -> None:
        with pytest.raises(UnpackRefused, match="its image says"):
            self.read(gzip.compress(self.CONTENT + b"more"))

    @pytest.mark.parametrize(
        "blob",
        [gzip.compress(CONTENT)[:-20], gzip.compress(CONTENT)[:40] + b"x" * 40],
        ids=["cut short", "overwritten"],
    )
    def test_broken_compression(self, blob: bytes) -> None:
        with pytest.raises(UnpackRefused, match="broken"):
            self.read(blob)

    def test_zstd_without_a_library_is_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(layer_stream, "zstd", None)
        with pytest.raises(UnpackRefused, match=r"zstd, which this Python cannot read: `pip install zstandard`"):
            self.read(b"\x28\xb5\x2f\xfd0000")


@pytest.mark.root
class TestRoot:
    UID = 60_124

    def fetched(self, directory: Path, image: MadeImage) -> Path:
        images = directory / "images"
        images.mkdir()
        fetched = fetch(f"oci:{write_layout(directory / 'layout', image)}", images, lambda text: None)
        return images / fetched.digest.removeprefix("sha256:")

    def test_what_sandboxes_mount_on_is_there_whatever_the_image_has(self, tmp_path: Path) -> None:
        content = layer(("dev", b"a file"), (entry("tmp", SYMLINK, target="/etc"), b""), ("etc/hosts", b"1.2.3.4 x"))
        image = self.fetched(tmp_path, make([content]))
        image_root.build(image, self.UID)
        root = image / "root"
        assert all((root / name).is_dir() and not (root / name).is_symlink() for name in image_root.MOUNT_POINTS)
        assert stat.S_IMODE((root / "tmp").stat().st_mode) == 0o1777
        assert (root / "etc/hosts").read_text().startswith("127.0.0.1 localhost")
        assert (root / "etc/hosts").stat().st_uid == self.UID
        assert not (image / "layers").exists()
        image_root.build(image, self.UID)

    @pytest.mark.parametrize(
        ("hostile", "reason"),
        [
            (layer(("f", b""), ("../x", b"")), "leads out"),
            (layer((entry("var", SYMLINK, target="/etc"), b"")), "leads through 'var'"),
        ],
    )
    def test_what_is_refused_leaves_no_root(self, tmp_path: Path, hostile: bytes, reason: str) -> None:
        image = self.fetched(tmp_path, make([hostile]))
        with pytest.raises(UnpackRefused, match=reason):
            image_root.build(image, self.UID)
        assert sorted(path.name for path in image.iterdir()) == ["image.json", "layers"]

    def test_a_layer_that_is_not_what_the_config_says(self, tmp_path: Path) -> None:
        image = self.fetched(tmp_path, make([layer(("f", b""))]))
        (image / "layers/0").write_bytes(layer(("g", b"")))
        with pytest.raises(UnpackRefused, match="its image says"):
            image_root.build(image, self.UID)
