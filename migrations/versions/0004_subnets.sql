-- Price and pools of subnets, now, at each change, and as of a block.

create function subnet_price(
    spec_version integer, netuid integer, mechanism bigint, tao numeric, alpha_in numeric,
    swap_initialized boolean, sqrt_price numeric, balancer jsonb, superellipse jsonb
) returns numeric
language plpgsql immutable parallel safe as $$
declare
    one constant numeric := 1.000000000000000000000000000000; -- its scale is the scale of quotients
    quote_weight numeric;
    x numeric;
    y numeric;
begin
    if netuid = 0 or coalesce(mechanism, 0) = 0 or spec_version < 233 then
        return 1;
    end if;
    if superellipse is not null then
        x := (superellipse ->> 'center_alpha')::numeric - coalesce(alpha_in, 0) * 4294967296;
        y := (superellipse ->> 'center_tao')::numeric - coalesce(tao, 0) * 4294967296;
        return one * (superellipse ->> 'tao_scale')::numeric ^ 2 * x
            / nullif((superellipse ->> 'alpha_scale')::numeric ^ 2 * y, 0);
    end if;
    if spec_version between 283 and 422 and swap_initialized and sqrt_price is not null then
        return sqrt_price * sqrt_price;
    end if;
    if coalesce(alpha_in, 0) = 0 then
        return 0;
    end if;
    if spec_version < 423 then
        return one * coalesce(tao, 0) / alpha_in;
    end if;
    quote_weight := coalesce(
        case jsonb_typeof(balancer) when 'number' then balancer #>> '{}' when 'object' then balancer ->> 'quote' end,
        '500000000000000000'
    )::numeric;
    return one * (1000000000000000000 - quote_weight) * coalesce(tao, 0) / nullif(quote_weight * alpha_in, 0);
end
$$;
comment on function subnet_price(integer, integer, bigint, numeric, numeric, boolean, numeric, jsonb, jsonb) is
'Spot price in TAO per alpha by the rule of the spec: 1 on netuid 0, mechanism 0 and before dTAO; reserves (233..282); square of AlphaSqrtPrice (283..422); balancer (since 423); superellipse where its parameters are stored.';

create view subnets as
select
    netuid,
    subnet_price(
        spec_at((select c.block_number from cursors c where c.dataset = 'subnets')), netuid,
            i.subnet_mechanism, p.subnet_tao, p.subnet_alpha_in, p.swap_v3_initialized, p.alpha_sqrt_price,
            p.swap_balancer, p.swap_superellipse
    ) as price,
        i.networks_added, i.subnet_mechanism, i.subnetwork_n, i.subnet_owner, i.subnet_owner_hotkey,
        i.network_registered_at, i.registered_subnet_counter, i.network_modality, i.subnet_locked, i.largest_locked,
        i.first_emission_block_number, i.mechanism_count_current, i.token_symbol, i.subnet_name, i.subnet_identities,
        i.subnet_identities_v2, i.subnet_identities_v3, p.subnet_tao, p.subnet_alpha_in, p.subnet_alpha_out,
        p.subnet_tao_provided, p.subnet_alpha_in_provided, p.subnet_alpha_in_emission, p.subnet_alpha_out_emission,
        p.subnet_tao_in_emission, p.subnet_excess_tao, p.subnet_root_sell_tao, p.subnet_protocol_alpha,
        p.subnet_alpha_emission_sell, p.subnet_protocol_flow, p.subnet_tao_flow, p.subnet_ema_tao_flow,
        p.subnet_ema_tao_flow_block, p.subnet_ema_protocol_flow, p.subnet_ema_protocol_flow_block, p.subnet_volume,
        p.subnet_moving_price, p.subnet_fast_moving_price, p.root_prop, p.miner_burned, p.pending_emission,
        p.pending_root_divs, p.pending_alpha_swapped, p.pending_server_emission, p.pending_validator_emission,
        p.pending_root_alpha_divs, p.pending_owner_cut, p.total_alpha_staked, p.rao_recycled_for_registration,
        p.emission_values, p.blocks_since_last_step, p.last_mechansim_step_block, p.last_epoch_block,
        p.pending_epoch_at, p.subnet_epoch_index, p.swap_v3_initialized, p.alpha_sqrt_price, p.current_tick,
        p.current_liquidity, p.fee_global_tao, p.fee_global_alpha, p.scrap_reservoir_tao, p.scrap_reservoir_alpha,
        p.pal_swap_initialized, p.swap_balancer, p.balancer_tao_reservoir, p.balancer_alpha_reservoir,
        p.swap_superellipse, p.total_alpha_issuance, p.alpha_burned, p.alpha_recycled,
    greatest(i.block_number, p.block_number) as block_number
from subnet_info i
full join subnet_pools p using (netuid);
comment on view subnets is
'Subnets as of the last committed block: price, description and pool. A netuid with networks_added NULL or false does not exist any more; what is left of it is being dissolved.';
comment on column subnets.netuid is 'Subnet id.';
comment on column subnets.price is 'Spot price, TAO per alpha.';
comment on column subnets.block_number is 'Last block that changed the row.';

create view subnet_history as
select
    k.netuid,
    k.block_number,
    subnet_price(
        spec_at(k.block_number), k.netuid,
            i.subnet_mechanism, p.subnet_tao, p.subnet_alpha_in, p.swap_v3_initialized, p.alpha_sqrt_price,
            p.swap_balancer, p.swap_superellipse
    ) as price,
        i.networks_added, i.subnet_mechanism, i.subnetwork_n, i.subnet_owner, i.subnet_owner_hotkey,
        i.network_registered_at, i.registered_subnet_counter, i.network_modality, i.subnet_locked, i.largest_locked,
        i.first_emission_block_number, i.mechanism_count_current, i.token_symbol, i.subnet_name, i.subnet_identities,
        i.subnet_identities_v2, i.subnet_identities_v3, p.subnet_tao, p.subnet_alpha_in, p.subnet_alpha_out,
        p.subnet_tao_provided, p.subnet_alpha_in_provided, p.subnet_alpha_in_emission, p.subnet_alpha_out_emission,
        p.subnet_tao_in_emission, p.subnet_excess_tao, p.subnet_root_sell_tao, p.subnet_protocol_alpha,
        p.subnet_alpha_emission_sell, p.subnet_protocol_flow, p.subnet_tao_flow, p.subnet_ema_tao_flow,
        p.subnet_ema_tao_flow_block, p.subnet_ema_protocol_flow, p.subnet_ema_protocol_flow_block, p.subnet_volume,
        p.subnet_moving_price, p.subnet_fast_moving_price, p.root_prop, p.miner_burned, p.pending_emission,
        p.pending_root_divs, p.pending_alpha_swapped, p.pending_server_emission, p.pending_validator_emission,
        p.pending_root_alpha_divs, p.pending_owner_cut, p.total_alpha_staked, p.rao_recycled_for_registration,
        p.emission_values, p.blocks_since_last_step, p.last_mechansim_step_block, p.last_epoch_block,
        p.pending_epoch_at, p.subnet_epoch_index, p.swap_v3_initialized, p.alpha_sqrt_price, p.current_tick,
        p.current_liquidity, p.fee_global_tao, p.fee_global_alpha, p.scrap_reservoir_tao, p.scrap_reservoir_alpha,
        p.pal_swap_initialized, p.swap_balancer, p.balancer_tao_reservoir, p.balancer_alpha_reservoir,
        p.swap_superellipse, p.total_alpha_issuance, p.alpha_burned, p.alpha_recycled,
    coalesce(i."exists", false) or coalesce(p."exists", false) as "exists"
from (
    select netuid, block_number from subnet_pool_history
    union
    select netuid, block_number from subnet_info_history
) k
left join lateral (
    select * from subnet_pool_history h
    where h.netuid = k.netuid and h.block_number <= k.block_number
    order by h.block_number desc limit 1
) p on true
left join lateral (
    select * from subnet_info_history h
    where h.netuid = k.netuid and h.block_number <= k.block_number
    order by h.block_number desc limit 1
) i on true;
comment on view subnet_history is
'Subnets at every block that changed one of their values: price, description and pool.';
comment on column subnet_history.netuid is 'Subnet id.';
comment on column subnet_history.block_number is 'First block with these values; they hold until the next row of the subnet.';
comment on column subnet_history.price is 'Spot price, TAO per alpha.';
comment on column subnet_history."exists" is 'False: nothing is stored of the subnet from this block on.';

create function subnets_as_of(block bigint) returns setof subnets
language sql stable as $$
    select
        n.netuid,
        subnet_price(
            spec_at($1), n.netuid,
            i.subnet_mechanism, p.subnet_tao, p.subnet_alpha_in, p.swap_v3_initialized, p.alpha_sqrt_price,
            p.swap_balancer, p.swap_superellipse
        ),
        i.networks_added, i.subnet_mechanism, i.subnetwork_n, i.subnet_owner, i.subnet_owner_hotkey,
        i.network_registered_at, i.registered_subnet_counter, i.network_modality, i.subnet_locked, i.largest_locked,
        i.first_emission_block_number, i.mechanism_count_current, i.token_symbol, i.subnet_name, i.subnet_identities,
        i.subnet_identities_v2, i.subnet_identities_v3, p.subnet_tao, p.subnet_alpha_in, p.subnet_alpha_out,
        p.subnet_tao_provided, p.subnet_alpha_in_provided, p.subnet_alpha_in_emission, p.subnet_alpha_out_emission,
        p.subnet_tao_in_emission, p.subnet_excess_tao, p.subnet_root_sell_tao, p.subnet_protocol_alpha,
        p.subnet_alpha_emission_sell, p.subnet_protocol_flow, p.subnet_tao_flow, p.subnet_ema_tao_flow,
        p.subnet_ema_tao_flow_block, p.subnet_ema_protocol_flow, p.subnet_ema_protocol_flow_block, p.subnet_volume,
        p.subnet_moving_price, p.subnet_fast_moving_price, p.root_prop, p.miner_burned, p.pending_emission,
        p.pending_root_divs, p.pending_alpha_swapped, p.pending_server_emission, p.pending_validator_emission,
        p.pending_root_alpha_divs, p.pending_owner_cut, p.total_alpha_staked, p.rao_recycled_for_registration,
        p.emission_values, p.blocks_since_last_step, p.last_mechansim_step_block, p.last_epoch_block,
        p.pending_epoch_at, p.subnet_epoch_index, p.swap_v3_initialized, p.alpha_sqrt_price, p.current_tick,
        p.current_liquidity, p.fee_global_tao, p.fee_global_alpha, p.scrap_reservoir_tao, p.scrap_reservoir_alpha,
        p.pal_swap_initialized, p.swap_balancer, p.balancer_tao_reservoir, p.balancer_alpha_reservoir,
        p.swap_superellipse, p.total_alpha_issuance, p.alpha_burned, p.alpha_recycled,
        greatest(i.block_number, p.block_number)
    from generate_series(
        0,
        greatest((select max(netuid) from subnet_pool_history), (select max(netuid) from subnet_info_history))
    ) n (netuid)
    left join lateral (
        select * from subnet_pool_history h
        where h.netuid = n.netuid and h.block_number <= $1
        order by h.block_number desc limit 1
    ) p on true
    left join lateral (
        select * from subnet_info_history h
        where h.netuid = n.netuid and h.block_number <= $1
        order by h.block_number desc limit 1
    ) i on true
    where (p."exists" or i."exists")
        and exists (select from cursors c where c.dataset = 'subnets' and $1 between c.start_block and c.block_number)
$$;
comment on function subnets_as_of(bigint) is
'Rows of subnets as of a block; nothing if the block is not indexed. For queries that can do without prices: others use subnets_at.';

create function subnets_at(block bigint default null) returns setof subnets
language sql stable as $$
    select s.* from indexed_block('subnets', $1) at (block) cross join lateral subnets_as_of(at.block) s
$$;
comment on function subnets_at(bigint) is
'Subnets as of a block (NULL: the last committed): the columns of the view subnets.';

-- Columns of the views that are columns of the tables keep their comments.
do $$
declare
    missing record;
begin
    for missing in
        select v.relname as view, a.attname as name, max(col_description(t.oid, ta.attnum)) as comment
        from pg_class v
        join pg_attribute a on a.attrelid = v.oid
        join pg_class t on t.relnamespace = v.relnamespace and t.relname in ('subnet_info', 'subnet_pools')
        join pg_attribute ta on ta.attrelid = t.oid and ta.attname = a.attname
        where v.relname in ('subnets', 'subnet_history') and v.relnamespace = current_schema()::regnamespace
            and col_description(v.oid, a.attnum) is null
        group by v.relname, a.attname
    loop
        execute format('comment on column %I.%I is %L', missing.view, missing.name, missing.comment);
    end loop;
end
$$;
