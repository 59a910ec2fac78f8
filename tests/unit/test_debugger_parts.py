"""Who is let in to a debugger, what can be debugged, and what is laid beside it."""

import io
import zipfile

import pytest

from ondol.cli.debug import launch_configuration
from ondol.model.errors import PlatformError
from ondol.model.runtime import Launch, Runtime
from ondol.runtimes.debugger import debugger_package
from ondol.worker.debugger import DebugProtocol, is_from_a_tool, require_protocol


def request(**headers: str) -> bytes:
    fields = {"Host": "127.0.0.1:9229", **{name.replace("_", "-"): text for name, text in headers.items()}}
    lines = "".join(f"{name}: {text}\r\n" for name, text in fields.items())
    return f"GET /json HTTP/1.1\r\n{lines}\r\n".encode()


@pytest.mark.parametrize(
    "headers", [{}, {"Host": "localhost"}, {"Origin": "devtools://devtools"}, {"Sec_Fetch_Site": "none"}]
)
def test_tools_are_let_in(headers: dict[str, str]) -> None:
    assert is_from_a_tool(request(**headers))


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": ""},
        {"Origin": "http://localhost"},
        {"Origin": "null"},
        {"ORIGIN": "https://evil.example"},
        {"Sec_Fetch_Site": "same-origin"},
    ],
)
def test_pages_are_not(headers: dict[str, str]) -> None:
    assert not is_from_a_tool(request(**headers))


def test_what_runs_our_bootstraps_can_be_debugged() -> None:
    def runtime(name: str, bootstrap_dir: str | None) -> Runtime:
        return Runtime(name, "1", Launch.EXEC, (), bootstrap_dir=bootstrap_dir)

    assert require_protocol(runtime("python3.12", "/b")) is DebugProtocol.DAP
    assert require_protocol(runtime("nodejs20.x", "/b")) is DebugProtocol.INSPECTOR
    for name in ("provided.al2023", "python3.12", "java21"):  # the latter two as images are
        with pytest.raises(PlatformError, match=f"{name} is something else"):
            require_protocol(runtime(name, None))


def test_the_debugger_is_one_package_that_is_always_the_same() -> None:
    package = debugger_package()
    assert package == debugger_package()
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        names = archive.namelist()
    assert ".ondol/debugpy/__init__.py" in names
    assert all(name.startswith(".ondol/debugpy/") for name in names)


def test_an_editor_finds_the_files_of_a_function() -> None:
    assert launch_configuration("f", "inspector", 9229, "/home/me/f") == {
        "name": "ondol: f",
        "type": "node",
        "request": "attach",
        "address": "127.0.0.1",
        "port": 9229,
        "localRoot": "/home/me/f",
        "remoteRoot": "/var/task",
    }
