"""How far back an endpoint holds the state of blocks: steps that double, then bisection.

Knows heights alone; whether the state at one can be read is asked of its caller. An archive node costs
one question, a pruning one some twenty.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

FIRST_STEP = 32
"""Blocks of the first step back; a pruning node keeps 256 states by default."""


@dataclass(frozen=True, slots=True)
class Horizon:
    """The first height whose state can be read, as can that of all later ones."""

    oldest: int
    is_uneven: bool
    """Whether the same height was answered in two ways."""


async def find(has_state: Callable[[int], Awaitable[bool]], head: int) -> Horizon | None:
    """The horizon below ``head``; None if not even the head's state can be read.

    Exact if the node holds every state above the horizon. One that prunes meanwhile is off by the blocks it
    has pruned. Block 0 alone says nothing: some nodes keep its state whatever they prune.
    """
    if not await has_state(head):
        return None
    if head == 0 or await has_state(1):
        return Horizon(0 if head == 0 or await has_state(0) else 1, False)
    held, lost, step = head, 1, FIRST_STEP
    while held - step > 1:
        at = held - step
        if not await has_state(at):
            lost = at
            break
        held, step = at, step * 2
    while held - lost > 1:
        middle = (held + lost) // 2
        if await has_state(middle):
            held = middle
        else:
            lost = middle
    return Horizon(held, await has_state(lost))
