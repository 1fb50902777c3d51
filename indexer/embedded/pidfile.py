"""What ``postmaster.pid`` tells of the server that a data folder has, or had.

Process ids are reused, above all in containers, where the same few recur at every start: whether the
process is ours is read from its command line, which holds the data folder, never from the id alone.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from indexer.embedded.place import Place


@dataclass(frozen=True, slots=True)
class PidFile:
    """Line 1 is the process, line 4 the port; absent or unfinished lines are None."""

    pid: int | None
    port: int | None

    @classmethod
    def read(cls, place: Place) -> PidFile:
        """The file as it is now."""
        try:
            lines = (place.cluster / "postmaster.pid").read_text(encoding="utf-8", errors="replace").split("\n")
        except FileNotFoundError:
            return cls(None, None)
        numbers = [int(lines[n]) if n < len(lines) - 1 and lines[n].isdecimal() else None for n in (0, 3)]
        return cls(numbers[0], numbers[1])

    def is_ours(self, place: Place) -> bool:
        """Whether the process lives and is a Postgres on this place's data."""
        if self.pid is None:
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        try:
            command = Path(f"/proc/{self.pid}/cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            return not Path("/proc/self").exists()  # no /proc: take the file's word
        return os.fsencode(place.cluster) in command


def disown(place: Place) -> None:
    """Make a stale ``postmaster.pid`` name this process.

    Postgres refuses to start if the process it names lives, unless that is its own parent; so a reused
    process id cannot block the start. The rest of the file stays: Postgres finds in it whether backends
    of the dead server still hold its shared memory, and then refuses rightly. A file that names nobody, as
    a server leaves it that is killed while it writes there, would block the start for ever: it is removed.
    """
    path = place.cluster / "postmaster.pid"
    lines = path.read_text(encoding="utf-8").split("\n")
    if not lines[0].isdecimal():
        path.unlink()
        return
    path.write_text("\n".join([str(os.getpid()), *lines[1:]]), encoding="utf-8")
