"""Every mistake in the settings is one line that names the setting and where it was made, and shows no secret."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from indexer import config, daemon, options
from indexer.errors import ConfigError

FIELDS = config.Settings.model_fields
NAMES = [name for name in FIELDS if name != "config"]


def refusal(**flags: object) -> str:
    """The one line that the start stops with."""
    with pytest.raises(ConfigError) as caught:
        daemon.chosen(config.load(flags))
    line = str(caught.value)
    assert line.isprintable(), line
    assert not re.search(r"Input should|unable to|Errno|class '|\bNone\b", line), line
    assert "secret" not in line
    return line


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "x.toml"


FLAGS = [
    (
        {"network": "finey"},
        "--network 'finey': 'finey' is neither a known network nor a ws:// or wss:// URL (did you mean",
    ),
    ({"network": "http://localhost"}, "--network: 'http://localhost' is neither a known network nor a ws:// or wss://"),
    (
        {"network": "localhost:9944"},
        "--network 'localhost:9944': 'localhost:9944' is neither a known network nor a ws://",
    ),
    ({"network": "https://u:secret@n"}, "--network: 'https://***@n' is neither"),
    ({"network": "a.secret.key"}, "--network: '***' is neither a known network"),
    ({"network": "wss://u@n"}, "--network: has a user without a password"),
    ({"network": "ws://n:99999"}, "--network: is a URL that cannot be read"),
    ({"network": ("finney", "test")}, "--network: finney, test are different chains; fail-over needs endpoints of one"),
    ({"network": " , "}, "--network ',': names no network"),
    ({"network": ("",)}, "--network: is empty; leave it out for the default"),
    ({"archive": "finney"}, "--archive 'finney': 'finney' is not a ws:// or wss:// URL"),
    ({"archive": "https://u:secret@n"}, "--archive: 'https://***@n' is not a ws:// or wss:// URL"),
    (
        {"database_url": "mysql://u:secret@h/d"},
        "--database-url: is not of the form postgresql://user:password@host:port/",
    ),
    ({"database_url": "postgresql://u:sec#secret@h/d"}, "--database-url: cannot be read: write a /, ?, # or @ of the"),
    ({"database_url": "postgresql://u:secret@h:port/d"}, "--database-url: has a port that is no number"),
    ({"start": "newest"}, "--start 'newest': is neither a block number nor 'latest' nor 'genesis'"),
    ({"start": "-1"}, "--start '-1': is neither a block number"),
    ({"start": "4294967296"}, "--start '4294967296': is neither a block number"),
    ({"stop": "-1"}, "--stop '-1': is not a whole number from 0 to 4294967295"),
    ({"stop": "9999999999999"}, "--stop '9999999999999': is not a whole number from 0 to 4294967295"),
    ({"start": "9", "stop": "8"}, "--stop 8 lies before --start 9"),
    ({"follow": "finalised"}, "--follow 'finalised': is not `finalized` or `best` (did you mean finalized?)"),
    ({"log_level": "INFO"}, "--log-level 'INFO': is not `debug`, `info`, `warning` or `error` (did you mean info?)"),
    ({"workers": "0"}, "--workers '0': is not a whole number from 1 to 256"),
    ({"workers": "257"}, "--workers '257': is not a whole number from 1 to 256"),
    ({"workers": "4.5"}, "--workers '4.5': is not a whole number from 1 to 256"),
    ({"workers": "4", "window": "many"}, "--window 'many': is not a whole number from 1 to 10000"),
    ({"workers": "65"}, "--window 64 (the default) is less than --workers 65"),
    ({"workers": "postgresql://u:secret@h"}, "--workers: is not a whole number"),
    ({"rpc_timeout_s": "30s"}, "--rpc-timeout-s '30s': is not a number above 0 up to 86400"),
    ({"rpc_timeout_s": "nan"}, "--rpc-timeout-s 'nan': is not a number above 0 up to 86400"),
    ({"rpc_timeout_s": "inf"}, "--rpc-timeout-s 'inf': is not a number above 0 up to 86400"),
    ({"ready_lag_s": "inf"}, "--ready-lag-s 'inf': is not a number above 0"),
    ({"metrics_address": "9477"}, "--metrics-address '9477': is neither host:port nor 'off'"),
    ({"metrics_address": "::1:94770"}, "--metrics-address '::1:94770': is neither host:port nor 'off'"),
    ({"datasets": ("stak",)}, "--datasets: unknown dataset 'stak' "),
    ({"datasets": (" , ",)}, "--datasets: names no dataset; leave it out for the usual ones"),
    (
        {"datasets": ("System.Account",)},
        "--datasets: 'System.Account' is no dataset: storage items are named with --item",
    ),
    ({"item": "Tempo"}, "--item 'Tempo': 'Tempo' is not of the form Pallet.Item, such as SubtensorModule.Tempo"),
    ({"config": ""}, "--config: is empty; leave it out for no file"),
    ({"config": "/absent.toml"}, "cannot read the configuration file /absent.toml: No such file or directory"),
    ({"config": "/"}, "cannot read the configuration file /: Is a directory"),
    ({"config": "/etc/passwd/x"}, "cannot read the configuration file /etc/passwd/x: Not a directory"),
]


@pytest.mark.parametrize(("flags", "line"), FLAGS, ids=lambda value: value if isinstance(value, str) else "")
def test_on_the_command_line(flags: dict[str, object], line: str) -> None:
    assert refusal(**flags).startswith(line)


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        ({"WORKERS": "many"}, "INDEXER_WORKERS 'many': is not a whole number from 1 to 256"),
        ({"STANDBY": "maybe"}, "INDEXER_STANDBY 'maybe': is not `true` or `false`"),
        ({"NETWORK": '"finney"'}, "INDEXER_NETWORK: stands in quotes that are part of the value here; leave them out"),
        ({"WORKERS": "'4'"}, "INDEXER_WORKERS \"'4'\": stands in quotes that are part of the value here"),
        ({"DATABASE_URL": "postgresql://u:secret\n@h/d"}, "INDEXER_DATABASE_URL: holds a line break"),
        ({"DATABASE_URL": "'postgresql://u:secret@h/d'"}, "INDEXER_DATABASE_URL: stands in quotes"),
        ({"NETWROK": "test"}, "INDEXER_NETWROK is not a variable of the indexer (did you mean INDEXER_NETWORK?)"),
        ({"LOGLEVEL": "debug"}, "INDEXER_LOGLEVEL is not a variable of the indexer (did you mean INDEXER_LOG_LEVEL?)"),
        ({"START": "9", "STOP": "8"}, "INDEXER_STOP 8 lies before INDEXER_START 9"),
        ({"DATASETS": "default,evnts"}, "INDEXER_DATASETS: unknown dataset 'evnts' "),
        ({"CONFIG": "/absent.toml"}, "cannot read the configuration file /absent.toml: No such file or directory"),
    ],
)  # fmt: skip
def test_in_the_environment(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], line: str) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"INDEXER_{name}", value)
    assert refusal().startswith(line)


def test_a_variable_in_small_letters_counts_and_is_named_as_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("indexer_workers", "many")
    assert refusal().startswith("indexer_workers 'many': ")
    monkeypatch.setenv("INDEXER_WORKERS", "5")
    assert refusal() == "INDEXER_WORKERS and indexer_workers are the same variable: leave one out"


def test_a_file_named_by_a_variable_in_small_letters_is_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("workers = 7")
    monkeypatch.setenv("indexer_config", str(file))
    assert config.load().workers == 7


TOML = [
    ("workers = 'many'", ": workers 'many': is not a whole number from 1 to 256"),
    ("workers = true", ": workers true: is not a whole number from 1 to 256"),
    ("workers = [4]", ": workers: is a list, not a whole number from 1 to 256"),
    ("rpc_timeout_s = true", ": rpc_timeout_s true: is not a number above 0"),
    ("standby = 'maybe'", ": standby 'maybe': is not `true` or `false`"),
    ("network = 5", ": network 5: is not a list of texts"),
    ("network = [1]", ": network 1: is not a list of texts"),
    ("network = []", ": network: names no network"),
    ("network = ['finney', '']", ": network: is empty"),
    ("datasets = []", ": datasets: names no dataset"),
    ("datasets = ['stak']", ": datasets: unknown dataset 'stak' "),
    ("item = ['Tempo']", ": item: 'Tempo' is not of the form Pallet.Item"),
    ("database_url = ['postgresql://u:secret@h']", ": database_url: is a list, not a text"),
    ("database_url = 'u:secret@h'", ": database_url: is not of the form postgresql://"),
    ("data_dir = 5", ": data_dir 5: is not a path"),
    ("data_dir = []", ": data_dir: is a list, not a path"),
    ('data_dir = "a\\u0000b"', ": data_dir 'a\\x00b': holds a line break, or another character that cannot be"),
    ("metrics_address = 9477", ": metrics_address 9477: is not a text"),
    ("log_level = 5", ": log_level 5: is not `debug`"),
    ("start = 2026-01-01", ": start: is neither a block number nor"),
    ("[indexer]\nworkers = 1", ": [indexer] is a table; options stand at the top of the file, outside of any table"),
    ("[network]\na = 1", ": network: is a table, not a list of texts"),
    ("netwrok = 'test'", ": netwrok is not an option of the indexer (did you mean network?)"),
    ("data-dir = '/x'", ": data-dir is not an option of the indexer (did you mean data_dir?)"),
    ("INDEXER_WORKERS = 5", ": INDEXER_WORKERS is not an option of the indexer (did you mean workers?)"),
    ('"a\\nb" = 5', ": a b is not an option of the indexer"),
    ("config = 'y.toml'", ": config cannot name a further file"),
    ("workers = 70\nwindow = 5", ": window 5 is less than "),
    ("workers = ", ", line 1: workers: no value that TOML knows; a text stands in quotes, true and false in small"),
    ("workers = 4\nnetwork = finney", ", line 2: network: no value that TOML knows; a text stands in quotes"),
    ("workers = 4\n\nworkers = 5", ", line 3: workers: is there twice"),
    ("database_url = 'postgresql://u:secret@h", ", line 1: database_url: "),
    ("# a\nworkers", ", line 2: "),
    (b"\xff\xfew\x00", ": is not UTF-8 text (byte 0)"),
    ("workers = 'many'\nbatch = 0", ": workers 'many': is not a whole number from 1 to 256; "),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line"), TOML, ids=lambda value: f"{value[:40]!r}")
def test_in_the_file(file: Path, text: str | bytes, line: str) -> None:
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert refusal(config=file).startswith(f"{file}{line}")


def test_a_byte_order_mark_is_no_mistake(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbfworkers = 7")
    assert config.load({"config": file}).workers == 7


def test_options_that_do_not_go_together_are_named_each_where_it_stands(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("start = 9\n")
    monkeypatch.setenv("INDEXER_STOP", "8")
    assert refusal(config=file) == f"INDEXER_STOP 8 lies before {file}: start 9"


@pytest.mark.parametrize(
    "url", ["//h/d", "//u:p@h:5432/d", "//one:5432,two/d", "//[::1]:5432/d", "//u@[::1],h/d", "/", "//"]
)
def test_a_database_may_be_named_in_any_way_that_postgres_knows(url: str) -> None:
    assert config.load({"database_url": f"postgresql:{url}"}).database_url


@pytest.mark.parametrize("name", NAMES)
def test_an_option_with_a_value_that_nothing_takes_is_named_where_it_stands(
    name: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flag over variable over file: the complaint is about the one that counts."""
    file.write_text(f'{name} = "a\\u0007b"')
    assert refusal(config=file).startswith(f"{file}: {name}")
    file.write_text(f'{name} = ""')
    assert refusal(config=file).startswith(f"{file}: {name}")
    for table in (f"{name} = {{ a = 1 }}", f"{name} = [[1]]"):
        file.write_text(table)
        assert refusal(config=file).startswith(f"{file}: {name}: is "), table
    monkeypatch.setenv(options.variable(name), "a\nb")
    assert refusal(config=file).startswith(f"{options.variable(name)}")
    for value in ("a\nb", "", " "):
        assert refusal(config=file, **{name: value}).startswith(options.flag(name))


@pytest.fixture(autouse=True)
def _nothing_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in FIELDS:
        monkeypatch.delenv(options.variable(name), raising=False)
