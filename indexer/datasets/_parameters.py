"""Every parameter that is kept: storage item, name, unit, meaning, and how its value is read.

Names are those of the chain's runtime API (``get_subnet_hyperparams``) and its SDK, snake case of the
item where they have none. One item may give several names. The lists are facts about the chain, not
code: an item that a runtime does not list is simply absent from what is indexed under it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from indexer.datasets._values import blob, boolean, document, fixed, pair, snake, whole
from indexer.model import ItemRef
from indexer.scale import ss58_encode

Value = tuple[object, object]
"""(numeric or None, JSON)."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A named value of one storage item, per subnet (keyed by netuid) or of the network (plain)."""

    item: ItemRef
    name: str
    unit: str
    comment: str
    read: Callable[[object], Value]
    network: bool
    """True: one value for the whole network; False: one per subnet."""


def integer(value: object) -> Value:
    """A whole number, the same in both forms."""
    return whole(value), value


def switch(value: object) -> Value:
    """A boolean: 1 or 0, and JSON true or false."""
    return int(boolean(value)), value


def binary(value: object, *, fraction_bits: int) -> Value:
    """Fixed point: the exact decimal, and its bits in JSON."""
    return fixed(value, fraction_bits), {"bits": value}


def choice(value: object, *, variants: tuple[str, ...]) -> Value:
    """An enum: the variant's index (None for a variant not known here), and its name in JSON."""
    return (variants.index(value) if value in variants else None), document(value)


def account(value: object) -> Value:
    """An account: no number; SS58 text in JSON."""
    return None, ss58_encode(blob(value))


def listed(value: object) -> Value:
    """A list: no number; the list in JSON."""
    return None, document(value)


def half(value: object, *, index: int) -> Value:
    """One number of a pair."""
    part = whole(pair(value)[index])
    return part, part


def yuma_version(value: object) -> Value:
    """3 if Yuma3 is on, else 2, as the runtime API derives it."""
    version = 3 if boolean(value) else 2
    return version, version


Read = Callable[[object], Value]
_u64f64 = partial(binary, fraction_bits=64)
_i96f32 = partial(binary, fraction_bits=32)


def _named(network: bool, item: str, name: str, unit: str, comment: str, read: Read = integer) -> Parameter:
    pallet, _, bare = item.rpartition(".")
    return Parameter(ItemRef(pallet or "SubtensorModule", bare), name or snake(bare), unit, comment, read, network)


_p = partial(_named, False)
_g = partial(_named, True)

NETWORKS_ADDED = ItemRef("SubtensorModule", "NetworksAdded")
YUMA3_ON = ItemRef("SubtensorModule", "Yuma3On")
USER_LIQUIDITY = ItemRef("Swap", "EnabledUserLiquidity")
BALANCER = ItemRef("Swap", "SwapBalancer")

SUBNET_PARAMETERS: tuple[Parameter, ...] = (
    _p("Rho", "rho", "", "Slope of the trust curve; changes without an event."),
    _p("Kappa", "kappa", "/65535", "Stake share a weight needs to count as agreed."),
    _p("ImmunityPeriod", "immunity_period", "blocks", "During which a new neuron cannot be pruned."),
    _p("MinAllowedWeights", "min_allowed_weights", "count", "Fewest weights accepted in one submission."),
    _p("MaxWeightsLimit", "max_weights_limit", "/65535",
       "Ceiling of one normalised weight; at spec 475 the runtime API says 65535 whatever is stored."),
    _p("Tempo", "tempo", "blocks", "Length of an epoch."),
    _p("MinDifficulty", "min_difficulty", "", "Floor of the proof-of-work difficulty."),
    _p("MaxDifficulty", "max_difficulty", "", "Ceiling of the proof-of-work difficulty."),
    _p("Difficulty", "difficulty", "", "Proof-of-work difficulty; since spec 475 it moves in every block."),
    _p("WeightsVersionKey", "weights_version", "", "Version key that validators must send with weights."),
    _p("WeightsSetRateLimit", "weights_rate_limit", "blocks", "Between two weight submissions of a neuron."),
    _p("AdjustmentInterval", "adjustment_interval", "blocks", "Of the old price controller."),
    _p("AdjustmentAlpha", "adjustment_alpha", "/2^64-1", "Smoothing of the old price controller."),
    _p("ActivityCutoff", "activity_cutoff", "blocks",
       "Inactivity limit as stored; since spec 423 max(1, activity_cutoff_factor * tempo / 1000) is in force."),
    _p("ActivityCutoffFactorMilli", "activity_cutoff_factor", "tempo/1000", "Inactivity limit."),
    _p("NetworkRegistrationAllowed", "registration_allowed", "bool", "Registration by burn.", switch),
    _p("NetworkPowRegistrationAllowed", "network_pow_registration_allowed", "bool",
       "Registration by proof of work; its default went from true to false at spec 475.", switch),
    _p("TargetRegistrationsPerInterval", "target_regs_per_interval", "count", "Target of registrations."),
    _p("Burn", "burn", "rao", "Price of a registration: moves in every block, without an event."),
    _p("MinBurn", "min_burn", "rao", "Floor of the price of a registration."),
    _p("MaxBurn", "max_burn", "rao", "Ceiling of the price of a registration."),
    _p("BurnHalfLife", "burn_half_life", "blocks", "Half-life of the price's decay."),
    _p("BurnIncreaseMult", "burn_increase_mult", "factor", "Of the price at each registration.", _u64f64),
    _p("CollateralLockShare", "collateral_lock_share", "/65535",
       "Part of the price locked as collateral instead of burned."),
    _p("CollateralDrainRatio", "collateral_drain_ratio", "ratio", "Alpha released per alpha earned.", _u64f64),
    _p("BondsMovingAverage", "bonds_moving_avg", "/1000000", "Part of the old bonds kept per epoch."),
    _p("BondsPenalty", "bonds_penalty", "/65535", "How hard bonds out of consensus are cut."),
    _p("BondsResetOn", "bonds_reset_enabled", "bool", "Bonds are cleared when metadata is committed.", switch),
    _p("MaxRegistrationsPerBlock", "max_regs_per_block", "count", "Registrations accepted per block."),
    _p("ServingRateLimit", "serving_rate_limit", "blocks", "Between two axon announcements."),
    _p("MaxAllowedValidators", "max_validators", "count", "Validator permits."),
    _p("MaxAllowedUids", "max_allowed_uids", "count", "Neuron slots."),
    _p("MinAllowedUids", "", "count", "Lower bound of max_allowed_uids."),
    _p("MinNonImmuneUids", "", "count", "Slots that must stay prunable."),
    _p("ImmuneOwnerUidsLimit", "owner_immune_neuron_limit", "count", "Owner neurons that pruning skips."),
    _p("RevealPeriodEpochs", "commit_reveal_period", "epochs", "Between weight commit and reveal."),
    _p("CommitRevealWeightsEnabled", "commit_reveal_weights_enabled", "bool", "Weights are committed first.", switch),
    _p("AlphaValues", "alpha_high", "/65535", "Upper bound of liquid alpha.", partial(half, index=1)),
    _p("AlphaValues", "alpha_low", "/65535", "Lower bound of liquid alpha.", partial(half, index=0)),
    _p("LiquidAlphaOn", "liquid_alpha_enabled", "bool", "Bond smoothing varies per weight.", switch),
    _p("LiquidAlphaConsensusMode", "", "enum", "Consensus that liquid alpha compares with.",
       partial(choice, variants=("Current", "Previous", "Auto"))),
    _p("AlphaSigmoidSteepness", "alpha_sigmoid_steepness", "", "Slope of the liquid alpha curve, signed."),
    _p("Yuma3On", "yuma3_enabled", "bool", "The Yuma3 variant of consensus.", switch),
    _p("Yuma3On", "yuma_version", "", "3 if yuma3_enabled, else 2.", yuma_version),
    _p("SubnetEpochConsensus", "epoch_consensus", "enum", "Which epoch algorithm runs.",
       partial(choice, variants=("Yuma", "Null"))),
    _p("SubtokenEnabled", "subnet_is_active", "bool", "The subnet has been started.", switch),
    _p("TransferToggle", "transfers_enabled", "bool", "Stake may change its coldkey.", switch),
    _p("OwnerCutEnabled", "owner_cut_enabled", "bool", "The owner receives the cut.", switch),
    _p("OwnerCutAutoLockEnabled", "owner_cut_auto_lock_enabled", "bool", "The owner's cut is locked at once.", switch),
    _p("MinChildkeyTakePerSubnet", "min_childkey_take", "/65535",
       "Lowest childkey take; the effective value is the larger of this and the network's."),
    _p("RecycleOrBurn", "", "enum", "What happens to emission of owner hotkeys.",
       partial(choice, variants=("Burn", "Recycle"))),
    _p("EMAPriceHalvingBlocks", "", "blocks", "Half-life of the slow price EMA."),
    _p("MechanismCountCurrent", "mechanism_count", "count", "Mechanisms in the subnet."),
    _p("MechanismEmissionSplit", "", "/65535 each", "Emission per mechanism; none: equal.", listed),
    _p("SubnetEmissionEnabled", "", "bool", "The subnet receives TAO emission.", switch),
    _p("VotingPowerTrackingEnabled", "", "bool", "Voting power is tracked.", switch),
    _p("VotingPowerDisableAtBlock", "", "block", "Scheduled end of the tracking of voting power."),
    _p("VotingPowerEmaAlpha", "", "/10^18", "Weight of the EMA of voting power."),
    _p("RootClaimableThreshold", "", "rao", "Smallest claim of root dividends.", _i96f32),
    _p("ValidatorPruneLen", "", "", "Unused."),
    _p("ScalingLawPower", "", "/100", "Unused."),
    _p("FirstEmissionBlockNumber", "", "block", "Start of emission; none: not started."),
    _p("SubnetMechanism", "", "0 stable, 1 dynamic", "Type of the pool."),
    _p("SubnetOwner", "", "account", "Coldkey of the owner.", account),
    _p("SubnetOwnerHotkey", "", "account", "Hotkey of the owner.", account),
    _p("NullPruningTarget", "", "count", "Running trim target in Null mode."),
    _p("SavedYumaMaxAllowedValidators", "", "count", "max_validators kept while in Null mode."),
    _p("LastYumaStepBlock", "", "block", "Last Yuma epoch; state, not a parameter."),
    _p("NetworkMaxStake", "", "rao", "Ceiling of stake (around spec 233)."),
    _p("Swap.FeeRate", "fee_rate", "/65535", "Fee of the pool."),
    _p("Swap.EnabledUserLiquidity", "user_liquidity_enabled", "bool",
       "Users may provide liquidity; false since the balancer (spec 423).", switch),
)  # fmt: skip
"""Per-subnet parameters (HYPERPARAMS.tsv and HYPERPARAMS_2026-10.tsv)."""

NETWORK_PARAMETERS: tuple[Parameter, ...] = (
    _g("TaoWeight", "", "/2^64-1", "Weight of root stake against alpha."),
    _g("CKBurn", "", "/2^64-1", "Part of childkey emission that is burned."),
    _g("DefaultTake", "", "/65535", "Default delegate take (old)."),
    _g("MaxDelegateTake", "", "/65535", "Highest delegate take."),
    _g("MinDelegateTake", "", "/65535", "Lowest delegate take."),
    _g("MaxChildkeyTake", "", "/65535", "Highest childkey take."),
    _g("MinChildkeyTake", "", "/65535", "Lowest childkey take."),
    _g("SubnetLimit", "", "count", "Most subnets."),
    _g("TotalNetworks", "", "count", "Subnets that exist."),
    _g("NetworkImmunityPeriod", "", "blocks", "During which a new subnet cannot be pruned."),
    _g("NetworkMinLockCost", "", "rao", "Floor of the price of a subnet."),
    _g("NetworkLastLockCost", "", "rao", "Last price paid for a subnet; today's is computed from it."),
    _g("NetworkLockReductionInterval", "", "blocks", "Half-life of the price of a subnet."),
    _g("NetworkRateLimit", "", "blocks", "Between two subnet registrations."),
    _g("NetworkLastRegistered", "", "block", "Last registration of a subnet."),
    _g("NetworkRegistrationStartBlock", "", "block", "From which subnets can be registered."),
    _g("NetworkMinAllowedUids", "", "count", "Fewest neurons of a subnet (old)."),
    _g("SubnetOwnerCut", "", "/65535", "Part of emission that goes to subnet owners."),
    _g("StakeThreshold", "", "rao", "Stake a validator needs to set weights."),
    _g("WeightsMinStake", "", "rao", "Stake a validator needs to set weights (old)."),
    _g("NominatorMinRequiredStake", "", "rao", "Smallest stake of a nominator."),
    _g("TxRateLimit", "", "blocks", "Between two limited transactions."),
    _g("TxDelegateTakeRateLimit", "", "blocks", "Between two changes of a delegate take."),
    _g("TxChildkeyTakeRateLimit", "", "blocks", "Between two changes of a childkey take."),
    _g("WeightsVersionKeyRateLimit", "", "tempos", "Between two changes of weights_version."),
    _g("OwnerHyperparamRateLimit", "", "tempos", "Between two changes by an owner."),
    _g("AdminFreezeWindow", "", "blocks", "Before an epoch, in which owners change nothing."),
    _g("MaxEpochsPerBlock", "", "count", "Epochs run in one block."),
    _g("MinActivityCutoff", "", "blocks", "Floor of activity_cutoff."),
    _g("MaxMechanismCount", "", "count", "Most mechanisms of a subnet."),
    _g("NumRootClaim", "", "count", "Root claims made by the chain per block (before spec 441)."),
    _g("SubnetMovingAlpha", "", "weight", "Of the slow price EMA.", _i96f32),
    _g("FlowEmaSmoothingFactor", "", "/2^63", "Weight of the flow EMA."),
    _g("FlowNormExponent", "", "exponent", "Of normalised flows.", _u64f64),
    _g("TaoFlowCutoff", "", "rao", "Flows below it count as none.", _u64f64),
    _g("NetTaoFlowEnabled", "", "bool", "Protocol flow is taken off the users' flow.", switch),
    _g("MaturityRate", "", "blocks", "Rate at which conviction grows."),
    _g("UnlockRate", "", "blocks", "Rate at which locks decay."),
    _g("CommitRevealWeightsVersion", "", "", "Version of commit-reveal."),
    _g("StartCallDelay", "", "blocks", "Between registration and start of a subnet."),
    _g("ColdkeySwapScheduleDuration", "", "blocks", "Before a coldkey swap runs (old)."),
    _g("ColdkeySwapRescheduleDuration", "", "blocks", "Before a coldkey swap can be scheduled again (old)."),
    _g("ColdkeySwapAnnouncementDelay", "", "blocks", "Between announcement and coldkey swap."),
    _g("ColdkeySwapReannouncementDelay", "", "blocks", "Between two announcements of a coldkey swap."),
    _g("DissolveNetworkScheduleDuration", "", "blocks", "Before a scheduled dissolution runs."),
    _g("SenateRequiredStakePercentage", "", "%", "Stake a senator needs (old)."),
    _g("PendingChildKeyCooldown", "", "blocks", "Before child keys take effect."),
    _g("BlockEmission", "", "rao", "TAO emitted per block; deprecated by the chain."),
    _g("EmissionBarQuantile", "", "fraction", "Quantile of the emission gate.", _u64f64),
    _g("EmissionBarRank", "", "count", "Rank of the emission gate."),
    _g("EmissionGateExponent", "", "exponent", "Steepness of the emission gate.", _u64f64),
    _g("EmissionGateBar", "", "share", "Threshold of the emission gate, computed by the chain.", _u64f64),
    _g("RootStakeUnlockInterval", "", "blocks", "Hold time of root stake; 0: none."),
    _g("BasketTradingEnabled", "", "bool", "Baskets may be traded.", switch),
    _g("BasketDailyTurnoverCap", "", "/65535", "Turnover of a fund as share of its value."),
    _g("BasketMinTradeTao", "", "rao", "Smallest leg of a trade."),
    _g("BasketLiquidityCap", "", "/65535", "Largest share of a pool that one fund may hold."),
    _g("BasketConcentrationCap", "", "/65535", "Largest share of a fund in one holding."),
    _g("BasketClaimRowDustCapTao", "", "rao", "Claims skip rows worth less than this or the relative floor."),
    _g("BasketClaimRowDustBps", "", "/10000", "The relative floor."),
    _g("BasketClaimSliceDustTao", "", "rao", "Claims skip slices worth less."),
    _g("BasketClaimForfeitCapTao", "", "rao", "Most that a skipped slice may be worth."),
)
"""Parameters of the network (MODEL.md 3 and HYPERPARAMS_2026-10.tsv)."""

PARAMETERS = (*SUBNET_PARAMETERS, *NETWORK_PARAMETERS)
