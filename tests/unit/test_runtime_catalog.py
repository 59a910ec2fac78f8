"""Which interpreters are found, which are believed, and what is said when one is missing."""

import shutil
import sys
from pathlib import Path

import pytest

from ondol.model.runtime import Launch, Runtime
from ondol.runtimes import catalog
from ondol.runtimes.catalog import Catalog, RuntimeMissing

HERE = f"python3.{sys.version_info[1]}"
REAL = Path(getattr(sys, "_base_executable", sys.executable)).resolve()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose only programs are what a test puts into its one directory."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr(catalog, "PLACES", ())
    return programs


def python(minor: int, version: str) -> Runtime:
    return Runtime(name=f"python3.{minor}", version=version, launch=Launch.ZYGOTE, command=())


class TestFind:
    def test_an_interpreter_on_the_path_is_found_and_says_its_own_version(self, machine: Path) -> None:
        (machine / "python3").symlink_to(REAL)
        found = catalog.find().resolve(HERE, nearest=False)
        assert found.version == ".".join(map(str, sys.version_info[:3]))
        assert found.interpreter == str(REAL)
        assert found.launch is Launch.ZYGOTE
        assert found.command == (f"/var/lang/bin/{HERE}", "/var/runtime/bootstrap.py")
        assert (Path(found.bootstrap_dir or "") / "bootstrap.py").exists()

    def test_an_interpreter_under_a_false_name_is_known_for_what_it_is(self, machine: Path) -> None:
        (machine / "python3.8").symlink_to(REAL)
        pythons = [name for name in catalog.find().runtimes if name.startswith("python")]
        assert pythons == [HERE]

    def test_programs_that_are_no_interpreter_and_scripts_are_not_believed(self, machine: Path) -> None:
        shutil.copy("/bin/true", machine / "python3.12")
        shutil.copy("/bin/echo", machine / "python3.13")
        (machine / "python3.10").write_text("#!/bin/sh\nexec sleep 1000\n")
        (machine / "python3.10").chmod(0o755)
        (machine / "python3.9").symlink_to("/nowhere")
        assert not [name for name in catalog.find().runtimes if name.startswith("python")]

    def test_a_virtual_environment_leads_to_the_interpreter_it_was_made_from(self, machine: Path) -> None:
        (machine / "python3").symlink_to(sys.executable)
        assert catalog.find().resolve(HERE, nearest=False).interpreter == str(REAL)

    def test_directories_of_version_managers_are_looked_in(
        self, machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kept = tmp_path / "versions/3.x/bin"
        kept.mkdir(parents=True)
        (kept / HERE).symlink_to(REAL)
        monkeypatch.setattr(catalog, "PLACES", (f"{tmp_path}/versions/*/bin",))
        assert HERE in catalog.find().runtimes

    def test_the_custom_runtimes_need_no_interpreter(self, machine: Path) -> None:
        found = catalog.find().resolve("provided.al2023", nearest=False)
        assert (found.launch, found.interpreter, found.command) == (Launch.EXEC, None, ())


class TestCache:
    def test_nothing_is_run_again_while_nothing_changes(
        self, machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (machine / "python3").symlink_to(REAL)
        first = catalog.find(tmp_path / "interpreters")
        monkeypatch.setattr(catalog, "_start", None)
        assert catalog.find(tmp_path / "interpreters") == first

    def test_a_file_that_changed_is_asked_again(self, machine: Path, tmp_path: Path) -> None:
        shutil.copy("/bin/true", machine / "python3")
        assert HERE not in catalog.find(tmp_path / "interpreters").runtimes
        (machine / "python3").unlink()
        (machine / "python3").symlink_to(REAL)
        assert HERE in catalog.find(tmp_path / "interpreters").runtimes

    @pytest.mark.parametrize("content", [b"", b"[]", b'{"/usr/bin/python3": 5}', bytes(range(128, 192))])
    def test_a_damaged_cache_is_as_good_as_none(self, machine: Path, tmp_path: Path, content: bytes) -> None:
        (machine / "python3").symlink_to(REAL)
        (tmp_path / "interpreters").write_bytes(content)
        assert HERE in catalog.find(tmp_path / "interpreters").runtimes


class TestResolve:
    catalog = Catalog({f"python3.{minor}": python(minor, f"3.{minor}.1") for minor in (9, 11, 12)})

    def test_the_runtime_named_is_the_runtime_given(self) -> None:
        assert self.catalog.resolve("python3.11", nearest=True).version == "3.11.1"

    def test_a_missing_one_is_refused_with_what_there_is_and_what_to_do(self) -> None:
        with pytest.raises(RuntimeMissing) as missing:
            self.catalog.resolve("python3.14", nearest=False)
        text = str(missing.value)
        assert "3.9.1, 3.11.1, 3.12.1" in text
        assert "pyenv install 3.14" in text

    @pytest.mark.parametrize(
        ("wanted", "given"),
        [
            ("python3.14", "python3.12"),
            ("python3.10", "python3.11"),
            ("python3.8", "python3.9"),
            ("python3.6", "python3.9"),
        ],
    )
    def test_the_nearest_is_given_when_asked_for_and_of_two_the_newer(self, wanted: str, given: str) -> None:
        assert self.catalog.resolve(wanted, nearest=True).name == given

    @pytest.mark.parametrize("name", ["nodejs20.x", "python4.1", "python3.x", "", "python3.²"])
    def test_what_is_no_python_has_no_nearest(self, name: str) -> None:
        with pytest.raises(RuntimeMissing):
            self.catalog.resolve(name, nearest=True)

    def test_a_machine_without_any_says_so(self) -> None:
        with pytest.raises(RuntimeMissing, match="found: none"):
            Catalog({}).resolve("python3.12", nearest=True)
