"""Strict schemas of the two kinds of the Prometheus Operator that we use, which kubernetes-validate does not have.

Of their fields only those we write are known: any other, a misspelt one too, is an error. They are not the
operator's own definitions.
"""

from __future__ import annotations

from typing import Any

DURATION = {"type": "string", "pattern": r"^((\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?)$", "minLength": 2}
NAME = {"type": "string", "pattern": r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", "maxLength": 253}
LABELS = {"type": "object", "additionalProperties": {"type": "string"}}


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "required": sorted(required),
        "properties": required | (optional or {}),
        "additionalProperties": False,
    }


def _list(of: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": of, "minItems": 1}


def _kind(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = _object({"name": NAME, "labels": LABELS}, {"namespace": NAME, "annotations": LABELS})
    version = {"const": "monitoring.coreos.com/v1"}
    return _object({"apiVersion": version, "kind": {"const": kind}, "metadata": metadata, "spec": spec})


_RELABELING = _object({"action": {"enum": ["labeldrop", "labelkeep"]}, "regex": {"type": "string", "minLength": 1}})
_ENDPOINT = _object(
    {"port": NAME, "path": {"type": "string", "pattern": "^/"}, "interval": DURATION},
    {"scrapeTimeout": DURATION, "relabelings": _list(_RELABELING)},
)
_EXPRESSION = {"type": "string", "minLength": 1}
_RECORD = _object(
    {"record": {"type": "string", "pattern": "^[a-zA-Z_:][a-zA-Z0-9_:]*$"}, "expr": _EXPRESSION}, {"labels": LABELS}
)
_ALERT = _object(
    {"alert": {"type": "string", "pattern": "^[a-zA-Z_][a-zA-Z0-9_]*$"}, "expr": _EXPRESSION},
    {"for": DURATION, "keep_firing_for": DURATION, "labels": LABELS, "annotations": LABELS},
)
_GROUP = _object(
    {"name": {"type": "string", "minLength": 1}, "rules": _list({"oneOf": [_RECORD, _ALERT]})},
    {"interval": DURATION, "limit": {"type": "integer"}},
)

SCHEMAS: dict[str, dict[str, Any]] = {
    "PodMonitor": _kind(
        "PodMonitor",
        _object(
            {"selector": _object({"matchLabels": LABELS}), "podMetricsEndpoints": _list(_ENDPOINT)},
            {"jobLabel": {"type": "string"}},
        ),
    ),
    "PrometheusRule": _kind("PrometheusRule", _object({"groups": _list(_GROUP)})),
}
