"""The per-subnet hyperparameters of both simulated runtimes: types, defaults, setters, events.

Names, key hashers, types and defaults are those of the real runtimes 293 and 424/475 (their metadata,
and the October 2026 list for what came later). A setter without an event is the trap the simulation
must hold: an indexer that trusts events misses the change. So is a default that moves without a write.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from indexer.devchain.declare import BOOL, I16, U8, U16, U32, U64, Type, Variant
from indexer.devchain.forms import enum, named, tuple_of, unnamed, vec
from indexer.devchain.pallet import BLAKE2, IDENTITY, OPTIONAL, TWOX64, Hasher, Item
from indexer.devchain.substrate_types import ACCOUNT, FIXED_I128, FIXED_U128

ABSENT = object()
"""As a default of the older runtime: it does not know the item."""
ONE_U64F64 = 1 << 64
NO_ACCOUNT = bytes(32)

RECYCLE_OR_BURN = enum("pallet_subtensor::pallet::RecycleOrBurnEnum", "Burn", "Recycle")
CONSENSUS_MODE = enum("pallet_subtensor::pallet::ConsensusMode", "Current", "Previous", "Auto")
EPOCH_CONSENSUS = enum("pallet_subtensor::pallet::EpochConsensus", "Yuma", "Null")


@dataclass(frozen=True, slots=True)
class Hyperparameter:
    """One parameter of a subnet."""

    item: str
    type: Type
    before: Any
    """Default in runtime 293; ``ABSENT`` where it is unknown there, ``OPTIONAL`` where it has none."""
    after: Any
    """Default in runtime 475."""
    call: tuple[str, int] | None = None
    """AdminUtils call that sets it: name and index."""
    event: tuple[str, int] | None = None
    """SubtensorModule event the setter emits; None: it emits nothing."""
    hasher: Hasher = IDENTITY

    def known(self, new: bool) -> bool:
        """Whether the older or the newer runtime has it."""
        return new or self.before is not ABSENT

    def storage(self, netuid: Type, new: bool) -> Item:
        """Its storage item."""
        return Item(self.item, self.type, ((self.hasher, netuid),), self.after if new else self.before)


H = Hyperparameter
HYPERPARAMETERS: tuple[Hyperparameter, ...] = (
    H("Rho", U16, 10, 10, ("sudo_set_rho", 17)),
    H("Kappa", U16, 32767, 32767, ("sudo_set_kappa", 16), ("KappaSet", 18)),
    H("AlphaSigmoidSteepness", I16, 1000, 1000, ("sudo_set_alpha_sigmoid_steepness", 68)),
    H("ImmunityPeriod", U16, 4096, 4096, ("sudo_set_immunity_period", 13), ("ImmunityPeriodSet", 23)),
    H("MinAllowedWeights", U16, 1024, 1024, ("sudo_set_min_allowed_weights", 14), ("MinAllowedWeightSet", 19)),
    H("MaxWeightsLimit", U16, 1000, 65535, ("sudo_set_max_weight_limit", 12), ("MaxWeightLimitSet", 10)),
    H("Tempo", U16, 10, 360, ("sudo_set_tempo", 30), ("TempoSet", 48)),
    H("MinDifficulty", U64, 10_000_000, 10_000_000, ("sudo_set_min_difficulty", 4), ("MinDifficultySet", 33)),
    H("MaxDifficulty", U64, 2**62 - 1, 2**62 - 1, ("sudo_set_max_difficulty", 5), ("MaxDifficultySet", 34)),
    H("Difficulty", U64, 10_000_000, 10_000_000, ("sudo_set_difficulty", 24), ("DifficultySet", 11)),
    H("WeightsVersionKey", U64, 0, 0, ("sudo_set_weights_version_key", 6), ("WeightsVersionKeySet", 32)),
    H("WeightsSetRateLimit", U64, 100, 100, ("sudo_set_weights_set_rate_limit", 7), ("WeightsSetRateLimitSet", 22)),
    H("AdjustmentInterval", U16, 100, 100, ("sudo_set_adjustment_interval", 8), ("AdjustmentIntervalSet", 12)),
    H("AdjustmentAlpha", U64, 0, 0, ("sudo_set_adjustment_alpha", 9), ("AdjustmentAlphaSet", 52)),
    H("ActivityCutoff", U16, 5000, 5000, ("sudo_set_activity_cutoff", 18), ("ActivityCutoffSet", 15)),
    H("ActivityCutoffFactorMilli", U32, ABSENT, 13889),
    H(
        "NetworkRegistrationAllowed",
        BOOL,
        True,
        True,
        ("sudo_set_network_registration_allowed", 19),
        ("RegistrationAllowed", 46),
    ),
    H(
        "NetworkPowRegistrationAllowed",
        BOOL,
        True,
        False,
        ("sudo_set_network_pow_registration_allowed", 20),
        ("PowRegistrationAllowed", 47),
    ),
    H(
        "TargetRegistrationsPerInterval",
        U16,
        2,
        2,
        ("sudo_set_target_registrations_per_interval", 21),
        ("RegistrationPerIntervalSet", 13),
    ),
    H("Burn", U64, 100_000_000, 100_000_000),
    H("MinBurn", U64, 500_000, 500_000, ("sudo_set_min_burn", 22), ("MinBurnSet", 38)),
    H("MaxBurn", U64, 100_000_000_000, 100_000_000_000, ("sudo_set_max_burn", 23), ("MaxBurnSet", 37)),
    H("BurnHalfLife", U16, ABSENT, 360, ("sudo_set_burn_half_life", 90), ("BurnHalfLifeSet", 120)),
    H(
        "BurnIncreaseMult",
        FIXED_U128,
        ABSENT,
        23_242_897_532_874_035_200,
        ("sudo_set_burn_increase_mult", 91),
        ("BurnIncreaseMultSet", 121),
    ),
    H(
        "BondsMovingAverage",
        U64,
        900_000,
        900_000,
        ("sudo_set_bonds_moving_average", 26),
        ("BondsMovingAverageSet", 24),
    ),
    H("BondsPenalty", U16, 65535, 65535, ("sudo_set_bonds_penalty", 60), ("BondsPenaltySet", 25)),
    H("BondsResetOn", BOOL, False, False, ("sudo_set_bonds_reset_enabled", 70), ("BondsResetOnSet", 26)),
    H(
        "MaxRegistrationsPerBlock",
        U16,
        1,
        1,
        ("sudo_set_max_registrations_per_block", 27),
        ("MaxRegistrationsPerBlockSet", 14),
    ),
    H("ServingRateLimit", U64, 50, 50, ("sudo_set_serving_rate_limit", 3), ("ServingRateLimitSet", 35)),
    H("MaxAllowedValidators", U16, 128, 128, ("sudo_set_max_allowed_validators", 25), ("MaxAllowedValidatorsSet", 27)),
    H("MaxAllowedUids", U16, 4096, 256, ("sudo_set_max_allowed_uids", 15), ("MaxAllowedUidsSet", 9)),
    H("MinAllowedUids", U16, ABSENT, 64, ("sudo_set_min_allowed_uids", 92), ("MinAllowedUidsSet", 122)),
    H("MinNonImmuneUids", U16, ABSENT, 10, ("sudo_set_min_non_immune_uids", 93), ("MinNonImmuneUidsSet", 123)),
    H("ImmuneOwnerUidsLimit", U16, ABSENT, 1, ("sudo_set_owner_immune_neuron_limit", 94)),
    H(
        "RevealPeriodEpochs",
        U64,
        1,
        1,
        ("sudo_set_commit_reveal_weights_interval", 57),
        ("CommitRevealPeriodsSet", 93),
        TWOX64,
    ),
    H(
        "CommitRevealWeightsEnabled",
        BOOL,
        False,
        True,
        ("sudo_set_commit_reveal_weights_enabled", 49),
        ("CommitRevealEnabled", 94),
    ),
    H("AlphaValues", tuple_of(U16, U16), (45875, 58982), (45875, 58982), ("sudo_set_alpha_values", 51)),
    H("LiquidAlphaOn", BOOL, False, False, ("sudo_set_liquid_alpha_enabled", 50), None, BLAKE2),
    H("Yuma3On", BOOL, False, False, ("sudo_set_yuma3_enabled", 69), None, BLAKE2),
    H("SubtokenEnabled", BOOL, False, False, ("sudo_set_subtoken_enabled", 66)),
    H("TransferToggle", BOOL, True, True, ("sudo_set_toggle_transfer", 61), ("TransferToggle", 86)),
    H("OwnerCutEnabled", BOOL, ABSENT, True, ("sudo_set_owner_cut_enabled", 95)),
    H("OwnerCutAutoLockEnabled", BOOL, ABSENT, False, ("sudo_set_owner_cut_auto_lock_enabled", 96)),
    H(
        "MinChildkeyTakePerSubnet",
        U16,
        ABSENT,
        0,
        ("sudo_set_min_childkey_take_per_subnet", 97),
        ("MinChildKeyTakePerSubnetSet", 124),
    ),
    H("RecycleOrBurn", RECYCLE_OR_BURN, ABSENT, "Burn", ("sudo_set_recycle_or_burn", 80)),
    H("EMAPriceHalvingBlocks", U64, 201_600, 201_600, ("sudo_set_ema_price_halving_period", 65)),
    H("MechanismCountCurrent", U8, ABSENT, 1, ("sudo_set_mechanism_count", 76), None, TWOX64),
    H("MechanismEmissionSplit", vec(U16), ABSENT, OPTIONAL, ("sudo_set_mechanism_emission_split", 77), None, TWOX64),
    H(
        "SubnetEmissionEnabled",
        BOOL,
        ABSENT,
        True,
        ("sudo_set_subnet_emission_enabled", 98),
        ("SubnetEmissionEnabledSet", 125),
    ),
    H("VotingPowerTrackingEnabled", BOOL, ABSENT, False),
    H("VotingPowerDisableAtBlock", U64, ABSENT, 0),
    H("VotingPowerEmaAlpha", U64, ABSENT, 3_570_000_000_000_000),
    H("RootClaimableThreshold", FIXED_I128, ABSENT, 500_000 << 32, hasher=BLAKE2),
    H("CollateralLockShare", U16, ABSENT, 0, ("sudo_set_collateral_lock_share", 100), ("CollateralLockShareSet", 126)),
    H("CollateralDrainRatio", FIXED_U128, ABSENT, ONE_U64F64),
    H("LiquidAlphaConsensusMode", CONSENSUS_MODE, ABSENT, "Auto"),
    H("SubnetEpochConsensus", EPOCH_CONSENSUS, ABSENT, "Yuma"),
    H("SavedYumaMaxAllowedValidators", U16, ABSENT, OPTIONAL),
    H("ValidatorPruneLen", U64, 1, 1),
    H("ScalingLawPower", U16, 50, 50),
    H("FirstEmissionBlockNumber", U64, OPTIONAL, OPTIONAL),
    H("SubnetMechanism", U16, 0, 0),
    H("SubnetOwner", ACCOUNT, NO_ACCOUNT, NO_ACCOUNT),
    H("SubnetOwnerHotkey", ACCOUNT, NO_ACCOUNT, NO_ACCOUNT),
)


def setter_calls(netuid: Type, new: bool) -> tuple[Variant, ...]:
    """The AdminUtils calls of one runtime: ``(netuid, value)`` each, two values where the item is a pair."""
    calls = []
    for one in HYPERPARAMETERS:
        if one.call is not None and one.known(new):
            values = {"alpha_low": U16, "alpha_high": U16} if one.item == "AlphaValues" else {"value": one.type}
            calls.append(named(*one.call, netuid=netuid, **values))
    return tuple(calls)


def setter_events(netuid: Type, new: bool) -> tuple[Variant, ...]:
    """The SubtensorModule events of those setters that have one."""
    return tuple(
        unnamed(*one.event, netuid, one.type) for one in HYPERPARAMETERS if one.event is not None and one.known(new)
    )
