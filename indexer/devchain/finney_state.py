"""Who there is on a chain the size of the main network, what they hold, and how it is stored.

Owns the figures of accounts, pools, share rows and subnets while such a chain is made, and every storage key it writes.
No pallet runs here: ``finney_blocks`` says what happens, this applies it to the figures and notes the changed keys,
encoded by the declared runtime's own types and layout. Everything follows from the seed.
"""

from __future__ import annotations

import random
import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

from indexer.devchain import shares
from indexer.devchain.baskets import ESCROW_COLDKEY
from indexer.devchain.pallet import blake2_128_concat, twox64_concat
from indexer.devchain.pallets_substrate import NEW_LOGIC_FLAG
from indexer.devchain.runtimes import SPEC_475
from indexer.devchain.scale_encode import compact, u16, u64, u128
from indexer.devchain.shares import ZERO, SafeFloat
from indexer.devchain.staking import subnet_account

RUNTIME = SPEC_475
TAO = 1_000_000_000
ROOT = 0
ESCROW = -1
"""As a coldkey's number: the account behind which the baskets' holdings stand."""
AUTHORS = 12
_ACCOUNT = struct.Struct("<IIIIQQQ16s")
"""AccountInfo: nonce, consumers, providers, sufficients; free, reserved, frozen, flags."""
_FLAGS = u128(NEW_LOGIC_FLAG)
_I96F32_ONE = 1 << 32

Changes = dict[bytes, bytes | None]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large the chain is and how much of it moves. The defaults are the profile's full size."""

    accounts: int = 500_000
    stakes: int = 300_000
    """Share rows."""
    pools: int = 20_000
    """(hotkey, netuid) with stake."""
    subnets: int = 129
    """Root is one of them."""
    blocks: int = 2_000
    """The genesis block included."""
    changed_accounts: int = 250
    """In each block, the subnets' own accounts included."""
    changed_stake_keys: int = 400
    """In each block that is no subnet's last of an epoch."""
    tempo: int = 360
    """Blocks of an epoch."""

    def check(self) -> None:
        """Raises ``ValueError`` for sizes of which no chain can be made."""
        if self.subnets < 3 or self.pools < 4 * self.subnets or self.stakes < 2 * self.pools or self.blocks < 2:
            raise ValueError("at least 3 subnets, 4 pools in each, 2 stakes in each pool, 2 blocks")
        if self.accounts < 2 * self.pools + self.subnets + AUTHORS + self.changed_accounts:
            raise ValueError("too few accounts: at least two for each pool, and those that change in a block")
        if self.changed_accounts < self.subnets + 8 or self.tempo < 2 or self.changed_stake_keys < 20:
            raise ValueError("more accounts change in a block than there are subnets, and at least 20 stake keys")


def prefix(item: str, pallet: str = "SubtensorModule") -> bytes:
    """The 32 bytes that keys of an item begin with. Raises ``KeyError`` if the runtime has none of that name."""
    return RUNTIME.item(pallet, item).prefix(pallet)


ACCOUNT, SHARE, SHARE_EPOCH = prefix("Account", "System"), prefix("AlphaV2"), prefix("AlphaShareEpoch")
POOL_ALPHA, POOL_SHARES, POOL_EPOCH = (
    prefix(f"{n}") for n in ("TotalHotkeyAlpha", "TotalHotkeySharesV2", "AlphaSharePoolEpoch")
)
LAST_EPOCH_ALPHA, DIVIDENDS, STAKING_HOTKEYS = (
    prefix(f"{n}") for n in ("TotalHotkeyAlphaLastEpoch", "AlphaDividendsPerSubnet", "StakingHotkeys")
)
BASKET_QUEUE, BASKET_RATE, BASKET_SHARES, BASKET_DEPOSITED, BASKET_CLAIMED = (
    prefix(f"{n}")
    for n in ("PendingBasketDeposits", "BasketRate", "BasketShares", "BasketDepositedTao", "BasketClaimed")
)
ROOT_STAKE_BLOCK = prefix("LastColdkeyHotkeyStakeBlock")
TOTAL_STAKE, TOTAL_ISSUANCE = prefix("TotalStake"), prefix("TotalIssuance")


class Pool:
    """The alpha behind one hotkey on one subnet."""

    __slots__ = ("alpha", "dividend", "epoch", "hotkey", "netuid", "owner", "queued", "shares")

    def __init__(self, hotkey: int, netuid: int, owner: int, epoch: int) -> None:
        self.hotkey, self.netuid, self.owner, self.epoch = hotkey, netuid, owner, epoch
        self.alpha, self.dividend, self.queued = 0, 0, 0
        self.shares = ZERO


class Subnet:
    """What the chain keeps of one subnet and writes in every block."""

    __slots__ = (
        "alpha_in",
        "alpha_out",
        "burn",
        "difficulty",
        "moving",
        "pending",
        "pools",
        "since",
        "staked",
        "tao",
        "volume",
    )

    def __init__(self, rng: random.Random) -> None:
        self.tao = rng.randrange(2_000 * TAO, 60_000 * TAO)
        self.alpha_in = self.tao * rng.randrange(8, 80)
        self.alpha_out = self.alpha_in
        self.volume, self.pending, self.since, self.staked = 3 * self.tao, 0, 0, 0
        self.burn, self.difficulty = rng.randrange(TAO // 1000, 2 * TAO), rng.randrange(10**7, 10**9)
        self.moving = (self.tao << 32) // self.alpha_in
        self.pools: list[Pool] = []


class Holdings:
    """All figures, and what of them changed since ``take`` was last called."""

    def __init__(self, sizes: Sizes, seed: int) -> None:
        self.sizes, self.seed = sizes, seed
        rng = random.Random(f"finney {seed}")
        self.accounts: Changes = {}
        """Changed keys of System.Account."""
        self.stake: Changes = {}
        """Changed keys of stake: shares, pools, dividends, baskets."""
        self.other: Changes = {}
        self.free = array("Q", (int(10 ** rng.uniform(5, 12)) for _ in range(sizes.accounts)))
        self.reserved: dict[int, int] = {}
        self.nonce = array("I", bytes(4 * sizes.accounts))
        self.issuance = sum(self.free)
        self.subnets = [Subnet(rng) for _ in range(sizes.subnets)]
        for netuid, subnet in enumerate(self.subnets):
            self.free[netuid] = subnet.tao
        self.total_stake = sum(subnet.tao for subnet in self.subnets)
        self.share: dict[tuple[Pool, int], SafeFloat] = {}
        self.rows: list[tuple[Pool, int]] = []
        """Share rows in the order they came: who draws low indices often has repeat offenders."""
        self.staking: dict[int, list[int]] = {}
        """Coldkey -> hotkeys it ever staked to."""
        self.basket_rate: dict[int, int] = {}
        self.basket_shares: dict[int, int] = {}
        self.basket_deposited: dict[int, int] = {}
        self.basket_claimed: dict[tuple[int, int], int] = {}
        self.root_pools: dict[int, Pool] = {}
        self.pools_of: dict[int, list[Pool]] = {}
        self.waiting: dict[int, None] = {}
        """Hotkeys with a queue of basket deposits, first come first."""
        self._hotkeys: dict[int, bytes] = {}
        self.first_coldkey = sizes.subnets + AUTHORS

    def account(self, number: int) -> bytes:
        """Accounts: first one per subnet, then block authors, then everybody else."""
        if number < self.sizes.subnets:
            return ESCROW_COLDKEY if number == ESCROW else subnet_account(number)
        return blake2b(b"finney account %d %d" % (self.seed, number), digest_size=32).digest()

    def hotkey(self, number: int) -> bytes:
        """The key of a hotkey."""
        known = self._hotkeys.get(number)
        if known is None:
            known = blake2b(b"finney hotkey %d %d" % (self.seed, number), digest_size=32).digest()
            self._hotkeys[number] = known
        return known

    def author(self, block: int) -> int:
        """Who makes a block."""
        return self.sizes.subnets + block % AUTHORS

    def take(self) -> Iterator[Changes]:
        """The changed keys, kind by kind; nothing is changed after that."""
        for name in ("accounts", "stake", "other"):
            yield getattr(self, name)
            setattr(self, name, {})

    def note_account(self, number: int) -> None:
        """Write an account as it now is."""
        key = ACCOUNT + blake2_128_concat(self.account(number))
        reserved = self.reserved.get(number, 0)
        self.accounts[key] = _ACCOUNT.pack(
            self.nonce[number], 1 if reserved else 0, 1, 0, self.free[number], reserved, 0, _FLAGS
        )

    def pay(self, source: int, target: int, rao: int) -> int:
        """Move at most ``rao`` so that the source lives on; what was moved."""
        rao = max(1, min(rao, self.free[source] - 1_000))
        self.free[source] -= rao
        self.free[target] += rao
        self.note_account(source)
        self.note_account(target)
        return rao

    def note_pool(self, pool: Pool) -> None:
        """Write a pool's alpha and its shares."""
        tail = blake2_128_concat(self.hotkey(pool.hotkey)) + u16(pool.netuid)
        self.stake[POOL_ALPHA + tail] = u64(pool.alpha)
        self.stake[POOL_SHARES + tail] = safe_float(pool.shares)

    def add_alpha(self, pool: Pool, alpha: int) -> None:
        """A dividend: the pool grows, nobody's shares change."""
        pool.alpha += alpha
        self.subnets[pool.netuid].staked += alpha
        tail = blake2_128_concat(self.hotkey(pool.hotkey)) + u16(pool.netuid)
        self.stake[POOL_ALPHA + tail] = u64(pool.alpha)

    def stake_of(self, pool: Pool, coldkey: int) -> int:
        """Alpha of a coldkey in a pool."""
        return shares.v2_value(pool.alpha, self.share.get((pool, coldkey), ZERO), pool.shares)

    def give_first(self, pool: Pool, coldkey: int, share: SafeFloat) -> None:
        """A share row of the first state, whose pool already counts it."""
        self._set_share(pool, coldkey, share, is_new=True)
        if pool.netuid == ROOT:
            self._rebase(pool, coldkey, 0)
        known = self.staking.setdefault(coldkey, [])
        if pool.hotkey not in known:
            known.append(pool.hotkey)

    def put_in(self, pool: Pool, coldkey: int, alpha: int) -> None:
        """Stake alpha."""
        before = self.stake_of(pool, coldkey) if pool.netuid == ROOT else 0
        gained = shares.v2_shares_for(alpha, pool.alpha, pool.shares)
        pool.shares = shares.add(pool.shares, gained)
        pool.alpha += alpha
        self.subnets[pool.netuid].staked += alpha
        held = self.share.get((pool, coldkey))
        if held is None:
            self.rows.append((pool, coldkey))
        self._set_share(pool, coldkey, shares.add(held or ZERO, gained), is_new=held is None)
        self.note_pool(pool)
        if pool.netuid == ROOT:
            self._rebase(pool, coldkey, before)
        if pool.hotkey not in (known := self.staking.setdefault(coldkey, [])):
            known.append(pool.hotkey)
            self.stake[STAKING_HOTKEYS + blake2_128_concat(self.account(coldkey))] = compact(len(known)) + b"".join(
                self.hotkey(one) for one in known
            )

    def take_out(self, row: int, alpha: int) -> int:
        """Unstake at most ``alpha`` of a share row, all of it removes the row; what came out. An owner's row stays."""
        pool, coldkey = self.rows[row]
        held, value = self.share[pool, coldkey], self.stake_of(pool, coldkey)
        everything = alpha >= value and coldkey != pool.owner
        alpha = value if everything else min(alpha, value // 2)
        given = held if everything else shares.v2_shares_for(alpha, pool.alpha, pool.shares)
        pool.shares = shares.subtract(pool.shares, given)
        pool.alpha -= alpha
        self.subnets[pool.netuid].staked -= alpha
        if everything:
            del self.share[pool, coldkey]
            self.rows[row] = self.rows[-1]
            self.rows.pop()
            tail = self._row_key(pool, coldkey)
            self.stake[SHARE + tail] = None
            if pool.epoch:
                self.stake[SHARE_EPOCH + tail] = None
        else:
            self._set_share(pool, coldkey, shares.subtract(held, given), is_new=False)
        self.note_pool(pool)
        if pool.netuid == ROOT:
            self._rebase(pool, coldkey, value)
        return alpha

    def queue_basket(self, pool: Pool, alpha: int) -> None:
        """Set alpha aside for a validator's fund."""
        pool.queued += alpha
        self.waiting[pool.hotkey] = None
        self.stake[BASKET_QUEUE + blake2_128_concat(self.hotkey(pool.hotkey)) + u16(pool.netuid)] = u64(pool.queued)

    def deposit_basket(self, pool: Pool) -> tuple[int, int]:
        """Put what waits in a pool's queue into the validator's fund: (alpha, fund shares minted)."""
        alpha, pool.queued = pool.queued, 0
        hotkey, key = pool.hotkey, blake2_128_concat(self.hotkey(pool.hotkey))
        self.stake[BASKET_QUEUE + key + u16(pool.netuid)] = None
        self.put_in(pool, ESCROW, alpha)
        subnet, root = self.subnets[pool.netuid], self.root_pools[hotkey].alpha
        minted = alpha * subnet.tao // subnet.alpha_in
        self.basket_rate[hotkey] = self.basket_rate.get(hotkey, 0) + minted * _I96F32_ONE // max(1, root)
        self.basket_shares[hotkey] = self.basket_shares.get(hotkey, 0) + minted
        self.basket_deposited[hotkey] = self.basket_deposited.get(hotkey, 0) + minted
        self.stake[BASKET_RATE + key] = self.basket_rate[hotkey].to_bytes(16, "little", signed=True)
        self.stake[BASKET_SHARES + key] = u64(self.basket_shares[hotkey])
        self.stake[BASKET_DEPOSITED + key] = u64(self.basket_deposited[hotkey])
        return alpha, minted

    def note_root_stake(self, pool: Pool, coldkey: int, block: int) -> None:
        """When a coldkey last changed its stake on root."""
        tail = twox64_concat(self.account(coldkey)) + twox64_concat(self.hotkey(pool.hotkey))
        self.stake[ROOT_STAKE_BLOCK + tail] = u64(block)

    def _rebase(self, pool: Pool, coldkey: int, before: int) -> None:
        """After a change of root stake the claimed mark moves so that what is owed stays as it was."""
        rate = self.basket_rate.get(pool.hotkey, 0)
        moved = rate * self.stake_of(pool, coldkey) // _I96F32_ONE - rate * before // _I96F32_ONE
        if moved:
            claimed = self.basket_claimed[pool.hotkey, coldkey] = (
                self.basket_claimed.get((pool.hotkey, coldkey), 0) + moved
            )
            tail = blake2_128_concat(self.hotkey(pool.hotkey)) + blake2_128_concat(self.account(coldkey))
            self.stake[BASKET_CLAIMED + tail] = claimed.to_bytes(16, "little", signed=True)

    def _row_key(self, pool: Pool, coldkey: int) -> bytes:
        coldkeys = blake2_128_concat(self.account(coldkey))
        return blake2_128_concat(self.hotkey(pool.hotkey)) + coldkeys + u16(pool.netuid)

    def _set_share(self, pool: Pool, coldkey: int, share: SafeFloat, *, is_new: bool) -> None:
        self.share[pool, coldkey] = share
        tail = self._row_key(pool, coldkey)
        self.stake[SHARE + tail] = safe_float(share)
        if pool.epoch and is_new:
            self.stake[SHARE_EPOCH + tail] = u64(pool.epoch)


def safe_float(value: SafeFloat) -> bytes:
    """The stored form of a share."""
    return u128(value.mantissa) + value.exponent.to_bytes(8, "little", signed=True)
