"""SQL files of the migrations: where they are, how they fall into statements, the comments they declare.

Views and functions are written in SQL, not in strings of Python. Each revision runs the file that bears
its name; the schema documentation reads the comments from the same files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib.resources import files

from alembic import op

_TOKEN = re.compile(r"\$\$.*?\$\$|'(?:[^']|'')*'|--[^\n]*|;", re.DOTALL)


def statements(script: str) -> Iterator[str]:
    """The statements of a script, without what stands between them; quotes, ``$$`` bodies and comments are kept."""
    start = 0
    for token in _TOKEN.finditer(script):
        if token.group() == ";":
            yield script[start : token.start()].strip()
            start = token.end()
    if re.sub(r"--[^\n]*", "", script[start:]).strip():
        raise ValueError("the last statement of the script has no semicolon")


def scripts() -> Iterator[str]:
    """The text of every SQL file, in order of revision."""
    folder = files("migrations").joinpath("versions")
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".sql"):
            yield entry.read_text("utf-8")


def script(name: str) -> str:
    """The text of ``versions/<name>.sql``."""
    return files("migrations").joinpath("versions", f"{name}.sql").read_text("utf-8")


def run(name: str, *, only: Sequence[str] = ()) -> None:
    """Run ``versions/<name>.sql`` in the migration's transaction; of its statements those that begin so, if given."""
    execute(*(one for one in statements(script(name)) if not only or bare(one).startswith(tuple(only))))


def undo(name: str) -> None:
    """Take back what ``run`` did, last statement first: for downgrades.

    What the file created is dropped; what it replaced gets its older definition back, from the file of the last
    revision before that defines it. Comments go with what they are on. Raises ``ValueError`` for a statement it
    cannot take back.
    """
    own = list(statements(script(name)))
    for statement in reversed(own):
        text = bare(statement)
        found = _CREATED.match(text)
        if found is None:
            if _LEAVES_NOTHING.match(text) is None:
                raise ValueError(f"{name}: no way back is known for {text[:60]!r}")
        elif found["replace"]:
            execute(*_older(name, found["kind"], found["name"]))
        else:
            execute(f"drop {found['kind']} {_signature(own, found) if found['kind'] == 'function' else found['name']}")


def execute(*texts: str) -> None:
    """Run statements as they are, or write them down where a migration is only planned."""
    context = op.get_context()
    for text in texts:
        if context.as_sql:
            context.impl.static_output(f"{text};")
        else:
            op.get_bind().exec_driver_sql(text)


def bare(statement: str) -> str:
    """A statement without the comments before it."""
    return re.sub(r"^(--[^\n]*\n\s*)+", "", statement)


_CREATED = re.compile(r"create (?P<replace>or replace )?(?P<kind>function|view|index) (?P<name>\w+)", re.IGNORECASE)
_LEAVES_NOTHING = re.compile(r"comment on |do \$\$", re.IGNORECASE)
"""Comments go with what they are on; blocks of code only set some."""


def _signature(script_statements: list[str], created: re.Match[str]) -> str:
    """Name and types of a function's arguments, as the comment on it in the same script tells them."""
    for statement in script_statements:
        named = re.match(rf"comment on function ({created['name']}\(.*?\)) is\b", bare(statement), re.DOTALL)
        if named:
            return named.group(1)
    raise ValueError(f"function {created['name']} has no comment")


def _older(name: str, kind: str, thing: str) -> list[str]:
    """The statements that define and describe a function or view as of the revision before ``name``."""
    about = re.compile(rf"(create (or replace )?|comment on ){kind} {thing}\b", re.IGNORECASE)
    folder = files("migrations").joinpath("versions")
    earlier = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    for file in reversed(earlier[: earlier.index(f"{name}.sql")]):
        found = [text for each in statements(script(file.removesuffix(".sql"))) if about.match(text := bare(each))]
        if found:
            return [re.sub(r"^create (or replace )?", "create or replace ", text, flags=re.I) for text in found]
    raise ValueError(f"{name} replaces {kind} {thing}, which no earlier revision defines")
