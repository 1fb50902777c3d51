"""Executes one block: initialize, the chain's own work, extrinsics, finalize. State in, body out.

Deterministic and free of I/O: the same parent state, runtime and calls give the same block, byte for
byte. Mirrors ``frame_executive``: the runtime found in the parent's state runs the block, migrations
come first, a failed call loses its writes and events but pays its fee.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from indexer.devchain import accounts, emission, migrations
from indexer.devchain.accounts import DispatchFailed
from indexer.devchain.blocks import CODE_KEY, RUNTIME_UPDATED, Body, aura_slot
from indexer.devchain.calls import Origin, dispatch
from indexer.devchain.ledger import Ledger
from indexer.devchain.pallets_substrate import BLOCK_HASH_COUNT
from indexer.devchain.runtimes import RuntimeDeclaration
from indexer.devchain.scale_encode import u64
from indexer.devchain.state import State
from indexer.model import Header

FEE_RAO = 124_000
_NORMAL = {"weight": {"ref_time": 150_000_000, "proof_size": 3_593}, "class": "Normal", "pays_fee": "Yes"}
_MANDATORY = {"weight": {"ref_time": 130_000_000, "proof_size": 1_493}, "class": "Mandatory", "pays_fee": "Yes"}


@dataclass(frozen=True, slots=True)
class SignedCall:
    """A call somebody signs: ``{pallet: {name: arguments}}`` in decoded form."""

    signer: bytes
    call: dict[str, Any]


@dataclass(frozen=True, slots=True)
class BlockTime:
    """When a block was made and by whom."""

    now_ms: int
    slot: int
    author: bytes


class _Block:
    """Events of a block under execution, each with the phase it fell in."""

    def __init__(self, runtime: RuntimeDeclaration) -> None:
        self.runtime = runtime
        self.phase: Any = "Initialization"
        self.events: list[Any] = []

    def emit(self, pallet: str, name: str, *values: Any, **fields: Any) -> None:
        """Record an event; one unnamed value stands for itself."""
        payload: Any = fields or (values[0] if len(values) == 1 else values)
        event = {pallet: {name: payload} if fields or values else name}
        self.events.append({"phase": self.phase, "event": event, "topics": []})


def execute(
    runtime: RuntimeDeclaration,
    parent: Header,
    state: State,
    time: BlockTime,
    calls: Sequence[SignedCall],
    *,
    emits: bool = True,
) -> Body:
    """The block after ``parent`` with a timestamp and then ``calls``; ``emits`` off leaves emission out."""
    ledger, block = Ledger(runtime, state), _Block(runtime)
    number = parent.ref.number + 1
    digest: list[bytes] = [aura_slot(time.slot)]
    _initialize(ledger, parent, number, time)
    migrations.run_if_upgraded(ledger, block.emit, number)
    if emits:
        emission.run(ledger, block.emit, number)
    extrinsics = [runtime.unsigned("Timestamp", "set", now=time.now_ms)]
    block.phase = {"ApplyExtrinsic": 0}
    ledger.put("Timestamp.Now", value=time.now_ms)
    block.emit("System", "ExtrinsicSuccess", dispatch_info=_MANDATORY)
    for signed in calls:
        block.phase = {"ApplyExtrinsic": len(extrinsics)}
        raw = _apply(ledger, block, signed, time.author)
        if raw is not None:
            extrinsics.append(raw)
    block.phase = "Finalization"
    migrations.idle(ledger, number)
    changes = ledger.changes()
    if CODE_KEY in changes:
        digest.append(RUNTIME_UPDATED)
    ledger.put("System.Digest", value=[_decoded_digest(item, time) for item in digest])
    ledger.put("System.Events", value=block.events)
    ledger.put("System.EventCount", value=len(block.events))
    return Body(ledger.changes(), tuple(extrinsics), tuple(digest))


def _initialize(ledger: Ledger, parent: Header, number: int, time: BlockTime) -> None:
    ledger.put("System.Number", value=number)
    ledger.put("System.ParentHash", value=parent.ref.hash)
    ledger.put("System.BlockHash", number - 1, value=parent.ref.hash)
    if number > BLOCK_HASH_COUNT:
        ledger.remove("System.BlockHash", number - 1 - BLOCK_HASH_COUNT)
    ledger.put("Aura.CurrentSlot", value=time.slot)


def _apply(ledger: Ledger, block: _Block, signed: SignedCall, author: bytes) -> bytes | None:
    """Apply one signed call; its extrinsic, or None if the signer cannot pay: such a one is no part of a block."""
    nonce = ledger.get("System.Account", signed.signer)["nonce"]
    before, told = ledger.snapshot(), len(block.events)
    try:
        accounts.charge_fee(ledger, block.emit, signed.signer, author, FEE_RAO)
    except DispatchFailed:
        ledger.restore(before)
        return None
    before, told = ledger.snapshot(), len(block.events)
    outcome: tuple[str, dict[str, Any]] = ("ExtrinsicSuccess", {"dispatch_info": _NORMAL})
    try:
        dispatch(Origin(ledger, block.emit, signed.signer), signed.call)
    except DispatchFailed as failed:
        ledger.restore(before)
        del block.events[told:]
        outcome = ("ExtrinsicFailed", {"dispatch_error": failed.error, "dispatch_info": _NORMAL})
    block.emit("TransactionPayment", "TransactionFeePaid", who=signed.signer, actual_fee=FEE_RAO, tip=0)
    block.emit("System", outcome[0], **outcome[1])
    encoded = ledger.runtime.call.encode(signed.call)
    return ledger.runtime.signed(signed.signer, nonce, signed.signer + signed.signer, encoded)


def _decoded_digest(item: bytes, time: BlockTime) -> Any:
    return "RuntimeEnvironmentUpdated" if item == RUNTIME_UPDATED else {"PreRuntime": (b"aura", u64(time.slot))}
