"""Every log event of the package, read from its source: name, levels and fields of each place that logs.

Follows what is written with names: an event that a function was given, a level chosen by ``if``, fields in a
dictionary. What it cannot follow it says, so that no event is lost by the way it is written.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

LEVELS = ("debug", "info", "warning", "error", "exception", "critical")
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Place:
    """One call that logs. ``is_open``: it has further fields that only the run knows."""

    event: str
    levels: frozenset[str]
    fields: frozenset[str]
    is_open: bool
    where: str


class Source:
    """The parsed files below a folder."""

    def __init__(self, folder: Path) -> None:
        self.trees = {path: ast.parse(path.read_text("utf-8")) for path in sorted(folder.rglob("*.py"))}
        self._parents = {
            child: parent
            for tree in self.trees.values()
            for parent in ast.walk(tree)
            for child in ast.iter_child_nodes(parent)
        }

    def places(self) -> Iterator[Place]:
        """Every call that logs, once per event that it may tell."""
        for path, tree in self.trees.items():
            for call in ast.walk(tree):
                if isinstance(call, ast.Call) and (levels := self._levels(call)):
                    where = f"{path.name}:{call.lineno}"
                    fields, is_open = self._fields(call)
                    events = list(self._words(call.args[0], call)) if call.args else []
                    if not events:
                        raise AssertionError(f"{where}: the event's name cannot be found")
                    for event in events:
                        yield Place(event, levels, fields, is_open, where)

    def _levels(self, call: ast.Call) -> frozenset[str]:
        """The levels a call logs at; empty if it does not log."""
        named = [call.func]
        if isinstance(call.func, ast.Name):
            named = [value for value in self._assigned(call.func.id, call) if self._is_level(value)]
        found = [part.attr for value in named for part in _either(value) if _is_log(part)]  # type: ignore[attr-defined]
        return frozenset(found)

    def _is_level(self, value: ast.expr) -> bool:
        return all(_is_log(part) for part in _either(value))

    def _words(self, value: ast.expr, at: ast.AST) -> Iterator[str]:
        """The texts that an expression may be."""
        for part in _either(value):
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                yield part.value
            elif isinstance(part, ast.Name):
                yield from self._given(part.id, self._function(at))
                for own in self._assigned(part.id, at):
                    yield from self._words(own, at)
            elif isinstance(part, ast.Attribute):
                yield from self._kept(part.attr, at)

    def _given(self, name: str, function: Function | None) -> Iterator[str]:
        """What the callers of a function give for one of its parameters."""
        if function is None:
            return
        arguments = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
        if name not in arguments:
            return
        place = arguments.index(name) - (arguments[0] in ("self", "cls"))
        called = function.name
        if called == "__init__":
            called = self._enclosing(function, ast.ClassDef).name  # type: ignore[union-attr]
        for tree in self.trees.values():
            for call in ast.walk(tree):
                if isinstance(call, ast.Call) and _name(call.func) == called:
                    by_name = [word.value for word in call.keywords if word.arg == name]
                    for value in by_name or call.args[place : place + 1]:
                        yield from self._words(value, call)

    def _kept(self, attribute: str, at: ast.AST) -> Iterator[str]:
        """What an object's own attribute was set to."""
        owner = self._enclosing(at, ast.ClassDef)
        for node in ast.walk(owner) if owner is not None else ():
            if isinstance(node, ast.Assign):
                for target, value in _pairs(node):
                    if isinstance(target, ast.Attribute) and target.attr == attribute:
                        yield from self._words(value, node)

    def _fields(self, call: ast.Call) -> tuple[frozenset[str], bool]:
        fields, is_open = set(), False
        for word in call.keywords:
            if word.arg is not None:
                fields.add(word.arg)
                continue
            found = self._assigned(word.value.id, call) if isinstance(word.value, ast.Name) else []
            dicts = [part for value in found for part in _either(value) if isinstance(part, ast.Dict)]
            is_open = is_open or not dicts
            fields |= {str(key.value) for one in dicts for key in one.keys if isinstance(key, ast.Constant)}
        return frozenset(fields), is_open

    def _assigned(self, name: str, at: ast.AST) -> list[ast.expr]:
        function = self._function(at)
        return [
            node.value
            for node in (ast.walk(function) if function is not None else ())
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name) and target.id == name
        ]

    def _function(self, at: ast.AST) -> Function | None:
        return self._enclosing(at, Function)  # type: ignore[arg-type,return-value]

    def _enclosing(self, at: ast.AST, kind: type[ast.AST]) -> ast.AST | None:
        node = self._parents.get(at)
        while node is not None and not isinstance(node, kind):
            node = self._parents.get(node)
        return node


def _either(value: ast.expr) -> Sequence[ast.expr]:
    return (*_either(value.body), *_either(value.orelse)) if isinstance(value, ast.IfExp) else (value,)


def _is_log(value: ast.expr) -> bool:
    return (
        isinstance(value, ast.Attribute)
        and value.attr in LEVELS
        and isinstance(value.value, ast.Name)
        and value.value.id in ("log", "logger")
    )


def _name(function: ast.expr) -> str | None:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else None


def _pairs(node: ast.Assign) -> Iterator[tuple[ast.expr, ast.expr]]:
    for target in node.targets:
        if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
            yield from zip(target.elts, node.value.elts, strict=True)
        else:
            yield target, node.value
