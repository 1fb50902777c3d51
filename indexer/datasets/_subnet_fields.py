"""What is kept per subnet: each storage item with its column, unit and meaning.

The items that move in every block (pools) and those that rarely do (descriptions) are two lists, because
a history row holds all columns of its table and a description must not be repeated in every block.
"""

from __future__ import annotations

from functools import partial

from indexer.datasets._fields import ACCOUNT, FIXED32, FIXED64, FLAG, INTEGER, JSON, NUMBER, RAO, Field, Kind, field
from indexer.datasets._values import fixed, fixed_bits, integral, pair, snake, whole
from indexer.model import ItemRef
from indexer.schema import integer, number


def _field(kind: Kind, item: str, comment: str, pallet: str = "SubtensorModule") -> Field:
    """A field of one column, named in snake case of the item."""
    return field(f"{pallet}.{item}", kind, snake(item), comment)


def _ema_flow(value: object) -> tuple[object, ...]:
    block, flow = pair(value)
    return fixed(flow, 64), whole(block)


def _ema_pair(flow: object, block: object) -> object:
    return integral(block), fixed_bits(flow, 64)


def _ema(item: str, comment: str) -> Field:
    """An EMA stored as (block it was updated, I64F64)."""
    name = snake(item)
    columns = (number(name, comment), integer(f"{name}_block", f"Block at which {name} was last updated."))
    return Field(ItemRef("SubtensorModule", item), columns, _ema_flow, _ema_pair)


_rao = partial(_field, RAO)
_count = partial(_field, INTEGER)
_number = partial(_field, NUMBER)
_flag = partial(_field, FLAG)
_fixed32 = partial(_field, FIXED32)
_fixed64 = partial(_field, FIXED64)
_json = partial(_field, JSON)
_account = partial(_field, ACCOUNT)

POOL_FIELDS: tuple[Field, ...] = (
    _rao("SubnetTAO", "TAO in the pool, rao."),
    _rao("SubnetAlphaIn", "Alpha in the pool, rao."),
    _rao("SubnetAlphaOut", "Alpha outside the pool, rao; issuance of the subnet is in + out."),
    _rao("SubnetTaoProvided", "TAO provided by users as liquidity, rao (specs 29x..3xx)."),
    _rao("SubnetAlphaInProvided", "Alpha provided by users as liquidity, rao (specs 29x..3xx)."),
    _rao("SubnetAlphaInEmission", "Alpha put into the pool by the last block, rao."),
    _rao("SubnetAlphaOutEmission", "Alpha emitted to participants by the last block, rao."),
    _rao("SubnetTaoInEmission", "TAO put into the pool by the last block, rao."),
    _rao("SubnetExcessTao", "TAO of the last emission that did not go into the pool, rao."),
    _rao("SubnetRootSellTao", "TAO from root dividends sold in the last block, rao."),
    _rao("SubnetProtocolAlpha", "Alpha held by the protocol, rao."),
    _rao("SubnetAlphaEmissionSell", "Alpha sold of the last emission, rao (spec 233)."),
    _count("SubnetProtocolFlow", "Net TAO flow of the protocol, rao, signed."),
    _count("SubnetTaoFlow", "Net TAO flow of users, rao, signed."),
    _ema("SubnetEmaTaoFlow", "EMA of subnet_tao_flow, rao per block, signed."),
    _ema("SubnetEmaProtocolFlow", "EMA of subnet_protocol_flow, rao per block, signed."),
    _number("SubnetVolume", "Volume traded since the subnet began, rao of TAO."),
    _fixed32("SubnetMovingPrice", "Slow EMA of the price, TAO per alpha."),
    _fixed64("SubnetFastMovingPrice", "Fast EMA of the price, TAO per alpha (since spec 464)."),
    _fixed32("RootProp", "Part of the alpha dividends that goes to root."),
    _fixed32("MinerBurned", "Part of miner emission that was burned at the last epoch."),
    _rao("PendingEmission", "Alpha waiting for the next epoch, rao (before spec 343)."),
    _rao("PendingRootDivs", "TAO waiting for root at the next epoch, rao (before spec 334)."),
    _rao("PendingAlphaSwapped", "Alpha swapped for root dividends since the last epoch, rao."),
    _rao("PendingServerEmission", "Alpha for miners waiting for the next epoch, rao."),
    _rao("PendingValidatorEmission", "Alpha for validators waiting for the next epoch, rao."),
    _rao("PendingRootAlphaDivs", "Alpha for root waiting for the next epoch, rao."),
    _rao("PendingOwnerCut", "Alpha for the owner waiting for the next epoch, rao."),
    _rao("TotalAlphaStaked", "Sum of TotalHotkeyAlpha of the subnet, rao (since spec 448)."),
    _rao("RAORecycledForRegistration", "TAO recycled by registrations since the last adjustment, rao."),
    _rao("EmissionValues", "Emission share of the subnet in rao per block (before dTAO)."),
    _count("BlocksSinceLastStep", "Blocks since the last epoch."),
    _count("LastMechansimStepBlock", "Block of the last epoch (the chain's own spelling)."),
    _count("LastEpochBlock", "Block of the last epoch (since spec 423)."),
    _count("PendingEpochAt", "Block a deferred epoch is due at (since spec 423)."),
    _count("SubnetEpochIndex", "Number of the last epoch (since spec 423)."),
    _flag("SwapV3Initialized", "Whether the concentrated-liquidity pool is in use (specs 283..422).", "Swap"),
    _fixed64("AlphaSqrtPrice", "Square root of the price (specs 283..422).", "Swap"),
    _count("CurrentTick", "Current tick of the pool (specs 283..422).", "Swap"),
    _number("CurrentLiquidity", "Liquidity at the current tick (specs 283..422).", "Swap"),
    _fixed64("FeeGlobalTao", "Fees in TAO per unit of liquidity (specs 283..422).", "Swap"),
    _fixed64("FeeGlobalAlpha", "Fees in alpha per unit of liquidity (specs 283..422).", "Swap"),
    _rao("ScrapReservoirTao", "TAO that could not be added to the pool, rao.", "Swap"),
    _rao("ScrapReservoirAlpha", "Alpha that could not be added to the pool, rao.", "Swap"),
    _flag("PalSwapInitialized", "Whether the balancer pool is in use (since spec 423).", "Swap"),
    _json("SwapBalancer", "Quote weight of the balancer, /1e18; NULL: 0.5 (since spec 423).", "Swap"),
    _rao("BalancerTaoReservoir", "TAO outside the balancer's weight bounds, rao; not in the price.", "Swap"),
    _rao("BalancerAlphaReservoir", "Alpha outside the balancer's weight bounds, rao; not in the price.", "Swap"),
    _json("SwapSuperellipse", "Parameters of the superellipse pool, Q32; NULL: not in use.", "Swap"),
    _rao("TotalAlphaIssuance", "Alpha issued, rao (since spec 411).", "AlphaAssets"),
    _rao("AlphaBurned", "Alpha burned, rao (since spec 411).", "AlphaAssets"),
    _rao("AlphaRecycled", "Alpha recycled, rao (since spec 411).", "AlphaAssets"),
)
"""Items that move in every block or at every epoch, mostly without an event (MODEL.md 4, MODEL_2026-10.md 3.2)."""

INFO_FIELDS: tuple[Field, ...] = (
    _flag("NetworksAdded", "True: the subnet exists. NULL or false: it does not, or is being dissolved."),
    _count("SubnetMechanism", "0 stable (price 1), 1 dynamic; NULL is 0."),
    _count("SubnetworkN", "Neurons registered."),
    _account("SubnetOwner", "Coldkey of the owner."),
    _account("SubnetOwnerHotkey", "Hotkey of the owner."),
    _count("NetworkRegisteredAt", "Block at which the subnet was registered; a netuid can be reused."),
    _count("RegisteredSubnetCounter", "How often the netuid has been registered."),
    _count("NetworkModality", "Modality given at registration (retired)."),
    _rao("SubnetLocked", "TAO locked at registration, rao."),
    _rao("LargestLocked", "Largest lock of the subnet, rao."),
    _count("FirstEmissionBlockNumber", "Block of the first emission; NULL: not started."),
    _count("MechanismCountCurrent", "Mechanisms in the subnet; NULL is 1."),
    _json("TokenSymbol", "Symbol of the alpha token, as a JSON string."),
    _json("SubnetName", "Name of the subnet, as a JSON string (spec 233)."),
    _json("SubnetIdentities", "Identity, first layout (before spec ~270)."),
    _json("SubnetIdentitiesV2", "Identity, second layout (before spec 361)."),
    _json("SubnetIdentitiesV3", "Identity: name, repository, contact, url, discord, description, logo."),
)
"""Items that rarely change (MODEL.md 4, "Slow")."""
