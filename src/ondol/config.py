"""How this ondol is set up: the only place where its file, its variables and its flags are read.

A setting has one name, `table.key`: `key` in `[table]` of `ondol.toml`, `ONDOL_TABLE_KEY` in the environment, and
perhaps a flag; `[endpoints]` has a key for each service that somebody wants, `[runtimes]` one for each image, in the
file alone. A flag beats the variable, the variable the file, the file the default. Units come last in a name; times
are in seconds and may have a fraction.
"""

import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ondol.model.credentials import SessionCredentials
from ondol.model.endpoint import Broker, Endpoint, Endpoints, parse_broker, parse_endpoint
from ondol.model.limits import MEBIBYTE, AccountLimits, DurableSchedule, EventSchedule, KeepAlive, LogLimits, Phases
from ondol.model.network import NAMES_PORT, AllowedHost, AuthMode, NetworkMode, is_server, parse_allowed_hosts
from ondol.model.time import SECOND

FILE = "ondol.toml"
DEFAULT_PORT = 4566
_RUNTIMES = "runtimes"

MOTO = "moto"
"""The server that can be started beside ondol, for the services of AWS that it does not serve."""

_ENDPOINTS = "endpoints"
_DEFAULT_ENDPOINT = "default"
_ALLOW_HOSTS = "network.allow_hosts"
_CODE_FOLDERS = "code.folders"
_CODE_REGISTRIES = "code.registries"
_NETWORK_MODE = "network.mode"
_TLS_CERTIFICATE = "tls.cert"
_TLS_KEY = "tls.key"
_FLAGS = {
    _ALLOW_HOSTS: "allow-host",
    _CODE_FOLDERS: "hot-reload",
    _NETWORK_MODE: "network",
    _TLS_CERTIFICATE: "tls-cert",
    _TLS_KEY: "tls-key",
}
"""Flags that are not called as their setting."""

_SIGNING_NAME = re.compile(r"[a-z0-9-]+", re.ASCII)
_BROKER = re.compile(r"arn:aws[a-z-]*:mq:[a-z0-9-]+:[0-9]{12}:broker:[a-z0-9_-]+:[a-z0-9-]+", re.ASCII)


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


class RuntimeImage(msgspec.Struct, frozen=True):
    """An image that is to be a runtime."""

    reference: str
    """`oci:...`; what it may be is decided where images are read."""

    where: str
    """Where it is set, for who has to say that it cannot be."""


class TlsFiles(msgspec.Struct, frozen=True):
    """Where the listener's certificate and its key are, in PEM."""

    certificate: Path
    key: Path


class Config(msgspec.Struct, frozen=True):
    data_dir: Path
    worker: WorkerConfig
    host: str = "127.0.0.1"
    """A loopback address; another one only with verified callers and TLS."""

    port: int = DEFAULT_PORT
    """0: one that is free."""

    auth: AuthMode = AuthMode.NONE
    tls: TlsFiles | None = None
    nearest_runtime: bool = False
    """Run a function on another interpreter of the same language if this machine lacks the one it names."""

    limits: AccountLimits = AccountLimits()
    keep_alive: KeepAlive = KeepAlive()
    phases: Phases = Phases()
    logs: LogLimits = LogLimits()
    events: EventSchedule = EventSchedule()
    durable: DurableSchedule = DurableSchedule()
    endpoints: Endpoints = Endpoints()
    """Where requests of services go that ondol does not serve."""

    credentials: SessionCredentials | None = None
    """What ondol's own requests to those servers are signed with; from AWS's variables of the environment."""

    network: NetworkMode = NetworkMode.RELAY
    allow_hosts: tuple[AllowedHost, ...] = ()
    """What functions reach of the host and its network."""

    code_folders: tuple[Path, ...] = ()
    """Below these, directories may be functions' code."""

    registries: frozenset[str] | None = None
    """The hosts from which images may be functions' code; None: any."""

    runtimes: Mapping[str, RuntimeImage] = {}
    """Images by the name of the runtime that each is to be; in the file alone."""

    companion: str | None = None
    """`moto` to start one, as the default endpoint."""


class _Setting(NamedTuple):
    kind: type[str] | type[int] | type[float] | type[bool]
    minimum: float = 0
    maximum: float = 1e12
    field: str | None = None
    """Where it is kept, if not under its own name."""

    unit: int | None = None
    """How many of the field's units make one of the setting's."""

    choices: tuple[str, ...] = ()


_SETTINGS: Mapping[str, _Setting] = {
    "host": _Setting(str),
    "port": _Setting(int, 0, 65535),
    "data_dir": _Setting(str),
    _TLS_CERTIFICATE: _Setting(str),
    _TLS_KEY: _Setting(str),
    "auth": _Setting(str, choices=tuple(AuthMode)),
    "nearest_runtime": _Setting(bool),
    "with": _Setting(str, field="companion", choices=(MOTO,)),
    _NETWORK_MODE: _Setting(str, field="network", choices=tuple(NetworkMode)),
    _ALLOW_HOSTS: _Setting(str),
    _CODE_FOLDERS: _Setting(str, field="code_folders"),
    _CODE_REGISTRIES: _Setting(str),
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
    "events.retry_s": _Setting(float, 0.001, field="retry", unit=SECOND),
    "events.backoff_s": _Setting(float, 0.001, field="backoff", unit=SECOND),
    "events.longest_backoff_s": _Setting(float, 0.001, field="longest_backoff", unit=SECOND),
    "durable.retry_s": _Setting(float, 0.001, field="retry", unit=SECOND),
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
            values[name] = _checked(name, value, f"--{_FLAGS.get(name, name).replace('_', '-')}")
    return _assemble(values, environ)


def _from_file(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text()
        tables = tomllib.loads(text)
    except FileNotFoundError as error:
        raise ConfigError(f"There is no configuration file {file}.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The configuration file {file} cannot be read: {error}.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file} is not valid TOML: {error}.") from error
    values: dict[str, Any] = _runtimes(tables.pop(_RUNTIMES, {}), text, file)
    for key, value in tables.items():
        inner = {f"{key}.{name}": item for name, item in value.items()} if isinstance(value, dict) else {key: value}
        for name, item in inner.items():
            if name not in _SETTINGS and not _is_endpoint(name):
                known = ", ".join([*sorted(_SETTINGS), f"{_ENDPOINTS}.SERVICE"])
                raise ConfigError(f"{file} sets {name}, which is no setting of ondol; there are: {known}.")
            values[name] = _checked(name, item, f"{name} in {file}", file.absolute().parent)
        if isinstance(value, dict) and key != _ENDPOINTS and not any(name.startswith(f"{key}.") for name in _SETTINGS):
            raise ConfigError(f"{file} has a table [{key}], which is none of ondol's.")
    return values


def _runtimes(table: Any, text: str, file: Path) -> dict[str, Any]:
    """What `[runtimes]` sets; a path in it is taken from where the file is."""
    if not isinstance(table, dict):
        raise ConfigError(f"{_RUNTIMES} in {file} must be a table: [runtimes], and a line for each image below it.")
    values: dict[str, Any] = {}
    for name, value in table.items():
        where = f"{_RUNTIMES}.{name} in {file}{_line(name, text)}"
        if isinstance(value, dict):
            raise ConfigError(f'{where} is a table: quote the name of the runtime, as in "python3.12" = "oci:..."')
        if not isinstance(value, str):
            raise ConfigError(f"{where} must be a text that names an image, not {value!r}.")
        relative = value.startswith(("oci:./", "oci:../"))
        reference = f"oci:{file.absolute().parent / value.removeprefix('oci:')}" if relative else value
        values[f"{_RUNTIMES}.{name}"] = RuntimeImage(reference, where)
    return values


def _line(key: str, text: str) -> str:
    """Which line of the file sets this runtime, as a part of a sentence; nothing where it is written otherwise."""
    written = re.compile(rf"""\s*(?:{_RUNTIMES}\s*\.\s*)?(["']?){re.escape(key)}\1\s*[.=]""")
    lines = text.splitlines()
    found = [number for number, line in enumerate(lines, 1) if written.match(line)]
    return f", line {found[-1]}" if found else ""


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    values = {}
    for name, setting in _SETTINGS.items():
        variable = f"ONDOL_{name.replace('.', '_').upper()}"
        text = environ.get(variable, "")
        if text:
            values[name] = _checked(name, _parsed(text, setting.kind), variable)
    prefix = f"ONDOL_{_ENDPOINTS.upper()}_"
    for variable, url in environ.items():
        if variable.startswith(prefix) and url:
            name = f"{_ENDPOINTS}.{variable.removeprefix(prefix).lower().replace('_', '-')}"
            values[name] = _checked(name, url, variable)
    return values


def _parsed(text: str, kind: type) -> Any:
    """The value that a variable's text means; the text itself where it means none, which the check then refuses."""
    if kind is bool:
        return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}.get(text.lower(), text)
    try:
        return kind(text)
    except ValueError:
        return text


def _checked(name: str, value: Any, where: str, base: Path | None = None) -> Any:
    """The value, if it is one that this setting may have; a path starts at `base`, or where ondol is started."""
    if _is_endpoint(name):
        return _checked_endpoint(name, value, where)
    if name == _ALLOW_HOSTS:
        return _checked_hosts(value, where)
    if name == _CODE_FOLDERS:
        return _checked_folders(value, where, base or Path())
    if name == _CODE_REGISTRIES:
        return _checked_registries(value, where)
    kind, minimum, maximum, *_, choices = _SETTINGS[name]
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        words = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
        raise ConfigError(f"{where} must be {words[kind]}, not {value!r}.")
    if isinstance(value, int | float) and not minimum <= value <= maximum:
        bounds = f"between {minimum:g} and {maximum:g}" if maximum < 1e12 else f"at least {minimum:g}"
        raise ConfigError(f"{where} must be {bounds}, not {value!r}.")
    if choices and value not in choices:
        raise ConfigError(f"{where} must be {' or '.join(choices)}, not {value!r}.")
    if name in {_TLS_CERTIFICATE, _TLS_KEY}:
        return str((base or Path()).absolute() / Path(str(value)).expanduser())
    return value


def _is_endpoint(name: str) -> bool:
    return name.startswith(f"{_ENDPOINTS}.")


def _checked_endpoint(name: str, value: Any, where: str) -> Endpoint | Broker:
    """The server that one service is to have, or one message broker."""
    service = name.removeprefix(f"{_ENDPOINTS}.").lower()
    if service.startswith("arn:"):
        return _checked_broker(service, value, where)
    if not _SIGNING_NAME.fullmatch(service):
        raise ConfigError(f"{where} is for no service: they have names like s3, sqs or dynamodb.")
    if service == "lambda":
        raise ConfigError(f"{where} cannot be: ondol serves lambda itself.")
    try:
        return parse_endpoint(value if isinstance(value, str) else str(value))
    except ValueError as error:
        raise ConfigError(f"{where} must be {error}.") from error


def _checked_broker(arn: str, value: Any, where: str) -> Broker:
    if not _BROKER.fullmatch(arn):
        raise ConfigError(
            f"{where} is for no broker: they have ARNs like arn:aws:mq:us-east-1:000000000000:broker:NAME:b-ID."
        )
    try:
        return parse_broker(value if isinstance(value, str) else str(value))
    except ValueError as error:
        raise ConfigError(f"{where} must be {error}.") from error


def _checked_hosts(value: Any, where: str) -> tuple[AllowedHost, ...]:
    """From a text, or from a list of them in a file."""
    texts = value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) for text in texts):
        raise ConfigError(f"{where} must be addresses like 127.0.0.1:5432, not {value!r}.")
    try:
        return parse_allowed_hosts(",".join(texts))
    except ValueError as error:
        raise ConfigError(f"{where} must be {error}.") from error


def _checked_folders(value: Any, where: str, base: Path) -> tuple[Path, ...]:
    """From a text with colons between them, or from a list of texts."""
    texts = value if isinstance(value, list) else str(value).split(os.pathsep)
    if not all(isinstance(text, str) for text in texts):
        raise ConfigError(f"{where} must be directories, not {value!r}.")
    folders = tuple(base.absolute() / Path(text).expanduser() for text in texts if text)
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(f"{where} names {folder}, which is not a directory that is there.")
    return folders


def _checked_registries(value: Any, where: str) -> frozenset[str]:
    """From a text with commas between them, or from a list of texts."""
    texts = value if isinstance(value, list) else str(value).split(",")
    hosts = [text.strip().lower() if isinstance(text, str) else "" for text in texts]
    if not all(map(is_server, hosts)):
        raise ConfigError(f"{where} must be hosts like registry.example or localhost:5000, not {value!r}.")
    return frozenset(hosts)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _assemble(values: Mapping[str, Any], environ: Mapping[str, str]) -> Config:
    """The configuration that these settings make, in the units of the model."""
    names = ("", "limits", "keep_alive", "phases", "worker", "logs", "network", "code", "events", "durable", "tls")
    tables: dict[str, dict[str, Any]] = {name: {} for name in names}
    servers: dict[str, Endpoint] = {}
    brokers: dict[str, Broker] = {}
    runtimes: dict[str, RuntimeImage] = {}
    for name, value in values.items():
        if name.startswith(f"{_RUNTIMES}."):
            runtimes[name.removeprefix(f"{_RUNTIMES}.")] = value
            continue
        table, _, key = name.rpartition(".")
        if isinstance(value, Broker):
            brokers[key] = value
            continue
        if table == _ENDPOINTS:
            servers[key.lower()] = value
            continue
        setting = _SETTINGS[name]
        tables[table][setting.field or key] = value if setting.unit is None else round(value * setting.unit)
    top = tables[""]
    top["auth"] = AuthMode(top.get("auth", AuthMode.NONE))
    tls = _tls(tables["tls"])
    _check_reach(top.get("host", ""), top["auth"], tls)
    if _is_reached(top.get("host", "")):
        # Whoever may create functions there does not choose whom this machine asks.
        tables["code"].setdefault("registries", frozenset())
    data_dir = Path(top.pop("data_dir", None) or _default_data_dir(environ)).expanduser().absolute()
    port = top.get("port", DEFAULT_PORT)
    for service, server in servers.items():
        if server.port == port and _is_loopback(server.host):
            raise ConfigError(f"{_ENDPOINTS}.{service} names ondol itself, which listens on port {port}.")
    default = servers.pop(_DEFAULT_ENDPOINT, None)
    network = _network(tables["network"])
    return Config(
        data_dir=data_dir,
        endpoints=Endpoints(servers, default, brokers),
        credentials=_credentials(environ),
        worker=WorkerConfig(**{"memory_mb": _memory_mb(), "processors": _processors()} | tables["worker"]),
        tls=tls,
        runtimes=runtimes,
        limits=AccountLimits(**tables["limits"]),
        keep_alive=KeepAlive(**tables["keep_alive"]),
        phases=Phases(**tables["phases"]),
        logs=LogLimits(**tables["logs"]),
        events=EventSchedule(**tables["events"]),
        durable=DurableSchedule(**tables["durable"]),
        **tables["code"],
        **network,
        **top,
    )


def _credentials(environ: Mapping[str, str]) -> SessionCredentials | None:
    access_key, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    if not access_key or not secret:
        return None
    return SessionCredentials(access_key, secret, environ.get("AWS_SESSION_TOKEN", ""))


def _network(table: Mapping[str, Any]) -> Mapping[str, Any]:
    """`[network]`, if what is in it goes together."""
    mode = NetworkMode(table.get("network", NetworkMode.RELAY))
    ports = [host.port for host in table.get("allow_hosts", ())]
    if ports and mode is NetworkMode.NONE:
        raise ConfigError(f"{_ALLOW_HOSTS} is set, but functions have no network: {_NETWORK_MODE} is none.")
    if NAMES_PORT in ports and mode is NetworkMode.NAT:
        raise ConfigError(
            f"{_ALLOW_HOSTS} has port {NAMES_PORT}, at which functions ask for names: in nat it is taken."
        )
    return {**table, "network": mode}


def _tls(table: Mapping[str, Any]) -> TlsFiles | None:
    """`[tls]`, in which neither is of use alone."""
    if not table:
        return None
    if len(table) == 1:
        given, missing = ("cert", "key") if "cert" in table else ("key", "cert")
        raise ConfigError(f"tls.{given} is set (--tls-{given}), and tls.{missing} is not (--tls-{missing}).")
    return TlsFiles(Path(table["cert"]), Path(table["key"]))


def _is_reached(host: str) -> bool:
    """Whether other machines may reach what listens there; empty: the default."""
    return bool(host) and not _is_loopback(host)


def _check_reach(host: str, auth: AuthMode, tls: TlsFiles | None) -> None:
    """Other machines reach ondol only where every caller is verified, and nobody listens in."""
    missing = [] if auth is AuthMode.SIGV4 else ["--auth sigv4"]
    missing += [] if tls is not None else ["TLS (--tls-cert and --tls-key)"]
    if missing and _is_reached(host):
        raise ConfigError(
            f"host is {host!r}, which other machines may reach: for that ondol needs --auth sigv4 and TLS, and "
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing (or listen on 127.0.0.1)."
        )


def _default_data_dir(environ: Mapping[str, str]) -> Path:
    """As the XDG base directory specification has it."""
    base = environ.get("XDG_DATA_HOME", "")
    return Path(base) / "ondol" if base.startswith("/") else Path("~/.local/share/ondol")


def _memory_mb() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // MEBIBYTE


def _processors() -> float:
    return float(len(os.sched_getaffinity(0)))
