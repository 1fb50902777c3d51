"""The plan of a seed: what the chain does, who fails and how, all of it chosen before anything begins.

Owns choices and nothing that acts: ``plan_of`` is pure, so a seed means the same on any machine, and what
a set of seeds will meet can be read from their plans. ``story`` lives through a plan.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, fields, replace
from typing import Literal

DEPTH_MAX = 40
CHAIN = ("fork", "stall", "upgrade")
BESIDE = ("lagging", "other_chain", "pruned", "liar", "mute")
PROXIED = ("cut", "hung", "refused")
DATABASE = ("killed", "ended", "full", "locked", "read_only", *PROXIED)
SHOCKS = ("links_dropped", "restart", "kill_9", "sigstop", "clock_jump")


@dataclass(frozen=True, slots=True)
class Rates:
    """How often a request to the first-rate node meets each fault, from 0 to 1."""

    drop: float = 0.0
    delay: float = 0.0
    refuse: float = 0.0
    silence: float = 0.0
    lie: float = 0.0
    forget: float = 0.0
    """Block hashes the node says it does not have (another server behind the same address lags)."""


NODE = tuple(rate.name for rate in fields(Rates))
EVERY_FAULT = frozenset((*CHAIN, *NODE, *BESIDE, *DATABASE, *SHOCKS))


@dataclass(frozen=True, slots=True)
class Beside:
    """A further endpoint, bad in one way from beginning to end."""

    kind: str
    first: bool
    """Whether it is configured before the good one."""
    blocks: int
    """By how many it lags, or how many final states it keeps."""


@dataclass(frozen=True, slots=True)
class Fork:
    """Another branch from ``at``, longer than the best one."""

    at: int
    length: int
    salt: int
    depth: int
    """Blocks of the best chain that it replaces."""


@dataclass(frozen=True, slots=True)
class Step:
    """Wait, let something happen, let the chain go on."""

    pause_s: float | None
    """None: wait until the database is level with the chain."""
    shock: str | None = None
    outage: str | None = None
    """What the database suffers while the chain goes on, and ``lasts_s`` beyond."""
    lasts_s: float = 0.0
    clock_s: float = 0.0
    """By how much the wall clock jumps."""
    move: Fork | int = 1
    """A fork, or the number of blocks that the best chain grows by."""
    finalize: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole story of a seed."""

    seed: int
    follow: Literal["best", "finalized"]
    writer: Literal["task", "process"]
    """Whether the indexer lives in the test's process or in one of its own, which can be killed."""
    workers: int
    batch: int
    window: int
    upgrade_at: int | None
    stalled: bool
    """Nothing is finalized until the end."""
    begun: int
    """Blocks before the indexer starts, and how many of them are final."""
    begun_final: int
    rates: Rates
    beside: Beside | None
    archive: bool
    """Whether the good endpoint is given as the archive instead, where the one beside it is pruned."""
    steps: tuple[Step, ...]

    @property
    def faults(self) -> frozenset[str]:
        """The name of everything that happens, see ``EVERY_FAULT``."""
        found = {kind for kind in NODE if getattr(self.rates, kind)}
        found |= {step.shock for step in self.steps if step.shock and step.shock != "sigcont"}
        found |= {step.outage for step in self.steps if step.outage}
        if self.beside is not None:
            found.add(self.beside.kind)
        held = {"fork": self.deepest, "stall": self.stalled, "upgrade": self.upgrade_at is not None}
        return frozenset(found | {kind for kind, happens in held.items() if happens})

    @property
    def deepest(self) -> int:
        """Depth of the deepest fork."""
        return max((step.move.depth for step in self.steps if isinstance(step.move, Fork)), default=0)


@dataclass
class _Heights:
    """Where the chain stands while its plan is made."""

    best: int
    final: int


def plan_of(seed: int) -> Plan:
    """The plan of ``seed``."""
    chance = random.Random(f"plan {seed}")
    shape = chance.choices(["short", "deep", "stalled"], [87, 9, 4])[0]
    mishap = chance.choices([None, "kill_9", "sigstop"], [92, 6, 2])[0]
    depth = min(DEPTH_MAX, chance.randint(13, DEPTH_MAX + 6)) if shape == "deep" else 0
    begun = depth + chance.randint(0 if depth else 2, 8)
    begun_final = 0 if shape == "stalled" else chance.randint(0, begun - depth)
    heights = _Heights(begun, begun_final)
    steps = [_fork(chance, heights, depth)] if depth else []
    count = chance.randint(0, 2) if depth else chance.randint(2, 5)
    steps += [_step(chance, heights, stalled=shape == "stalled") for _ in range(count)]
    steps = _befall(chance, heights, steps, mishap) if mishap else [_shaken(chance, step) for step in steps]
    if chance.random() < 0.2:
        steps = _with_outages(chance, steps, DATABASE if mishap is None else ("killed", "ended", "full"))
    beside = _beside(chance) if chance.random() < 0.25 else None
    return Plan(
        seed=seed,
        follow="best" if shape != "short" else chance.choice(["best", "finalized"]),
        writer="task" if mishap is None else "process",
        workers=chance.choice([1, 2, 6]),
        batch=chance.choice([1, 3, 50]),
        window=chance.choice([8, 64]),
        upgrade_at=_upgrade_at(chance, heights.best, steps) if chance.random() < 0.65 else None,
        stalled=shape == "stalled",
        begun=begun,
        begun_final=begun_final,
        rates=_rates(chance, seed, lies=beside is None),
        beside=beside,
        archive=beside is not None and beside.kind == "pruned" and chance.random() < 0.5,
        steps=tuple(steps),
    )


def _step(chance: random.Random, heights: _Heights, *, stalled: bool) -> Step:
    """A short way on: some blocks more, or another branch."""
    if chance.random() < 0.5:
        grown = chance.randint(10, 20) if stalled else chance.randint(1, 5)
        heights.best += grown
        step = Step(pause_s=_pause(chance), move=grown)
    else:
        step = _fork(chance, heights, chance.randint(0, min(12, heights.best - heights.final)))
    if not stalled and chance.random() < 0.5:
        heights.final = chance.randint(heights.final, heights.best)
        step = replace(step, finalize=heights.final)
    return step


def _fork(chance: random.Random, heights: _Heights, depth: int) -> Step:
    """A branch that takes ``depth`` blocks back; a deep one comes when they are indexed."""
    fork = Fork(heights.best - depth, depth + chance.randint(1, 3), chance.randint(1, 1 << 30), depth)
    heights.best = fork.at + fork.length
    return Step(pause_s=None if depth > 12 else _pause(chance), move=fork)


def _pause(chance: random.Random) -> float | None:
    return None if chance.random() < 0.35 else chance.random() * 0.3


def _shaken(chance: random.Random, step: Step) -> Step:
    """What may happen to an indexer in this process."""
    shock = chance.choices([None, "links_dropped", "restart", "clock_jump"], [74, 12, 8, 6])[0]
    jump_s = chance.choice([-1, 1]) * chance.choice([30.0, 3600.0, 86_400.0 * 400])
    return replace(step, shock=shock, clock_s=jump_s if shock == "clock_jump" else 0.0)


def _befall(chance: random.Random, heights: _Heights, steps: list[Step], mishap: str) -> list[Step]:
    """What may happen to a process: killed again and again, or suspended, replaced and woken."""
    while len(steps) < 3:
        steps = [*steps, _step(chance, heights, stalled=False)]
    if mishap == "kill_9":
        return [
            replace(step, shock="kill_9") if chance.random() < 0.6 or not at else step for at, step in enumerate(steps)
        ]
    shocks = ["sigstop", *(None for _ in steps[2:]), "sigcont"]
    return [replace(step, shock=shock, pause_s=None) for step, shock in zip(steps, shocks, strict=True)]


def _with_outages(chance: random.Random, steps: list[Step], kinds: tuple[str, ...]) -> list[Step]:
    """One or two steps with a database at fault. Never the first contact: a new set-up is given up soon."""
    hit = chance.sample(range(len(steps)), k=min(len(steps), chance.randint(1, 2)))
    told = []
    for at, step in enumerate(steps):
        if at in hit and step.shock not in ("sigstop", "sigcont"):
            lasts_s = chance.uniform(0.1, 1.5)
            step = replace(step, outage=chance.choice(kinds), lasts_s=lasts_s, pause_s=None if not at else step.pause_s)
        told.append(replace(step, pause_s=None) if at == 0 else step)
    return told


def _beside(chance: random.Random) -> Beside:
    kind = chance.choice(BESIDE)
    return Beside(kind, chance.random() < 0.6, chance.randint(5, 20) if kind == "lagging" else chance.randint(2, 8))


def _upgrade_at(chance: random.Random, top: int, steps: list[Step]) -> int:
    """Any height, and as often one that a fork replaces."""
    spans = [(step.move.at, step.move.at + step.move.length) for step in steps if isinstance(step.move, Fork)]
    if spans and chance.random() < 0.5:
        low, high = chance.choice(spans)
        return chance.randint(max(1, low), high)
    return chance.randint(1, top)


def _rates(chance: random.Random, seed: int, *, lies: bool) -> Rates:
    """Most seeds mix all faults thinly; every fifth has much of a single one.

    No lies where the node has to be the good one: whoever lies is left alone for an hour.
    """
    thin = {"drop": 0.02, "delay": 0.05, "refuse": 0.02, "silence": 0.005, "lie": 0.02, "forget": 0.02}
    if seed % 5 == 0:
        heavy = chance.choice([kind for kind in NODE if lies or kind != "lie"])
        return Rates(**{heavy: 0.03 if heavy == "silence" else 0.1})
    return Rates(**{kind: chance.random() * most for kind, most in thin.items() if lies or kind != "lie"})
