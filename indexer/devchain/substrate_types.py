"""The types every Substrate runtime shares, declared under the paths real metadata gives them.

Paths and shapes are those of the real runtime 293's metadata; public clients recognise several of them
(AccountId32, H256, Era, MultiAddress, EventRecord) by path alone.
"""

from __future__ import annotations

from indexer.devchain.declare import I128, STR, U8, U32, U64, U128, UNIT, Composite, Enum, Field, Type, Variant
from indexer.devchain.forms import array, bounded, compact_of, enum, newtype, option, struct, tuple_of, unnamed, vec

ACCOUNT = newtype("sp_core::crypto::AccountId32", array(U8, 32))
H256 = newtype("primitive_types::H256", array(U8, 32))
BYTES = vec(U8)

ADDRESS = Enum(
    (
        unnamed("Id", 0, ACCOUNT),
        unnamed("Index", 1, compact_of(UNIT)),
        unnamed("Raw", 2, BYTES),
        unnamed("Address32", 3, array(U8, 32)),
        unnamed("Address20", 4, array(U8, 20)),
    ),
    path=("sp_runtime", "multiaddress", "MultiAddress"),
    params=(("AccountId", ACCOUNT), ("AccountIndex", UNIT)),
)
SIGNATURE = enum(
    "sp_runtime::MultiSignature",
    unnamed("Ed25519", 0, array(U8, 64)),
    unnamed("Sr25519", 1, array(U8, 64)),
    unnamed("Ecdsa", 2, array(U8, 65)),
)
ERA = enum(
    "sp_runtime::generic::era::Era", "Immortal", *(unnamed(f"Mortal{first}", first, U8) for first in range(1, 256))
)

WEIGHT = struct("sp_weights::weight_v2::Weight", ref_time=compact_of(U64), proof_size=compact_of(U64))
DISPATCH_CLASS = enum("frame_support::dispatch::DispatchClass", "Normal", "Operational", "Mandatory")
PAYS = enum("frame_support::dispatch::Pays", "Yes", "No")
DISPATCH_INFO = struct("frame_system::DispatchEventInfo", weight=WEIGHT, **{"class": DISPATCH_CLASS}, pays_fee=PAYS)
MODULE_ERROR = struct("sp_runtime::ModuleError", index=U8, error=array(U8, 4))
TOKEN_ERROR = enum(
    "sp_runtime::TokenError",
    "FundsUnavailable",
    "OnlyProvider",
    "BelowMinimum",
    "CannotCreate",
    "UnknownAsset",
    "Frozen",
    "Unsupported",
    "CannotCreateHold",
    "NotExpendable",
    "Blocked",
)
ARITHMETIC_ERROR = enum("sp_arithmetic::ArithmeticError", "Underflow", "Overflow", "DivisionByZero")
DISPATCH_ERROR = enum(
    "sp_runtime::DispatchError",
    "Other",
    "CannotLookup",
    "BadOrigin",
    unnamed("Module", 3, MODULE_ERROR),
    "ConsumerRemaining",
    "NoProviders",
    "TooManyConsumers",
    unnamed("Token", 7, TOKEN_ERROR),
    unnamed("Arithmetic", 8, ARITHMETIC_ERROR),
)
DISPATCH_RESULT = Enum(
    (unnamed("Ok", 0, UNIT), unnamed("Err", 1, DISPATCH_ERROR)),
    path=("Result",),
    params=(("T", UNIT), ("E", DISPATCH_ERROR)),
)

DIGEST_ITEM = enum(
    "sp_runtime::generic::digest::DigestItem",
    unnamed("PreRuntime", 6, array(U8, 4), BYTES),
    unnamed("Consensus", 4, array(U8, 4), BYTES),
    unnamed("Seal", 5, array(U8, 4), BYTES),
    unnamed("Other", 0, BYTES),
    Variant("RuntimeEnvironmentUpdated", 8),
)
DIGEST = struct("sp_runtime::generic::digest::Digest", logs=vec(DIGEST_ITEM))
PHASE = enum("frame_system::Phase", unnamed("ApplyExtrinsic", 0, U32), "Finalization", "Initialization")

RUNTIME_VERSION = struct(
    "sp_version::RuntimeVersion",
    spec_name=STR,
    impl_name=STR,
    authoring_version=U32,
    spec_version=U32,
    impl_version=U32,
    apis=vec(tuple_of(array(U8, 8), U32)),
    transaction_version=U32,
    state_version=U8,
)
LAST_RUNTIME_UPGRADE = struct("frame_system::LastRuntimeUpgradeInfo", spec_version=compact_of(U32), spec_name=STR)


def per_class(kind: Type) -> Composite:
    """``PerDispatchClass<T>``."""
    made = struct("frame_support::dispatch::PerDispatchClass", normal=kind, operational=kind, mandatory=kind)
    return Composite(made.fields, path=made.path, params=(("T", kind),))


WEIGHTS_PER_CLASS = struct(
    "frame_system::limits::WeightsPerClass",
    base_extrinsic=WEIGHT,
    max_extrinsic=option(WEIGHT),
    max_total=option(WEIGHT),
    reserved=option(WEIGHT),
)
BLOCK_WEIGHTS = struct(
    "frame_system::limits::BlockWeights",
    base_block=WEIGHT,
    max_block=WEIGHT,
    per_class=per_class(WEIGHTS_PER_CLASS),
)
BLOCK_LENGTH = struct("frame_system::limits::BlockLength", max=per_class(U32))
WEIGHT_PER_CLASS, U32_PER_CLASS = per_class(WEIGHT), per_class(U32)
DB_WEIGHT = struct("sp_weights::RuntimeDbWeight", read=U64, write=U64)

AURA_AUTHORITY = newtype("sp_consensus_aura::sr25519::app_sr25519::Public", array(U8, 32))
AURA_AUTHORITIES = bounded(AURA_AUTHORITY)
SLOT = newtype("sp_consensus_slots::Slot", U64)
FIXED_U128 = Composite((Field(U128, "bits", "u128"),), path=("substrate_fixed", "FixedU128"))
FIXED_I128 = Composite((Field(I128, "bits", "i128"),), path=("substrate_fixed", "FixedI128"))
MULTIPLIER = newtype("sp_arithmetic::fixed_point::FixedU128", U128)

ADJUSTMENT_DIRECTION = enum("pallet_balances::types::AdjustmentDirection", "Increase", "Decrease")
BALANCE_STATUS = enum("frame_support::traits::tokens::misc::BalanceStatus", "Free", "Reserved")
EXTRA_FLAGS = newtype("pallet_balances::types::ExtraFlags", U128)
PROXY_TYPE = enum("subtensor_runtime_common::ProxyType", "Any", "Owner", "NonCritical", "NonTransfer", "Senate")
PREIMAGE_HOLD = enum("pallet_preimage::HoldReason", "Preimage")
HOLD_REASON = enum("node_subtensor_runtime::RuntimeHoldReason", unnamed("Preimage", 14, PREIMAGE_HOLD))

EXTENSION_MODE = enum("frame_metadata_hash_extension::Mode", "Disabled", "Enabled")
EMPTY_EXTENSIONS = {
    name: Composite(path=path)
    for name, path in {
        "CheckNonZeroSender": ("frame_system", "extensions", "check_non_zero_sender", "CheckNonZeroSender"),
        "CheckSpecVersion": ("frame_system", "extensions", "check_spec_version", "CheckSpecVersion"),
        "CheckTxVersion": ("frame_system", "extensions", "check_tx_version", "CheckTxVersion"),
        "CheckGenesis": ("frame_system", "extensions", "check_genesis", "CheckGenesis"),
        "CheckWeight": ("frame_system", "extensions", "check_weight", "CheckWeight"),
        "SubtensorTransactionExtension": ("pallet_subtensor", "SubtensorTransactionExtension"),
    }.items()
}
SIGNED_EXTENSIONS: tuple[tuple[str, Type, Type], ...] = (
    ("CheckNonZeroSender", EMPTY_EXTENSIONS["CheckNonZeroSender"], UNIT),
    ("CheckSpecVersion", EMPTY_EXTENSIONS["CheckSpecVersion"], U32),
    ("CheckTxVersion", EMPTY_EXTENSIONS["CheckTxVersion"], U32),
    ("CheckGenesis", EMPTY_EXTENSIONS["CheckGenesis"], H256),
    ("CheckMortality", newtype("frame_system::extensions::check_mortality::CheckMortality", ERA), H256),
    ("CheckNonce", newtype("node_subtensor_runtime::check_nonce::CheckNonce", compact_of(U32)), UNIT),
    ("CheckWeight", EMPTY_EXTENSIONS["CheckWeight"], UNIT),
    (
        "ChargeTransactionPayment",
        newtype("pallet_transaction_payment::ChargeTransactionPayment", compact_of(U64)),
        UNIT,
    ),
    ("SubtensorTransactionExtension", EMPTY_EXTENSIONS["SubtensorTransactionExtension"], UNIT),
    (
        "CheckMetadataHash",
        struct("frame_metadata_hash_extension::CheckMetadataHash", mode=EXTENSION_MODE),
        option(array(U8, 32)),
    ),
)
"""(identifier, what a transaction carries, what is only signed), in the real runtime 293's order."""
