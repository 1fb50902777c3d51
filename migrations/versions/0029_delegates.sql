-- Delegates, as the runtime's own API tells them, and what coldkeys delegate.
-- Each question is planned for its own keys: a plan kept for any keys reads whole tables, and compares every row with
-- every key.

create function delegate_facts(block bigint, of_hotkey bytea[] default null)
returns table (
    hotkey bytea, owner bytea, take bigint, registrations integer[], validator_permits integer[], root_stake bigint,
    return_per_1000 bigint, total_daily_return bigint
)
language plpgsql stable set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
    spec constant integer := spec_at($1);
    two64 constant numeric := 18446744073709551616;
    two128 constant numeric := 340282366920938463463374607431768211456;
    bigint_max constant numeric := 9223372036854775807;
begin
    return query
    with chosen as materialized (
        select k.hotkey, h.owner, h.take
        from (
            select d.hotkey from delegates d where $2 is null or d.hotkey = any($2)
            union
            select g.hotkey from delegate_history g
            where not g."exists" and g.block_number > $1 and ($2 is null or g.hotkey = any($2))
        ) k
        cross join lateral (
            select * from delegate_history h
            where h.hotkey = k.hotkey and h.block_number <= $1
            order by h.block_number desc limit 1
        ) h
        where h."exists" and h.take is not null
    ),
    registered as materialized (
        select k.hotkey, k.netuid, h.uid
        from (
            select r.hotkey, r.netuid from chosen c join registrations r on r.hotkey = c.hotkey
            union
            select g.hotkey, g.netuid from chosen c join registration_history g on g.hotkey = c.hotkey
            where not g."exists" and g.block_number > $1
        ) k
        cross join lateral (
            select * from registration_history h
            where h.hotkey = k.hotkey and h.netuid = k.netuid and h.block_number <= $1
            order by h.block_number desc limit 1
        ) h
        where h."exists" and h.is_network_member
    ),
    subnets as materialized (
        select
            n.netuid,
            neuron_vector(n.netuid, 'validator_permit', $1) as permits,
            neuron_vector(n.netuid, 'emission', $1) as emission,
            -- Epochs per day, bits of a U64F64.
            coalesce(div(7200 * two64, nullif(t.value, 0)), 0) as epochs_bits
        from (select distinct r.netuid from registered r) n
        left join lateral effective_hyperparameter(n.netuid, 'tempo', $1) t on true
    ),
    returns as (
        select
            r.hotkey,
            array_agg(r.netuid order by r.netuid) as registrations,
            array_agg(r.netuid order by r.netuid) filter (where s.permits[r.uid + 1] = 1) as permits,
            least(sum(coalesce(s.emission[r.uid + 1], 0) * s.epochs_bits), two128 - 1) as daily_bits
        from registered r
        join subnets s on s.netuid = r.netuid
        group by r.hotkey
    )
    select
        c.hotkey,
        c.owner,
        c.take::bigint,
        coalesce(r.registrations, '{}'),
        coalesce(r.permits, '{}'),
        p.stake,
        case when spec >= 233 then (
            -- U64F64 step by step: daily x (1 - take), divided by root stake in thousands of TAO; 0 if that overflows.
            select case when q.bits < two128 then least(div(q.bits, two64), bigint_max)::bigint else 0 end
            from (
                select coalesce(div(
                    div(coalesce(r.daily_bits, 0) * (two64 - div(c.take * two64, 65535)), two64) * two64,
                    nullif(div(p.stake * two64, 1000000000000), 0)
                ), 0) as bits
            ) q
        ) end,
        least(div(coalesce(r.daily_bits, 0), two64), bigint_max)::bigint
    from chosen c
    left join returns r on r.hotkey = c.hotkey
    left join lateral (
        select * from hotkey_pools_history h
        where h.netuid = 0 and h.hotkey = c.hotkey and h.block_number <= $1
        order by h.block_number desc limit 1
    ) pool on true
    cross join lateral (
        select coalesce(case when spec < 233 then pool.stake else pool.alpha end, 0) as stake
    ) p;
end
$$;
comment on function delegate_facts(bigint, bytea[]) is
'What delegates_at tells, without the count of nominators, which costs most. The block is not checked.';

create function nominators_as_of(block bigint, of_hotkey bytea[] default null)
returns table (hotkey bytea, nominators bigint)
language plpgsql stable set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
    spec constant integer := spec_at($1);
begin
    return query
    with moved as (
        select s.netuid, s.hotkey, s.coldkey from stake_shares s
        where s.block_number > $1 and ($2 is null or s.hotkey = any($2))
        union
        select g.netuid, g.hotkey, g.coldkey from stake_shares_history g
        where g.block_number > $1 and not g."exists" and ($2 is null or g.hotkey = any($2))
    ),
    shares as materialized (
        select s.netuid, s.hotkey, s.coldkey, s.stake, s.share_bits, s.share_mantissa, s.share_epoch
        from stake_shares s
        where s.block_number <= $1 and ($2 is null or s.hotkey = any($2))
        union all
        select h.netuid, h.hotkey, h.coldkey, h.stake, h.share_bits, h.share_mantissa, h.share_epoch
        from moved m
        cross join lateral (
            select * from stake_shares_history h
            where h.netuid = m.netuid and h.hotkey = m.hotkey and h.coldkey = m.coldkey and h.block_number <= $1
            order by h.block_number desc limit 1
        ) h
        where h."exists"
    ),
    subnets as materialized (
        select n.netuid
        from (select distinct s.netuid from shares s) n
        where spec < 233
            or exists (select from hyperparameter_as_of(n.netuid, 'networks_added', $1) e where e.value = 1)
    ),
    -- Pools that were closed and opened again, since which the older shares are void.
    reopened as materialized (
        select k.netuid, k.hotkey, h.pool_epoch
        from (select distinct s.netuid, s.hotkey from shares s where spec >= 459) k
        cross join lateral (
            select * from hotkey_pools_history h
            where h.netuid = k.netuid and h.hotkey = k.hotkey and h.block_number <= $1
            order by h.block_number desc limit 1
        ) h
        where h.pool_epoch <> 0
    )
    select s.hotkey, count(distinct s.coldkey)
    from shares s
    join subnets n on n.netuid = s.netuid
    left join reopened o on o.netuid = s.netuid and o.hotkey = s.hotkey
    where case when spec < 233 then s.stake else coalesce(s.share_bits, s.share_mantissa) end <> 0
        and coalesce(s.share_epoch, 0) = coalesce(o.pool_epoch, s.share_epoch, 0)
    group by s.hotkey;
end
$$;
comment on function nominators_as_of(bigint, bytea[]) is
'How many coldkeys have a share in the pools of hotkeys on subnets that exist, as of a block, the owner and the escrow of root baskets among them: also those whose share is worth less than a rao, as the runtime counts. The block is not checked.';

create function delegates_at(block bigint default null, of_hotkey text[] default null)
returns table (
    hotkey text, owner text, take bigint, nominators bigint, registrations integer[], validator_permits integer[],
    return_per_1000 bigint, total_daily_return bigint, root_stake bigint, take_share numeric, root_stake_tao numeric,
    return_per_1000_tao numeric
)
language plpgsql stable set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
    at constant bigint := indexed_block(
        'hyperparameters', indexed_block('neurons', indexed_block('stake', delegates_at.block))
    );
    wanted constant bytea[] := account_ids(of_hotkey);
begin
    return query
    select
        (select a.address from accounts a where a.account = f.hotkey),
        (select a.address from accounts a where a.account = f.owner),
        f.take,
        coalesce(n.nominators, 0),
        f.registrations, f.validator_permits, f.return_per_1000, f.total_daily_return, f.root_stake,
        round(f.take / 65535.0, 20), tao(f.root_stake), tao(f.return_per_1000)
    from delegate_facts(at, wanted) f
    left join nominators_as_of(at, wanted) n on n.hotkey = f.hotkey;
end
$$;
comment on function delegates_at(bigint, text[]) is
'Delegates as of a block (NULL: the last committed), of these hotkeys or all, as the runtime''s get_delegates computes them: take as the chain has it, /65535, and as a share from 0 to 1; how many nominators; subnets it is registered on and may validate on; total_daily_return, rao, the emission of its neurons per day (alphas of different subnets, added as they are); return_per_1000, rao, what is left of it after the take per 1000 TAO on root (NULL before dTAO); root_stake, rao of TAO.';

create function delegate_take_as_of(hotkey bytea, block bigint) returns setof bigint
language sql stable as $$
    select h.take::bigint from (
        select * from delegate_history h
        where h.hotkey = $1 and h.block_number <= $2
        order by h.block_number desc limit 1
    ) h
    where h."exists" and h.take is not null
$$;
comment on function delegate_take_as_of(bytea, bigint) is
'The take of a delegate as of a block, /65535; no row if it is none. The block is not checked.';

create function is_delegate(hotkey text, block bigint default null) returns boolean
language sql stable as $$
    select exists (
        select from indexed_block('stake', $2) at (block) cross join lateral delegate_take_as_of(account_id($1), at.block)
    )
$$;
comment on function is_delegate(text, bigint) is
'Whether a hotkey is open for delegation, as of a block (NULL: the last committed).';

create function delegate_take(hotkey text, block bigint default null)
returns table (take bigint, take_share numeric, min_take bigint, max_take bigint)
language sql stable as $$
    with at as materialized (
        select indexed_block('hyperparameters', indexed_block('stake', $2)) as block, account_id($1) as hotkey
    )
    select t.take, round(t.take / 65535.0, 20), low.value::bigint, high.value::bigint
    from at
    left join lateral delegate_take_as_of(at.hotkey, at.block) t (take) on true
    left join lateral effective_hyperparameter(-1, 'min_delegate_take', at.block) low on true
    left join lateral effective_hyperparameter(-1, 'max_delegate_take', at.block) high on true
$$;
comment on function delegate_take(text, bigint) is
'What a delegate keeps for itself, as of a block (NULL: the last committed): as the chain has it, /65535, and as a share from 0 to 1 (both NULL: it is no delegate), and the bounds the chain sets, /65535.';

create function delegated_at(block bigint default null, of_coldkey text[] default null)
returns table (
    coldkey text, hotkey text, netuid integer, alpha_rao bigint, tao_rao bigint, owner text, take bigint,
    registrations integer[], validator_permits integer[], return_per_1000 bigint, total_daily_return bigint,
    alpha numeric, tao numeric
)
language plpgsql stable set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
    at constant bigint := indexed_block(
        'hyperparameters', indexed_block('neurons', indexed_block('stake', delegated_at.block))
    );
begin
    return query
    with positions as materialized (
        select d.coldkey, d.hotkey, d.netuid, d.alpha_rao, d.tao_rao from delegations_at(at) d where of_coldkey is null
        union all
        select s.coldkey, s.hotkey, s.netuid, s.alpha_rao, s.tao_rao from stake_for_coldkeys(of_coldkey, at) s
    ),
    facts as materialized (
        select a.address, f.*
        from delegate_facts(at, coalesce(account_ids((select array_agg(distinct p.hotkey) from positions p)), '{}')) f
        join accounts a on a.account = f.hotkey
    )
    select
        p.coldkey, p.hotkey, p.netuid, p.alpha_rao, p.tao_rao,
        (select a.address from accounts a where a.account = f.owner),
        f.take, f.registrations, f.validator_permits, f.return_per_1000, f.total_daily_return,
        tao(p.alpha_rao), tao(p.tao_rao)
    from positions p
    join facts f on f.address = p.hotkey;
end
$$;
comment on function delegated_at(bigint, text[]) is
'What coldkeys delegate to whom, as of a block (NULL: the last committed): their positions of stake on hotkeys that are delegates, with what delegates_at tells of these but the count of nominators.';
