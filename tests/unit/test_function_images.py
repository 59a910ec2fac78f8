"""Images that are functions' code: how they are named, what starts of them, and which are there."""

from pathlib import Path

import pytest

from oci_images import digest as digest_of
from oci_images import index, layer, make, write_docker_save, write_layout
from ondol.model.function import ImageOverrides
from ondol.model.runtime import Program
from ondol.runtimes.oci.choice import Execution
from ondol.runtimes.oci.errors import ImageAbsent, ImageError
from ondol.runtimes.oci.fetch import fetch, fetch_exactly, resolve
from ondol.runtimes.oci.kept import fetched, named
from ondol.runtimes.oci.launch import program_of
from ondol.runtimes.oci.reference import LocalImage, RegistryImage, parse, parse_uri, pinned, written

A = "a" * 64


def test_a_function_says_what_it_starts_before_its_image_does() -> None:
    execution = Execution(entrypoint=("run",), cmd=("one", "two"), working_dir="/app")
    assert program_of(execution, ImageOverrides()) == Program(("run",), ("one", "two"), "/app")
    assert program_of(execution, ImageOverrides(command=("x",))) == Program(("run",), ("x",), "/app")
    overrides = ImageOverrides(("other",), (), "/elsewhere")
    assert program_of(execution, overrides) == Program(("other",), ("one", "two"), "/elsewhere")
    assert program_of(Execution(), ImageOverrides()) == Program((), (), "/")


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("localhost:5000/a/b:1", RegistryImage("localhost:5000", "a/b", "1", None)),
        (f"reg.example/a@sha256:{A}", RegistryImage("reg.example", "a", None, f"sha256:{A}")),
        ("oci:/no/such/layout:one", LocalImage(Path("/no/such/layout"), "one")),
        (f"oci:/no/such@sha256:{A}", LocalImage(Path("/no/such"), digest=f"sha256:{A}")),
    ],
)
def test_a_uri(uri: str, expected: LocalImage | RegistryImage) -> None:
    assert parse_uri(uri) == expected
    assert parse(written(expected)) == expected
    pin = parse_uri(pinned(expected, f"sha256:{A}"))
    assert pin.digest == f"sha256:{A}"


@pytest.mark.parametrize(
    "uri", ["/srv/layout", "./layout", "~/layout", "oci:./layout", "oci:~/x", "python:3", "a\0b", "oci:/" + "x" * 3000]
)
def test_what_is_no_uri(uri: str) -> None:
    with pytest.raises(ImageError):
        parse_uri(uri)


def test_the_very_image_is_fetched_or_none(tmp_path: Path) -> None:
    one, two = make([layer(("f", b"1"))]), make([layer(("f", b"2"))])
    images = tmp_path / "images"
    images.mkdir()
    layout = write_layout(tmp_path / "layout", one, two, names=("a", "b"))
    digest = resolve(parse(f"oci:{layout}:b"))
    assert digest == two.manifest["digest"]
    (layout / "index.json").write_bytes(index(one, names=("b",)))
    found = fetch_exactly(parse(f"oci:{layout}@{digest}"), digest, images, lambda _: None)
    assert found.digest == digest, "its name means another by now"
    with pytest.raises(ImageAbsent, match="another image by now"):
        fetch_exactly(parse(f"oci:{layout}:b"), f"sha256:{A}", images, lambda _: None)


def test_of_what_docker_saves_too(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    image = make([layer(("f", b"1"))])
    saved = write_docker_save(tmp_path / "saved.tar", image, "a:1")
    digest = resolve(parse(f"oci:{saved}:1"))
    assert digest == digest_of(image.config)
    assert fetch_exactly(parse(pinned(parse(f"oci:{saved}:1"), digest)), digest, images, lambda _: None)


def test_those_that_the_configuration_names_are_told_from_functions(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    one, two = make([layer(("f", b"1"))]), make([layer(("f", b"2"))])
    fetch(f"oci:{write_layout(tmp_path / 'one', one)}", images, lambda _: None)
    layout = parse(f"oci:{write_layout(tmp_path / 'two', two)}")
    fetch_exactly(layout, resolve(layout), images, lambda _: None)
    names = [image.manifest["digest"].removeprefix("sha256:") for image in (one, two)]
    assert fetched(images) == set(names)
    assert named(images) == {names[0]}
