"""What the simulated runtimes answer to ``state_call``: stakes, hyperparameters and prices of any state.

Names and shapes are those of the real runtime 293's metadata. The answers come from the raw state by way of
``oracle`` and of the declared items, never by the indexer's own formulas: whoever compares them with its SQL
compares two opinions. What the newer runtime derives instead of reads (MODEL.md 3) is derived here too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from indexer.devchain import oracle
from indexer.devchain.declare import BOOL, I64, U16, U64, Type
from indexer.devchain.forms import compact_of, newtype, option, struct, tuple_of, vec
from indexer.devchain.served import ServedState
from indexer.devchain.substrate_types import ACCOUNT

if TYPE_CHECKING:
    from indexer.devchain.runtimes import RuntimeDeclaration

Answer = Callable[[ServedState, bytes], bytes]
"""(state, SCALE encoded arguments) -> SCALE encoded result. Bad arguments raise ``ValueError`` or ``IndexError``."""

_U16, _U64 = compact_of(U16), compact_of(U64)
_I32F32 = newtype("substrate_fixed::FixedI64", I64)
_NO_LIMIT = 65535

STAKE_INFO = struct(
    "pallet_subtensor::rpc_info::stake_info::StakeInfo",
    hotkey=ACCOUNT, coldkey=ACCOUNT, netuid=_U16, stake=_U64, locked=_U64, emission=_U64, tao_emission=_U64,
    drain=_U64, is_registered=BOOL,
)  # fmt: skip
STAKES = vec(tuple_of(ACCOUNT, vec(STAKE_INFO)))

_FIELDS: tuple[tuple[str, Type, str], ...] = (
    ("rho", _U16, "Rho"), ("kappa", _U16, "Kappa"), ("immunity_period", _U16, "ImmunityPeriod"),
    ("min_allowed_weights", _U16, "MinAllowedWeights"), ("max_weights_limit", _U16, "MaxWeightsLimit"),
    ("tempo", _U16, "Tempo"), ("min_difficulty", _U64, "MinDifficulty"), ("max_difficulty", _U64, "MaxDifficulty"),
    ("weights_version", _U64, "WeightsVersionKey"), ("weights_rate_limit", _U64, "WeightsSetRateLimit"),
    ("adjustment_interval", _U16, "AdjustmentInterval"), ("activity_cutoff", _U16, "ActivityCutoff"),
    ("registration_allowed", BOOL, "NetworkRegistrationAllowed"),
    ("target_regs_per_interval", _U16, "TargetRegistrationsPerInterval"), ("min_burn", _U64, "MinBurn"),
    ("max_burn", _U64, "MaxBurn"), ("bonds_moving_avg", _U64, "BondsMovingAverage"),
    ("max_regs_per_block", _U16, "MaxRegistrationsPerBlock"), ("serving_rate_limit", _U64, "ServingRateLimit"),
    ("max_validators", _U16, "MaxAllowedValidators"), ("adjustment_alpha", _U64, "AdjustmentAlpha"),
    ("difficulty", _U64, "Difficulty"), ("commit_reveal_period", _U64, "RevealPeriodEpochs"),
    ("commit_reveal_weights_enabled", BOOL, "CommitRevealWeightsEnabled"), ("alpha_high", _U16, "AlphaValues"),
    ("alpha_low", _U16, "AlphaValues"), ("liquid_alpha_enabled", BOOL, "LiquidAlphaOn"),
    ("alpha_sigmoid_steepness", _I32F32, "AlphaSigmoidSteepness"), ("yuma_version", _U16, "Yuma3On"),
    ("subnet_is_active", BOOL, "SubtokenEnabled"), ("transfers_enabled", BOOL, "TransferToggle"),
    ("bonds_reset_enabled", BOOL, "BondsResetOn"), ("user_liquidity_enabled", BOOL, ""),
)  # fmt: skip
HYPERPARAMETERS = struct(
    "pallet_subtensor::rpc_info::subnet_info::SubnetHyperparamsV2", **{name: kind for name, kind, _ in _FIELDS}
)
MAYBE_HYPERPARAMETERS = option(HYPERPARAMETERS)

METHODS: Mapping[str, tuple[str, tuple[tuple[str, Type], ...], Type]] = {
    "StakeInfoRuntimeApi": ("get_stake_info_for_coldkeys", (("coldkey_accounts", vec(ACCOUNT)),), STAKES),
    "SubnetInfoRuntimeApi": ("get_subnet_hyperparams_v2", (("netuid", U16),), MAYBE_HYPERPARAMETERS),
    "SwapRuntimeApi": ("current_alpha_price", (("netuid", U16),), U64),
}
"""API -> the one method of it that is served: name, inputs, output."""


def answers(runtime: RuntimeDeclaration) -> dict[str, Answer]:
    """What ``runtime`` answers, by the exported function's name."""
    spec = runtime.spec_version

    def stakes(state: ServedState, argument: bytes) -> bytes:
        coldkeys = METHODS["StakeInfoRuntimeApi"][1][0][1].decode(argument)
        return STAKES.encode([(coldkey, _infos(oracle.stake_of(state, spec, coldkey))) for coldkey in coldkeys])

    def hyperparameters(state: ServedState, argument: bytes) -> bytes:
        netuid = U16.decode(argument)
        exists = _stored(runtime, state, "NetworksAdded", netuid)
        return MAYBE_HYPERPARAMETERS.encode(_hyperparameters(runtime, state, netuid) if exists else None)

    def price(state: ServedState, argument: bytes) -> bytes:
        return U64.encode(oracle.prices_at(state, spec).get(U16.decode(argument), 0))

    names = (f"{api}_{method[0]}" for api, method in METHODS.items())
    return dict(zip(names, (stakes, hyperparameters, price), strict=True))


def _infos(stakes: Mapping[oracle.Position, int]) -> list[dict[str, Any]]:
    nothing = dict.fromkeys(("locked", "emission", "tao_emission", "drain"), 0)
    return [{**at._asdict(), "stake": stake, "is_registered": True, **nothing} for at, stake in stakes.items() if stake]


def _hyperparameters(runtime: RuntimeDeclaration, state: ServedState, netuid: int) -> dict[str, Any]:
    found = {name: _stored(runtime, state, item, netuid) for name, _, item in _FIELDS if item}
    found["alpha_low"], found["alpha_high"] = found["alpha_low"]
    found["alpha_sigmoid_steepness"] <<= 32
    found["yuma_version"] = 3 if found["yuma_version"] else 2
    found["user_liquidity_enabled"] = not runtime.new and _stored(
        runtime, state, "EnabledUserLiquidity", netuid, pallet="Swap"
    )
    if runtime.new:
        factor = _stored(runtime, state, "ActivityCutoffFactorMilli", netuid)
        found["activity_cutoff"] = max(1, factor * found["tempo"] // 1000)
        found["max_weights_limit"] = _NO_LIMIT
    return found


def _stored(
    runtime: RuntimeDeclaration, state: ServedState, name: str, netuid: int, *, pallet: str = "SubtensorModule"
) -> Any:
    """A value by subnet as stored, else the runtime's default."""
    item = runtime.item(pallet, name)
    raw = state.get(item.key(pallet, netuid))
    return runtime.default(pallet, name) if raw is None else item.value.decode(raw)


__all__ = ["METHODS", "Answer", "answers"]
