"""A terminal for tests: a pseudo-terminal to run a command on, and a screen that says what a person saw on it."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import struct
import termios
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
from running import command

_PARTS = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|\x1b[()][A-Z0-9]|(\r)|(\n)|([^\x1b\r\n]+)")

LONGEST_SEQUENCE = 16


@dataclass
class Screen:
    """What stands on a terminal of some columns; lines that have scrolled out at its top are kept."""

    columns: int
    rows: list[str] = field(default_factory=lambda: [""])
    row: int = 0
    column: int = 0
    has_cursor: bool = True
    seen: list[str] = field(default_factory=list)
    """Every text that a line had when the next piece came, in order, once each."""

    def feed(self, text: str) -> None:
        """Take what a program wrote."""
        for found in _PARTS.finditer(text):
            given, kind, returns, feeds, plain = found.groups()
            if returns:
                self.column = 0
            elif feeds:
                self._go(self.row + 1)
            elif plain:
                for at in range(0, len(plain)):
                    self._put(plain[at])
            elif kind == "A":
                self.row = max(0, self.row - int(given or 1))
            elif kind == "B":
                self._go(self.row + int(given or 1))
            elif kind == "K":
                self.rows[self.row] = "" if given == "2" else self.rows[self.row][: self.column]
            elif kind == "J":
                del self.rows[self.row + 1 :]
            elif kind == "H":
                self.rows, self.row, self.column = [""], 0, 0
            elif kind in "hl" and given == "?25":
                self.has_cursor = kind == "h"
        self.seen += [line for line in map(str.rstrip, self.rows) if line and line not in self.seen]

    def _go(self, row: int) -> None:
        self.row = row
        while len(self.rows) <= row:
            self.rows.append("")

    def _put(self, sign: str) -> None:
        if self.column == self.columns:
            self._go(self.row + 1)
            self.column = 0
        line = self.rows[self.row].ljust(self.column)
        self.rows[self.row] = line[: self.column] + sign + line[self.column + 1 :]
        self.column += 1

    @property
    def lines(self) -> list[str]:
        """What stands there now, wrapped lines as they are wrapped."""
        return [line.rstrip() for line in self.rows]


@dataclass
class Session:
    """A command on a terminal."""

    process: anyio.abc.Process
    screen: Screen
    raw: bytes = b""
    is_read: bool = False
    """Whether all that it wrote is on the screen."""


@asynccontextmanager
async def on_a_terminal(
    *arguments: str, columns: int = 100, env: Mapping[str, str] | None = None
) -> AsyncIterator[Session]:
    """Run a command with all three streams on a terminal; killed at the end if it still lives."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    os.set_blocking(ours, False)
    surroundings = {**os.environ, "TERM": "xterm-256color", **(env or {})}
    for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CI"):
        surroundings.pop(name, None)
    process = await anyio.open_process(
        command(*arguments), stdin=theirs, stdout=theirs, stderr=theirs, env=surroundings, start_new_session=True
    )
    os.close(theirs)
    session = Session(process, Screen(columns))
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(_read, session, ours, name="terminal")
            yield session
            group.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                process.kill()
            await process.wait()
            await process.aclose()
        os.close(ours)


async def ended(session: Session, within_s: float = 40.0) -> int:
    """The exit code, once the command has ended and all that it wrote is on the screen."""
    with anyio.fail_after(within_s):
        code = await session.process.wait()
        while not session.is_read:  # noqa: ASYNC110 - set by the reader at the end of the stream
            await anyio.sleep(0.01)
    return code


async def _read(session: Session, ours: int) -> None:
    rest, decoder = "", codecs.getincrementaldecoder("utf-8")()
    while True:
        await anyio.wait_readable(ours)
        try:
            piece = os.read(ours, 65536)
        except BlockingIOError:
            continue
        except OSError:  # the last writer is gone
            piece = b""
        if not piece:
            session.screen.feed(rest)
            session.is_read = True
            return
        session.raw += piece
        rest += decoder.decode(piece)
        cut = rest.rfind("\x1b")
        if cut < 0 or len(rest) - cut > LONGEST_SEQUENCE:
            cut = len(rest)  # else it may be the beginning of a sequence that is cut in two
        session.screen.feed(rest[:cut])
        rest = rest[cut:]
