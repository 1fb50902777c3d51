"""The dataset leases."""

from __future__ import annotations

from migrations import sql, tables

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, then run the SQL file of the same name."""
    tables.create_keyed(
        "leases",
        "lease_history",
        "Leases of subnets.",
        keys=[
            ("lease_id", tables.INTEGER, "Id of the lease."),
        ],
        values=[
            ("beneficiary", tables.ACCOUNT, "Coldkey that runs the subnet."),
            ("coldkey", tables.ACCOUNT, "Coldkey of the lease: owner of the subnet."),
            ("hotkey", tables.ACCOUNT, "Hotkey of the lease."),
            ("emissions_share", tables.INTEGER, "Part of the owner's emission that goes to the contributors, %."),
            ("end_block", tables.INTEGER, "Block at which the lease ends; NULL: never."),
            ("netuid", tables.INTEGER, "The subnet."),
            ("cost", tables.INTEGER, "What the subnet cost, rao."),
            ("other", tables.JSON, "Members that this version does not know, by name; normally NULL."),
            (
                "accumulated_dividends",
                tables.INTEGER,
                "AccumulatedLeaseDividends: alpha that waits to be given to the contributors, rao.",
            ),
        ],
    )
    tables.index_removed("lease_history")
    tables.create_keyed(
        "lease_shares",
        "lease_share_history",
        "Parts of contributors in the emission of leased subnets.",
        keys=[
            ("lease_id", tables.INTEGER, "Id of the lease."),
            ("account", tables.ACCOUNT, "Contributor (the beneficiary has what is left of 1)."),
        ],
        values=[
            ("share", tables.NUMBER, "SubnetLeaseShares: its part, 0 to 1."),
            ("unpaid_dividends", tables.INTEGER, "SubnetLeaseUnpaidDividends: alpha owed to it, rao."),
        ],
        indexes=[("account",)],
    )
    tables.index_removed("lease_share_history")
    tables.create_keyed(
        "crowdloans",
        "crowdloan_history",
        "Crowdloans.",
        keys=[
            ("crowdloan_id", tables.INTEGER, "Id of the crowdloan."),
        ],
        values=[
            ("creator", tables.ACCOUNT, "Who made it."),
            ("deposit", tables.INTEGER, "Deposit of the creator, rao; part of raised."),
            ("min_contribution", tables.INTEGER, "Smallest contribution, rao."),
            ("end_block", tables.INTEGER, "Block at which contributions close."),
            ("cap", tables.INTEGER, "Most that may be raised, rao."),
            ("funds_account", tables.ACCOUNT, "Account that holds what was raised."),
            ("raised", tables.INTEGER, "Raised so far, rao."),
            ("target_address", tables.ACCOUNT, "Who gets it; NULL: the call decides."),
            ("call", tables.JSON, "Call that is made when it is finalized: {Inline: bytes} or the like; NULL: none."),
            ("finalized", tables.FLAG, "Whether it has been finalized."),
            ("contributors_count", tables.INTEGER, "Number of contributors."),
            ("other", tables.JSON, "Members that this version does not know, by name; normally NULL."),
            (
                "max_contribution",
                tables.INTEGER,
                "MaxContributions: most that one account may give, rao; NULL: no limit.",
            ),
        ],
    )
    tables.index_removed("crowdloan_history")
    tables.create_keyed(
        "crowdloan_contributions",
        "crowdloan_contribution_history",
        "Contributions to crowdloans.",
        keys=[
            ("crowdloan_id", tables.INTEGER, "Id of the crowdloan."),
            ("account", tables.ACCOUNT, "Contributor."),
        ],
        values=[
            ("amount", tables.INTEGER, "Contributions: given so far, rao."),
        ],
        indexes=[("account",)],
    )
    tables.index_removed("crowdloan_contribution_history")
    sql.run("0017_leases")


def downgrade() -> None:
    """Drop the tables and what the cursors say of the dataset: its history is lost, and indexed again."""
    sql.undo("0017_leases")
    tables.forget("leases")
    tables.drop(
        "leases",
        "lease_history",
        "lease_shares",
        "lease_share_history",
        "crowdloans",
        "crowdloan_history",
        "crowdloan_contributions",
        "crowdloan_contribution_history",
    )
