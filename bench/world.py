"""What the generated database holds: how many keys and changes each table has, and how they are spread.

Figures of the main network in round numbers, at scale 1: half a million accounts, 300,000 stake entries, 130
subnets, 30 million history rows in half a million blocks (ten weeks). A few keys change very often and most
hardly ever (the key of rank r changes as r^-2/3); pools of a subnet change together, at its epochs. Seeded:
the same scale gives the same rows. Nothing here touches a database.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from indexer.datasets import DATASETS
from indexer.datasets._parameters import PARAMETERS
from indexer.schema import Keyed, Log

FIRST_BLOCK = 8_700_000
SPEC_VERSION = 475
UIDS = 256
TEMPO_BLOCKS = 360
REMOVED = 0.004
"""Share of changes that remove the key; its next one brings it back."""

NULL = "\\N"

TABLES: dict[str, Keyed | Log] = {table.name: table for dataset in DATASETS.values() for table in dataset.tables}


@dataclass(frozen=True, slots=True)
class Size:
    """How much of the full chain is generated."""

    scale: float

    def of(self, full: int, least: int = 1) -> int:
        """What is ``full`` at scale 1."""
        return max(least, round(full * self.scale))

    @property
    def blocks(self) -> int:
        """Indexed blocks."""
        return self.of(500_000, 1_000)

    @property
    def last_block(self) -> int:
        """The last indexed block."""
        return FIRST_BLOCK + self.blocks - 1

    @property
    def accounts(self) -> int:
        """Accounts with a balance."""
        return self.of(500_000, 500)

    @property
    def hotkeys(self) -> int:
        """Hotkeys, registered or not."""
        return self.of(60_000, 200)

    @property
    def subnets(self) -> int:
        """Subnets: fewer at a small scale, but not by as much, as queries go through all of them."""
        return max(4, round(130 * math.sqrt(self.scale)))

    @property
    def uids(self) -> int:
        """Uids per subnet."""
        return max(16, min(UIDS, round(UIDS * math.sqrt(self.scale))))


def account_id(number: int) -> bytes:
    """Coldkeys and other accounts are numbered from 0, hotkeys from -1 downwards."""
    return hashlib.blake2b(f"account {number}".encode(), digest_size=32).digest()


def account_text(number: int) -> str:
    """An account in COPY's text form."""
    return "\\\\x" + account_id(number).hex()


Event = tuple[int, int]
"""(block, position of the key)."""


@dataclass(frozen=True, slots=True)
class Contents:
    """One keyed table of the generated database."""

    table: Keyed
    keys: list[str]
    """Key columns of each key in COPY's text form, the one that changes most first."""
    changes: int
    """Rows beyond the first one of each key."""
    values: Callable[[Random, int, int], str]
    """(random numbers, block, position of the key) -> the value columns in COPY's text form."""
    events: Callable[[Random, Size, int, int], Iterator[Event]]
    """(random numbers, size, keys, changes) -> what changes when, in block order."""
    removable: bool = False


def skewed(random: Random, size: Size, keys: int, changes: int) -> Iterator[Event]:
    """Changes spread evenly over the blocks; the first of half a million keys has an eightieth of all."""
    span = size.blocks - 1
    for at in range(changes):
        yield FIRST_BLOCK + 1 + at * span // changes, int(keys * random.random() ** 3)


def even(random: Random, size: Size, keys: int, changes: int) -> Iterator[Event]:
    """Each key in its turn."""
    del random
    span = size.blocks - 1
    for at in range(changes):
        yield FIRST_BLOCK + 1 + at * span // changes, at % keys


def row(table: str, **given: object) -> str:
    """The value columns of a table in COPY's text form; those not given are NULL."""
    values = TABLES[table].values
    assert set(given) <= set(values), set(given) - set(values)
    return "\t".join(str(given[name]) if name in given else NULL for name in values)


def positions(size: Size) -> list[tuple[int, int, int]]:
    """(netuid, hotkey, coldkey) of every stake entry: few pools and few coldkeys have most of them."""
    random, found = Random(3), dict[tuple[int, int, int], None]()
    wanted, coldkeys, pool_count = size.of(300_000, 300), size.of(100_000, 100), size.subnets * size.uids
    while len(found) < wanted:
        pool = int(pool_count * random.random() ** 2)
        coldkey = int(coldkeys * random.random() ** 2)
        found[pool % size.subnets, -1 - pool % size.hotkeys, coldkey] = None
    return list(found)


def contents(size: Size) -> Iterator[Contents]:
    """Every keyed table that is filled. The others hold little on the main network and stay empty."""
    subnets = range(size.subnets)
    stakes = positions(size)
    pools = sorted({(netuid, hotkey) for netuid, hotkey, _ in stakes})

    def epochs(random: Random, size: Size, keys: int, changes: int) -> Iterator[Event]:
        """All pools of a subnet at once."""
        del random
        of_subnet: list[list[int]] = [[] for _ in subnets]
        for at, (netuid, _) in enumerate(pools):
            of_subnet[netuid].append(at)
        rounds = max(1, changes // keys)
        for one in range(rounds):
            for netuid in subnets:
                at_block = FIRST_BLOCK + 1 + (one * size.subnets + netuid) * (size.blocks - 2) // rounds // size.subnets
                for position in of_subnet[netuid]:
                    yield at_block, position

    def keyed(name: str) -> Keyed:
        table = TABLES[name]
        assert isinstance(table, Keyed)
        return table

    balance = row("balances", nonce="%d", consumers=1, providers=1, sufficients=0, free="%d", reserved=0, frozen=0,
                  flags=170141183460469231731687303715884105728)  # fmt: skip
    yield Contents(
        keyed("balances"), [account_text(n) for n in range(size.accounts)], size.of(8_000_000),
        lambda random, block, at: balance % (block - FIRST_BLOCK, int(random.random() ** 4 * 10**13)),
        skewed, removable=True,
    )  # fmt: skip
    amount = row("issuance", amount="%d")
    yield Contents(
        keyed("issuance"), ["total_issuance", "total_stake"], 2 * (size.blocks - 1),
        lambda random, block, at: amount % (block * 10**9), even,
    )  # fmt: skip
    share = row("stake_shares", share_mantissa="%d", share_exponent=-8)
    yield Contents(
        keyed("stake_shares"),
        [f"{netuid}\t{account_text(hotkey)}\t{account_text(coldkey)}" for netuid, hotkey, coldkey in stakes],
        size.of(6_700_000), lambda random, block, at: share % random.randrange(10**20, 10**21), skewed, removable=True,
    )  # fmt: skip
    pool = row("hotkey_pools", alpha="%d", share_mantissa="%d", share_exponent=-6)
    yield Contents(
        keyed("hotkey_pools"), [f"{netuid}\t{account_text(hotkey)}" for netuid, hotkey in pools],
        size.of(9_000_000), lambda random, block, at: pool % (block * 10**4 + at, 9 * 10**20), epochs,
    )  # fmt: skip
    subnet = row(
        "subnet_pools", subnet_tao="%d", subnet_alpha_in="%d", subnet_alpha_out="%d", subnet_volume="%d",
        subnet_moving_price=0.0123, pending_server_emission="%d", pending_validator_emission="%d",
        subnet_alpha_in_emission=500000000, subnet_alpha_out_emission=1000000000, subnet_tao_in_emission=3000000,
        blocks_since_last_step="%d",
    )  # fmt: skip
    yield Contents(
        keyed("subnet_pools"), [str(netuid) for netuid in subnets], size.of(3_000_000),
        lambda random, block, at: subnet % tuple(random.randrange(10**11, 10**14) for _ in range(7)), even,
    )  # fmt: skip
    info = row("subnet_info", networks_added="t", subnet_mechanism=1, subnetwork_n=size.uids, subnet_owner="%s")
    yield Contents(
        keyed("subnet_info"), [str(netuid) for netuid in subnets], size.of(10_000),
        lambda random, block, at: info % account_text(random.randrange(100)), skewed,
    )  # fmt: skip
    yield from _neurons(size, keyed)
    yield from _parameters(size, keyed)
    owner = row("delegates", owner="%s", take=11796)
    yield Contents(
        keyed("delegates"), [account_text(-1 - n) for n in range(size.hotkeys)], size.of(150_000),
        lambda random, block, at: owner % account_text(random.randrange(size.accounts)), skewed,
    )  # fmt: skip


def _neurons(size: Size, keyed: Callable[[str], Keyed]) -> Iterator[Contents]:
    places = [(netuid, uid) for netuid in range(size.subnets) for uid in range(size.uids)]
    held = row("uids", hotkey="%s", registered_at="%d")
    yield Contents(
        keyed("uids"), [f"{netuid}\t{uid}" for netuid, uid in places], size.of(400_000),
        lambda random, block, at: held % (account_text(-1 - random.randrange(size.hotkeys)), block), skewed,
    )  # fmt: skip
    member = row("registrations", is_network_member="t", uid="%d")
    hotkeys = [f"{account_text(-1 - at % size.hotkeys)}\t{netuid}" for at, (netuid, _) in enumerate(places)]
    yield Contents(
        keyed("registrations"), list(dict.fromkeys(hotkeys)), size.of(400_000),
        lambda random, block, at: member % random.randrange(size.uids), skewed, removable=True,
    )  # fmt: skip
    served = row("axons", axon_block="%d", axon_version=9, axon_ip="%d", axon_port=8091, axon_ip_type=4,
                 axon_protocol=4, axon_placeholder1=0, axon_placeholder2=0)  # fmt: skip
    axons = ["\t".join(reversed(key.split("\t"))) for key in dict.fromkeys(hotkeys)]
    yield Contents(
        keyed("axons"), axons, size.of(300_000),
        lambda random, block, at: served % (block, random.randrange(2**32)), skewed,
    )  # fmt: skip
    names = ["active", "validator_permit", "last_update", "emission", "incentive", "consensus", "validator_trust",
             "dividends", "stake_weight"]  # fmt: skip
    random = Random(5)
    vectors = ["{" + ",".join(str(random.randrange(65536)) for _ in range(size.uids)) + "}" for _ in range(200)]
    yield Contents(
        keyed("neuron_vectors"), [f"{netuid}\t0\t{name}" for netuid in range(size.subnets) for name in names],
        size.of(100_000), lambda random, block, at: random.choice(vectors), even,
    )  # fmt: skip


def _parameters(size: Size, keyed: Callable[[str], Keyed]) -> Iterator[Contents]:
    of_subnets = sorted({one.name for one in PARAMETERS if not one.network} | {"networks_added"})
    one = row("stored_hyperparameters", value=1, value_json=1, raw="\\\\x01")
    other = row("stored_hyperparameters", value="%d", value_json="%d", raw="\\\\x0100")
    keys = [(netuid, name) for netuid in range(size.subnets) for name in of_subnets]

    def value(random: Random, _block: int, at: int) -> str:
        drawn = random.randrange(1000)
        return one if keys[at][1] == "networks_added" else other % (drawn, drawn)

    yield Contents(
        keyed("stored_hyperparameters"), [f"{netuid}\t{name}" for netuid, name in keys], size.of(50_000), value, skewed
    )
    defaults = row("hyperparameter_defaults", value=0, value_json=0, is_constant="f")
    yield Contents(
        keyed("hyperparameter_defaults"), [f"{name}\tf" for name in of_subnets], 0,
        lambda random, block, at: defaults, skewed,
    )  # fmt: skip
