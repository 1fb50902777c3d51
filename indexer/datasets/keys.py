"""What is set for keys: proxies, multisigs, coldkey swaps and who came after whom, flags, EVM keys, auto-stake.

Owns ``account_proxies``, ``multisigs``, ``coldkey_swaps``, ``hotkey_successors``, ``coldkey_successors``,
``account_flags``, ``evm_associations``, ``auto_stake``, ``coldkey_hotkeys`` and their histories. Owners of
hotkeys are in ``delegates`` (dataset stake).
"""

from __future__ import annotations

from indexer.datasets._fields import (
    ACCOUNT,
    BYTES,
    FLAG,
    INTEGER,
    JSON,
    NUMBER,
    RAO,
    Field,
    field,
    of_tables,
    parts,
    struct,
    table,
)
from indexer.datasets._lists import ADDRESS, CASE, HEX, array, structs
from indexer.datasets._values import blob, whole
from indexer.errors import DecodeError
from indexer.model import ItemRef
from indexer.schema import account, flag, integer, netuid, raw


def _scheduled_swap() -> Field:
    """ColdkeySwapScheduled: ``()`` at spec 240, (block, new coldkey) at 293 to 343."""

    def read(value: object) -> tuple[object, ...]:
        if value == ():
            return (True, None, None)
        if not isinstance(value, tuple) or len(value) != 2:
            raise DecodeError(f"expected () or a pair, found {type(value).__name__}")
        return (True, whole(value[0]), blob(value[1]))

    def write(scheduled: object, block: object, coldkey: object) -> object:
        if not scheduled or (block is None) != (coldkey is None):
            raise DecodeError("a scheduled swap has both block and coldkey, or none")
        return () if block is None else (whole(block), blob(coldkey))

    columns = (
        flag("scheduled", "ColdkeySwapScheduled (specs 233 to 3xx): true: a swap is scheduled."),
        integer("scheduled_block", "ColdkeySwapScheduled: block at which it runs."),
        account("scheduled_coldkey", "ColdkeySwapScheduled: the new coldkey.", nullable=True),
    )
    return Field(ItemRef("SubtensorModule", "ColdkeySwapScheduled"), columns, read, write)


_PROXIES = table(
    "account_proxies",
    "account_proxy_history",
    keys=[account("account", "Account that others may act for.")],
    fields=[
        parts(
            "Proxy.Proxies",
            {
                "delegates": (
                    structs(delegate=ADDRESS, proxy_type=CASE, delay=INTEGER),
                    "Proxies: who may act for it, [{delegate, proxy_type, delay}]; delay in blocks.",
                ),
                "deposit": (RAO, "Proxies: reserved for them, rao."),
            },
        ),
        parts(
            "Proxy.Announcements",
            {
                "announcements": (
                    structs(real=ADDRESS, call_hash=HEX, height=INTEGER),
                    "Announcements: calls the account announced as a proxy, [{real, call_hash, height}].",
                ),
                "announcement_deposit": (RAO, "Announcements: reserved for them, rao."),
            },
        ),
    ],
    comment="Proxies of an account, and the calls it announced as the proxy of others, as stored.",
)

_MULTISIGS = table(
    "multisigs",
    "multisig_history",
    keys=[account("account", "Account of the multisig."), raw("call_hash", "Hash of the call.", nullable=False)],
    fields=[
        struct(
            "Multisig.Multisigs",
            {
                "when": (JSON, "Extrinsic that opened it, {height, index}."),
                "deposit": (RAO, "Reserved for it, rao."),
                "depositor": (ACCOUNT, "Who opened it."),
                "approvals": (array(ADDRESS), "Who has approved the call, in the order of their ids."),
            },
            renamed={"when": "opened"},
        )
    ],
    comment="Calls of multisig accounts that wait for approvals.",
)

_COLDKEY_SWAPS = table(
    "coldkey_swaps",
    "coldkey_swap_history",
    keys=[account("coldkey", "Coldkey that is to be replaced.")],
    fields=[
        parts(
            "SubtensorModule.ColdkeySwapAnnouncements",
            {
                "execute_block": (INTEGER, "ColdkeySwapAnnouncements: block from which the swap may be made."),
                "new_coldkey_hash": (BYTES, "ColdkeySwapAnnouncements: hash of the new coldkey."),
            },
        ),
        field(
            "SubtensorModule.ColdkeySwapDisputes",
            INTEGER,
            "dispute_block",
            "ColdkeySwapDisputes: block at which the swap was disputed; NULL: it is not.",
        ),
        _scheduled_swap(),
    ],
    comment="Coldkey swaps that are announced, disputed or scheduled.",
)

_HOTKEY_SUCCESSORS = table(
    "hotkey_successors",
    "hotkey_successor_history",
    keys=[netuid(), account("hotkey", "Hotkey.")],
    fields=[
        field("SubtensorModule.HotkeySuccessor", ACCOUNT, "successor", "HotkeySuccessor: hotkey that replaced it."),
        field("SubtensorModule.HotkeyRoot", ACCOUNT, "root", "HotkeyRoot: first of its line; NULL: itself."),
    ],
    comment="Which hotkey replaced which on a subnet, since the chain keeps it (after spec 424).",
    indexes=[("root",)],
)

_COLDKEY_SUCCESSORS = table(
    "coldkey_successors",
    "coldkey_successor_history",
    keys=[account("coldkey", "Coldkey.")],
    fields=[
        field("SubtensorModule.ColdkeySuccessor", ACCOUNT, "successor", "ColdkeySuccessor: coldkey that replaced it."),
        field("SubtensorModule.ColdkeyRoot", ACCOUNT, "root", "ColdkeyRoot: first of its line; NULL: itself."),
    ],
    comment="Which coldkey replaced which, since the chain keeps it (after spec 424).",
    indexes=[("root",)],
)

_FLAGS = table(
    "account_flags",
    "account_flag_history",
    keys=[account("account", "Account.")],
    fields=[
        field("SubtensorModule.AccountFlags", NUMBER, "flags", "AccountFlags: bit 0: accepts locked alpha."),
        field(
            "SubtensorModule.AutoParentDelegationEnabled",
            FLAG,
            "auto_parent_delegation",
            "AutoParentDelegationEnabled of a hotkey: owners of new subnets become its children; NULL: true.",
        ),
    ],
    comment="Switches of accounts.",
)

_EVM = table(
    "evm_associations",
    "evm_association_history",
    keys=[netuid(), integer("uid", "Neuron.", nullable=False)],
    fields=[
        parts(
            "SubtensorModule.AssociatedEvmAddress",
            {
                "evm_address": (BYTES, "H160 of the EVM key."),
                "associated_block": (INTEGER, "Block at which it was associated."),
            },
        )
    ],
    comment="EVM keys of neurons.",
    indexes=[("evm_address",)],
)

_AUTO_STAKE = table(
    "auto_stake",
    "auto_stake_history",
    keys=[account("coldkey", "Coldkey."), netuid()],
    fields=[
        field(
            "SubtensorModule.AutoStakeDestination",
            ACCOUNT,
            "hotkey",
            "AutoStakeDestination: hotkey on which the coldkey's mining rewards are staked.",
        )
    ],
    comment="Where mining rewards of a coldkey are staked; no row: on the miner itself.",
)

_COLDKEY_HOTKEYS = table(
    "coldkey_hotkeys",
    "coldkey_hotkey_history",
    keys=[account("coldkey", "Coldkey.")],
    fields=[
        field("SubtensorModule.OwnedHotkeys", array(ADDRESS), "owned", "OwnedHotkeys: hotkeys it owns."),
        field(
            "SubtensorModule.StakingHotkeys",
            array(ADDRESS),
            "staking",
            "StakingHotkeys: hotkeys it has, or had, stake on.",
        ),
    ],
    comment="Hotkeys of a coldkey as the chain lists them.",
)

DATASET = of_tables(
    "keys",
    [
        _PROXIES,
        _MULTISIGS,
        _COLDKEY_SWAPS,
        _HOTKEY_SUCCESSORS,
        _COLDKEY_SUCCESSORS,
        _FLAGS,
        _EVM,
        _AUTO_STAKE,
        _COLDKEY_HOTKEYS,
    ],
)
