"""Leased subnets and the crowdloans that pay for them.

Owns ``leases``, ``lease_shares``, ``crowdloans``, ``crowdloan_contributions`` and their histories.
"""

from __future__ import annotations

from indexer.datasets._fields import ACCOUNT, FIXED64, FLAG, INTEGER, JSON, RAO, field, of_tables, struct, table
from indexer.schema import account, integer

_LEASES = table(
    "leases",
    "lease_history",
    keys=[integer("lease_id", "Id of the lease.", nullable=False)],
    fields=[
        struct(
            "SubtensorModule.SubnetLeases",
            {
                "beneficiary": (ACCOUNT, "Coldkey that runs the subnet."),
                "coldkey": (ACCOUNT, "Coldkey of the lease: owner of the subnet."),
                "hotkey": (ACCOUNT, "Hotkey of the lease."),
                "emissions_share": (INTEGER, "Part of the owner's emission that goes to the contributors, %."),
                "end_block": (INTEGER, "Block at which the lease ends; NULL: never."),
                "netuid": (INTEGER, "The subnet."),
                "cost": (RAO, "What the subnet cost, rao."),
            },
            optional="end_block",
        ),
        field(
            "SubtensorModule.AccumulatedLeaseDividends",
            RAO,
            "accumulated_dividends",
            "AccumulatedLeaseDividends: alpha that waits to be given to the contributors, rao.",
        ),
    ],
    comment="Leases of subnets.",
)

_SHARES = table(
    "lease_shares",
    "lease_share_history",
    keys=[
        integer("lease_id", "Id of the lease.", nullable=False),
        account("account", "Contributor (the beneficiary has what is left of 1)."),
    ],
    fields=[
        field("SubtensorModule.SubnetLeaseShares", FIXED64, "share", "SubnetLeaseShares: its part, 0 to 1."),
        field(
            "SubtensorModule.SubnetLeaseUnpaidDividends",
            RAO,
            "unpaid_dividends",
            "SubnetLeaseUnpaidDividends: alpha owed to it, rao.",
        ),
    ],
    comment="Parts of contributors in the emission of leased subnets.",
    indexes=[("account",)],
)

_CROWDLOANS = table(
    "crowdloans",
    "crowdloan_history",
    keys=[integer("crowdloan_id", "Id of the crowdloan.", nullable=False)],
    fields=[
        struct(
            "Crowdloan.Crowdloans",
            {
                "creator": (ACCOUNT, "Who made it."),
                "deposit": (RAO, "Deposit of the creator, rao; part of raised."),
                "min_contribution": (RAO, "Smallest contribution, rao."),
                "end": (INTEGER, "Block at which contributions close."),
                "cap": (RAO, "Most that may be raised, rao."),
                "funds_account": (ACCOUNT, "Account that holds what was raised."),
                "raised": (RAO, "Raised so far, rao."),
                "target_address": (ACCOUNT, "Who gets it; NULL: the call decides."),
                "call": (JSON, "Call that is made when it is finalized: {Inline: bytes} or the like; NULL: none."),
                "finalized": (FLAG, "Whether it has been finalized."),
                "contributors_count": (INTEGER, "Number of contributors."),
            },
            optional="target_address call",
            renamed={"end": "end_block"},
        ),
        field(
            "Crowdloan.MaxContributions",
            RAO,
            "max_contribution",
            "MaxContributions: most that one account may give, rao; NULL: no limit.",
        ),
    ],
    comment="Crowdloans.",
)

_CONTRIBUTIONS = table(
    "crowdloan_contributions",
    "crowdloan_contribution_history",
    keys=[
        integer("crowdloan_id", "Id of the crowdloan.", nullable=False),
        account("account", "Contributor."),
    ],
    fields=[field("Crowdloan.Contributions", RAO, "amount", "Contributions: given so far, rao.")],
    comment="Contributions to crowdloans.",
    indexes=[("account",)],
)

DATASET = of_tables("leases", [_LEASES, _SHARES, _CROWDLOANS, _CONTRIBUTIONS])
