"""Sealed weights: what validators have committed and the chain has not opened yet. Off by default: large.

Owns ``weight_commits`` and its history, a row per subnet, mechanism and epoch as the chain keeps them: each commit
writes its epoch's row anew. ``timelocked_weight_commits_at()`` in SQL takes them apart.
"""

from __future__ import annotations

from dataclasses import replace

from indexer.datasets._fields import INTEGER, field, of_tables, table
from indexer.datasets._lists import ADDRESS, HEX, tuples
from indexer.datasets._mechanisms import BY_MECHANISM, MECHANISM
from indexer.schema import integer, netuid

_COMMITS = tuples(hotkey=ADDRESS, block=INTEGER, ciphertext=HEX, round=INTEGER)

DATASET = replace(
    of_tables(
        "weight_commits",
        [
            table(
                "weight_commits",
                "weight_commit_history",
                keys=[netuid(), MECHANISM, integer("epoch", "Epoch of the subnet they are made in.", nullable=False)],
                fields=[
                    field(
                        "SubtensorModule.TimelockedWeightCommits",
                        _COMMITS,
                        "timelocked",
                        "TimelockedWeightCommits: [{hotkey, block, ciphertext, round}], in order.",
                        place=BY_MECHANISM,
                    ),
                    field(
                        "SubtensorModule.CRV3WeightCommitsV2",
                        _COMMITS,
                        "crv3_v2",
                        "CRV3WeightCommitsV2: the same of runtimes before.",
                        place=BY_MECHANISM,
                    ),
                    field(
                        "SubtensorModule.CRV3WeightCommits",
                        tuples(hotkey=ADDRESS, ciphertext=HEX, round=INTEGER),
                        "crv3",
                        "CRV3WeightCommits: the same of those before, which did not tell the block.",
                        place=BY_MECHANISM,
                    ),
                ],
                comment="Sealed weights of validators, a row per epoch.",
            )
        ],
    ),
    by_default=False,
)
