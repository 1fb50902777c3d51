"""The dataset keys."""

from __future__ import annotations

from migrations import sql, tables

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, then run the SQL file of the same name."""
    tables.create_keyed(
        "account_proxies",
        "account_proxy_history",
        "Proxies of an account, and the calls it announced as the proxy of others, as stored.",
        keys=[
            ("account", tables.ACCOUNT, "Account that others may act for."),
        ],
        values=[
            (
                "delegates",
                tables.JSON,
                "Proxies: who may act for it, [{delegate, proxy_type, delay}]; delay in blocks.",
            ),
            ("deposit", tables.INTEGER, "Proxies: reserved for them, rao."),
            (
                "announcements",
                tables.JSON,
                "Announcements: calls the account announced as a proxy, [{real, call_hash, height}].",
            ),
            ("announcement_deposit", tables.INTEGER, "Announcements: reserved for them, rao."),
        ],
    )
    tables.index_removed("account_proxy_history")
    tables.create_keyed(
        "multisigs",
        "multisig_history",
        "Calls of multisig accounts that wait for approvals.",
        keys=[
            ("account", tables.ACCOUNT, "Account of the multisig."),
            ("call_hash", tables.RAW, "Hash of the call."),
        ],
        values=[
            ("opened", tables.JSON, "Extrinsic that opened it, {height, index}."),
            ("deposit", tables.INTEGER, "Reserved for it, rao."),
            ("depositor", tables.ACCOUNT, "Who opened it."),
            ("approvals", tables.JSON, "Who has approved the call, in the order of their ids."),
            ("other", tables.JSON, "Members that this version does not know, by name; normally NULL."),
        ],
    )
    tables.index_removed("multisig_history")
    tables.create_keyed(
        "coldkey_swaps",
        "coldkey_swap_history",
        "Coldkey swaps that are announced, disputed or scheduled.",
        keys=[
            ("coldkey", tables.ACCOUNT, "Coldkey that is to be replaced."),
        ],
        values=[
            ("execute_block", tables.INTEGER, "ColdkeySwapAnnouncements: block from which the swap may be made."),
            ("new_coldkey_hash", tables.RAW, "ColdkeySwapAnnouncements: hash of the new coldkey."),
            (
                "dispute_block",
                tables.INTEGER,
                "ColdkeySwapDisputes: block at which the swap was disputed; NULL: it is not.",
            ),
            ("scheduled", tables.FLAG, "ColdkeySwapScheduled (specs 233 to 3xx): true: a swap is scheduled."),
            ("scheduled_block", tables.INTEGER, "ColdkeySwapScheduled: block at which it runs."),
            ("scheduled_coldkey", tables.ACCOUNT, "ColdkeySwapScheduled: the new coldkey."),
        ],
    )
    tables.index_removed("coldkey_swap_history")
    tables.create_keyed(
        "hotkey_successors",
        "hotkey_successor_history",
        "Which hotkey replaced which on a subnet, since the chain keeps it (after spec 424).",
        keys=[
            ("netuid", tables.NETUID, "Subnet id."),
            ("hotkey", tables.ACCOUNT, "Hotkey."),
        ],
        values=[
            ("successor", tables.ACCOUNT, "HotkeySuccessor: hotkey that replaced it."),
            ("root", tables.ACCOUNT, "HotkeyRoot: first of its line; NULL: itself."),
        ],
        indexes=[("root",)],
    )
    tables.index_removed("hotkey_successor_history")
    tables.create_keyed(
        "coldkey_successors",
        "coldkey_successor_history",
        "Which coldkey replaced which, since the chain keeps it (after spec 424).",
        keys=[
            ("coldkey", tables.ACCOUNT, "Coldkey."),
        ],
        values=[
            ("successor", tables.ACCOUNT, "ColdkeySuccessor: coldkey that replaced it."),
            ("root", tables.ACCOUNT, "ColdkeyRoot: first of its line; NULL: itself."),
        ],
        indexes=[("root",)],
    )
    tables.index_removed("coldkey_successor_history")
    tables.create_keyed(
        "account_flags",
        "account_flag_history",
        "Switches of accounts.",
        keys=[
            ("account", tables.ACCOUNT, "Account."),
        ],
        values=[
            ("flags", tables.NUMBER, "AccountFlags: bit 0: accepts locked alpha."),
            (
                "auto_parent_delegation",
                tables.FLAG,
                "AutoParentDelegationEnabled of a hotkey: owners of new subnets become its children; NULL: true.",
            ),
        ],
    )
    tables.index_removed("account_flag_history")
    tables.create_keyed(
        "evm_associations",
        "evm_association_history",
        "EVM keys of neurons.",
        keys=[
            ("netuid", tables.NETUID, "Subnet id."),
            ("uid", tables.INTEGER, "Neuron."),
        ],
        values=[
            ("evm_address", tables.RAW, "H160 of the EVM key."),
            ("associated_block", tables.INTEGER, "Block at which it was associated."),
        ],
        indexes=[("evm_address",)],
    )
    tables.index_removed("evm_association_history")
    tables.create_keyed(
        "auto_stake",
        "auto_stake_history",
        "Where mining rewards of a coldkey are staked; no row: on the miner itself.",
        keys=[
            ("coldkey", tables.ACCOUNT, "Coldkey."),
            ("netuid", tables.NETUID, "Subnet id."),
        ],
        values=[
            (
                "hotkey",
                tables.ACCOUNT,
                "AutoStakeDestination: hotkey on which the coldkey's mining rewards are staked.",
            ),
        ],
    )
    tables.index_removed("auto_stake_history")
    tables.create_keyed(
        "coldkey_hotkeys",
        "coldkey_hotkey_history",
        "Hotkeys of a coldkey as the chain lists them.",
        keys=[
            ("coldkey", tables.ACCOUNT, "Coldkey."),
        ],
        values=[
            ("owned", tables.JSON, "OwnedHotkeys: hotkeys it owns."),
            ("staking", tables.JSON, "StakingHotkeys: hotkeys it has, or had, stake on."),
        ],
    )
    tables.index_removed("coldkey_hotkey_history")
    sql.run("0015_keys")


def downgrade() -> None:
    """Drop the tables and what the cursors say of the dataset: its history is lost, and indexed again."""
    sql.undo("0015_keys")
    tables.forget("keys")
    tables.drop(
        "account_proxies",
        "account_proxy_history",
        "multisigs",
        "multisig_history",
        "coldkey_swaps",
        "coldkey_swap_history",
        "hotkey_successors",
        "hotkey_successor_history",
        "coldkey_successors",
        "coldkey_successor_history",
        "account_flags",
        "account_flag_history",
        "evm_associations",
        "evm_association_history",
        "auto_stake",
        "auto_stake_history",
        "coldkey_hotkeys",
        "coldkey_hotkey_history",
    )
