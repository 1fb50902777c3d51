-- The same answers sooner, at the size of the full chain: what a position is worth, and who delegates what.

alter function spec_at(bigint) parallel safe;
alter function indexed_block(text, bigint) parallel safe;

create or replace function subnets_as_of(block bigint) returns setof subnets
language sql stable parallel safe as $$
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
    -- The last row up to (netuid, block), which only the primary key can find: with two conditions the planner may go
    -- backwards through the blocks until one has the subnet.
    from generate_series(
        0,
        greatest((select max(netuid) from subnet_pool_history), (select max(netuid) from subnet_info_history))
    ) n (netuid)
    left join lateral (
        select * from subnet_pool_history h
        where (h.netuid, h.block_number) <= (n.netuid, $1)
        order by h.netuid desc, h.block_number desc limit 1
    ) p on p.netuid = n.netuid
    left join lateral (
        select * from subnet_info_history h
        where (h.netuid, h.block_number) <= (n.netuid, $1)
        order by h.netuid desc, h.block_number desc limit 1
    ) i on i.netuid = n.netuid
    where (p."exists" or i."exists")
        and exists (select from cursors c where c.dataset = 'subnets' and $1 between c.start_block and c.block_number)
$$;

-- Every spec, step by step, as alpha_rao was: called where its one expression does not do.
create function alpha_rao_of_any(
    spec_version integer, stake bigint, pool_alpha bigint,
    share_bits numeric, share_mantissa numeric, share_exponent bigint,
    total_bits numeric, total_mantissa numeric, total_exponent bigint,
    share_epoch bigint, pool_epoch bigint
) returns bigint
language plpgsql immutable parallel safe as $$
declare
    v constant numeric := coalesce(pool_alpha, 0);
    bigint_max constant numeric := 9223372036854775807; -- the runtime ends at 2^64 - 1; all supply is below 2^55
    two128 constant numeric := 340282366920938463463374607431768211456;
    ratio numeric;
    s_m numeric := share_mantissa;
    s_e integer := share_exponent;
    d_m numeric := total_mantissa;
    d_e integer := total_exponent;
    alpha numeric;
begin
    if spec_version < 233 then
        return coalesce(stake, 0);
    end if;
    -- A pool that was closed and opened again voids the shares of its earlier generations. Epochs are absent,
    -- that is 0, before spec 459, so the rule holds for every block.
    if coalesce(pool_epoch, 0) <> 0 and coalesce(share_epoch, 0) <> pool_epoch then
        return 0;
    end if;
    if spec_version < 397 then
        if coalesce(total_bits, 0) = 0 or coalesce(share_bits, 0) = 0 then
            return 0;
        end if;
        -- U64F64 arithmetic: bits of V / D, then times S; a quotient that overflows multiplies first.
        ratio := div(v * two128, total_bits);
        alpha := case when ratio < two128 then div(ratio * share_bits, two128) else div(v * share_bits, total_bits) end;
        return least(alpha, bigint_max);
    end if;
    if share_bits is not null then
        select f.mantissa, f.exponent into s_m, s_e from safe_float(share_bits) f;
    end if;
    if total_bits is not null then
        select f.mantissa, f.exponent into d_m, d_e from safe_float(total_bits) f;
    end if;
    if coalesce(s_m, 0) = 0 or coalesce(d_m, 0) = 0 then
        return 0;
    end if;
    -- floor(V * S / D) exactly: the runtime's normalisation on the way drops out (MODEL_2026-10.md 1.4).
    alpha := div(
        v * s_m * trunc(power(10::numeric, greatest(s_e - d_e, 0))),
        d_m * trunc(power(10::numeric, greatest(d_e - s_e, 0)))
    );
    return least(alpha, bigint_max, case when spec_version >= 458 then v end);
end
$$;
comment on function alpha_rao_of_any(integer, bigint, bigint, numeric, numeric, bigint, numeric, numeric, bigint, bigint, bigint) is
'What alpha_rao tells, for every spec, step by step.';

create function power_of_ten(exponent bigint) returns numeric
language sql immutable parallel safe as $$
    select coalesce(
        (
            '{1,10,100,1000,10000,100000,1000000,10000000,100000000,1000000000,10000000000,100000000000,1000000000000}'
            ::numeric[]
        )[least($1, 99)::integer + 1],
        trunc(power(10::numeric, $1))
    )
$$;
comment on function power_of_ten(bigint) is '10 to a power from 0: looked up where it is small, as nearly always.';

create or replace function alpha_rao(
    spec_version integer, stake bigint, pool_alpha bigint,
    share_bits numeric, share_mantissa numeric, share_exponent bigint,
    total_bits numeric, total_mantissa numeric, total_exponent bigint,
    share_epoch bigint, pool_epoch bigint
) returns bigint
language sql immutable parallel safe as $$
    -- One expression, so that it becomes part of the query that asks: a call per position would cost ten times that.
    select case
        when spec_version < 397 or share_bits is not null or total_bits is not null then alpha_rao_of_any(
            spec_version, stake, pool_alpha, share_bits, share_mantissa, share_exponent,
            total_bits, total_mantissa, total_exponent, share_epoch, pool_epoch
        )
        when coalesce(pool_epoch, 0) <> 0 and coalesce(share_epoch, 0) <> pool_epoch then 0
        when coalesce(share_mantissa, 0) = 0 or coalesce(total_mantissa, 0) = 0 then 0
        else least(
            div(
                coalesce(pool_alpha, 0) * share_mantissa * power_of_ten(greatest(share_exponent - total_exponent, 0)),
                total_mantissa * power_of_ten(greatest(total_exponent - share_exponent, 0))
            ),
            9223372036854775807,
            case when spec_version >= 458 then coalesce(pool_alpha, 0) end
        )::bigint
    end
$$;
comment on function alpha_rao(integer, bigint, bigint, numeric, numeric, bigint, numeric, numeric, bigint, bigint, bigint) is
'What a row of stake_shares is worth in rao of alpha, exactly as the runtime of the spec computes it: plain stake before 233, U64F64 shares to 396, SafeFloat shares after that (a v1 share or total where its key exists, else v2), never above the pool since 458, nothing for a share of an earlier generation of the pool.';

create or replace view delegations as
with at as materialized (
    select c.block_number as block, spec_at(c.block_number) as spec from cursors c where c.dataset = 'stake'
),
prices as materialized (
    select x.netuid, x.price, coalesce(x.networks_added, false) as exists_now
    from at cross join lateral subnets_as_of(at.block) x
)
select
    hotkey.address as hotkey,
    coldkey.address as coldkey,
    a.netuid,
    a.alpha_rao,
    least(floor(a.alpha_rao * case when a.spec < 233 or a.netuid = 0 then 1 else n.price end), 9223372036854775807)::bigint as tao_rao,
    is_basket_escrow(a.coldkey) as is_escrow,
    case
        when a.spec < 233 then false
        when exists (select from prices) then not coalesce(n.exists_now, false)
    end as is_dissolving,
    tao(a.alpha_rao) as alpha,
    tao(least(floor(a.alpha_rao * case when a.spec < 233 or a.netuid = 0 then 1 else n.price end), 9223372036854775807)) as tao
from (
    select
        s.netuid, s.hotkey, s.coldkey, at.spec,
        alpha_rao(
            at.spec, s.stake, p.alpha, s.share_bits, s.share_mantissa, s.share_exponent,
            p.share_bits, p.share_mantissa, p.share_exponent, s.share_epoch, p.pool_epoch
        ) as alpha_rao
    from at
    cross join stake_shares s
    left join hotkey_pools p on p.netuid = s.netuid and p.hotkey = s.hotkey
    offset 0 -- once per position, and not again for each use
) a
left join prices n on n.netuid = a.netuid
-- Every account has a text; as left joins, those whose columns nobody asks for cost nothing.
left join accounts hotkey on hotkey.account = a.hotkey
left join accounts coldkey on coldkey.account = a.coldkey
where a.alpha_rao > 0;
comment on column delegations.alpha is 'alpha_rao in alpha.';
comment on column delegations.tao is 'tao_rao in TAO.';

create function stake_shares_as_of(
    block bigint, of_coldkey bytea default null, of_hotkey bytea default null, of_netuid integer default null
)
returns setof stake_shares
language plpgsql stable parallel safe rows 300000 as $$
-- Current rows that have not changed since, and for the others the history. Current rows are few against history
-- rows, and what was removed since has partial indexes, so a recent block costs what changed after it, and an old
-- one a look-up per position.
declare
    chosen constant text := ''
        || case when of_coldkey is null then '' else ' and k.coldkey = $2' end
        || case when of_hotkey is null then '' else ' and k.hotkey = $3' end
        || case when of_netuid is null then '' else ' and k.netuid = $4' end;
begin
    return query execute
        'select k.* from stake_shares k where k.block_number <= $1' || chosen || '
        union all
        select
            h.netuid, h.hotkey, h.coldkey, h.stake, h.share_bits, h.share_mantissa, h.share_exponent, h.share_epoch,
            h.block_number
        from (
            select k.netuid, k.hotkey, k.coldkey from stake_shares k where k.block_number > $1' || chosen || '
            union
            select k.netuid, k.hotkey, k.coldkey from stake_shares_history k
            where not k."exists" and k.block_number > $1' || chosen || '
            order by 1, 2, 3 -- side by side in the index: the look-ups find their pages in the cache
        ) k
        cross join lateral (
            select * from stake_shares_history h
            where h.netuid = k.netuid and h.hotkey = k.hotkey and h.coldkey = k.coldkey and h.block_number <= $1
            order by h.block_number desc limit 1
        ) h
        where h."exists"'
    using block, of_coldkey, of_hotkey, of_netuid;
end
$$;
comment on function stake_shares_as_of(bigint, bytea, bytea, integer) is
'Rows of stake_shares as of a block, all or those of a coldkey, a hotkey, a subnet. The block is not checked: delegations_at does.';

create function delegations_as_of(
    block bigint, spec integer, of_coldkey bytea, of_hotkey bytea, of_netuid integer, has_subnets boolean, many boolean
)
returns table (
    hotkey text,
    coldkey text,
    netuid integer,
    alpha_rao bigint,
    tao_rao bigint,
    is_escrow boolean,
    is_dissolving boolean,
    alpha numeric,
    tao numeric
)
language sql stable parallel safe as $$
    with shares as materialized (
        select * from stake_shares_as_of(block, of_coldkey, of_hotkey, of_netuid) s
        -- True of every row: a planner makes one in 600 of it, and looks up the accounts of so few by index. Without it,
        -- that is for many, it expects as many as the function declares, and joins by hash.
        where many or (s.coldkey = coalesce(of_coldkey, s.coldkey) and s.netuid >= 0)
    ),
    pools as materialized (
        select k.netuid, k.hotkey, h.address, p.alpha, p.share_bits, p.share_mantissa, p.share_exponent, p.pool_epoch
        from (select distinct netuid, hotkey from shares) k
        left join accounts h on h.account = k.hotkey
        left join lateral (
            select * from hotkey_pools_history h
            where h.netuid = k.netuid and h.hotkey = k.hotkey and h.block_number <= block
            order by h.block_number desc limit 1
        ) p on true
    ),
    prices as materialized (
        select k.netuid, x.price, coalesce(x.networks_added, false) as exists_now
        from (select distinct netuid from shares) k
        cross join lateral (select * from subnets_as_of(block) s where s.netuid = k.netuid) x
    )
    select
        a.address,
        coldkey.address,
        a.netuid,
        a.alpha_rao,
        least(floor(a.alpha_rao * case when spec < 233 or a.netuid = 0 then 1 else n.price end), 9223372036854775807)::bigint,
        is_basket_escrow(a.coldkey),
        case when spec < 233 then false when has_subnets then not coalesce(n.exists_now, false) end,
        tao(a.alpha_rao),
        tao(least(floor(a.alpha_rao * case when spec < 233 or a.netuid = 0 then 1 else n.price end), 9223372036854775807))
    from (
        select
            s.netuid, p.address, s.coldkey,
            alpha_rao(
                spec, s.stake, p.alpha, s.share_bits, s.share_mantissa, s.share_exponent,
                p.share_bits, p.share_mantissa, p.share_exponent, s.share_epoch, p.pool_epoch
            ) as alpha_rao
        from shares s
        left join pools p on p.netuid = s.netuid and p.hotkey = s.hotkey
        offset 0 -- once per position, and not again for each use
    ) a
    left join prices n on n.netuid = a.netuid
    left join accounts coldkey on coldkey.account = a.coldkey
    where a.alpha_rao <> 0 -- never below; of > 0 a planner would expect a third
$$;
comment on function delegations_as_of(bigint, integer, bytea, bytea, integer, boolean, boolean) is
'What delegations_at tells, of arguments that it has checked; many: planned for all positions of the chain instead of a few.';

drop function delegations_at(bigint, text, text, integer);
create function delegations_at(
    block bigint default null, of_coldkey text default null, of_hotkey text default null, of_netuid integer default null
)
returns table (
    hotkey text,
    coldkey text,
    netuid integer,
    alpha_rao bigint,
    tao_rao bigint,
    is_escrow boolean,
    is_dissolving boolean,
    alpha numeric,
    tao numeric
)
language plpgsql stable set plan_cache_mode = 'force_generic_plan' set enable_mergejoin = off as $$
-- Without merge joins, as one with accounts would read all of them in the order of its index instead of hashing them.
declare
    at constant bigint := indexed_block('stake', block);
    spec constant integer := spec_at(at);
    by_coldkey constant bytea := account_id(of_coldkey);
    by_hotkey constant bytea := account_id(of_hotkey);
    has_subnets constant boolean := exists (select from subnets_as_of(at));
begin
    -- Two plans of one query, which becomes part of each: the word at its end decides what the planner expects.
    if by_coldkey is null and by_hotkey is null and of_netuid is null then
        return query select * from delegations_as_of(at, spec, null, null, null, has_subnets, true);
    else
        return query select * from delegations_as_of(at, spec, by_coldkey, by_hotkey, of_netuid, has_subnets, false);
    end if;
end
$$;
comment on function delegations_at(bigint, text, text, integer) is
'Who delegates what to whom as of a block (NULL: the last committed): the columns of the view delegations, for all or for one coldkey, hotkey or subnet.';
