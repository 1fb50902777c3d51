"""What kustomize makes of deploy/kubernetes: valid, whole in itself, and true of the indexer that it starts."""

from __future__ import annotations

import base64
import copy
import importlib.util
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import kubernetes_validate
import pytest
import yaml
from commands import parse, settings
from kustomize import FOLDERS, KUBERNETES, Manifest, containers, of_kind, pods, rendered
from operator_kinds import SCHEMAS
from references import GENERATED, dangling

from indexer import __version__, config, exposition
from indexer.metrics import Metrics

OLDEST, NEWEST = "1.33.0", kubernetes_validate.utils.latest_version()
"""Of Kubernetes: the first in which all fields we use are there for good, as deploy/README.md tells, and the newest."""
EXAMPLE = yaml.safe_load((KUBERNETES / "overlays" / "prod" / "secret.example.yaml").read_text(encoding="utf-8"))
BROUGHT = {EXAMPLE["metadata"]["name"]: set(EXAMPLE["stringData"])}
OURS = "bittensor-indexer"


def indexer_containers(folder: str) -> list[tuple[list[str], dict[str, str]]]:
    """Arguments and INDEXER_ variables of each container of our image; secret values as an example."""
    manifests = rendered(folder)
    data = {m["metadata"]["name"]: m["data"] for m in of_kind(manifests, "ConfigMap")}
    found = []
    for _, pod in pods(manifests):
        for container in containers(pod):
            if OURS in container["image"]:
                env: dict[str, str] = {}
                for source in container.get("envFrom", []):
                    env |= data[source["configMapRef"]["name"]]
                for variable in container.get("env", []):
                    env[variable["name"]] = variable.get("value", "postgresql://user@host/indexer")
                found.append((container["args"], env))
    return found


def the(folder: str, kind: str, name: str) -> Manifest:
    (found,) = [one for one in of_kind(rendered(folder), kind) if one["metadata"]["name"] == name]
    return found


def the_container(folder: str) -> dict[str, Any]:
    (found,) = the(folder, "Deployment", "indexer")["spec"]["template"]["spec"]["containers"]
    return dict(found)


@pytest.mark.parametrize(("folder", "version"), [*((folder, NEWEST) for folder in FOLDERS), ("overlays/ha", OLDEST)])
def test_every_object_is_valid_to_the_strict_schemas(
    folder: str, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It reads some megabytes of schemas anew for every object.
    read = cache(kubernetes_validate.utils.schema_contents)
    monkeypatch.setattr(kubernetes_validate.utils, "schema_contents", read)
    for manifest in rendered(folder):
        if manifest["kind"] in SCHEMAS:
            jsonschema.validate(manifest, SCHEMAS[manifest["kind"]])
        else:
            kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize("kind", sorted(SCHEMAS))
def test_a_field_that_the_operator_does_not_know_is_refused(kind: str) -> None:
    manifest = of_kind(rendered("overlays/prod"), kind)[0]
    manifest["spec"]["podMetricsEndpoint"] = []
    with pytest.raises(jsonschema.ValidationError, match="podMetricsEndpoint"):
        jsonschema.validate(manifest, SCHEMAS[kind])


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_reference_leads_somewhere(folder: str) -> None:
    manifests = rendered(folder)
    assert dangling(manifests, BROUGHT) == []
    namespaces = {m["metadata"]["name"] for m in of_kind(manifests, "Namespace")}
    used = {m["metadata"].get("namespace") for m in manifests if m["kind"] != "Namespace"}
    assert used == (namespaces or {None})


def renamed(kind: str) -> Callable[[list[Manifest]], None]:
    def spoil(manifests: list[Manifest]) -> None:
        of_kind(manifests, kind)[0]["metadata"]["name"] = "another"

    return spoil


def relabelled(manifests: list[Manifest]) -> None:
    the_indexer(manifests)["metadata"]["labels"]["app.kubernetes.io/component"] = "another"


def port_renamed(manifests: list[Manifest]) -> None:
    the_indexer(manifests)["spec"]["containers"][0]["ports"][0]["name"] = "another"


def volume_unmounted(manifests: list[Manifest]) -> None:
    for container in containers(the_indexer(manifests)):
        container["volumeMounts"] = []


def key_renamed(manifests: list[Manifest]) -> None:
    the_indexer(manifests)["spec"]["containers"][0]["env"][0]["valueFrom"]["secretKeyRef"]["key"] = "url"


def volume_missing(manifests: list[Manifest]) -> None:
    the_indexer(manifests)["spec"]["volumes"] = []


def the_indexer(manifests: list[Manifest]) -> Manifest:
    return next(pod for name, pod in pods(manifests) if name == "indexer")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (renamed("ConfigMap"), {"indexer: no ConfigMap indexer-settings"}),
        (renamed("ServiceAccount"), {"indexer: no ServiceAccount indexer"}),
        (key_renamed, {"indexer: Secret indexer-database has no key url"}),
        (volume_missing, {"indexer: no volume tmp"}),
        (volume_unmounted, {"indexer: volume tmp is mounted nowhere"}),
        (
            port_renamed,
            {
                "indexer: startupProbe of indexer: no port metrics",
                "indexer: livenessProbe of indexer: no port metrics",
                "indexer: readinessProbe of indexer: no port metrics",
                "NetworkPolicy indexer: no port metrics in the pods it selects",
                "PodMonitor indexer: no port metrics in the pods it selects",
                "Service indexer: no port metrics in the pods it selects",
            },
        ),
        (
            relabelled,
            {
                "Deployment indexer: does not select its own pods",
                "NetworkPolicy indexer: selects no pod",
                "PodDisruptionBudget indexer: selects no pod",
                "PodMonitor indexer: selects no pod",
                "Service indexer: selects no pod",
            },
        ),
    ],
)
def test_a_reference_that_leads_nowhere_is_told(spoil: Callable[[list[Manifest]], None], told: set[str]) -> None:
    manifests = copy.deepcopy(rendered("overlays/ha"))
    spoil(manifests)
    found = {GENERATED.sub("", line).partition(": {")[0] for line in dangling(manifests, BROUGHT)}
    assert found == told


def test_a_secret_that_nobody_documents_is_told() -> None:
    assert set(dangling(rendered("overlays/prod"), {})) == {"indexer: no Secret indexer-database"}


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_image_is_pinned_and_ours_is_of_this_version(folder: str) -> None:
    images = [container["image"] for _, pod in pods(rendered(folder)) for container in containers(pod)]
    assert images
    for image in images:
        name, _, tag = image.rpartition(":")
        assert name, f"{image} has no tag"
        assert tag != "latest"
        assert tag == __version__ or OURS not in name


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_variable_is_a_setting_that_takes_its_value(folder: str) -> None:
    found = indexer_containers(folder)
    assert any(arguments == ["run"] for arguments, _ in found)
    for _, env in found:
        given = settings(env)
        assert all(name.startswith(config.ENV_PREFIX) for name in env)
        assert not env or given.database_url is not None
        assert not env or given.standby, "a pod that replaces another would exit with 4"


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_command_line_is_one_of_the_indexer(folder: str) -> None:
    for arguments, _ in indexer_containers(folder):
        parse(arguments)


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_owner_of_the_tables_is_known_to_the_migration_alone(folder: str) -> None:
    spec = the(folder, "Deployment", "indexer")["spec"]["template"]["spec"]
    ((first,), (second,)) = spec["initContainers"], spec["containers"]
    keys = [one["env"][0]["valueFrom"]["secretKeyRef"]["key"] for one in (first, second)]
    assert (first["args"], second["args"], keys) == (["migrate"], ["run"], ["owner-url", "writer-url"])
    assert all(len(one["env"]) == 1 for one in (first, second))
    assert "secret" not in str(spec.get("volumes"))


@pytest.mark.parametrize("folder", FOLDERS)
def test_probes_ask_what_the_indexer_answers(folder: str) -> None:
    container = the_container(folder)
    paths = {name: container[name]["httpGet"]["path"] for name in container if name.endswith("Probe")}
    assert (paths["startupProbe"], paths["livenessProbe"]) == ("/healthz", "/healthz")
    with exposition.serve(Metrics(), "127.0.0.1:0") as endpoint:
        for path in {*paths.values(), "/metrics"}:
            assert status(f"http://127.0.0.1:{endpoint.port}{path}") in (200, 503)
    (port,) = container["ports"]
    (address,) = {env["INDEXER_METRICS_ADDRESS"] for _, env in indexer_containers(folder) if env}
    assert address == f"0.0.0.0:{port['containerPort']}"


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_pod_is_given_the_time_that_it_takes_to_stop(folder: str) -> None:
    spec = the(folder, "Deployment", "indexer")["spec"]["template"]["spec"]
    stops = [
        float(env["INDEXER_STOP_TIMEOUT_S"]) for arguments, env in indexer_containers(folder) if arguments == ["run"]
    ]
    assert spec["terminationGracePeriodSeconds"] >= stops[0] + 20  # and the database, and its connections


def test_a_single_indexer_is_replaced_and_tells_whether_its_data_are_current() -> None:
    for folder in ("base", "overlays/dev", "overlays/prod"):
        spec = the(folder, "Deployment", "indexer")["spec"]
        assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
        assert the_container(folder)["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_an_update_of_two_never_waits_for_a_standby_to_have_current_data() -> None:
    metrics = Metrics()
    metrics.condition("writer", False, "standby: another instance writes")
    metrics.committed(1, 1e12)
    assert metrics.health()[0]
    assert not metrics.readiness()[0], "a standby is ready by now: ask /readyz in overlays/ha"
    spec = the("overlays/ha", "Deployment", "indexer")["spec"]
    assert spec["replicas"] == 2
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert spec["minReadySeconds"] > 0
    assert the_container("overlays/ha")["readinessProbe"]["httpGet"]["path"] == "/healthz"


def test_two_are_on_two_machines_and_one_of_them_may_be_drained() -> None:
    deployment = the("overlays/ha", "Deployment", "indexer")
    (apart,) = deployment["spec"]["template"]["spec"]["affinity"]["podAntiAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]
    assert apart["topologyKey"] == "kubernetes.io/hostname"
    assert apart["labelSelector"] == deployment["spec"]["selector"]
    assert the("overlays/ha", "PodDisruptionBudget", "indexer")["spec"]["maxUnavailable"] == 1


def test_what_an_overlay_brings_itself_is_reached_by_its_name_and_port() -> None:
    manifests = rendered("overlays/dev")
    services = {(s["metadata"]["name"], p["port"]) for s in of_kind(manifests, "Service") for p in s["spec"]["ports"]}
    (secret,) = of_kind(manifests, "Secret")
    urls = [env["INDEXER_NETWORK"] for _, env in indexer_containers("overlays/dev") if env]
    urls += [decoded(secret["data"][name]) for name in ("owner-url", "writer-url")]
    assert len(urls) == 4
    assert {(urlsplit(url).hostname, urlsplit(url).port) for url in urls} <= services
    (listening,) = [arguments for arguments, env in indexer_containers("overlays/dev") if not env]
    assert {"--host": "0.0.0.0", "--port": "9944"}.items() <= dict(
        zip(listening[1::2], listening[2::2], strict=True)
    ).items()
    for role in ("owner", "writer"):
        assert urlsplit(decoded(secret["data"][f"{role}-url"])).password == decoded(secret["data"][f"{role}-password"])


def decoded(value: str) -> str:
    return base64.b64decode(value).decode()


def test_nothing_is_reachable_that_no_policy_names() -> None:
    for folder in FOLDERS:
        default = the(folder, "NetworkPolicy", "default-deny")["spec"]
        assert default == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
        out = the(folder, "NetworkPolicy", "indexer")["spec"]["egress"]
        assert {port["port"] for rule in out for port in rule["ports"]} == {53, 5432, 443, 9944}


def test_no_password_is_checked_in_but_that_of_the_made_up_chain() -> None:
    for folder in ("base", "overlays/prod", "overlays/ha"):
        assert of_kind(rendered(folder), "Secret") == []
    assert all("PASSWORD" in url for url in EXAMPLE["stringData"].values())


def generator() -> Any:
    loaded = importlib.util.spec_from_file_location("prometheus_rule", KUBERNETES / "prometheus_rule.py")
    assert loaded is not None
    assert loaded.loader is not None
    module = importlib.util.module_from_spec(loaded)
    loaded.loader.exec_module(module)
    return module


def test_the_rules_for_the_operator_are_those_of_deploy_prometheus() -> None:
    made = generator()
    assert made.sources(), "there are no rules in deploy/prometheus"
    assert made.TARGET.read_text(encoding="utf-8") == made.generated(made.sources()), "stale: run `make manifests`"
    rules = of_kind(rendered("overlays/prod"), "PrometheusRule")
    files = [yaml.safe_load(file.read_text(encoding="utf-8"))["groups"] for file in made.sources()]
    assert [rule["spec"]["groups"] for rule in rules] == files


def test_each_file_of_rules_becomes_an_object_with_its_text(tmp_path: Path) -> None:
    one, two = tmp_path / "alerts.rules.yml", tmp_path / "records.rules.yml"
    one.write_text(
        "# why\ngroups:\n  - name: a\n    rules:\n      - alert: A\n        expr: |\n          up ==\n            0\n"
    )
    two.write_text("groups:\n  - name: b\n    rules:\n      - {record: 'b:c', expr: up}\n")
    text = generator().generated([one, two])
    assert "  # why\n" in text
    first, second = yaml.safe_load_all(text)
    assert (first["metadata"]["name"], second["metadata"]["name"]) == ("indexer-alerts", "indexer-records")
    assert first["spec"] == yaml.safe_load(one.read_text())
    assert second["spec"] == yaml.safe_load(two.read_text())
    for made in (first, second):
        jsonschema.validate(made, SCHEMAS["PrometheusRule"])


def test_the_folders_that_are_checked_are_all_there_are() -> None:
    found = {os.path.relpath(path.parent, KUBERNETES) for path in KUBERNETES.rglob("kustomization.yaml")}
    assert found == {*FOLDERS, "components/monitoring"}


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_operators_own_labels_displace_none_of_the_indexers(folder: str) -> None:
    """Of the labels that the operator gives a target, ``endpoint`` would turn ours into ``exported_endpoint``."""
    labels = {name for family in Metrics().registry._names_to_collectors.values() for name in family._labelnames}  # type: ignore
    (scraped,) = [one["spec"]["podMetricsEndpoints"][0] for one in of_kind(rendered(folder), "PodMonitor")] or [None]
    dropped = {one["regex"] for one in (scraped or {}).get("relabelings", []) if one["action"] == "labeldrop"}
    given = {"endpoint", "pod", "namespace", "container", "job", "instance"}
    assert scraped is None or given & labels == dropped
