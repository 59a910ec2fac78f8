"""How this ondol is set up: the only place where its file, its variables and its flags are read.

A setting has one name, `table.key`: `key` in `[table]` of `ondol.toml`, `ONDOL_TABLE_KEY` in the environment, and
perhaps a flag. A flag beats the variable, the variable the file, the file the default. Units come last in a name;
times are in seconds and may have a fraction.
"""

import ipaddress
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ondol.model.limits import MEBIBYTE, AccountLimits, KeepAlive, Phases
from ondol.model.time import SECOND

FILE = "ondol.toml"
DEFAULT_PORT = 4566


class ConfigError(Exception):
    """A setting that cannot be: one sentence that names where it stands."""


class WorkerConfig(msgspec.Struct, frozen=True):
    """What the worker on this machine offers."""

    memory_mb: int
    processors: float
    overcommit: float = 10.0
    """How many times the memory may be committed to environments."""

    environments: int = 4000
    """Most that are there at once."""

    slots_ahead: int = 8
    """Slots kept ready for each runtime in use."""


class LogConfig(msgspec.Struct, frozen=True):
    """What logs may take on disk, in bytes."""

    total: int = 1024 * MEBIBYTE
    stream: int = 64 * MEBIBYTE


class Config(msgspec.Struct, frozen=True):
    data_dir: Path
    worker: WorkerConfig
    host: str = "127.0.0.1"
    """A loopback address: on others ondol does not listen yet."""

    port: int = DEFAULT_PORT
    """0: one that is free."""

    nearest_runtime: bool = False
    """Run a function on another interpreter of the same language if this machine lacks the one it names."""

    limits: AccountLimits = AccountLimits()
    keep_alive: KeepAlive = KeepAlive()
    phases: Phases = Phases()
    logs: LogConfig = LogConfig()


class _Setting(NamedTuple):
    kind: type[str] | type[int] | type[float] | type[bool]
    minimum: float = 0
    maximum: float = 1e12
    field: str | None = None
    """Where it is kept, if not under its own name."""

    unit: int | None = None
    """How many of the field's units make one of the setting's."""


_SETTINGS: Mapping[str, _Setting] = {
    "host": _Setting(str),
    "port": _Setting(int, 0, 65535),
    "data_dir": _Setting(str),
    "nearest_runtime": _Setting(bool),
    "limits.concurrency": _Setting(int, 1),
    "limits.requests_per_concurrency": _Setting(int, 1),
    "limits.growth_burst": _Setting(int, 1),
    "limits.growth_period_s": _Setting(float, 0.001, field="growth_period", unit=SECOND),
    "keep_alive.idle_s": _Setting(float, 0.001, field="idle", unit=SECOND),
    "keep_alive.age_s": _Setting(float, 0.001, field="age", unit=SECOND),
    "phases.init_s": _Setting(float, 0.001, field="init", unit=SECOND),
    "phases.freeze_after_s": _Setting(float, field="freeze_after", unit=SECOND),
    "phases.stop_grace_s": _Setting(float, field="stop_grace", unit=SECOND),
    "worker.memory_mb": _Setting(int, 128),
    "worker.processors": _Setting(float, 0.01),
    "worker.overcommit": _Setting(float, 1),
    "worker.environments": _Setting(int, 1),
    "worker.slots_ahead": _Setting(int),
    "logs.total_mb": _Setting(int, 1, field="total", unit=MEBIBYTE),
    "logs.stream_mb": _Setting(int, 1, field="stream", unit=MEBIBYTE),
}


def load(flags: Mapping[str, Any], environ: Mapping[str, str], file: Path | None = None) -> Config:
    """Everything that was set, put together and checked.

    `flags` are by setting name; None means not given. Without `file` (or `ONDOL_CONFIG`) an `ondol.toml` in the
    working directory is read if it is there. Raises `ConfigError`.
    """
    named = file or (Path(environ["ONDOL_CONFIG"]) if environ.get("ONDOL_CONFIG") else None)
    values: dict[str, Any] = {}
    if named is not None or Path(FILE).is_file():
        values |= _from_file(named or Path(FILE))
    values |= _from_environment(environ)
    for name, value in flags.items():
        if value is not None:
            values[name] = _checked(name, value, f"--{name.replace('_', '-')}")
    return _assemble(values, environ)


def _from_file(file: Path) -> dict[str, Any]:
    try:
        tables = tomllib.loads(file.read_text())
    except FileNotFoundError as error:
        raise ConfigError(f"There is no configuration file {file}.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The configuration file {file} cannot be read: {error}.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file} is not valid TOML: {error}.") from error
    values = {}
    for key, value in tables.items():
        inner = {f"{key}.{name}": item for name, item in value.items()} if isinstance(value, dict) else {key: value}
        for name, item in inner.items():
            if name not in _SETTINGS:
                known = ", ".join(sorted(_SETTINGS))
                raise ConfigError(f"{file} sets {name}, which is no setting of ondol; there are: {known}.")
            values[name] = _checked(name, item, f"{name} in {file}")
        if isinstance(value, dict) and not any(name.startswith(f"{key}.") for name in _SETTINGS):
            raise ConfigError(f"{file} has a table [{key}], which is none of ondol's.")
    return values


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    values = {}
    for name, setting in _SETTINGS.items():
        variable = f"ONDOL_{name.replace('.', '_').upper()}"
        text = environ.get(variable, "")
        if text:
            values[name] = _checked(name, _parsed(text, setting.kind), variable)
    return values


def _parsed(text: str, kind: type) -> Any:
    """The value that a variable's text means; the text itself where it means none, which the check then refuses."""
    if kind is bool:
        return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}.get(text.lower(), text)
    try:
        return kind(text)
    except ValueError:
        return text


def _checked(name: str, value: Any, where: str) -> Any:
    """The value, if it is one that this setting may have."""
    kind, minimum, maximum, *_ = _SETTINGS[name]
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        words = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
        raise ConfigError(f"{where} must be {words[kind]}, not {value!r}.")
    if isinstance(value, int | float) and not minimum <= value <= maximum:
        bounds = f"between {minimum:g} and {maximum:g}" if maximum < 1e12 else f"at least {minimum:g}"
        raise ConfigError(f"{where} must be {bounds}, not {value!r}.")
    if name == "host" and isinstance(value, str) and not _is_loopback(value):
        raise ConfigError(
            f"{where} is {value!r}, but ondol listens on loopback addresses only (127.0.0.1, ::1 or localhost): "
            "it does not verify signatures yet, so whoever reached it could run code here."
        )
    return value


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _assemble(values: Mapping[str, Any], environ: Mapping[str, str]) -> Config:
    """The configuration that these settings make, in the units of the model."""
    tables: dict[str, dict[str, Any]] = {name: {} for name in ("", "limits", "keep_alive", "phases", "worker", "logs")}
    for name, value in values.items():
        table, _, key = name.rpartition(".")
        setting = _SETTINGS[name]
        tables[table][setting.field or key] = value if setting.unit is None else round(value * setting.unit)
    top = tables[""]
    data_dir = Path(top.pop("data_dir", None) or _default_data_dir(environ)).expanduser().absolute()
    return Config(
        data_dir=data_dir,
        worker=WorkerConfig(**{"memory_mb": _memory_mb(), "processors": _processors()} | tables["worker"]),
        limits=AccountLimits(**tables["limits"]),
        keep_alive=KeepAlive(**tables["keep_alive"]),
        phases=Phases(**tables["phases"]),
        logs=LogConfig(**tables["logs"]),
        **top,
    )


def _default_data_dir(environ: Mapping[str, str]) -> Path:
    """As the XDG base directory specification has it."""
    base = environ.get("XDG_DATA_HOME", "")
    return Path(base) / "ondol" if base.startswith("/") else Path("~/.local/share/ondol")


def _memory_mb() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // MEBIBYTE


def _processors() -> float:
    return float(len(os.sched_getaffinity(0)))
