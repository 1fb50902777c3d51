"""The stock Substrate pallets of the simulated runtimes, as far as the simulation uses them.

Indices, fields and key hashers as in the real runtime 293, so that a client's built-in notions of
System, Balances and the rest hold. What they do is in ``execution`` and its neighbours.
"""

from __future__ import annotations

from indexer.devchain.declare import BOOL, U8, U16, U32, U64, U128, Composite, Enum, Field, Late, Type, Variant
from indexer.devchain.forms import array, bounded, compact_of, named, newtype, option, struct, tuple_of, vec
from indexer.devchain.pallet import BLAKE2, IDENTITY, TWOX64, Constant, Item, Pallet
from indexer.devchain.substrate_types import (
    ACCOUNT,
    ADDRESS,
    AURA_AUTHORITIES,
    BLOCK_LENGTH,
    BLOCK_WEIGHTS,
    BYTES,
    DB_WEIGHT,
    DIGEST,
    DISPATCH_ERROR,
    DISPATCH_INFO,
    DISPATCH_RESULT,
    EXTRA_FLAGS,
    H256,
    HOLD_REASON,
    LAST_RUNTIME_UPGRADE,
    MULTIPLIER,
    PHASE,
    PROXY_TYPE,
    RUNTIME_VERSION,
    SLOT,
)

EXISTENTIAL_DEPOSIT_RAO = 500
SS58_PREFIX = 42
BLOCK_HASH_COUNT = 2400
SLOT_MS = 12_000
NEW_LOGIC_FLAG = 1 << 127
"""Top bit of an account's flags: it uses the reworked balances logic."""

_WEIGHT = {"ref_time": 4_000_000_000_000, "proof_size": 2**64 - 1}
_PER_CLASS = {"base_extrinsic": _WEIGHT, "max_extrinsic": None, "max_total": _WEIGHT, "reserved": None}


def system(version: dict[str, object], event: Late, balance: Type) -> Pallet:
    """System: accounts, events, block numbers. ``version`` is the runtime's own RuntimeVersion."""
    account_data = struct(
        "pallet_balances::types::AccountData", free=balance, reserved=balance, frozen=balance, flags=EXTRA_FLAGS
    )
    account = struct(
        "frame_system::AccountInfo", nonce=U32, consumers=U32, providers=U32, sufficients=U32, data=account_data
    )
    absent = {
        "nonce": 0,
        "consumers": 0,
        "providers": 0,
        "sufficients": 0,
        "data": {"free": 0, "reserved": 0, "frozen": 0, "flags": NEW_LOGIC_FLAG},
    }
    record = Composite(
        (Field(PHASE, "phase", "Phase"), Field(event, "event", "E"), Field(vec(H256), "topics", "Vec<T>")),
        path=("frame_system", "EventRecord"),
        params=(("E", event), ("T", H256)),
    )
    return Pallet(
        "System",
        0,
        "frame_system::pallet",
        items=(
            Item("Account", account, ((BLAKE2, ACCOUNT),), absent),
            Item("BlockHash", H256, ((TWOX64, U32),), bytes(32)),
            Item("Number", U32, default=0),
            Item("ParentHash", H256, default=bytes(32)),
            Item("Digest", DIGEST, default=[]),
            Item("Events", vec(record), default=[]),
            Item("EventCount", U32, default=0),
            Item("LastRuntimeUpgrade", LAST_RUNTIME_UPGRADE),
        ),
        calls=(
            named("remark", 0, remark=BYTES),
            named("set_code", 2, code=BYTES),
            named("set_code_without_checks", 3, code=BYTES),
            named("remark_with_event", 7, remark=BYTES),
        ),
        events=(
            named("ExtrinsicSuccess", 0, dispatch_info=DISPATCH_INFO),
            named("ExtrinsicFailed", 1, dispatch_error=DISPATCH_ERROR, dispatch_info=DISPATCH_INFO),
            Variant("CodeUpdated", 2),
            named("NewAccount", 3, account=ACCOUNT),
            named("KilledAccount", 4, account=ACCOUNT),
            named("Remarked", 5, sender=ACCOUNT, hash=H256),
        ),
        errors=(Variant("InvalidSpecName", 0), Variant("SpecVersionNeedsToIncrease", 1), Variant("CallFiltered", 5)),
        constants=(
            Constant(
                "BlockWeights",
                BLOCK_WEIGHTS,
                {
                    "base_block": _WEIGHT,
                    "max_block": _WEIGHT,
                    "per_class": {"normal": _PER_CLASS, "operational": _PER_CLASS, "mandatory": _PER_CLASS},
                },
            ),
            Constant("BlockLength", BLOCK_LENGTH, {"normal": 7864320, "operational": 10485760, "mandatory": 10485760}),
            Constant("BlockHashCount", U32, BLOCK_HASH_COUNT),
            Constant("DbWeight", DB_WEIGHT, {"read": 25_000_000, "write": 100_000_000}),
            Constant("Version", RUNTIME_VERSION, version),
            Constant("SS58Prefix", U16, SS58_PREFIX),
        ),
    )


def timestamp() -> Pallet:
    """Timestamp: the block's time, set by the first extrinsic of every block."""
    return Pallet(
        "Timestamp",
        2,
        "pallet_timestamp::pallet",
        items=(Item("Now", U64, default=0), Item("DidUpdate", BOOL, default=False)),
        calls=(named("set", 0, now=compact_of(U64)),),
        constants=(Constant("MinimumPeriod", U64, SLOT_MS // 2),),
    )


def aura() -> Pallet:
    """Aura: who may author, and the current slot."""
    return Pallet(
        "Aura",
        3,
        "pallet_aura::pallet",
        items=(Item("Authorities", AURA_AUTHORITIES, default=[]), Item("CurrentSlot", SLOT, default=0)),
        constants=(Constant("SlotDuration", U64, SLOT_MS),),
    )


def balances(balance: Type) -> Pallet:
    """Balances: transfers, reserves and holds over System's accounts."""
    hold = struct("frame_support::traits::tokens::misc::IdAmount", id=HOLD_REASON, amount=balance)
    moves = ("Deposit", 7), ("Withdraw", 8), ("Slashed", 9), ("Minted", 10), ("Burned", 11)
    return Pallet(
        "Balances",
        5,
        "pallet_balances::pallet",
        items=(
            Item("TotalIssuance", balance, default=0),
            Item("InactiveIssuance", balance, default=0),
            Item("Holds", bounded(hold), ((BLAKE2, ACCOUNT),), []),
        ),
        calls=(
            named("transfer_allow_death", 0, dest=ADDRESS, value=compact_of(U64)),
            named("transfer_keep_alive", 3, dest=ADDRESS, value=compact_of(U64)),
            named("transfer_all", 4, dest=ADDRESS, keep_alive=BOOL),
            named("force_set_balance", 8, who=ADDRESS, new_free=compact_of(U64)),
        ),
        events=(
            named("Endowed", 0, account=ACCOUNT, free_balance=balance),
            named("DustLost", 1, account=ACCOUNT, amount=balance),
            named("Transfer", 2, **{"from": ACCOUNT, "to": ACCOUNT, "amount": balance}),
            named("BalanceSet", 3, who=ACCOUNT, free=balance),
            named("Reserved", 4, who=ACCOUNT, amount=balance),
            named("Unreserved", 5, who=ACCOUNT, amount=balance),
            *(named(name, index, who=ACCOUNT, amount=balance) for name, index in moves),
            named("Issued", 15, amount=balance),
            named("Rescinded", 16, amount=balance),
        ),
        errors=(Variant("InsufficientBalance", 2), Variant("ExistentialDeposit", 3), Variant("Expendability", 4)),
        constants=(Constant("ExistentialDeposit", balance, EXISTENTIAL_DEPOSIT_RAO),),
    )


def transaction_payment(balance: Type) -> Pallet:
    """TransactionPayment: what a fee cost."""
    return Pallet(
        "TransactionPayment",
        6,
        "pallet_transaction_payment::pallet",
        items=(Item("NextFeeMultiplier", MULTIPLIER, default=10**18),),
        events=(named("TransactionFeePaid", 0, who=ACCOUNT, actual_fee=balance, tip=balance),),
        constants=(Constant("OperationalFeeMultiplier", U8, 5),),
    )


def sudo(call: Late) -> Pallet:
    """Sudo: one key that may do anything."""
    return Pallet(
        "Sudo",
        12,
        "pallet_sudo::pallet",
        items=(Item("Key", ACCOUNT),),
        calls=(named("sudo", 0, call=call),),
        events=(
            named("Sudid", 0, sudo_result=DISPATCH_RESULT),
            named("KeyChanged", 1, old=option(ACCOUNT), new=ACCOUNT),
        ),
        errors=(Variant("RequireSudo", 0),),
    )


def preimage() -> Pallet:
    """Preimage: its deposit is a hold, which moves free to reserved without any Balances event."""
    status: Enum = Enum(
        (named("Unrequested", 0, ticket=tuple_of(ACCOUNT, U64), len=U32),), path=("pallet_preimage", "RequestStatus")
    )
    return Pallet(
        "Preimage",
        14,
        "pallet_preimage::pallet",
        items=(Item("RequestStatusFor", status, ((IDENTITY, H256),)),),
        calls=(named("note_preimage", 0, bytes=BYTES), named("unnote_preimage", 1, hash=H256)),
        events=(named("Noted", 0, hash=H256), named("Requested", 1, hash=H256), named("Cleared", 2, hash=H256)),
        errors=(Variant("TooBig", 0), Variant("AlreadyNoted", 1), Variant("NotAuthorized", 2), Variant("NotNoted", 3)),
    )


def proxy(balance: Type) -> Pallet:
    """Proxy: its deposit is a plain reserve, with a Reserved event."""
    definition = struct("pallet_proxy::ProxyDefinition", delegate=ACCOUNT, proxy_type=PROXY_TYPE, delay=U32)
    fields = {"delegator": ACCOUNT, "delegatee": ACCOUNT, "proxy_type": PROXY_TYPE, "delay": U32}
    return Pallet(
        "Proxy",
        16,
        "pallet_proxy::pallet",
        items=(Item("Proxies", tuple_of(bounded(definition), balance), ((TWOX64, ACCOUNT),), ([], 0)),),
        calls=(
            named("add_proxy", 1, delegate=ADDRESS, proxy_type=PROXY_TYPE, delay=U32),
            named("remove_proxy", 2, delegate=ADDRESS, proxy_type=PROXY_TYPE, delay=U32),
        ),
        events=(named("ProxyAdded", 3, **fields), named("ProxyRemoved", 4, **fields)),
        errors=(Variant("TooMany", 0), Variant("NotFound", 1), Variant("Duplicate", 4)),
    )


def swap(netuid: Type, new: bool) -> Pallet:
    """Swap: concentrated liquidity in the older runtime, the weighted balancer in the newer."""
    fixed = struct("substrate_fixed::FixedU128", bits=U128)
    fee = Item("FeeRate", U16, ((TWOX64, netuid),), 33 if new else 196)
    perquintill = newtype("sp_arithmetic::per_things::Perquintill", U64)
    balancer = struct("pallet_subtensor_swap::pallet::balancer::Balancer", quote=perquintill)
    older = (
        Item("SwapV3Initialized", BOOL, ((TWOX64, netuid),), False),
        Item("AlphaSqrtPrice", fixed, ((TWOX64, netuid),), 0),
        Item("EnabledUserLiquidity", BOOL, ((TWOX64, netuid),), False),
    )
    newer = (
        Item("SwapBalancer", balancer, ((TWOX64, netuid),), 5 * 10**17),
        Item("BalancerTaoReservoir", U64, ((TWOX64, netuid),), 0),
        Item("BalancerAlphaReservoir", U64, ((TWOX64, netuid),), 0),
    )
    return Pallet(
        "Swap",
        28,
        "pallet_subtensor_swap::pallet::pallet",
        items=(fee, *(newer if new else older)),
        calls=(named("set_fee_rate", 0, netuid=netuid, rate=U16),),
        events=(named("FeeRateSet", 0, netuid=netuid, rate=U16),),
        errors=(Variant("FeeRateTooHigh", 0),),
        constants=(
            Constant("ProtocolId", newtype("frame_support::PalletId", array(U8, 8)), b"ten/swap"),
            Constant("MaxFeeRate", U16, 10_000),
        ),
        unlisted=older if new else (),
    )
