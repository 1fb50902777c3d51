"""Settings: order of precedence, defaults, no secret in a log."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from indexer import config


def test_without_anything_it_follows_finality_on_finney() -> None:
    settings = config.load()
    assert settings.network == ("finney",)
    assert settings.follow == "finalized"
    assert settings.start == "latest"
    assert settings.database_url is None
    assert settings.endpoints[0] == "wss://entrypoint-finney.opentensor.ai:443"
    assert len(settings.endpoints) == 3
    assert settings.genesis_hash is not None
    assert settings.genesis_hash.hex().startswith("2f0555cc")


def test_flag_wins_over_environment_wins_over_file_wins_over_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "indexer.toml"
    file.write_text('workers = 5\nbatch = 6\nwindow = 70\nnetwork = ["test"]\n')
    monkeypatch.setenv("INDEXER_CONFIG", str(file))
    monkeypatch.setenv("INDEXER_BATCH", "7")
    monkeypatch.setenv("INDEXER_WINDOW", "71")
    settings = config.load({"window": 72, "stop": None, "network": ()})
    assert (settings.workers, settings.batch, settings.window, settings.rpc_timeout_s) == (5, 7, 72, 30.0)
    assert settings.network == ("test",)


def test_config_flag_wins_over_the_file_named_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, workers in (("a", 5), ("b", 6)):
        (tmp_path / name).write_text(f"workers = {workers}")
    monkeypatch.setenv("INDEXER_CONFIG", str(tmp_path / "a"))
    assert config.load({"config": tmp_path / "b"}).workers == 6


def test_settings_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValueError, match="frozen"):
        config.load().workers = 9  # type: ignore[misc]


def test_variables_that_kubernetes_adds_for_a_service_named_indexer_are_not_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in (
        "INDEXER_SERVICE_HOST",
        "INDEXER_SERVICE_PORT",
        "INDEXER_SERVICE_PORT_METRICS",
        "INDEXER_PORT",
        "INDEXER_PORT_9477_TCP",
        "INDEXER_PORT_9477_TCP_ADDR",
    ):
        monkeypatch.setenv(name, "10.0.0.1")
    assert config.load().workers == 4


def test_lists_may_be_repeated_or_comma_separated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INDEXER_DATASETS", "balances, stake")
    settings = config.load({"network": ("ws://10.0.0.5:9944", "finney,local")})
    assert settings.datasets == ("balances", "stake")
    assert settings.endpoints == (
        "ws://10.0.0.5:9944",
        *config.NETWORKS["finney"].endpoints,
        "ws://127.0.0.1:9944",
    )
    assert settings.genesis_hash == config.NETWORKS["finney"].genesis_hash


def test_an_own_node_has_no_known_genesis_and_no_archive() -> None:
    settings = config.load({"network": "ws://10.0.0.5:9944"})
    assert settings.genesis_hash is None
    assert settings.archive_endpoints == ()
    assert config.load({"network": "ws://a", "archive": "ws://b"}).archive_endpoints == ("ws://b",)


@pytest.mark.realdata
def test_the_test_networks_genesis_hash_is_that_of_its_recorded_genesis(realdata: Path) -> None:
    recorded = json.loads((realdata / "testfinney_genesis.json").read_text())["genesis_hash"]
    assert config.load({"network": "test"}).genesis_hash == bytes.fromhex(recorded.removeprefix("0x"))


def test_neither_log_nor_repr_shows_a_secret() -> None:
    settings = config.load(
        {
            "database_url": "postgresql://u:secret@h/d",
            "network": "wss://u:secret@n/?token=secret",
            "archive": "wss://a/?key=secret",
        }
    )
    assert "secret" not in json.dumps(settings.redacted())
    assert "secret" not in repr(settings)
    assert settings.redacted()["network"] == ["wss://***@n/?token=***"]


def test_metrics_can_be_switched_off() -> None:
    assert config.load({"metrics_address": "off"}).metrics_address is None
    assert config.load().metrics_address == "127.0.0.1:9477"


def test_data_lie_in_the_users_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert config.load().data_dir == tmp_path / "bittensor-indexer"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert config.load().data_dir == tmp_path / ".local" / "share" / "bittensor-indexer"


def test_data_of_root_lie_where_an_unprivileged_postgres_can_reach_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    tmp_path.chmod(0o700)
    assert config.load().data_dir == Path("/var/lib/bittensor-indexer")


def test_every_option_says_what_it_is() -> None:
    for name, field in config.Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name
        assert not name.endswith("_s") or field.description.startswith("Seconds"), name


def test_items_are_named_on_the_command_line_in_the_environment_or_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert config.load().item == ()
    assert config.load({"item": ("System.Account,Timestamp.Now", "System.Account")}).item == (
        "System.Account",
        "Timestamp.Now",
    )
    file = tmp_path / "indexer.toml"
    file.write_text('item = ["Swap.SwapBalancer", "System.Number"]\n')
    assert config.load({"config": file}).item == ("Swap.SwapBalancer", "System.Number")
    monkeypatch.setenv("INDEXER_ITEM", "System.Events, System.Account")
    assert config.load({"config": file}).item == ("System.Events", "System.Account")
