-- Subnets and the metagraph with stake weights, as the runtime's own API tells them.
-- Each question is planned for its own keys: a plan kept for any keys reads whole tables, and compares every row with
-- every key.

create function subnet_registration_cost(block bigint default null) returns bigint
language sql stable as $$
    with at as materialized (
        select indexed_block('rate_limits', indexed_block('hyperparameters', $1)) as block
    ),
    terms as (
        select
            at.block,
            (select e.value from effective_hyperparameter(-1, 'network_last_lock_cost', at.block) e) as last_cost,
            (select e.value from effective_hyperparameter(-1, 'network_min_lock_cost', at.block) e) as min_cost,
            (select e.value from effective_hyperparameter(-1, 'network_lock_reduction_interval', at.block) e) as interval,
            coalesce(
                (
                    select h.last_block from rate_limit_history h
                    where h.name = 'NetworkLastRegistered' and h.block_number <= at.block
                    order by h.block_number desc limit 1
                ),
                (select e.value from effective_hyperparameter(-1, 'network_last_registered', at.block) e),
                0
            ) as last_block
        from at
    )
    select greatest(
        min_cost,
        last_cost * case when last_block = 0 then 1 else 2 end
            - coalesce(div(last_cost, nullif(interval, 0)), 0) * greatest(block - last_block, 0)
    )::bigint
    from terms
$$;
comment on function subnet_registration_cost(bigint) is
'Price of a new subnet as of a block (NULL: the last committed), rao of TAO: twice the last price after a registration, falling with every block, never below the floor. NULL where the runtime sells none.';

create function dynamic_info_at(block bigint default null, of_netuid integer[] default null)
returns table (
    netuid integer, owner_hotkey text, owner_coldkey text, subnet_name text, token_symbol text, tempo bigint,
    last_step bigint, blocks_since_last_step bigint, emission bigint, alpha_in bigint, alpha_out bigint, tao_in bigint,
    alpha_out_emission bigint, alpha_in_emission bigint, tao_in_emission bigint, pending_alpha_emission bigint,
    pending_root_emission bigint, subnet_volume numeric, network_registered_at bigint, subnet_identity jsonb,
    moving_price numeric, subnetwork_n bigint, burn bigint, price numeric, burn_tao numeric, pool_alpha numeric,
    outstanding_alpha numeric, pool_tao numeric, volume_tao numeric
)
language plpgsql stable set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
    at constant bigint := indexed_block('hyperparameters', indexed_block('subnets', dynamic_info_at.block));
    spec constant integer := spec_at(at);
begin
    return query
    select
        s.netuid,
        (select a.address from accounts a where a.account = s.subnet_owner_hotkey),
        (select a.address from accounts a where a.account = s.subnet_owner),
        coalesce(nullif(i.identity ->> 'subnet_name', ''), s.subnet_name #>> '{}'),
        case when spec >= 233 then coalesce(s.token_symbol #>> '{}', '𝜏') end,
        t.value::bigint,
        coalesce(s.last_mechansim_step_block, 0),
        greatest(at - coalesce(s.last_mechansim_step_block, 0), 0),
        case when spec < 233 then coalesce(s.emission_values, 0) else 0 end,
        coalesce(s.subnet_alpha_in, 0),
        coalesce(s.subnet_alpha_out, 0),
        coalesce(s.subnet_tao, 0),
        coalesce(s.subnet_alpha_out_emission, 0),
        coalesce(s.subnet_alpha_in_emission, 0),
        coalesce(s.subnet_tao_in_emission, 0),
        case
            when spec < 343 then coalesce(s.pending_emission, 0)
            else coalesce(s.pending_server_emission, 0) + coalesce(s.pending_validator_emission, 0)
        end,
        case when spec < 334 then coalesce(s.pending_root_divs, 0) else 0 end,
        coalesce(s.subnet_volume, 0),
        coalesce(s.network_registered_at, 0),
        i.identity,
        coalesce(s.subnet_moving_price, 0),
        coalesce(s.subnetwork_n, 0),
        b.value::bigint,
        s.price,
        tao(b.value), tao(coalesce(s.subnet_alpha_in, 0)), tao(coalesce(s.subnet_alpha_out, 0)),
        tao(coalesce(s.subnet_tao, 0)), tao(coalesce(s.subnet_volume, 0))
    from subnets_as_of(at) s
    cross join lateral (
        select coalesce(s.subnet_identities_v3, s.subnet_identities_v2, s.subnet_identities) as identity
    ) i
    left join lateral effective_hyperparameter(s.netuid, 'tempo', at) t on true
    left join lateral effective_hyperparameter(s.netuid, 'burn', at) b on true
    where s.networks_added and ($2 is null or s.netuid = any($2));
end
$$;
comment on function dynamic_info_at(bigint, integer[]) is
'Subnets that exist, as of a block (NULL: the last committed), of these or all, as the runtime''s get_all_dynamic_info tells them, amounts in rao; then neurons (subnetwork_n), the price of a registration (burn), the spot price, and amounts in TAO and alpha. subnet_name is the owner''s: where it is NULL, the API tells a name from a list in the runtime''s code. emission and, since spec 334, pending_root_emission are always 0, as the API tells them.';

create function stake_weights_as_of(block bigint, of_netuid integer[])
returns table (netuid integer, hotkey text, alpha_stake bigint, tao_stake bigint, total_stake bigint)
language plpgsql stable set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
    spec constant integer := spec_at($1);
    two32 constant numeric := 4294967296;
    u64_max constant numeric := 18446744073709551615;
    tao_weight constant numeric := (select e.value from effective_hyperparameter(-1, 'tao_weight', $1) e);
begin
    if spec < 233 then
        return;
    end if;
    return query
    with holders as materialized (select n.netuid, n.hotkey from neurons_at($1, $2) n),
    relations as materialized (
        select k.* from childkeys_at($1, of_netuid => $2) k where k.children is not null or k.parents is not null
    ),
    -- A parent with too little stake keeps its relations, but they count only on a subnet that it owns.
    inert as materialized (
        select z.hotkey, n.netuid
        from childkey_suspensions_at($1) z
        cross join unnest($2) n (netuid)
        join accounts a on a.address = z.hotkey
        where not exists (
            select from hyperparameter_as_of(n.netuid, 'subnet_owner_hotkey', $1) o
            where o.value_json #>> '{}' = z.hotkey
        )
    ),
    -- Parts of stake in U96F32, as bits: cut to 32 binary digits.
    given as materialized (
        select r.netuid, r.hotkey, sum(div(e.proportion * two32, u64_max)) as part
        from relations r
        cross join lateral jsonb_to_recordset(r.children) e (proportion numeric, child text)
        where not exists (select from inert z where z.netuid = r.netuid and z.hotkey = r.hotkey)
        group by r.netuid, r.hotkey
    ),
    taken as materialized (
        select r.netuid, r.hotkey, e.parent, div(e.proportion * two32, u64_max) as part
        from relations r
        cross join lateral jsonb_to_recordset(r.parents) e (proportion numeric, parent text)
        where not exists (select from inert z where z.netuid = r.netuid and z.hotkey = e.parent)
    ),
    pools as materialized (
        select a.address as hotkey, p.netuid, p.alpha
        from hotkey_stakes_as_of(
            $1,
            (
                select array_agg(a.account)
                from (select h.hotkey from holders h union select t.parent from taken t) k
                join accounts a on a.address = k.hotkey
            ),
            $2 || 0
        ) p
        join accounts a on a.account = p.hotkey
        where p.alpha is not null
    ),
    inherited as (
        select t.netuid, t.hotkey, sum(alpha.alpha * t.part) as alpha_bits, sum(root.alpha * t.part) as tao_bits
        from taken t
        left join pools alpha on alpha.hotkey = t.parent and alpha.netuid = t.netuid
        left join pools root on root.hotkey = t.parent and root.netuid = 0
        group by t.netuid, t.hotkey
    )
    select h.netuid, h.hotkey, w.alpha, w.tao, (w.alpha + div(w.tao * tw.bits, two32))::bigint
    from holders h
    cross join (select div(tao_weight * two32, u64_max) as bits) tw
    left join pools own on own.hotkey = h.hotkey and own.netuid = h.netuid
    left join pools root on root.hotkey = h.hotkey and root.netuid = 0
    left join given g on g.netuid = h.netuid and g.hotkey = h.hotkey
    left join inherited i on i.netuid = h.netuid and i.hotkey = h.hotkey
    cross join lateral (
        select
            case when h.netuid = 0 then coalesce(own.alpha, 0) else div(
                greatest(coalesce(own.alpha, 0) * (two32 - coalesce(g.part, 0)), 0) + coalesce(i.alpha_bits, 0), two32
            ) end::bigint,
            div(
                greatest(coalesce(root.alpha, 0) * (two32 - coalesce(g.part, 0)), 0) + coalesce(i.tao_bits, 0), two32
            )::bigint
    ) w (alpha, tao);
end
$$;
comment on function stake_weights_as_of(bigint, integer[]) is
'Stake that counts in consensus, of every neuron of these subnets as of a block: what metagraph_at tells as alpha_stake, tao_stake and total_stake. No rows before dTAO. The block is not checked.';

create function metagraph_at(block bigint default null, of_netuid integer[] default null)
returns table (
    netuid integer, uid bigint, hotkey text, coldkey text, registered_at bigint, active boolean,
    validator_permit boolean, last_update bigint, stake_alpha bigint, emission bigint, incentive bigint,
    consensus bigint, validator_trust bigint, dividends bigint, rank bigint, trust bigint, pruning_score bigint,
    axon_ip inet, axon_port bigint, axon_version bigint, axon_protocol bigint, axon_block bigint, prometheus_ip inet,
    prometheus_port bigint, prometheus_version bigint, prometheus_block bigint,
    alpha_stake bigint, tao_stake bigint, total_stake bigint, identity jsonb,
    alpha_dividends bigint, tao_dividends bigint, root_alpha_dividends bigint,
    collateral_locked bigint, collateral_min bigint, collateral_earned bigint
)
language plpgsql stable set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
    at constant bigint := indexed_block('children', indexed_block(
        'hyperparameters', indexed_block('neurons', indexed_block('stake', metagraph_at.block))
    ));
    netuids constant integer[] := coalesce((
        select array_agg(distinct s.netuid) from stored_hyperparameter_history s
        where s.name = 'networks_added' and s.netuid >= 0 and (of_netuid is null or s.netuid = any(of_netuid))
            and exists (select from hyperparameter_as_of(s.netuid, 'networks_added', at) e where e.value = 1)
    ), '{}');
    indexed constant text[] := array(
        select c.dataset from cursors c where at between c.start_block and c.block_number
    );
    has_identities constant boolean := 'identities' = any(indexed);
    has_dividends constant boolean := 'dividends' = any(indexed);
    has_collateral constant boolean := 'collateral' = any(indexed);
begin
    return query
    with n as materialized (select x.* from neurons_at(at, netuids) x),
    identified as materialized (
        select i.coldkey, coalesce(i.identity, i.first_layout) as identity
        -- Of few subnets their owners are asked for; of many, all are read at once.
        from identities_at(at, of_coldkey => case when cardinality(netuids) <= 8 then (
            select array_agg(distinct n.coldkey) from n
        ) end) i
        where has_identities
    ),
    paid as materialized (select d.* from dividends_at(at, of_netuid => netuids) d where has_dividends),
    secured as materialized (select c.* from miner_collateral_at(at, of_netuid => netuids) c where has_collateral)
    select
        n.netuid, n.uid, n.hotkey, n.coldkey, n.registered_at, n.active, n.validator_permit, n.last_update,
        n.stake_alpha, n.emission, n.incentive, n.consensus, n.validator_trust, n.dividends, n.rank, n.trust,
        n.pruning_score, n.axon_ip, n.axon_port, n.axon_version, n.axon_protocol, n.axon_block, n.prometheus_ip,
        n.prometheus_port, n.prometheus_version, n.prometheus_block,
        w.alpha_stake, w.tao_stake, w.total_stake, i.identity,
        case when has_dividends then coalesce(d.alpha_dividends, 0) end,
        case when has_dividends then coalesce(d.tao_dividends, 0) end,
        case when has_dividends then coalesce(d.root_alpha_dividends, 0) end,
        case when has_collateral then coalesce(c.locked, 0) end,
        case when has_collateral then coalesce(c.min_locked, 0) end,
        case when has_collateral then coalesce(c.earned, 0) end
    from n
    left join stake_weights_as_of(at, netuids) w on w.netuid = n.netuid and w.hotkey = n.hotkey
    left join identified i on i.coldkey = n.coldkey
    left join paid d on d.netuid = n.netuid and d.hotkey = n.hotkey
    left join secured c on c.netuid = n.netuid and c.hotkey = n.hotkey and c.coldkey = n.coldkey;
end
$$;
comment on function metagraph_at(bigint, integer[]) is
'The metagraph with stake weights, as of a block (NULL: the last committed), of these subnets or all that exist: the columns of neurons_at; then the stake that counts in consensus, as the chain computes it: alpha_stake and tao_stake (alpha on the subnet, TAO on root), without the part lent to children, with that of parents, and total_stake, alpha plus TAO by its weight, all rao (NULL before dTAO); the owner''s identity; what the last epoch paid to the hotkey''s stakers, rao; collateral of the owner on the hotkey, rao of alpha. NULL where the dataset of a column is not indexed.';

-- Parameters.

create function hyperparameter_names(name text) returns text[]
language sql immutable strict parallel safe as $$
    select case $1
        when 'MaxWeightsLimit' then array['max_weights_limit']
        when 'WeightsVersionKey' then array['weights_version']
        when 'WeightsSetRateLimit' then array['weights_rate_limit']
        when 'ActivityCutoffFactorMilli' then array['activity_cutoff_factor']
        when 'NetworkRegistrationAllowed' then array['registration_allowed']
        when 'NetworkPowRegistrationAllowed' then array['network_pow_registration_allowed']
        when 'TargetRegistrationsPerInterval' then array['target_regs_per_interval']
        when 'BondsMovingAverage' then array['bonds_moving_avg']
        when 'BondsResetOn' then array['bonds_reset_enabled']
        when 'MaxRegistrationsPerBlock' then array['max_regs_per_block']
        when 'MaxAllowedValidators' then array['max_validators']
        when 'ImmuneOwnerUidsLimit' then array['owner_immune_neuron_limit']
        when 'RevealPeriodEpochs' then array['commit_reveal_period']
        when 'AlphaValues' then array['alpha_high', 'alpha_low']
        when 'LiquidAlphaOn' then array['liquid_alpha_enabled']
        when 'Yuma3On' then array['yuma3_enabled', 'yuma_version']
        when 'SubnetEpochConsensus' then array['epoch_consensus']
        when 'SubtokenEnabled' then array['subnet_is_active']
        when 'TransferToggle' then array['transfers_enabled']
        when 'MinChildkeyTakePerSubnet' then array['min_childkey_take']
        when 'MechanismCountCurrent' then array['mechanism_count']
        when 'EnabledUserLiquidity' then array['user_liquidity_enabled']
        else array[lower(regexp_replace(
            regexp_replace($1, '([a-z0-9])([A-Z])', '\1_\2', 'g'), '([A-Z])([A-Z][a-z])', '\1_\2', 'g'
        ))]
    end
$$;
comment on function hyperparameter_names(text) is
'Names of the parameters that a storage item gives (''WeightsSetRateLimit''), or the name itself (''weights_rate_limit'').';

create function hyperparameter(parameter text, netuid integer default null, block bigint default null)
returns table (name text, value numeric, value_json jsonb, is_default boolean)
language plpgsql stable set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
    at constant bigint := indexed_block('hyperparameters', $3);
    scope constant integer := coalesce($2, -1);
    wanted constant text[] := hyperparameter_names($1);
begin
    if exists (select from hyperparameter_default_history) and not exists (
        select from hyperparameter_default_history d where d.name = any(wanted) and d.is_network = (scope = -1)
        union all
        select from stored_hyperparameter_history s where s.name = any(wanted) and s.netuid = scope
    ) then
        raise exception 'no runtime that was indexed has a parameter "%" of %', $1,
            case when scope = -1 then 'the network' else 'a subnet' end
            using errcode = 'invalid_parameter_value',
            hint = 'Names are those of hyperparameters_at, or of storage items (Tempo).';
    end if;
    return query
    select n.name, v.value, v.value_json, v.is_default
    from unnest(wanted) n (name)
    cross join lateral effective_hyperparameter(scope, n.name, at) v
    where scope = -1 or exists (select from hyperparameter_as_of(scope, 'networks_added', at) e where e.value = 1);
end
$$;
comment on function hyperparameter(text, integer, bigint) is
'One hyperparameter of a subnet, or of the network for netuid NULL, as of a block (NULL: the last committed), by its name or by that of its storage item (''Tempo''; an item that holds two gives two rows). No row for a subnet that does not exist at the block; an error for a name that no indexed runtime has.';

create function subnet_hyperparameters_at(block bigint default null, of_netuid integer[] default null)
returns table (netuid integer, name text, value numeric, value_json jsonb, is_default boolean)
language plpgsql stable set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
    at constant bigint := indexed_block('hyperparameters', subnet_hyperparameters_at.block);
    spec constant integer := spec_at(at);
begin
    return query
    select n.netuid, h.name, coalesce(f.value, h.value), coalesce(to_jsonb(f.value), h.value_json), h.is_default
    from (
        select distinct s.netuid from stored_hyperparameter_history s
        where s.name = 'networks_added' and ($2 is null or s.netuid = any($2))
    ) n
    cross join lateral hyperparameters_at(n.netuid, at) h
    left join lateral (
        select case
            when h.name = 'activity_cutoff' and spec >= 423 then (
                select greatest(1, div(factor.value * tempo.value, 1000))
                from effective_hyperparameter(n.netuid, 'activity_cutoff_factor', at) factor,
                    effective_hyperparameter(n.netuid, 'tempo', at) tempo
            )
            when h.name = 'max_weights_limit' and spec >= 475 then 65535
        end as value
    ) f on true;
end
$$;
comment on function subnet_hyperparameters_at(bigint, integer[]) is
'Hyperparameters of these subnets, or of all that exist, as of a block (NULL: the last committed), as the runtime answers them: hyperparameters_at, but activity_cutoff since spec 423 is what the factor and tempo make of it, and max_weights_limit since 475 is 65535.';

create function subnet_start_schedule_at(block bigint default null, of_netuid integer[] default null)
returns table (
    netuid integer, registered_at bigint, start_call_delay bigint, earliest_block bigint, current_block bigint
)
language plpgsql stable set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
    at constant bigint := indexed_block('hyperparameters', indexed_block('subnets', subnet_start_schedule_at.block));
    delay constant bigint := (select e.value from effective_hyperparameter(-1, 'start_call_delay', at) e);
begin
    return query
    select
        s.netuid, coalesce(s.network_registered_at, 0), delay, coalesce(s.network_registered_at, 0) + delay, at
    from subnets_as_of(at) s
    where s.networks_added and ($2 is null or s.netuid = any($2));
end
$$;
comment on function subnet_start_schedule_at(bigint, integer[]) is
'From which block subnets can be started, as of a block (NULL: the last committed): registration plus StartCallDelay, both in blocks; NULL before spec ~371, whose delay was a constant of the runtime.';
