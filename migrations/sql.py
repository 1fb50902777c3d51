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


def run(name: str, *, only: Sequence[str] = ()) -> None:
    """Run ``versions/<name>.sql`` in the migration's transaction; of its statements those that begin so, if given."""
    script = files("migrations").joinpath("versions", f"{name}.sql").read_text("utf-8")
    connection = op.get_bind()
    for statement in statements(script):
        if only and not re.sub(r"^(--[^\n]*\n|\s)+", "", statement).startswith(tuple(only)):
            continue
        connection.exec_driver_sql(statement)
