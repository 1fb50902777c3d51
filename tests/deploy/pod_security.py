"""The rules of the Pod Security Standard "restricted", and a few of our own, over one pod template.

Written from the published standard, field by field; the standard's exceptions for Windows are left out, as our pods
are for Linux: a pod that names Windows breaks a rule here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from kustomize import Manifest, containers

VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
SAFE_SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
}
SELINUX_TYPES = {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}


def broken_rules(pod: Manifest) -> list[str]:
    """The names of the rules that a pod template breaks, each once, in the order of their names."""
    return sorted({name for name, rule in RULES.items() if not rule(pod)})


def _contexts(pod: Manifest) -> Iterator[Manifest]:
    """The security contexts of the pod and of all its containers."""
    yield pod["spec"].get("securityContext", {})
    yield from _own_contexts(pod)


def _own_contexts(pod: Manifest) -> list[Manifest]:
    return [container.get("securityContext", {}) for container in containers(pod)]


def _effective(pod: Manifest, name: str) -> list[Any]:
    """A field that a container has of its own, or else from the pod."""
    default = pod["spec"].get("securityContext", {}).get(name)
    return [context.get(name, default) for context in _own_contexts(pod)]


def _host_namespaces(pod: Manifest) -> bool:
    return not any(pod["spec"].get(name) for name in ("hostNetwork", "hostPID", "hostIPC"))


def _windows(pod: Manifest) -> bool:
    return pod["spec"].get("os", {}).get("name", "linux") == "linux" and not any(
        "windowsOptions" in context for context in _contexts(pod)
    )


def _capabilities(pod: Manifest) -> bool:
    found = [context.get("capabilities", {}) for context in _own_contexts(pod)]
    return all("ALL" in one.get("drop", []) and set(one.get("add", [])) <= {"NET_BIND_SERVICE"} for one in found)


def _volume_types(pod: Manifest) -> bool:
    return all(set(volume) - {"name"} <= VOLUMES for volume in pod["spec"].get("volumes", []))


def _host_ports(pod: Manifest) -> bool:
    return not any(port.get("hostPort") for container in containers(pod) for port in container.get("ports", []))


def _probe_hosts(pod: Manifest) -> bool:
    handlers = [
        container.get(name, {}) for container in containers(pod) for name in container if name.endswith("Probe")
    ]
    handlers += [hook for container in containers(pod) for hook in container.get("lifecycle", {}).values()]
    return not any(
        one.get(kind, {}).get("host") for one in handlers if isinstance(one, dict) for kind in ("httpGet", "tcpSocket")
    )


def _app_armor(pod: Manifest) -> bool:
    found = [context.get("appArmorProfile", {}).get("type", "RuntimeDefault") for context in _contexts(pod)]
    annotations = pod.get("metadata", {}).get("annotations", {})
    found += [
        value
        for name, value in annotations.items()
        if name.startswith("container.apparmor.security.beta.kubernetes.io/")
    ]
    return all(
        value in ("RuntimeDefault", "Localhost", "runtime/default") or value.startswith("localhost/") for value in found
    )


def _selinux(pod: Manifest) -> bool:
    found = [context.get("seLinuxOptions", {}) for context in _contexts(pod)]
    return all(one.get("type", "") in SELINUX_TYPES and not one.get("user") and not one.get("role") for one in found)


def _seccomp(pod: Manifest) -> bool:
    profiles = _effective(pod, "seccompProfile")
    return all(isinstance(one, dict) and one.get("type") in ("RuntimeDefault", "Localhost") for one in profiles)


def _sysctls(pod: Manifest) -> bool:
    return all(one["name"] in SAFE_SYSCTLS for one in pod["spec"].get("securityContext", {}).get("sysctls", []))


def _resources(pod: Manifest) -> bool:
    """A request of both, for the scheduler, and a limit of memory, so that a leak does not take the machine along."""
    found = [container.get("resources", {}) for container in containers(pod)]
    return all({"cpu", "memory"} <= set(one.get("requests", {})) and "memory" in one.get("limits", {}) for one in found)


RULES: dict[str, Callable[[Manifest], bool]] = {
    "AppArmor": _app_armor,
    "Capabilities": _capabilities,
    "Host namespaces": _host_namespaces,
    "Host ports": _host_ports,
    "Host probes": _probe_hosts,
    "HostProcess and Windows": _windows,
    "Privileged": lambda pod: not any(one.get("privileged") for one in _own_contexts(pod)),
    "Privilege escalation": lambda pod: all(one.get("allowPrivilegeEscalation") is False for one in _own_contexts(pod)),
    "/proc mount": lambda pod: all(one.get("procMount", "Default") == "Default" for one in _own_contexts(pod)),
    "Running as non-root": lambda pod: all(value is True for value in _effective(pod, "runAsNonRoot")),
    "Running as non-root user": lambda pod: all(one.get("runAsUser", 1) != 0 for one in _contexts(pod)),
    "Seccomp": _seccomp,
    "SELinux": _selinux,
    "Sysctls": _sysctls,
    "Volume types": _volume_types,
    "ours: no links to Services": lambda pod: pod["spec"].get("enableServiceLinks") is False,
    "ours: no token": lambda pod: pod["spec"].get("automountServiceAccountToken") is False,
    "ours: numeric user": lambda pod: all(isinstance(value, int) for value in _effective(pod, "runAsUser")),
    "ours: read-only root": lambda pod: all(one.get("readOnlyRootFilesystem") is True for one in _own_contexts(pod)),
    "ours: resources": _resources,
}
