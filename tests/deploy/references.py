"""What a set of manifests names that is not in it: objects, keys, ports and labels that nothing has.

Pure. A typing error in a reference is no error to the cluster: the pod waits, the policy selects nobody, the
monitor finds nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from kustomize import Manifest, containers, matches, of_kind, pods

GENERATED = re.compile(r"-[a-z0-9]{10}$")
"""The hash with which kustomize ends the names of what it generates."""


def dangling(manifests: list[Manifest], secrets: dict[str, set[str]]) -> list[str]:
    """One line per reference that leads nowhere. ``secrets``: name and keys of those that a person brings."""
    keys = _keys(manifests, secrets)
    found: list[str] = []
    for owner, pod in pods(manifests):
        found += [f"{owner}: {problem}" for problem in _in_pod(pod, keys, manifests)]
    for manifest in manifests:
        where = f"{manifest['kind']} {manifest['metadata']['name']}"
        found += [f"{where}: {problem}" for problem in _selecting(manifest, manifests)]
    return found


def _keys(manifests: list[Manifest], secrets: dict[str, set[str]]) -> dict[tuple[str, str], set[str]]:
    found = {("Secret", name): keys for name, keys in secrets.items()}
    for kind in ("ConfigMap", "Secret"):
        for manifest in of_kind(manifests, kind):
            found[kind, manifest["metadata"]["name"]] = {*manifest.get("data", {}), *manifest.get("stringData", {})}
    return found


def _in_pod(pod: Manifest, keys: dict[tuple[str, str], set[str]], manifests: list[Manifest]) -> Iterator[str]:
    spec = pod["spec"]
    account = spec.get("serviceAccountName")
    if account is not None and account not in {one["metadata"]["name"] for one in of_kind(manifests, "ServiceAccount")}:
        yield f"no ServiceAccount {account}"
    volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
    for volume in volumes.values():
        for field, kind, name in (("configMap", "ConfigMap", "name"), ("secret", "Secret", "secretName")):
            if field in volume:
                yield from _object(keys, kind, volume[field][name], None)
    mounted = set()
    for container in containers(pod):
        for source in container.get("envFrom", []):
            for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
                if field in source:
                    yield from _object(keys, kind, source[field]["name"], None)
        for variable in container.get("env", []):
            source = variable.get("valueFrom", {})
            for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
                if field in source:
                    yield from _object(keys, kind, source[field]["name"], source[field]["key"])
        ports = {port["name"] for port in container.get("ports", [])}
        for name, probe in container.items():
            if name.endswith("Probe"):
                port = probe.get("httpGet", probe.get("tcpSocket", {})).get("port")
                if isinstance(port, str) and port not in ports:
                    yield f"{name} of {container['name']}: no port {port}"
        for mount in container.get("volumeMounts", []):
            mounted.add(mount["name"])
            if mount["name"] not in volumes:
                yield f"no volume {mount['name']}"
    yield from (f"volume {name} is mounted nowhere" for name in volumes if name not in mounted)


def _object(keys: dict[tuple[str, str], set[str]], kind: str, name: str, key: str | None) -> Iterator[str]:
    if (kind, name) not in keys:
        yield f"no {kind} {name}"
    elif key is not None and key not in keys[kind, name]:
        yield f"{kind} {name} has no key {key}"


def _selecting(manifest: Manifest, manifests: list[Manifest]) -> Iterator[str]:
    """Selectors that select no pod, and ports that those selected do not have."""
    spec: dict[str, Any] = manifest.get("spec", {})
    match manifest["kind"]:
        case "Service":
            ports = [port["targetPort"] for port in spec["ports"]]
            yield from _selected(spec["selector"], ports, manifests)
        case "Deployment":
            if not matches(spec["template"]["metadata"]["labels"], spec["selector"]):
                yield "does not select its own pods"
        case "PodDisruptionBudget":
            yield from _selected(spec["selector"], [], manifests)
        case "PodMonitor":
            ports = [endpoint["port"] for endpoint in spec["podMetricsEndpoints"]]
            yield from _selected(spec["selector"], ports, manifests)
        case "NetworkPolicy" if spec["podSelector"]:
            rules = spec.get("ingress", [])
            ports = [port["port"] for rule in rules for port in rule.get("ports", [])]
            yield from _selected(spec["podSelector"], ports, manifests)
            for rule in rules:
                for peer in rule.get("from", []):
                    if "podSelector" in peer and "namespaceSelector" not in peer:
                        yield from _selected(peer["podSelector"], [], manifests)


def _selected(selector: Manifest, ports: list[object], manifests: list[Manifest]) -> Iterator[str]:
    found = [pod for _, pod in pods(manifests) if matches(pod["metadata"]["labels"], selector)]
    if not found:
        yield f"selects no pod: {selector}"
    for pod in found:
        has = {port["name"] for container in containers(pod) for port in container.get("ports", [])}
        has |= {port["containerPort"] for container in containers(pod) for port in container.get("ports", [])}
        yield from (f"no port {port} in the pods it selects" for port in ports if port not in has)
