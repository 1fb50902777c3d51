"""The pallets that make a chain Bittensor: SubtensorModule and AdminUtils, for both runtimes.

Item names, hashers, key order and value types follow the real metadata (293; 424 and the October 2026
lists for the newer). At 475 ``Alpha`` and ``TotalHotkeyShares`` are no longer listed although their rows
are still stored, read and decisive: ``unlisted`` keeps them for the runtime's own use.
"""

from __future__ import annotations

from indexer.devchain.declare import BOOL, I64, I128, U16, U64, U128, Type, Variant
from indexer.devchain.forms import named, struct, tuple_of, unnamed, vec
from indexer.devchain.hyperparameters import HYPERPARAMETERS, NO_ACCOUNT, setter_calls, setter_events
from indexer.devchain.pallet import BLAKE2, IDENTITY, TWOX64, Hasher, Item, Pallet
from indexer.devchain.substrate_types import ACCOUNT, BYTES, FIXED_I128, FIXED_U128

DEFAULT_TAKE = 11_796
"""18 % of 65535."""
SAFE_FLOAT = struct("share_pool::SafeFloat", mantissa=U128, exponent=I64)
KeyParts = tuple[tuple[Hasher, Type], ...]
ZERO_SAFE_FLOAT = {"mantissa": 0, "exponent": 0}


def subtensor(netuid: Type, tao: Type, alpha: Type, new: bool) -> Pallet:
    """SubtensorModule of runtime 293 (``new`` False) or 475."""
    hot_net = ((BLAKE2, ACCOUNT), (IDENTITY, netuid))
    by_net, by_hot = ((IDENTITY, netuid),), ((BLAKE2, ACCOUNT),)
    hot_cold_net = ((BLAKE2, ACCOUNT), (BLAKE2, ACCOUNT), (IDENTITY, netuid))
    shares_v1 = (
        Item("TotalHotkeyShares", FIXED_U128, hot_net, 0),
        Item("Alpha", FIXED_U128, hot_cold_net, 0),
    )
    items = (
        Item("TaoWeight", U64, default=971_718_665_099_567_868),
        Item("MaxDelegateTake", U16, default=DEFAULT_TAKE),
        Item("MinDelegateTake", U16, default=0),
        Item("Owner", ACCOUNT, by_hot, NO_ACCOUNT),
        Item("Delegates", U16, by_hot, DEFAULT_TAKE),
        Item("ChildkeyTake", U16, hot_net, 0),
        Item("ChildKeys", vec(tuple_of(U64, ACCOUNT)), hot_net, []),
        Item("ParentKeys", vec(tuple_of(U64, ACCOUNT)), hot_net, []),
        Item("AlphaDividendsPerSubnet", alpha, ((IDENTITY, netuid), (BLAKE2, ACCOUNT)), 0),
        Item("BlockEmission", U64, default=1_000_000_000),
        Item("TotalIssuance", tao, default=0),
        Item("TotalStake", tao, default=0),
        Item("SubnetMovingAlpha", FIXED_I128, default=12_885),
        Item("SubnetMovingPrice", FIXED_I128, by_net, 0),
        Item("SubnetVolume", U128, by_net, 0),
        Item("SubnetTAO", tao, by_net, 0),
        Item("SubnetAlphaInEmission", alpha, by_net, 0),
        Item("SubnetAlphaOutEmission", alpha, by_net, 0),
        Item("SubnetTaoInEmission", tao, by_net, 0),
        Item("SubnetAlphaIn", alpha, by_net, 0),
        Item("SubnetAlphaOut", alpha, by_net, 0),
        Item("StakingHotkeys", vec(ACCOUNT), by_hot, []),
        Item("OwnedHotkeys", vec(ACCOUNT), by_hot, []),
        Item("TotalHotkeyAlpha", alpha, hot_net, 0),
        Item("TotalHotkeyAlphaLastEpoch", alpha, hot_net, 0),
        *(_shares_v2(alpha, hot_net, hot_cold_net, by_hot, by_net, tao) if new else shares_v1),
        Item("TokenSymbol", BYTES, by_net, "\U0001d70f".encode()),
        Item("TotalNetworks", U16, default=0),
        Item("SubnetOwnerCut", U16, default=DEFAULT_TAKE),
        Item("SubnetworkN", U16, by_net, 0),
        Item("NetworksAdded", BOOL, by_net, False),
        Item("NetworkRegisteredAt", U64, by_net, 0),
        Item("IsNetworkMember", BOOL, hot_net, False),
        Item("Uids", U16, ((IDENTITY, netuid), (BLAKE2, ACCOUNT))),
        Item("Keys", ACCOUNT, ((IDENTITY, netuid), (IDENTITY, U16)), NO_ACCOUNT),
        Item("BlockAtRegistration", U64, ((IDENTITY, netuid), (IDENTITY, U16)), 0),
        Item("Emission", vec(alpha), by_net, []),
        Item("LastUpdate", vec(U64), by_net, []),
        Item("BlocksSinceLastStep", U64, by_net, 0),
        Item("LastMechansimStepBlock", U64, by_net, 0),
        Item("RegistrationsThisInterval", U16, by_net, 0),
        Item("LastColdkeyHotkeyStakeBlock", U64, ((TWOX64, ACCOUNT), (TWOX64, ACCOUNT))),
        Item("HasMigrationRun", BOOL, ((IDENTITY, BYTES),), False),
        Item("PendingValidatorEmission" if new else "PendingEmission", U64, by_net, 0),
        *(one.storage(netuid, new) for one in HYPERPARAMETERS if one.known(new)),
    )
    return Pallet(
        "SubtensorModule",
        7,
        "pallet_subtensor::pallet",
        items=items,
        calls=_calls(netuid, tao, alpha, new),
        events=(*_events(netuid, tao, alpha, new), *setter_events(netuid, new)),
        errors=(
            Variant("SubnetNotExists", 0),
            Variant("HotKeyAccountNotExists", 4),
            Variant("NonAssociatedColdKey", 7),
            Variant("NotEnoughStakeToWithdraw", 9),
            Variant("NotEnoughBalanceToStake", 12),
            Variant("HotKeyAlreadyRegisteredInSubNet", 22),
        ),
        unlisted=(*shares_v1, Item("PendingEmission", U64, by_net, 0), Item("AlphaV2Migration", U64)) if new else (),
    )


def _shares_v2(
    alpha: Type,
    hot_net: KeyParts,
    hot_cold_net: KeyParts,
    by_hot: KeyParts,
    by_net: KeyParts,
    tao: Type,
) -> tuple[Item, ...]:
    """What 475 has that 293 had not: SafeFloat shares, pool epochs, baskets."""
    return (
        Item("TotalHotkeySharesV2", SAFE_FLOAT, hot_net, ZERO_SAFE_FLOAT),
        Item("AlphaV2", SAFE_FLOAT, hot_cold_net, ZERO_SAFE_FLOAT),
        Item("AlphaSharePoolEpoch", U64, hot_net, 0),
        Item("AlphaShareEpoch", U64, hot_cold_net, 0),
        Item("TotalAlphaStaked", alpha, by_net, 0),
        Item("PendingBasketDeposits", alpha, hot_net, 0),
        Item("BasketShares", U64, by_hot, 0),
        Item("BasketRate", FIXED_I128, by_hot, 0),
        Item("BasketClaimed", I128, ((BLAKE2, ACCOUNT), (BLAKE2, ACCOUNT)), 0),
        Item("BasketDepositedTao", tao, by_hot, 0),
        Item("BasketRedeemedTao", tao, by_hot, 0),
        Item("BasketTradingEnabled", BOOL, default=True),
        Item("BasketDailyTurnoverCap", U16, default=6553),
        Item("BasketConcentrationCap", U16, default=6553),
        Item("SubnetFastMovingPrice", FIXED_U128, by_net),
        Item("EmissionBarRank", U16, default=32),
        Item("LastEpochBlock", U64, by_net, 0),
    )


def _calls(netuid: Type, tao: Type, alpha: Type, new: bool) -> tuple[Variant, ...]:
    claim = (named("claim_root", 121, subnets=vec(netuid)),) if new else ()
    return (
        named("become_delegate", 1, hotkey=ACCOUNT),
        named("add_stake", 2, hotkey=ACCOUNT, netuid=netuid, amount_staked=tao),
        named("remove_stake", 3, hotkey=ACCOUNT, netuid=netuid, amount_unstaked=alpha),
        named("burned_register", 7, netuid=netuid, hotkey=ACCOUNT),
        named("decrease_take", 65, hotkey=ACCOUNT, take=U16),
        named("increase_take", 66, hotkey=ACCOUNT, take=U16),
        named(
            "move_stake",
            85,
            origin_hotkey=ACCOUNT,
            destination_hotkey=ACCOUNT,
            origin_netuid=netuid,
            destination_netuid=netuid,
            alpha_amount=alpha,
        ),
        named(
            "transfer_stake",
            86,
            destination_coldkey=ACCOUNT,
            hotkey=ACCOUNT,
            origin_netuid=netuid,
            destination_netuid=netuid,
            alpha_amount=alpha,
        ),
        *claim,
    )


def _events(netuid: Type, tao: Type, alpha: Type, new: bool) -> tuple[Variant, ...]:
    baskets = (
        named("BasketDeposited", 130, hotkey=ACCOUNT, netuid=netuid, alpha=alpha, shares=U64),
        named("BasketClaimed", 131, hotkey=ACCOUNT, coldkey=ACCOUNT, shares=U64, tao=tao),
    )
    return (
        unnamed("NetworkAdded", 0, netuid, U16),
        unnamed("NetworkRemoved", 1, netuid),
        unnamed("StakeAdded", 2, ACCOUNT, ACCOUNT, tao, alpha, netuid, U64),
        unnamed("StakeRemoved", 3, ACCOUNT, ACCOUNT, tao, alpha, netuid, U64),
        unnamed("StakeMoved", 4, ACCOUNT, ACCOUNT, netuid, ACCOUNT, netuid, tao),
        unnamed("NeuronRegistered", 6, netuid, U16, ACCOUNT),
        unnamed("DelegateAdded", 30, ACCOUNT, ACCOUNT, U16),
        unnamed("TakeDecreased", 59, ACCOUNT, ACCOUNT, U16),
        unnamed("TakeIncreased", 60, ACCOUNT, ACCOUNT, U16),
        unnamed("StakeTransferred", 84, ACCOUNT, ACCOUNT, ACCOUNT, netuid, netuid, tao),
        *(baskets if new else ()),
    )


def admin_utils(netuid: Type, new: bool) -> Pallet:
    """AdminUtils: the setters of every hyperparameter."""
    return Pallet(
        "AdminUtils",
        19,
        "pallet_admin_utils::pallet",
        calls=setter_calls(netuid, new),
        events=(named("Yuma3EnableToggled", 1, netuid=netuid, enabled=BOOL),),
        errors=(Variant("SubnetDoesNotExist", 0),),
    )
