"""Our rules for pods: each is broken by one manifest here, and by no other rule's; and no pod of ours breaks one."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
from kustomize import FOLDERS, Manifest, pods, rendered
from pod_security import RULES, broken_rules

GOOD: Manifest = {
    "metadata": {"labels": {"app": "x"}},
    "spec": {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 7, "seccompProfile": {"type": "RuntimeDefault"}},
        "initContainers": [],
        "containers": [
            {
                "name": "x",
                "ports": [{"containerPort": 1}],
                "livenessProbe": {"httpGet": {"path": "/", "port": 1}},
                "resources": {"requests": {"cpu": "1", "memory": "1"}, "limits": {"memory": "1"}},
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
            }
        ],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    },
}


def spec(**fields: object) -> Callable[[Manifest], None]:
    return lambda pod: pod["spec"].update(fields)


def context(**fields: object) -> Callable[[Manifest], None]:
    return lambda pod: pod["spec"]["securityContext"].update(fields)


def own(**fields: object) -> Callable[[Manifest], None]:
    return lambda pod: pod["spec"]["containers"][0]["securityContext"].update(fields)


def container(**fields: object) -> Callable[[Manifest], None]:
    return lambda pod: pod["spec"]["containers"][0].update(fields)


def without(name: str) -> Callable[[Manifest], None]:
    return lambda pod: pod["spec"]["containers"][0]["securityContext"].pop(name)


def bare_init_container(pod: Manifest) -> None:
    pod["spec"]["initContainers"] = [
        {"name": "y", "resources": GOOD["spec"]["containers"][0]["resources"], "securityContext": {"privileged": True}}
    ]


def annotated(pod: Manifest) -> None:
    pod["metadata"]["annotations"] = {"container.apparmor.security.beta.kubernetes.io/x": "unconfined"}


@pytest.mark.parametrize(
    ("rules", "spoil"),
    [
        (["AppArmor"], context(appArmorProfile={"type": "Unconfined"})),
        (["AppArmor"], annotated),
        (["Capabilities"], own(capabilities={"drop": ["NET_RAW"]})),
        (["Capabilities"], own(capabilities={"drop": ["ALL"], "add": ["SYS_TIME"]})),
        (["Capabilities"], without("capabilities")),
        (["Host namespaces"], spec(hostNetwork=True)),
        (["Host namespaces"], spec(hostPID=True)),
        (["Host namespaces"], spec(hostIPC=True)),
        (["Host ports"], container(ports=[{"containerPort": 1, "hostPort": 80}])),
        (["Host probes"], container(livenessProbe={"httpGet": {"path": "/", "port": 1, "host": "10.0.0.1"}})),
        (["Host probes"], container(lifecycle={"preStop": {"tcpSocket": {"port": 1, "host": "10.0.0.1"}}})),
        (["HostProcess and Windows"], own(windowsOptions={"hostProcess": True})),
        (["HostProcess and Windows"], spec(os={"name": "windows"})),
        (["Privileged"], own(privileged=True)),
        (["Privilege escalation"], own(allowPrivilegeEscalation=True)),
        (["Privilege escalation"], without("allowPrivilegeEscalation")),
        (["/proc mount"], own(procMount="Unmasked")),
        (["Running as non-root"], own(runAsNonRoot=False)),
        (["Running as non-root"], context(runAsNonRoot=None)),
        (["Running as non-root user"], own(runAsUser=0)),
        (["SELinux"], context(seLinuxOptions={"type": "spc_t"})),
        (["SELinux"], own(seLinuxOptions={"role": "sysadm_r"})),
        (["Seccomp"], context(seccompProfile=None)),
        (["Seccomp"], own(seccompProfile={"type": "Unconfined"})),
        (["Sysctls"], context(sysctls=[{"name": "kernel.msgmax", "value": "1"}])),
        (["Volume types"], spec(volumes=[{"name": "host", "hostPath": {"path": "/"}}])),
        (["ours: no links to Services"], spec(enableServiceLinks=True)),
        (["ours: no token"], spec(automountServiceAccountToken=True)),
        (["ours: numeric user"], context(runAsUser=None)),
        (["ours: read-only root"], without("readOnlyRootFilesystem")),
        (["ours: resources"], container(resources={"requests": {"cpu": "1", "memory": "1"}})),
        (["Capabilities", "Privilege escalation", "Privileged", "ours: read-only root"], bare_init_container),
    ],
)
def test_a_pod_that_breaks_a_rule_is_told_by_that_rule_alone(
    rules: list[str], spoil: Callable[[Manifest], None]
) -> None:
    pod = copy.deepcopy(GOOD)
    assert broken_rules(pod) == []
    spoil(pod)
    assert broken_rules(pod) == rules


def test_every_rule_is_broken_once() -> None:
    (mark,) = test_a_pod_that_breaks_a_rule_is_told_by_that_rule_alone.pytestmark  # type: ignore[attr-defined]
    assert {rule for rules, _ in mark.args[1] for rule in rules} == set(RULES)


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_pod_of_ours_breaks_a_rule(folder: str) -> None:
    found = list(pods(rendered(folder)))
    assert found
    assert {name: broken_rules(pod) for name, pod in found} == {name: [] for name, _ in found}
