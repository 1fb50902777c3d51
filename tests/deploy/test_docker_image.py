"""The image that the Dockerfile makes: all of the project is in it, and it runs as nobody on a read-only root.

One story, as making the image is what takes the time. Docker itself and the base image are not here: see ``image``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from image import Container, Image, Pod, build, cannot_run, pod

REPOSITORY = Path(__file__).resolve().parents[2]
DOCKERFILE = REPOSITORY / "deploy" / "docker" / "Dockerfile"

KEEP_POSTGRES = """
import anyio, pathlib
from indexer import embedded
async def keep():
    async with embedded.postgres(pathlib.Path('/data')) as url:
        print('url=' + url + ';', flush=True)
        await anyio.sleep_forever()
anyio.run(keep)
"""


@pytest.mark.timeout(400)
def test_the_image_indexes_as_nobody_on_a_read_only_root_and_stops_on_sigterm(tmp_path: Path) -> None:
    if (reason := cannot_run()) is not None:
        pytest.skip(reason)
    package_index = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    image = build(DOCKERFILE, REPOSITORY, tmp_path, package_index)
    assert_holds_all_of_the_project(image)
    volume = fresh_volume(image, "/data", tmp_path)
    with pod() as containers:
        assert containers.execute(image, image.health)[0] != 0, "healthy without an indexer"
        node = containers.start(image, ["devchain", "--block-time", "0.5"])
        node.until(lambda: "serving on" in node.output(), "a node")
        assert_sees_a_closed_root(containers, image)
        first = runs_with_its_own_postgres(containers, image, volume)
        runs_on_another_database_without_a_volume(containers, image, volume, first)
    assert not [link for link in Path("/proc").glob("[0-9]*/root") if leads_into(link, image)], "left behind"


def leads_into(link: Path, image: Image) -> bool:
    """Whether a process has its root in a folder of the image's."""
    try:
        return str(image.layer.parent) in os.readlink(link)
    except OSError:  # it has just ended
        return False


def runs_with_its_own_postgres(containers: Pod, image: Image, volume: Path) -> int:
    """`docker run` with a volume and no database: the last committed block."""
    settings = {"INDEXER_NETWORK": "ws://127.0.0.1:9944", "INDEXER_START": "genesis"}
    indexer = containers.start(image, env=settings, volumes={"/data": volume})
    return follow_and_stop(containers, image, indexer, at_least=1)


def runs_on_another_database_without_a_volume(containers: Pod, image: Image, volume: Path, first: int) -> None:
    """The same as under compose or Kubernetes: nothing but /tmp can be written."""
    database = containers.start(image, [KEEP_POSTGRES], entrypoint=["python", "-c"], volumes={"/data": volume})
    database.until(lambda: "url=" in database.output(), "a database")
    url = database.output().partition("url=")[2].partition(";")[0]
    settings = {"INDEXER_NETWORK": "ws://127.0.0.1:9944", "INDEXER_DATABASE_URL": url}
    before = committed(containers, image, url)
    assert before >= first, "a block was lost by the stop"
    indexer = containers.start(image, env=settings)
    last = follow_and_stop(containers, image, indexer, at_least=before + 1)
    assert committed(containers, image, url) >= last, "a block was lost by the stop"


def follow_and_stop(containers: Pod, image: Image, indexer: Container, *, at_least: int) -> int:
    """Wait for a block, ask for health as Docker does, stop as Docker does; a block that was committed."""
    indexer.until(lambda: metric(containers, image, "indexer_committed_block") >= at_least, f"block {at_least}")
    last = int(metric(containers, image, "indexer_committed_block"))
    health = containers.execute(image, image.health)
    assert health[0] == 0, health[1]
    assert indexer.stop() == 0, indexer.output()
    events = [json.loads(line) for line in indexer.output().splitlines()]
    assert events[-1]["event"] == "stopped", indexer.output()
    return last


def metric(containers: Pod, image: Image, name: str) -> float:
    """The value of a metric without labels; -1 if there is none yet."""
    code = "import http.client as h; c = h.HTTPConnection('127.0.0.1', 9477); c.request('GET', '/metrics'); "
    words = ["python", "-c", code + "print(c.getresponse().read().decode())"]
    lines = containers.execute(image, words)[1].splitlines()
    return next((float(line.split()[1]) for line in lines if line.startswith(f"{name} ")), -1.0)


def committed(containers: Pod, image: Image, url: str) -> int:
    """The last block in the database, as `indexer status` of the image tells."""
    code, out = containers.execute(image, ["indexer", "status", "--json"], {"INDEXER_DATABASE_URL": url})
    assert code == 0, out
    return max(int(row["committed_block"]) for row in json.loads(out)["datasets"])


def assert_sees_a_closed_root(containers: Pod, image: Image) -> None:
    """What the container promises, asked from inside: not root, no capability, nothing to write but /tmp."""
    script = (
        "id -u; grep CapEff /proc/self/status; touch /tmp/x && echo tmp; touch ./x; touch /opt/venv/x; touch $HOME/x"
    )
    _, out = containers.execute(image, ["sh", "-c", script])
    lines = out.splitlines()
    assert lines[:3] == ["10001", "CapEff:\t0000000000000000", "tmp"], out
    refused = [line for line in lines[3:] if line.startswith("touch: ")]
    assert len(refused) == len(lines[3:]) == 3, out


def assert_holds_all_of_the_project(image: Image) -> None:
    """Every file of the packages that the repository tracks is installed: code, migrations and their SQL."""
    (site,) = image.inside("/opt/venv/lib").glob("python3*/site-packages")
    installed = {
        str(path.relative_to(site))
        for package in ("indexer", "migrations")
        for path in (site / package).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    listed = subprocess.run(
        ["git", "ls-files", "indexer", "migrations"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    tracked = set(listed.stdout.split())
    documents = {name for name in tracked if name.endswith(".md")}  # for readers; `indexer schema` prints it anew
    assert installed == tracked - documents
    assert sum(name.endswith(".sql") for name in installed) > 0
    assert not list(site.glob("pip*")), "pip is not needed in the image"
    assert not list(site.glob("setuptools*")), "setuptools is not needed in the image"


def fresh_volume(image: Image, path: str, folder: Path) -> Path:
    """A new named volume as Docker makes it: with the owner and mode of the image's folder."""
    template = image.inside(path)
    volume = folder / "volume"
    shutil.copytree(template, volume)
    os.chown(volume, template.stat().st_uid, template.stat().st_gid)
    return volume
