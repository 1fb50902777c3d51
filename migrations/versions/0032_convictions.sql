-- Locks and conviction as of a block: what is stored, rolled forward by the chain's own arithmetic.

create function exp_decay(blocks bigint, rate bigint) returns numeric
language plpgsql immutable strict parallel safe as $$
-- The chain takes e^x of x = blocks / rate as its Taylor series to the power of 63 and divides 1 by it, all in
-- fixed point with 64 bits of fraction, every product and quotient truncated (substrate_fixed, I64F64).
declare
    one constant numeric := 18446744073709551616;
    x numeric;
    term numeric;
    series numeric;
begin
    if blocks <= 0 then
        return one;
    end if;
    if rate <= 0 then
        return 0;
    end if;
    x := least(div(blocks * one, rate), 40 * one);
    term := x;
    series := one + x;
    for n in 2..63 loop
        term := div(term * x, one * n);
        exit when term = 0;
        series := series + term;
    end loop;
    return div(one * one, series);
end
$$;
comment on function exp_decay(bigint, bigint) is
'e^(-blocks/rate) in units of 2^-64, bit for bit as the chain computes it: 2^64 for no blocks, never below e^-40, 0 for a rate of 0.';

create function roll_lock(
    spec_version integer, locked_mass bigint, conviction numeric, blocks bigint, unlock_rate bigint,
    maturity_rate bigint, is_owner boolean, is_perpetual boolean, out locked_rao bigint, out conviction_rao numeric
)
language plpgsql immutable strict parallel safe as $$
declare
    one constant numeric := 18446744073709551616;
    unit constant numeric := 5.421010862427522170037264004349708557128906250E-20; -- 2^-64, exactly
    bits numeric := trunc(conviction * one);
    unlock_decay numeric;
    maturity_decay numeric;
    gained numeric := 0; -- conviction per locked rao
begin
    locked_rao := locked_mass;
    if blocks > 0 then
        maturity_decay := exp_decay(blocks, maturity_rate);
        if is_perpetual then
            gained := one - maturity_decay;
        else
            unlock_decay := exp_decay(blocks, unlock_rate);
            locked_rao := div(unlock_decay * locked_mass, one);
            if unlock_rate <= 0 or maturity_rate <= 0 then
                gained := 0;
            elsif unlock_rate = maturity_rate then
                gained := div(div(blocks * one, maturity_rate) * maturity_decay, one);
            else
                -- The chain takes what rounding makes negative for nothing.
                gained := greatest(
                    div(unlock_rate * (unlock_decay - maturity_decay), unlock_rate::numeric - maturity_rate), 0
                );
            end if;
        end if;
        bits := div(maturity_decay * bits, one) + locked_mass * gained;
    end if;
    if is_owner then
        bits := locked_rao * one;
    end if;
    if spec_version >= 423 and locked_rao < 100 and bits < 100 * one then
        locked_rao := 0;
        bits := 0;
    end if;
    conviction_rao := trim_scale(bits * unit);
end
$$;
comment on function roll_lock(integer, bigint, numeric, bigint, bigint, bigint, boolean, boolean) is
'A lock some blocks after it was stored, as the runtime of the spec rolls it forward, bit for bit: what is still locked (rao of alpha) and its conviction. Since spec 423 what is left of both below 100 rao is nothing.';

create function lock_clock(
    block bigint, out at bigint, out spec_version integer, out unlock_rate bigint, out maturity_rate bigint
)
language plpgsql stable as $$
begin
    at := indexed_block('locks', block);
    at := indexed_block('hyperparameters', at);
    spec_version := spec_at(at);
    unlock_rate := (select least(h.value, 9223372036854775807) from hyperparameter_as_of(-1, 'unlock_rate', at) h);
    maturity_rate := (select least(h.value, 9223372036854775807) from hyperparameter_as_of(-1, 'maturity_rate', at) h);
end
$$;
comment on function lock_clock(bigint) is
'What locks are rolled forward by as of a block (NULL: the last committed): the block itself, the spec, and both rates in blocks.';

create function subnet_owner_hotkey(netuid integer, block bigint) returns text
language sql stable as $$
    select coalesce((select a.address from accounts a where a.account = h.raw), h.value_json #>> '{}')
    from (
        select s.raw, s.value_json, s."exists" from stored_hyperparameter_history s
        where s.netuid = $1 and s.name = 'subnet_owner_hotkey' and s.block_number <= $2
        order by s.block_number desc limit 1
    ) h
    where h."exists"
$$;
comment on function subnet_owner_hotkey(integer, bigint) is
'Hotkey of a subnet''s owner as of a block, SS58. The block is not checked.';

create function locks_at(
    block bigint default null, of_coldkey text[] default null, of_netuid integer[] default null,
    of_hotkey text[] default null
)
returns table (
    coldkey text, netuid integer, hotkey text, locked_rao bigint, conviction_rao numeric, is_perpetual boolean,
    is_owner boolean, last_update bigint
)
language sql stable as $$
    with clock as materialized (select * from lock_clock($1)),
    records as materialized (
        select r.*
        from clock
        cross join lateral lock_records_at(clock.at, of_netuid => $3, of_coldkey => $2, of_hotkey => $4) r
        where r.last_update is not null
    ),
    owners as materialized (
        select n.netuid, subnet_owner_hotkey(n.netuid, clock.at) as hotkey
        from clock cross join (select distinct r.netuid from records r) n
    ),
    modes as materialized (
        select m.*
        from clock
        cross join lateral lock_modes_at(
            clock.at, of_coldkey => $2, of_netuid => (select array_agg(distinct r.netuid) from records r)
        ) m
        where exists (select from records)
    )
    select
        r.coldkey, r.netuid, r.hotkey, l.locked_rao, l.conviction_rao, k.is_perpetual, k.is_owner, r.last_update
    from clock
    cross join records r
    left join owners o on o.netuid = r.netuid
    left join modes m on m.coldkey = r.coldkey and m.netuid = r.netuid
    cross join lateral (
        select coalesce(not m.decaying, false) as is_perpetual, coalesce(r.hotkey = o.hotkey, false) as is_owner
    ) k
    cross join lateral roll_lock(
        clock.spec_version, r.locked_mass, r.conviction, clock.at - r.last_update, clock.unlock_rate,
        clock.maturity_rate, k.is_owner, k.is_perpetual
    ) l
$$;
comment on function locks_at(bigint, text[], integer[], text[]) is
'Locks of coldkeys rolled forward to a block (NULL: the last committed), as the runtime does it: locked_rao is alpha that cannot be unstaked, conviction_rao what it counts for its hotkey; is_owner: the hotkey is that of the subnet''s owner, conviction is all that is locked; last_update: block at which the chain stored the lock.';

create function lock_buckets(block bigint, of_netuid integer[], of_hotkey text[])
returns table (
    netuid integer, hotkey text, is_owner boolean, is_perpetual boolean, locked_rao bigint, conviction_rao numeric
)
language sql stable as $$
    with clock as materialized (select * from lock_clock($1)),
    stored as (
        select h.netuid, h.hotkey, false as is_owner, b.is_perpetual, b.locked_mass, b.conviction, b.last_update
        from clock
        cross join lateral hotkey_locks_at(clock.at, of_netuid => $2, of_hotkey => $3) h
        cross join lateral (
            values (true, h.locked_mass, h.conviction, h.last_update),
                (false, h.decaying_locked_mass, h.decaying_conviction, h.decaying_last_update)
        ) b (is_perpetual, locked_mass, conviction, last_update)
        union all
        select o.netuid, o.hotkey, true, b.is_perpetual, b.locked_mass, b.conviction, b.last_update
        from (
            select w.*, subnet_owner_hotkey(w.netuid, clock.at) as hotkey
            from clock
            cross join lateral owner_locks_at(clock.at, of_netuid => $2) w
        ) o
        cross join lateral (
            values (true, o.locked_mass, o.conviction, o.last_update),
                (false, o.decaying_locked_mass, o.decaying_conviction, o.decaying_last_update)
        ) b (is_perpetual, locked_mass, conviction, last_update)
        where o.hotkey is not null and ($3 is null or account_id(o.hotkey) = any(account_ids($3)))
    )
    select s.netuid, s.hotkey, s.is_owner, s.is_perpetual, l.locked_rao, l.conviction_rao
    from clock
    cross join stored s
    cross join lateral roll_lock(
        clock.spec_version, s.locked_mass, s.conviction, clock.at - s.last_update, clock.unlock_rate,
        clock.maturity_rate, s.is_owner, s.is_perpetual
    ) l
    where s.last_update is not null
$$;
comment on function lock_buckets(bigint, integer[], text[]) is
'The sums of locks that the chain keeps, rolled forward to a block: per hotkey perpetual and decaying ones, and those of a subnet''s owner under its hotkey. convictions_at adds them up.';

create function convictions_at(
    block bigint default null, of_netuid integer[] default null, of_hotkey text[] default null
)
returns table (netuid integer, hotkey text, locked_rao bigint, conviction_rao numeric, is_owner boolean)
language sql stable as $$
    with buckets as materialized (
        select b.netuid, b.hotkey, sum(b.locked_rao)::bigint as locked_rao, sum(b.conviction_rao) as conviction_rao
        from lock_buckets($1, $2, $3) b
        group by b.netuid, b.hotkey
    ),
    owners as materialized (
        select n.netuid, subnet_owner_hotkey(n.netuid, k.at) as hotkey
        from lock_clock($1) k cross join (select distinct b.netuid from buckets b) n
    )
    select b.netuid, b.hotkey, b.locked_rao, b.conviction_rao, coalesce(b.hotkey = o.hotkey, false)
    from buckets b
    left join owners o using (netuid)
$$;
comment on function convictions_at(bigint, integer[], text[]) is
'Conviction of hotkeys on subnets as of a block (NULL: the last committed), rolled forward as the runtime does it: what is locked to a hotkey and its conviction, rao of alpha; is_owner: it is the hotkey of the subnet''s owner.';

create function most_convicted_hotkey(netuid integer, block bigint default null) returns text
language sql stable as $$
    select c.hotkey
    from convictions_at($2, of_netuid => array[$1]) c
    order by c.conviction_rao desc, account_id(c.hotkey) desc
    limit 1
$$;
comment on function most_convicted_hotkey(integer, bigint) is
'The hotkey with the most conviction on a subnet as of a block (NULL: the last committed), of several the one with the greatest account as the runtime chooses it; NULL: nothing is locked there.';

create function blocks_to_conviction_estimate(
    perpetual_mass numeric, perpetual_conviction numeric, decaying_mass numeric, decaying_conviction numeric,
    owner_decaying_mass numeric, unlock_rate bigint, maturity_rate bigint, threshold numeric
) returns bigint
language plpgsql immutable strict parallel safe as $$
-- After t blocks conviction is a + b * e^(-t/maturity) + d * e^(-t/unlock), for equal rates a + (b + d*t/rate) *
-- e^(-t/rate): it turns at most once, so the first crossing is before the turn or, if not, after it.
declare
    tau constant double precision := maturity_rate;
    sigma constant double precision := unlock_rate;
    same constant boolean := unlock_rate = maturity_rate;
    factor constant double precision := case when same then 0 else sigma / (sigma - tau) end;
    a constant double precision := perpetual_mass;
    b constant double precision := perpetual_conviction - perpetual_mass + decaying_conviction
        + case when same then owner_decaying_mass else - decaying_mass * factor end;
    d constant double precision := case
        when same then decaying_mass else decaying_mass * factor + owner_decaying_mass
    end;
    horizon constant bigint := least(40 * greatest(sigma, tau), 9e18);
    turn double precision := 0;
    starts bigint := 0;
    ends bigint;
    t bigint;
    held double precision;
begin
    if least(unlock_rate, maturity_rate) <= 0 then
        return null;
    end if;
    if perpetual_conviction + decaying_conviction + owner_decaying_mass > threshold then
        return 0;
    end if;
    if same and d <> 0 then
        turn := tau * (d - b) / d;
    elsif not same and b * d < 0 then
        turn := ln(- d * tau / (b * sigma)) / (1 / sigma - 1 / tau);
    end if;
    foreach ends in array array[least(greatest(turn, 0), horizon)::bigint, horizon] loop
        -- Conviction only grows or only falls from starts to ends, and is not above the threshold at starts.
        t := ends;
        loop
            held := a + case
                when same then (b + d * t / tau) * exp(greatest(- t / tau, -700))
                else b * exp(greatest(- t / tau, -700)) + d * exp(greatest(- t / sigma, -700))
            end;
            exit when held <= threshold and t = ends;
            if held > threshold then
                ends := t;
            else
                starts := t;
            end if;
            if ends - starts <= 1 then
                return ends;
            end if;
            t := starts + (ends - starts) / 2;
        end loop;
        starts := ends;
    end loop;
    return null;
end
$$;
comment on function blocks_to_conviction_estimate(numeric, numeric, numeric, numeric, numeric, bigint, bigint, numeric) is
'Blocks until the conviction of what is locked to one hotkey exceeds a threshold if nothing else changes, in floating point; 0: it does already; NULL: it never will. Perpetual locks of an owner count as perpetual mass with as much conviction.';

create function subnet_ownership(netuid integer, block bigint default null)
returns table (
    owner_hotkey text, leader_hotkey text, eligible_rao bigint, threshold_rao numeric, total_locked_rao bigint,
    total_conviction_rao numeric, alpha_out_rao bigint, protocol_alpha_rao bigint, alpha_burned_rao bigint,
    registered_at bigint, changeable_at_block bigint, unlock_rate bigint, maturity_rate bigint
)
language sql stable as $$
    with clock as materialized (
        select k.*, indexed_block('subnets', k.at) as checked from lock_clock($2) k
    ),
    held as materialized (
        select coalesce(sum(c.locked_rao), 0)::bigint as locked, coalesce(sum(c.conviction_rao), 0) as conviction
        from clock cross join lateral convictions_at(clock.at, of_netuid => array[$1]) c
    )
    select
        subnet_owner_hotkey($1, clock.at),
        most_convicted_hotkey($1, clock.at),
        e.eligible,
        case when clock.spec_version >= 447 then 0.18 else 0.10 end * e.eligible,
        held.locked,
        held.conviction,
        coalesce(s.subnet_alpha_out, 0),
        coalesce(s.subnet_protocol_alpha, 0),
        coalesce(s.alpha_burned, 0),
        s.network_registered_at,
        s.network_registered_at + 2629800,
        clock.unlock_rate,
        clock.maturity_rate
    from clock
    cross join held
    cross join lateral subnets_as_of(clock.checked) s
    cross join lateral (
        select greatest(0, coalesce(s.subnet_alpha_out, 0) - case when clock.spec_version >= 445
            then coalesce(s.subnet_protocol_alpha, 0) + coalesce(s.alpha_burned, 0) else 0 end) as eligible
    ) e
    where s.netuid = $1 and s.networks_added
$$;
create function subnet_convictions(netuid integer, block bigint default null)
returns table (
    hotkey text, is_owner boolean, locked_rao bigint, conviction_rao numeric, of_threshold numeric,
    blocks_to_threshold_estimate bigint
)
language sql stable as $$
    with gate as materialized (select o.*, k.at, k.spec_version from subnet_ownership($1, $2) o, lock_clock($2) k),
    buckets as materialized (select b.* from gate cross join lateral lock_buckets(gate.at, array[$1], null) b)
    select
        b.hotkey,
        coalesce(b.hotkey = gate.owner_hotkey, false),
        sum(b.locked_rao)::bigint,
        sum(b.conviction_rao),
        sum(b.conviction_rao) / nullif(gate.threshold_rao, 0),
        case when gate.spec_version >= 447 and gate.threshold_rao > 0 then blocks_to_conviction_estimate(
            coalesce(sum(b.locked_rao) filter (where b.is_perpetual), 0),
            coalesce(sum(b.conviction_rao) filter (where b.is_perpetual), 0),
            coalesce(sum(b.locked_rao) filter (where not b.is_perpetual and not b.is_owner), 0),
            coalesce(sum(b.conviction_rao) filter (where not b.is_perpetual and not b.is_owner), 0),
            coalesce(sum(b.locked_rao) filter (where not b.is_perpetual and b.is_owner), 0),
            gate.unlock_rate, gate.maturity_rate, gate.threshold_rao
        ) end
    from gate
    cross join buckets b
    group by b.hotkey, gate.owner_hotkey, gate.threshold_rao, gate.spec_version, gate.unlock_rate, gate.maturity_rate
    order by sum(b.conviction_rao) desc, b.hotkey
$$;
comment on function subnet_ownership(integer, bigint) is
'What decides whether a subnet changes its owner, as of a block (NULL: the last committed); no row: no such subnet. Since spec 447 the leader''s own conviction must exceed threshold_rao, 18 % of the eligible alpha; before, that of all hotkeys together 10 % of it; eligible alpha was all that is out before spec 445. Not before changeable_at_block, the subnet''s first year. Amounts in rao of alpha.';
comment on function subnet_convictions(integer, bigint) is
'Every hotkey with locks on a subnet as of a block (NULL: the last committed), most conviction first: what is locked to it, its conviction, that as a part of the threshold of subnet_ownership, and since spec 447 the blocks until it exceeds the threshold if nothing else changes (in floating point; 0: it does; NULL: never).';

create function stake_availability_at(
    block bigint default null, of_coldkey text[] default null, of_netuid integer[] default null
)
returns table (
    coldkey text, netuid integer, total_rao bigint, locked_rao bigint, collateral_rao bigint, available_rao bigint
)
language sql stable as $$
    with clock as materialized (
        select k.at, k.spec_version, indexed_block('stake', k.at) as stake_at, account_ids($2) as chosen
        from lock_clock($1) k
    ),
    keys as (
        select s.netuid, s.hotkey, s.coldkey
        from clock join stake_shares s on $2 is null or s.coldkey = any(clock.chosen)
        where $3 is null or s.netuid = any($3)
        union
        select h.netuid, h.hotkey, h.coldkey
        from clock join stake_shares_history h on h.block_number > clock.stake_at and not h."exists"
        where ($2 is null or h.coldkey = any(clock.chosen)) and ($3 is null or h.netuid = any($3))
    ),
    positions as (
        select k.netuid, k.coldkey, alpha_rao(
            clock.spec_version, s.stake, p.alpha, s.share_bits, s.share_mantissa, s.share_exponent,
            p.share_bits, p.share_mantissa, p.share_exponent, s.share_epoch, p.pool_epoch
        ) as alpha_rao
        from clock
        cross join keys k
        cross join lateral (
            select * from stake_shares_history h
            where h.netuid = k.netuid and h.hotkey = k.hotkey and h.coldkey = k.coldkey
                and h.block_number <= clock.stake_at
            order by h.block_number desc limit 1
        ) s
        left join lateral (
            select * from hotkey_pools_history h
            where h.netuid = k.netuid and h.hotkey = k.hotkey and h.block_number <= clock.stake_at
            order by h.block_number desc limit 1
        ) p on true
        where s."exists"
    ),
    totals as (
        select (select a.address from accounts a where a.account = p.coldkey) as coldkey, p.netuid,
            sum(p.alpha_rao)::bigint as total
        from positions p group by p.coldkey, p.netuid
    ),
    locked as (
        select l.coldkey, l.netuid, sum(l.locked_rao)::bigint as locked
        from clock cross join lateral locks_at(clock.at, of_coldkey => $2, of_netuid => $3) l
        group by l.coldkey, l.netuid
    ),
    collateral as (
        select c.coldkey, c.netuid, c.locked
        from clock cross join lateral coldkey_collateral_at(clock.at, of_coldkey => $2, of_netuid => $3) c
    ),
    existing as materialized (
        select n.netuid
        from clock
        cross join (select t.netuid from totals t union select l.netuid from locked l) n
        cross join lateral hyperparameter_as_of(n.netuid, 'networks_added', clock.at) e
        where e.value = 1
    )
    select
        coldkey, netuid, coalesce(t.total, 0), coalesce(l.locked, 0), coalesce(c.locked, 0),
        greatest(0, coalesce(t.total, 0) - coalesce(l.locked, 0) - coalesce(c.locked, 0))
    from totals t
    full join locked l using (coldkey, netuid)
    left join collateral c using (coldkey, netuid)
    join existing using (netuid)
    where coalesce(t.total, 0) > 0 or coalesce(l.locked, 0) > 0
$$;
comment on function stake_availability_at(bigint, text[], integer[]) is
'What coldkeys could unstake on subnets as of a block (NULL: the last committed): all their alpha there, what of it is locked, what is collateral, and the rest, in rao. A row where anything is staked or locked.';
