"""Which Nodes are found, and what is said of one that is missing."""

import shutil
from pathlib import Path

import pytest

from ondol.cli.guess import runtime_of
from ondol.model.runtime import Launch, Runtime
from ondol.runtimes import catalog
from ondol.runtimes.catalog import Catalog, RuntimeMissing

REAL = shutil.which("node") or ""
needs_node = pytest.mark.skipif(not REAL, reason="this machine has no Node: install it with the system's packages")


def node(major: int) -> Runtime:
    return Runtime(name=f"nodejs{major}.x", version=f"{major}.1.0", launch=Launch.EXEC, command=())


@needs_node
class TestFind:
    def test_one_in_a_version_managers_directory_is_found_and_says_its_own_version(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kept = tmp_path / "versions/v99.0.0/bin"
        kept.mkdir(parents=True)
        (kept / "node").symlink_to(Path(REAL).resolve())
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(catalog, "PLACES", (f"{tmp_path}/versions/*/bin",))
        [found] = [found for found in catalog.find().runtimes.values() if found.interpreter]
        major = found.version.split(".")[0]
        assert found.name == f"nodejs{major}.x"
        assert found.interpreter == str(Path(REAL).resolve())
        assert found.launch is Launch.EXEC
        assert (found.command[0], found.command[-1]) == ("/var/lang/bin/node", "/var/runtime/bootstrap.js")
        assert (Path(found.bootstrap_dir or "") / "bootstrap.js").exists()

    def test_nothing_is_run_again_while_nothing_changes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "node").symlink_to(Path(REAL).resolve())
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(catalog, "PLACES", ())
        first = catalog.find(tmp_path / "interpreters")
        monkeypatch.setattr(catalog, "_start", None)
        assert catalog.find(tmp_path / "interpreters") == first


class TestResolve:
    catalog = Catalog({f"nodejs{major}.x": node(major) for major in (18, 20, 24)})

    def test_a_missing_one_is_refused_with_what_there_is_and_what_to_do(self) -> None:
        with pytest.raises(RuntimeMissing) as missing:
            self.catalog.resolve("nodejs22.x", nearest=False)
        text = str(missing.value)
        assert "needs an interpreter of Node 22" in text
        assert "18.1.0, 20.1.0, 24.1.0" in text
        assert "`nvm install 22`" in text

    @pytest.mark.parametrize(
        ("wanted", "given"), [("nodejs16.x", "nodejs18.x"), ("nodejs22.x", "nodejs24.x"), ("nodejs20.x", "nodejs20.x")]
    )
    def test_the_nearest_is_given_when_asked_for_and_of_two_the_newer(self, wanted: str, given: str) -> None:
        assert self.catalog.resolve(wanted, nearest=True).name == given

    @pytest.mark.parametrize("name", ["python3.11", "nodejs", "nodejs20", "nodejsx.x"])
    def test_another_language_is_not_near(self, name: str) -> None:
        with pytest.raises(RuntimeMissing):
            self.catalog.resolve(name, nearest=True)


@pytest.mark.parametrize(
    ("language", "there", "named"),
    [
        ("nodejs", ("nodejs18.x", "nodejs20.x", "python3.9"), "nodejs20.x"),
        ("python", ("python3.9", "python3.12", "nodejs20.x"), "python3.12"),
        ("provided", ("provided", "provided.al2", "provided.al2023"), "provided.al2023"),
        ("nodejs", (), "nodejs22.x"),
    ],
)
def test_a_guessed_language_gets_the_newest_there_is(language: str, there: tuple[str, ...], named: str) -> None:
    assert runtime_of(language, there) == named
