"""compose.yaml: whole in itself, pinned, and true of the programs that it starts. There is no Docker here."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from commands import parse, settings
from programs import program

from indexer import __version__

DOCKER = Path(__file__).resolve().parents[2] / "deploy" / "docker"
TEXT = (DOCKER / "compose.yaml").read_text(encoding="utf-8")
VARIABLE = re.compile(r"\$\{(\w+)(?:(:[-?])([^}]*))?\}")


def variables(name: str) -> dict[str, str]:
    lines = (DOCKER / name).read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))  # type: ignore[misc]


def composed(env: dict[str, str]) -> dict[str, Any]:
    """The file with its variables replaced, as compose does: the default where one is unset or empty."""

    def value(found: re.Match[str]) -> str:
        name, kind, default = found.groups()
        assert env.get(name) or kind == ":-", f"{name} is not set"
        return env.get(name) or default

    return dict(yaml.safe_load(VARIABLE.sub(value, TEXT)))


DEMO = composed(variables("demo.env"))
SERVICES: dict[str, dict[str, Any]] = DEMO["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("bittensor-indexer")}


def mounts() -> Iterator[tuple[str, str, str, list[str]]]:
    for name, service in SERVICES.items():
        for volume in service.get("volumes", []):
            source, target, *mode = volume.split(":")
            yield name, source, target, mode


def test_every_variable_is_in_the_example_and_every_one_there_is_used() -> None:
    assert set(variables("env.example")) == {found[1] for found in VARIABLE.finditer(TEXT)}


def test_passwords_have_no_default_and_none_is_checked_in() -> None:
    example = variables("env.example")
    needed = {found[1] for found in VARIABLE.finditer(TEXT) if found[2] == ":?"}
    assert {found[2] for found in VARIABLE.finditer(TEXT) if found[1].endswith("_PASSWORD")} == {":?"}
    assert needed == {name for name in example if name.endswith("_PASSWORD")}
    assert all(example[name] == "" for name in needed)
    with pytest.raises(AssertionError, match="_PASSWORD is not set"):
        composed(example)


def test_the_demo_has_volumes_of_its_own_and_sets_nothing_unknown() -> None:
    demo, example = variables("demo.env"), variables("env.example")
    assert set(demo) <= set(example)
    assert DEMO["name"] != composed({**example, **dict.fromkeys(demo, "x"), "PROJECT": example["PROJECT"]})["name"]


def test_every_mounted_file_is_there_and_cannot_be_changed() -> None:
    for name, source, _, mode in mounts():
        if source.startswith("."):
            assert (DOCKER / source).exists(), f"{name}: {source}"
            assert mode == ["ro"], f"{name}: {source}"


def test_every_volume_is_declared_and_used_by_one_service() -> None:
    named = [source for _, source, _, _ in mounts() if not source.startswith(".")]
    assert sorted(named) == sorted(DEMO["volumes"])


def test_every_image_is_pinned_and_ours_is_of_this_version() -> None:
    for service in SERVICES.values():
        name, _, tag = service["image"].rpartition(":")
        assert name, service["image"]
        assert re.fullmatch(r"v?\d+\.\d+(\.\d+)?", tag), service["image"]
    assert {service["image"] for service in OURS.values()} == {f"bittensor-indexer:{__version__}"}
    assert set(OURS) == {"indexer", "migrate", "node"}
    for service in OURS.values():
        assert (DOCKER / service["build"]["context"] / service["build"]["dockerfile"]).is_file()


def test_ports_differ_and_are_open_to_this_machine_alone() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in ports)
    outside = [port.split(":")[1] for port in ports]
    assert len(set(outside)) == len(outside) == 5


def test_nobody_waits_for_a_service_that_may_not_be_started() -> None:
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            assert other in SERVICES, f"{name}: {other}"
            optional = set(SERVICES[other].get("profiles", [])) - set(service.get("profiles", []))
            assert how.get("required", True) is not bool(optional), f"{name}: {other}"
            if how["condition"] == "service_healthy":
                assert "test" in SERVICES[other]["healthcheck"], f"{name}: {other}"


def test_our_containers_may_do_nothing_but_their_work() -> None:
    for service in OURS.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["tmpfs"] == ["/tmp:size=64m,mode=1777"]
    for service in SERVICES.values():
        assert service["cap_drop"] == ["ALL"]
        assert "privileged" not in service
        assert "network_mode" not in service


def test_our_commands_and_settings_are_those_of_the_indexer() -> None:
    for name, service in OURS.items():
        parse(service.get("command", ["run"]))
        env = service.get("environment", {})
        assert all(isinstance(value, str) for value in env.values()), f"{name}: YAML has made {env} of it"
        given = settings({key: value for key, value in env.items() if key.startswith("INDEXER_")})
        if name != "node":
            assert given.database_url is not None
            assert urlsplit(given.database_url).hostname in SERVICES
    indexer = settings({k: v for k, v in OURS["indexer"]["environment"].items() if k.startswith("INDEXER_")})
    assert indexer.standby, "a container that replaces another would exit with 4"
    assert OURS["indexer"]["stop_grace_period"] == "45s"
    assert indexer.stop_timeout_s <= 25


def test_the_demo_follows_the_simulated_chain_where_it_listens() -> None:
    url = urlsplit(OURS["indexer"]["environment"]["INDEXER_NETWORK"])
    command = OURS["node"]["command"]
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert url.hostname == "node"
    assert (options["--host"], options["--port"]) == ("0.0.0.0", str(url.port))
    assert str(url.port) in OURS["node"]["healthcheck"]["test"][-1]


def test_the_owner_of_the_tables_is_known_to_the_migration_alone() -> None:
    users = {
        name: urlsplit(s["environment"]["INDEXER_DATABASE_URL"]).username for name, s in OURS.items() if name != "node"
    }
    assert users == {"migrate": "indexer_owner", "indexer": "indexer_writer"}
    assert SERVICES["grafana"]["environment"]["INDEXER_DB_USER"] == "indexer_reader"
    raw = yaml.safe_load(TEXT)["services"]
    given = {name: set(VARIABLE.findall(str(service))) for name, service in raw.items()}
    knows = {name: {found[0] for found in given[name] if found[0].endswith("_PASSWORD")} for name in raw}
    assert knows == {
        "postgres": {"POSTGRES_PASSWORD", "OWNER_PASSWORD", "WRITER_PASSWORD", "READER_PASSWORD"},
        "migrate": {"OWNER_PASSWORD"},
        "indexer": {"WRITER_PASSWORD"},
        "grafana": {"READER_PASSWORD", "GRAFANA_PASSWORD"},
        "prometheus": set(),
        "alertmanager": set(),
        "node": set(),
    }


def test_grafana_is_given_all_that_its_provisioning_asks_for() -> None:
    folder = DOCKER.parent / "grafana" / "provisioning"
    asked = {
        name
        for file in folder.rglob("*.yaml")
        for line in file.read_text(encoding="utf-8").splitlines()
        for name in re.findall(r"\$\{(\w+)\}", line.partition(" #")[0])
        if not line.startswith("#")
    }
    env = SERVICES["grafana"]["environment"]
    assert asked == {name for name in env if not name.startswith("GF_")}
    assert urlsplit(env["PROMETHEUS_URL"]).hostname in SERVICES
    assert env["INDEXER_DB_ADDRESS"].partition(":")[0] in SERVICES
    paths = {target for name, _, target, _ in mounts() if name == "grafana"}
    provider = yaml.safe_load((folder / "dashboards" / "indexer.yaml").read_text(encoding="utf-8"))
    assert {one["options"]["path"] for one in provider["providers"]} <= paths


def test_prometheus_finds_rules_and_targets(tmp_path: Path) -> None:
    ours = yaml.safe_load((DOCKER / "prometheus.yml").read_text(encoding="utf-8"))
    theirs = yaml.safe_load((DOCKER.parent / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    assert ours["global"] == theirs["global"]
    assert [job["job_name"] for job in ours["scrape_configs"]] == [job["job_name"] for job in theirs["scrape_configs"]]
    (job,) = [job for job in ours["scrape_configs"] if job["job_name"] == "indexer"]
    assert job["static_configs"] == [{"targets": ["indexer:9477"]}]
    assert SERVICES["indexer"]["ports"] == ["127.0.0.1:9477:9477"]
    laid = {source: target for name, source, target, _ in mounts() if name == "prometheus"}
    assert laid["./prometheus.yml"] == "/etc/prometheus/prometheus.yml"
    assert laid["../prometheus"] == "/etc/prometheus/rules"
    (tmp_path / "prometheus.yml").write_text((DOCKER / "prometheus.yml").read_text(encoding="utf-8"))
    (tmp_path / "rules").symlink_to(DOCKER.parent / "prometheus")
    promtool = program("promtool", "prometheus")
    done = subprocess.run(
        [promtool, "check", "config", str(tmp_path / "prometheus.yml")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rules = len(list((DOCKER.parent / "prometheus").glob("*.rules.yml")))
    assert f"{rules} rule files found" in done.stdout
    assert rules > 0
