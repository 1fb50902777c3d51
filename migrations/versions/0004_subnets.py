"""The dataset subnets: its tables, views with prices, and subnets_at()."""

from __future__ import annotations

from migrations import sql, tables

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, then run the SQL file of the same name."""
    tables.create_keyed(
        "subnet_pools",
        "subnet_pool_history",
        "Pool, emission and epoch state of subnets, as stored.",
        keys=[
            ("netuid", tables.NETUID, "Subnet id."),
        ],
        values=[
            ("subnet_tao", tables.RAO, "TAO in the pool, rao."),
            ("subnet_alpha_in", tables.RAO, "Alpha in the pool, rao."),
            ("subnet_alpha_out", tables.RAO, "Alpha outside the pool, rao; issuance of the subnet is in + out."),
            ("subnet_tao_provided", tables.RAO, "TAO provided by users as liquidity, rao (specs 29x..3xx)."),
            ("subnet_alpha_in_provided", tables.RAO, "Alpha provided by users as liquidity, rao (specs 29x..3xx)."),
            ("subnet_alpha_in_emission", tables.RAO, "Alpha put into the pool by the last block, rao."),
            ("subnet_alpha_out_emission", tables.RAO, "Alpha emitted to participants by the last block, rao."),
            ("subnet_tao_in_emission", tables.RAO, "TAO put into the pool by the last block, rao."),
            ("subnet_excess_tao", tables.RAO, "TAO of the last emission that did not go into the pool, rao."),
            ("subnet_root_sell_tao", tables.RAO, "TAO from root dividends sold in the last block, rao."),
            ("subnet_protocol_alpha", tables.RAO, "Alpha held by the protocol, rao."),
            ("subnet_alpha_emission_sell", tables.RAO, "Alpha sold of the last emission, rao (spec 233)."),
            ("subnet_protocol_flow", tables.RAO, "Net TAO flow of the protocol, rao, signed."),
            ("subnet_tao_flow", tables.RAO, "Net TAO flow of users, rao, signed."),
            ("subnet_ema_tao_flow", tables.NUMBER, "EMA of subnet_tao_flow, rao per block, signed."),
            ("subnet_ema_tao_flow_block", tables.INTEGER, "Block at which subnet_ema_tao_flow was last updated."),
            ("subnet_ema_protocol_flow", tables.NUMBER, "EMA of subnet_protocol_flow, rao per block, signed."),
            (
                "subnet_ema_protocol_flow_block",
                tables.INTEGER,
                "Block at which subnet_ema_protocol_flow was last updated.",
            ),
            ("subnet_volume", tables.NUMBER, "Volume traded since the subnet began, rao of TAO."),
            ("subnet_moving_price", tables.NUMBER, "Slow EMA of the price, TAO per alpha."),
            ("subnet_fast_moving_price", tables.NUMBER, "Fast EMA of the price, TAO per alpha (since spec 464)."),
            ("root_prop", tables.NUMBER, "Part of the alpha dividends that goes to root."),
            ("miner_burned", tables.NUMBER, "Part of miner emission that was burned at the last epoch."),
            ("pending_emission", tables.RAO, "Alpha waiting for the next epoch, rao (before spec 343)."),
            ("pending_root_divs", tables.RAO, "TAO waiting for root at the next epoch, rao (before spec 334)."),
            ("pending_alpha_swapped", tables.RAO, "Alpha swapped for root dividends since the last epoch, rao."),
            ("pending_server_emission", tables.RAO, "Alpha for miners waiting for the next epoch, rao."),
            ("pending_validator_emission", tables.RAO, "Alpha for validators waiting for the next epoch, rao."),
            ("pending_root_alpha_divs", tables.RAO, "Alpha for root waiting for the next epoch, rao."),
            ("pending_owner_cut", tables.RAO, "Alpha for the owner waiting for the next epoch, rao."),
            ("total_alpha_staked", tables.RAO, "Sum of TotalHotkeyAlpha of the subnet, rao (since spec 448)."),
            (
                "rao_recycled_for_registration",
                tables.RAO,
                "TAO recycled by registrations since the last adjustment, rao.",
            ),
            ("emission_values", tables.RAO, "Emission share of the subnet in rao per block (before dTAO)."),
            ("blocks_since_last_step", tables.INTEGER, "Blocks since the last epoch."),
            ("last_mechansim_step_block", tables.INTEGER, "Block of the last epoch (the chain's own spelling)."),
            ("last_epoch_block", tables.INTEGER, "Block of the last epoch (since spec 423)."),
            ("pending_epoch_at", tables.INTEGER, "Block a deferred epoch is due at (since spec 423)."),
            ("subnet_epoch_index", tables.INTEGER, "Number of the last epoch (since spec 423)."),
            ("swap_v3_initialized", tables.FLAG, "Whether the concentrated-liquidity pool is in use (specs 283..422)."),
            ("alpha_sqrt_price", tables.NUMBER, "Square root of the price (specs 283..422)."),
            ("current_tick", tables.INTEGER, "Current tick of the pool (specs 283..422)."),
            ("current_liquidity", tables.NUMBER, "Liquidity at the current tick (specs 283..422)."),
            ("fee_global_tao", tables.NUMBER, "Fees in TAO per unit of liquidity (specs 283..422)."),
            ("fee_global_alpha", tables.NUMBER, "Fees in alpha per unit of liquidity (specs 283..422)."),
            ("scrap_reservoir_tao", tables.RAO, "TAO that could not be added to the pool, rao."),
            ("scrap_reservoir_alpha", tables.RAO, "Alpha that could not be added to the pool, rao."),
            ("pal_swap_initialized", tables.FLAG, "Whether the balancer pool is in use (since spec 423)."),
            ("swap_balancer", tables.JSON, "Quote weight of the balancer, /1e18; NULL: 0.5 (since spec 423)."),
            ("balancer_tao_reservoir", tables.RAO, "TAO outside the balancer's weight bounds, rao; not in the price."),
            (
                "balancer_alpha_reservoir",
                tables.RAO,
                "Alpha outside the balancer's weight bounds, rao; not in the price.",
            ),
            ("swap_superellipse", tables.JSON, "Parameters of the superellipse pool, Q32; NULL: not in use."),
            ("total_alpha_issuance", tables.RAO, "Alpha issued, rao (since spec 411)."),
            ("alpha_burned", tables.RAO, "Alpha burned, rao (since spec 411)."),
            ("alpha_recycled", tables.RAO, "Alpha recycled, rao (since spec 411)."),
        ],
    )
    tables.create_keyed(
        "subnet_info",
        "subnet_info_history",
        "What rarely changes about subnets: existence, owner, mechanism, symbol, identity, as stored.",
        keys=[
            ("netuid", tables.NETUID, "Subnet id."),
        ],
        values=[
            (
                "networks_added",
                tables.FLAG,
                "True: the subnet exists. NULL or false: it does not, or is being dissolved.",
            ),
            ("subnet_mechanism", tables.INTEGER, "0 stable (price 1), 1 dynamic; NULL is 0."),
            ("subnetwork_n", tables.INTEGER, "Neurons registered."),
            ("subnet_owner", tables.ACCOUNT, "Coldkey of the owner."),
            ("subnet_owner_hotkey", tables.ACCOUNT, "Hotkey of the owner."),
            (
                "network_registered_at",
                tables.INTEGER,
                "Block at which the subnet was registered; a netuid can be reused.",
            ),
            ("registered_subnet_counter", tables.INTEGER, "How often the netuid has been registered."),
            ("network_modality", tables.INTEGER, "Modality given at registration (retired)."),
            ("subnet_locked", tables.RAO, "TAO locked at registration, rao."),
            ("largest_locked", tables.RAO, "Largest lock of the subnet, rao."),
            ("first_emission_block_number", tables.INTEGER, "Block of the first emission; NULL: not started."),
            ("mechanism_count_current", tables.INTEGER, "Mechanisms in the subnet; NULL is 1."),
            ("token_symbol", tables.JSON, "Symbol of the alpha token, as a JSON string."),
            ("subnet_name", tables.JSON, "Name of the subnet, as a JSON string (spec 233)."),
            ("subnet_identities", tables.JSON, "Identity, first layout (before spec ~270)."),
            ("subnet_identities_v2", tables.JSON, "Identity, second layout (before spec 361)."),
            (
                "subnet_identities_v3",
                tables.JSON,
                "Identity: name, repository, contact, url, discord, description, logo.",
            ),
        ],
    )
    sql.run("0004_subnets")


def downgrade() -> None:
    """Drop the tables and what the cursors say of the dataset: its history is lost, and indexed again."""
    sql.undo("0004_subnets")
    tables.forget("subnets")
    tables.drop("subnet_pools", "subnet_pool_history", "subnet_info", "subnet_info_history")
