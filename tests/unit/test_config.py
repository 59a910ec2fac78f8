"""What is set where, and what wins; and that a wrong setting is named."""

from pathlib import Path

import pytest

from ondol.config import Config, ConfigError, TlsFiles, load
from ondol.model.network import AllowedHost, AuthMode, NetworkMode
from ondol.model.time import MILLISECOND, SECOND

FULL = """
port = 5000
data_dir = "/srv/ondol"
nearest_runtime = true

[limits]
concurrency = 50
growth_period_s = 2.5

[keep_alive]
idle_s = 30

[phases]
freeze_after_s = 0.25

[worker]
memory_mb = 2048
processors = 2
overcommit = 4
slots_ahead = 3

[logs]
total_mb = 10
"""


def from_file(tmp_path: Path, text: str) -> Config:
    file = tmp_path / "ondol.toml"
    file.write_text(text)
    return load({}, {}, file)


def test_defaults_are_those_of_aws_and_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = load({}, {"HOME": "/home/me"})
    assert (config.host, config.port, config.limits.concurrency) == ("127.0.0.1", 4566, 1000)
    assert config.worker.memory_mb > 0
    assert config.worker.processors >= 1
    assert config.worker.environments == 4000
    assert config.data_dir == Path("~/.local/share/ondol").expanduser()
    assert load({}, {"XDG_DATA_HOME": "/data"}).data_dir == Path("/data/ondol")


def test_a_file_sets_everything_in_the_units_of_the_model(tmp_path: Path) -> None:
    config = from_file(tmp_path, FULL)
    assert config.port == 5000
    assert config.data_dir == Path("/srv/ondol")
    assert config.nearest_runtime is True
    assert (config.limits.concurrency, config.limits.growth_period) == (50, 2.5 * SECOND)
    assert config.limits.growth_burst == 1000
    assert config.keep_alive.idle == 30 * SECOND
    assert config.phases.freeze_after == 250 * MILLISECOND
    assert (config.worker.memory_mb, config.worker.processors, config.worker.slots_ahead) == (2048, 2.0, 3)
    assert config.logs.total == 10 << 20


def test_a_flag_beats_the_environment_which_beats_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ondol.toml").write_text("port = 1111\n[keep_alive]\nidle_s = 1.0\n")
    monkeypatch.chdir(tmp_path)
    environ = {"ONDOL_PORT": "2222", "ONDOL_KEEP_ALIVE_IDLE_S": "2.5", "ONDOL_NEAREST_RUNTIME": "true"}
    assert load({}, {}).port == 1111
    assert load({}, environ).port == 2222
    assert load({}, environ).keep_alive.idle == 2.5 * SECOND
    assert load({}, environ).nearest_runtime is True
    assert load({"port": 3333, "data_dir": None}, environ).port == 3333


def test_another_file_is_named_by_a_variable(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("port = 1234")
    assert load({}, {"ONDOL_CONFIG": str(tmp_path / "other.toml")}).port == 1234


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prot = 1", ["ondol.toml", "prot", "no setting"]),
        ("[limits]\nconcurency = 1", ["ondol.toml", "limits.concurency"]),
        ("[limit]", ["ondol.toml", "[limit]"]),
        ("limits = 3", ["ondol.toml", "limits"]),
        ('port = "4566"', ["ondol.toml", "port", "whole number", "'4566'"]),
        ("port = true", ["port", "whole number"]),
        ("port = 70000", ["port", "between 0 and 65535", "70000"]),
        ("[keep_alive]\nidle_s = -1", ["keep_alive.idle_s", "at least"]),
        ("[phases]\ninit_s = nan", ["phases.init_s"]),
        ("[phases]\ninit_s = inf", ["phases.init_s"]),
        ("nearest_runtime = 1", ["nearest_runtime", "true or false"]),
        ("port = = 1", ["ondol.toml", "not valid TOML"]),
        ('host = "0.0.0.0"', ["host", "--auth sigv4 and TLS (--tls-cert and --tls-key) are missing"]),
        ('host = "example.com"\nauth = "sigv4"', ["'example.com'", "and TLS (--tls-cert and --tls-key) is missing"]),
        ('host = "::"\n[tls]\ncert = "c"\nkey = "k"', ["'::'", "and --auth sigv4 is missing"]),
        ('[tls]\ncert = "c"', ["tls.cert is set", "tls.key", "--tls-key"]),
        ('[tls]\nkey = "k"', ["tls.key is set", "tls.cert", "--tls-cert"]),
        ('auth = "basic"', ["auth", "none or sigv4", "'basic'"]),
        ('[code]\nregistries = ["https://r.example"]', ["code.registries", "hosts like", "https://"]),
        ("[code]\nregistries = [1]", ["code.registries", "hosts like"]),
    ],
)
def test_a_wrong_setting_is_one_sentence_that_names_it(tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as refused:
        from_file(tmp_path, text)
    message = str(refused.value)
    assert all(word in message for word in words), message
    assert "\n" not in message


def test_registries_are_any_unless_some_are_named(tmp_path: Path) -> None:
    assert load({}, {}).registries is None
    named = from_file(tmp_path, '[code]\nregistries = ["R.example", "localhost:5000", "[::1]:5000"]').registries
    assert named == {"r.example", "localhost:5000", "[::1]:5000"}


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_addresses_are_fine(host: str) -> None:
    assert load({"host": host}, {}).host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "ondol.example.com"])
def test_other_machines_may_come_in_with_verified_callers_and_tls(tmp_path: Path, host: str) -> None:
    config = from_file(tmp_path, f'host = "{host}"\nauth = "sigv4"\n[tls]\ncert = "c.pem"\nkey = "/etc/k.pem"')
    assert (config.host, config.auth) == (host, AuthMode.SIGV4)
    assert config.tls == TlsFiles(tmp_path / "c.pem", Path("/etc/k.pem"))
    flags = {"host": host, "auth": "sigv4", "tls.cert": "c.pem", "tls.key": "k.pem"}
    assert load(flags, {}).tls == TlsFiles(Path.cwd() / "c.pem", Path.cwd() / "k.pem")
    environ = {"ONDOL_HOST": host, "ONDOL_AUTH": "sigv4", "ONDOL_TLS_CERT": "/c", "ONDOL_TLS_KEY": "/k"}
    assert load({}, environ).tls == TlsFiles(Path("/c"), Path("/k"))
    assert config.registries == frozenset()
    assert load({}, {**environ, "ONDOL_CODE_REGISTRIES": "r.example"}).registries == {"r.example"}
    with pytest.raises(ConfigError):
        load({**flags, "auth": "none"}, {})


def test_a_wrong_variable_or_flag_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ONDOL_PORT must be a whole number, not 'many'"):
        load({}, {"ONDOL_PORT": "many"})
    with pytest.raises(ConfigError, match="ONDOL_NEAREST_RUNTIME must be true or false"):
        load({}, {"ONDOL_NEAREST_RUNTIME": "perhaps"})
    with pytest.raises(ConfigError, match="--port must be between"):
        load({"port": -1}, {})
    with pytest.raises(ConfigError, match=r"no configuration file .*none\.toml"):
        load({}, {}, tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("nonsense", "addresses like 127.0.0.1:5432"),
        ("127.0.0.1:0", "addresses like"),
        ("127.0.0.1:70000", "addresses like"),
        ("127.0.0.1:9001", "without port 9001"),
        ("a:5432, b:5432", "5432 is there twice"),
        (",".join(f"a:{port}" for port in range(1, 14)), "12 addresses at most"),
    ],
)
def test_hosts_that_cannot_be_allowed(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint) as raised:
        load({"network.allow_hosts": [text]}, {})
    assert str(raised.value).startswith("--allow-host must be ")


def test_allowed_hosts_come_from_flags_variables_and_files(tmp_path: Path) -> None:
    wanted = (AllowedHost("127.0.0.1", 5432), AllowedHost("::1", 6379))
    assert load({"network.allow_hosts": ["127.0.0.1:5432", "[::1]:6379"]}, {}).allow_hosts == wanted
    assert load({}, {"ONDOL_NETWORK_ALLOW_HOSTS": "127.0.0.1:5432, [::1]:6379"}).allow_hosts == wanted
    file = tmp_path / "ondol.toml"
    file.write_text('[network]\nallow_hosts = ["127.0.0.1:5432", "[::1]:6379"]\n')
    assert load({}, {}, file).allow_hosts == wanted


def test_folders_that_may_be_code_come_from_flags_variables_and_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    one, two = tmp_path / "one", tmp_path / "two"
    monkeypatch.chdir(two)
    assert load({"code.folders": [str(one), "."]}, {}).code_folders == (one, two)
    assert load({}, {"ONDOL_CODE_FOLDERS": f"{one}:{two}"}).code_folders == (one, two)
    file = tmp_path / "ondol.toml"
    file.write_text('[code]\nfolders = ["one"]\n')
    assert load({}, {}, file).code_folders == (one,)
    with pytest.raises(ConfigError, match=r"--hot-reload names .*/gone, which is not a directory"):
        load({"code.folders": [str(tmp_path / "gone")]}, {})
    with pytest.raises(ConfigError, match="must be directories"):
        load({"code.folders": [1]}, {})


def test_the_network_is_a_relay_until_something_else_is_named(tmp_path: Path) -> None:
    assert load({}, {}).network is NetworkMode.RELAY
    assert load({"network.mode": "nat"}, {}).network is NetworkMode.NAT
    assert load({}, {"ONDOL_NETWORK_MODE": "none"}).network is NetworkMode.NONE
    file = tmp_path / "ondol.toml"
    file.write_text('[network]\nmode = "nat"\n')
    assert load({}, {}, file).network is NetworkMode.NAT
    with pytest.raises(ConfigError, match="--network must be none or relay or nat, not 'wide'"):
        load({"network.mode": "wide"}, {})


@pytest.mark.parametrize(
    ("mode", "host", "complaint"),
    [("none", "127.0.0.1:5432", "functions have no network"), ("nat", "127.0.0.1:53", "ask for names")],
)
def test_hosts_that_do_not_go_with_a_network(mode: str, host: str, complaint: str) -> None:
    assert load({"network.allow_hosts": [host]}, {}).allow_hosts
    with pytest.raises(ConfigError, match=complaint):
        load({"network.allow_hosts": [host], "network.mode": mode}, {})
