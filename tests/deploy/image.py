"""Carries out our Dockerfile without Docker: this machine's root under an overlay stands in for the base image.

Each stage is an overlay, each RUN a chroot into it; a container is a read-only overlay with namespaces of its own for
mounts, processes and, in a pod, the network. Needs root and the right to mount. What it cannot show is the base image.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dockerfile import Instruction, assignments, context_files, expand, option, stages

INTERPRETER = Path(sys.executable).resolve()
BASE_PATH = f"{INTERPRETER.parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
STEP_TIMEOUT_S = 300.0
POLL_S = 1.0


@dataclass(slots=True)
class Image:
    """A stage: what it adds to the machine's root, and how its container is started."""

    layer: Path
    scratch: Path
    hidden: Path
    """A folder of this machine that no stage may see: the repository itself."""
    env: dict[str, str] = field(default_factory=lambda: {"PATH": BASE_PATH})
    arguments: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    user: str = "0:0"
    volumes: list[str] = field(default_factory=list)
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)
    stop_signal: str = "SIGTERM"

    def inside(self, path: str) -> Path:
        """Where the stage keeps what it has written at ``path``."""
        return self.layer / path.lstrip("/")


def cannot_run() -> str | None:
    """Why images cannot be made here; None if they can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "needs root on Linux: it mounts"
    tried = subprocess.run(
        ["unshare", "--mount", "--pid", "--net", "--fork", "sh", "-c", "mount -t overlay o -o lowerdir=/etc:/usr /mnt"],
        capture_output=True,
        text=True,
        check=False,
    )
    return None if tried.returncode == 0 else f"may not mount an overlay here: {tried.stderr.strip()}"


def build(dockerfile: Path, context: Path, folder: Path, build_env: Mapping[str, str]) -> Image:
    """The last stage of the Dockerfile. ``build_env``: this machine's way to its package index, for RUN alone."""
    ignore = (context / ".dockerignore").read_text(encoding="utf-8")
    arguments, found = stages(dockerfile.read_text(encoding="utf-8"))
    named: dict[str, Image] = {}
    image: Image | None = None
    for number, steps in enumerate(found):
        source, _, name = steps[0].rest.partition(" AS ")
        assert expand(source, arguments) == arguments["BASE"]
        image = _base(folder / f"stage{number}", context)
        named[name] = image
        for step in steps[1:]:
            _carry_out(step, image, named, context, ignore, build_env)
    assert image is not None
    return image


def _base(folder: Path, hidden: Path) -> Image:
    image = Image(folder / "layer", folder / "scratch", hidden)
    for path in (image.layer, image.scratch, folder / "work", folder / "root"):
        path.mkdir(parents=True)
    image.scratch.chmod(0o1777)
    # The interpreter may lie in root's closed home: in the image, as in the real base, anybody may start it.
    _run_in(image, f"chmod o+rx {' '.join(shlex.quote(str(p)) for p in list(INTERPRETER.parents)[:-1])}", {})
    return image


def _carry_out(
    step: Instruction,
    image: Image,
    named: Mapping[str, Image],
    context: Path,
    ignore: str,
    build_env: Mapping[str, str],
) -> None:
    variables = image.arguments | image.env
    match step.name:
        case "ARG":
            image.arguments |= assignments(step.rest)
        case "ENV":
            image.env |= {name: expand(value, variables) for name, value in assignments(step.rest).items()}
        case "LABEL":
            image.labels |= {name: expand(value, variables) for name, value in assignments(step.rest).items()}
        case "WORKDIR":
            image.workdir = step.rest
            image.inside(step.rest).mkdir(parents=True, exist_ok=True)
        case "USER":
            image.user = step.rest
        case "VOLUME":
            image.volumes.append(step.rest)
        case "EXPOSE":
            pass
        case "STOPSIGNAL":
            image.stop_signal = step.rest
        case "ENTRYPOINT":
            image.entrypoint = step.words()
        case "CMD":
            image.command = step.words()
        case "HEALTHCHECK":
            image.health = Instruction("CMD", step.rest.partition("CMD ")[2]).words()
        case "COPY":
            _copy(step, image, named, context, ignore)
        case "RUN":
            _run_in(image, step.rest, {**image.env, **build_env})


def _copy(step: Instruction, image: Image, named: Mapping[str, Image], context: Path, ignore: str) -> None:
    stage = option(step.rest, "from")
    *sources, target = [word for word in step.words() if not word.startswith("--")]
    for source in sources:
        if stage is not None:
            shutil.copytree(named[stage].inside(source), image.inside(target), symlinks=True)
            continue
        files = context_files(context, ignore, source)
        assert files, f"COPY {source}: .dockerignore keeps it from the builder"
        into = image.inside(os.path.join(image.workdir, target))
        for file in files:
            to = into / (file.name if (context / source).is_file() else file.relative_to(source))
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(context / file, to)


def _mounts(image: Image, overlay: str, more: Sequence[str] = ()) -> str:
    """A shell line that mounts the image's root; ``$root`` is where."""
    root = image.layer.parent / "root"
    hidden = f"{root}{image.hidden}"
    return " && ".join(
        [
            f"root={root}",
            f"mount -t overlay overlay -o {overlay} $root",
            "mount -t proc proc $root/proc",
            "mount --rbind /dev $root/dev",
            f"mount -t tmpfs tmpfs {hidden}",
            *more,
        ]
    )


def _run_in(image: Image, command: str, env: Mapping[str, str]) -> None:
    """One RUN: as root, in the stage's own overlay, with the stage's own /tmp."""
    parent = image.layer.parent
    overlay = f"lowerdir=/,upperdir={image.layer},workdir={parent / 'work'}"
    mounts = _mounts(image, overlay, [f"mount --bind {image.scratch} $root/tmp"])
    variables = shlex.join(f"{name}={value}" for name, value in {"PATH": BASE_PATH, "HOME": "/root", **env}.items())
    inner = shlex.quote(f"cd {image.workdir} && {command}")
    script = f"{mounts} && exec chroot $root env -i {variables} sh -c {inner}"
    done = subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script],
        capture_output=True,
        text=True,
        timeout=STEP_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, f"RUN {command}\n{done.stdout}\n{done.stderr}"


@contextmanager
def pod() -> Iterator[Pod]:
    """A network of its own that containers share, as in a Kubernetes pod; all end with it."""
    script = "ip link set lo up && echo up && exec sleep infinity"
    holder = subprocess.Popen(["unshare", "--net", "sh", "-c", script], stdout=subprocess.PIPE, text=True)
    made = Pod(holder.pid)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "up\n", "no loopback device"
        yield made
    finally:
        for container in made.containers:
            container.kill()
        holder.kill()
        holder.wait()
        if holder.stdout is not None:
            holder.stdout.close()


@dataclass(slots=True)
class Pod:
    """Containers on one loopback device."""

    pid: int
    containers: list[Container] = field(default_factory=list)

    def start(
        self,
        image: Image,
        arguments: Sequence[str] | None = None,
        env: Mapping[str, str] | None = None,
        *,
        volumes: Mapping[str, Path] | None = None,
        entrypoint: Sequence[str] | None = None,
    ) -> Container:
        """A container with a read-only root, a small /tmp, no capability, and these volumes."""
        parent = image.layer.parent
        # One of its own: a mount empties its workdir, so two that began at once took it from each other.
        work = parent / f"work{len(self.containers)}"
        work.mkdir()
        mounts = _mounts(
            image,
            f"ro,lowerdir=/,upperdir={image.layer},workdir={work}",
            [
                "mount -t tmpfs -o size=64m,mode=1777,nosuid,nodev,noexec tmpfs $root/tmp",
                *(f"mount --bind {source} $root{target}" for target, source in (volumes or {}).items()),
            ],
        )
        uid, gid = image.user.split(":")
        variables = {**image.env, "HOME": "/nonexistent", **(env or {})}
        words = [*(entrypoint or image.entrypoint), *(image.command if arguments is None else arguments)]
        started = shlex.join(
            ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--no-new-privs"]
            + ["--bounding-set=-all", "--inh-caps=-all", "env", "-i", f"--chdir={image.workdir}"]
            + [f"{name}={value}" for name, value in variables.items()]
            + words
        )
        entered = ["nsenter", f"--net=/proc/{self.pid}/ns/net"]
        entered += ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
        log = parent / f"container{len(self.containers)}.log"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                [*entered, "sh", "-c", f"{mounts} && exec chroot $root {started}"],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
            )
        container = Container(process, log, image.stop_signal)
        self.containers.append(container)
        return container

    def execute(self, image: Image, words: Sequence[str], env: Mapping[str, str] | None = None) -> tuple[int, str]:
        """A command in a container of its own beside the others: its exit code and output."""
        container = self.start(image, words[1:], env, entrypoint=words[:1])
        return container.wait(), container.output()


@dataclass(slots=True)
class Container:
    """A started container."""

    process: subprocess.Popen[bytes]
    log: Path
    stop_signal: str

    def output(self) -> str:
        """All it has printed."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait(self, timeout_s: float = 90.0) -> int:
        """Its exit code."""
        return self.process.wait(timeout_s)

    def stop(self) -> int:
        """What `docker stop` does: the image's stop signal to process 1; gives its exit code."""
        (first,) = self._first()
        os.kill(first, signal.Signals[self.stop_signal])
        return self.wait()

    def kill(self) -> None:
        """End it, and all in it."""
        if self.process.poll() is None:
            first = self._first()  # not left to --kill-child: that is forgotten with the change of the user
            for pid in first:
                os.kill(pid, signal.SIGKILL)  # and all others in there with it; unshare ends after it
            if not first:
                self.process.kill()
        self.process.wait()

    def _first(self) -> list[int]:
        """Process 1 of the container, as it is called out here; none before it is there."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text(encoding="ascii").split()]

    def until(self, true: Callable[[], bool], what: str, within_s: float = 90.0) -> None:
        """Wait for something while the container lives; what it printed is in the error."""
        give_up_at = time.monotonic() + within_s
        while not true():
            assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.output()}"
            assert time.monotonic() < give_up_at, f"{what}: not within {within_s} s\n{self.output()}"
            time.sleep(POLL_S)
