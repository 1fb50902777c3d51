"""Run between fork and Postgres, as a script of its own: ``launch.py PARENT UID GID PROGRAM ARGS...``.

It leaves the terminal's process group (so that Ctrl-C reaches only the indexer), drops to UID, asks the
kernel for SIGINT, Postgres' fast shutdown, when the parent dies, and becomes PROGRAM. It imports nothing
of the indexer: it runs isolated and without site-packages, and starts in milliseconds. A ``preexec_fn``
could do the same, but is not safe in a process that has threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, uid: int, gid: int, command: list[str]) -> None:
    """Become ``command``; returns only by raising OSError.

    :raises SystemExit: the parent died before the kernel was asked to watch it.
    """
    os.setsid()
    os.umask(0o077)
    if uid != os.geteuid():
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        # After setuid, which would clear it again.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)
    if os.getppid() != parent:
        sys.exit("the parent is gone")
    os.execv(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
