"""Decode: values recorded from the main network's runtimes, against scalecodec, which most of Python's tools use.

Both load the metadata once, keep every decoder that they have made, and give the same values: looked at before
anything is timed. scalecodec is driven as its users do, one object for each type. Events are read on our side as the
indexer reads them, to ``EventRecord``; the same block as dicts in dicts is told beside it. The values are data, kept
beside the repository (../shared/data): without them there are no figures.
"""

from __future__ import annotations

import gc
import gzip
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from measuring import Case, Effort, Figure, Goal, in_turns
from scalecodec.base import ScaleBytes
from scalecodec_oracle import Oracle, as_v14, plain_of_ours

from indexer.model import ItemRef
from indexer.scale import Runtime
from indexer.scale.events import plain_records

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
EVENTS, ACCOUNT = ItemRef("System", "Events"), ItemRef("System", "Account")

ON_EVENTS = Goal(150.0, "at least")
ON_THE_REST = Goal(50.0, "at least")
OURS_TIMES = 20


def recorded(effort: Effort) -> list[Figure]:
    """Event vectors, AccountInfo, results of runtime APIs; in the short form a part of each."""
    if not DATA.is_dir():
        print(f"decode: no figures, the recorded values are not there ({DATA})")
        return []
    v14, v15 = (_metadata(f"spec343.v{version}.scale") for version in (14, 15))
    runtime, oracle = Runtime.from_metadata(v14), Oracle(v14)
    events, accounts = runtime.item(EVENTS), runtime.item(ACCOUNT)
    assert events is not None
    assert accounts is not None
    figures = [
        _events("one block of 152 events", effort, runtime, oracle, events.value_type, [_block()]),
        _events("events, each alone", effort, runtime, oracle, events.value_type, _fuzzed(effort)),
        _one_type("the block as nested values", None, effort, runtime, oracle, events.value_type, [_block()]),
        _one_type("AccountInfo", ON_THE_REST, effort, runtime, oracle, accounts.value_type, _accounts(effort)),
        *_api_results(effort, v15),
        _first_block(effort, v14, v15),
    ]
    gc.unfreeze()
    return figures


def _events(name: str, effort: Effort, runtime: Runtime, oracle: Oracle, type_id: int, raws: Sequence[bytes]) -> Figure:
    """Each of ``raws`` as a list of event records."""
    for raw in raws:
        assert plain_of_ours(plain_records(runtime.decode_events(raw))) == oracle.decode(type_id, raw)
    return _timed(name, ON_EVENTS, effort, runtime.decode_events, _reused(oracle, type_id), raws)


def _one_type(
    name: str, goal: Goal | None, effort: Effort, runtime: Runtime, oracle: Oracle, type_id: int, raws: Sequence[bytes]
) -> Figure:
    """All of ``raws`` as values of one type, by each of the two."""
    for raw in raws:
        assert plain_of_ours(runtime.decode_type(type_id, raw)) == oracle.decode(type_id, raw)
    return _timed(name, goal, effort, partial(runtime.codec.decode, type_id), _reused(oracle, type_id), raws)


def _timed(
    name: str,
    goal: Goal | None,
    effort: Effort,
    decode: Callable[[bytes], Any],
    theirs: Callable[[bytes], Any],
    raws: Sequence[bytes],
) -> Figure:
    gc.freeze()  # scalecodec's metadata are a million objects: not to be looked over again before each turn

    def ours() -> None:
        for raw in raws:
            decode(raw)

    def against() -> None:
        for raw in raws:
            theirs(raw)

    return in_turns(
        name, goal, effort, ours, against, ours_times=OURS_TIMES, values=len(raws), bytes=sum(map(len, raws))
    )


def _reused(oracle: Oracle, type_id: int) -> Callable[[bytes], Any]:
    """A decoder of scalecodec's for one type: the object that its users keep."""
    kept = oracle.configuration.create_scale_object(f"scale_info::{type_id}")
    return lambda raw: kept.decode(ScaleBytes(raw))


def _api_results(effort: Effort, v15: bytes) -> list[Figure]:
    """What runtime APIs answered; that of an older runtime, which both refuse, is left out."""
    runtime, oracle = Runtime.from_metadata(v15), Oracle(as_v14(v15))
    answers = json.loads((DATA / "recorded" / "runtime_api.json").read_text(encoding="utf-8"))
    figures = []
    for name, answer in answers.items():
        api, method = name.split("@")[0].split("Api_")
        if method == "get_subnet_hyperparams" or (effort.short and method != "get_subnets_info_v2"):
            continue
        output, raw = runtime.apis[f"{api}Api", method].output, _unhex(answer["result"])
        figures.append(_one_type(method, ON_THE_REST, effort, runtime, oracle, output, [raw]))
    return figures


def _first_block(effort: Effort, v14: bytes, v15: bytes) -> Figure:
    """From the bytes of metadata to the events of a block. Ours reads V15, which tells more; scalecodec reads V14 of
    the same runtime, as it can no other."""
    block = _block()

    def ours() -> None:
        Runtime.from_metadata(v15).decode_events(block)

    def against() -> None:
        _reused(Oracle(v14), events)(block)

    listed = Runtime.from_metadata(v14).item(EVENTS)
    assert listed is not None
    events = listed.value_type
    if effort.short:
        effort = replace(effort, runs=1)  # scalecodec takes seconds for each
    return in_turns("metadata and first block", ON_THE_REST, effort, ours, against, metadata_bytes=len(v15))


def _metadata(name: str) -> bytes:
    return (DATA / "metadata" / name).read_bytes()


def _block() -> bytes:
    return _unhex((DATA / "recorded" / "events_synthetic_spec343.hex").read_text(encoding="utf-8"))


def _fuzzed(effort: Effort) -> list[bytes]:
    vectors = json.loads((DATA / "recorded" / "events_fuzz_spec343.json").read_text(encoding="utf-8"))
    return [_unhex(vector) for vector in vectors[:: 4 if effort.short else 1]]


def _accounts(effort: Effort) -> list[bytes]:
    """Every AccountInfo that the recorded chain ever held."""
    prefix = "0x26aa394eea5630e07c48ae0c9558cef7b99d880ec681799c0cf30e8886371da9"
    found = []
    with gzip.open(DATA / "tape" / "blocks.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            changes = json.loads(line)["changes"]
            found += [_unhex(value) for key, value in changes if key.startswith(prefix) and isinstance(value, str)]
    return found[:100] if effort.short else found


def _unhex(text: str) -> bytes:
    return bytes.fromhex(text.strip().removeprefix("0x"))


CASES = [Case("decode", "values of recorded blocks and answers", "scalecodec", recorded)]
