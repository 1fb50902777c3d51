-- What a share is worth, and who delegates what: now, and as of a block.

create function safe_float(bits numeric, out mantissa numeric, out exponent integer)
language plpgsql immutable strict parallel safe as $$
-- The chain's own conversion of a U64F64 to a SafeFloat: integer part plus fraction / 2^64, both with
-- mantissas normalised to 10^20 < m <= 10^21, every division truncating (MODEL.md 2.2, step 2).
declare
    fraction numeric;
    fraction_exponent integer;
    two64 constant numeric := 18446744073709551616;
begin
    select * into mantissa, exponent from safe_float_normal(div(bits, two64), 0);
    select * into fraction, fraction_exponent from safe_float_normal(mod(bits, two64), 0);
    if fraction > 0 then
        -- 2^64 itself is normalised to (2^64 * 10, -1).
        select * into fraction, fraction_exponent
        from safe_float_normal(div(fraction * 1000000000000000000000, two64 * 10), fraction_exponent + 1 - 21);
    end if;
    if mantissa = 0 then
        mantissa := fraction;
        exponent := fraction_exponent;
    elsif fraction > 0 then
        -- The fraction is below 1 and the integer part is not: the fraction has the smaller exponent.
        select * into mantissa, exponent
        from safe_float_normal(
            mantissa + div(fraction, trunc(power(10::numeric, least(exponent - fraction_exponent, 22)))), exponent
        );
    end if;
end
$$;

create function safe_float_normal(m numeric, e integer, out mantissa numeric, out exponent integer)
language plpgsql immutable strict parallel safe as $$
begin
    mantissa := m;
    exponent := e;
    if m = 0 then
        exponent := 0;
        return;
    end if;
    while mantissa > 1000000000000000000000 loop
        mantissa := div(mantissa, 10);
        exponent := exponent + 1;
    end loop;
    while mantissa <= 100000000000000000000 loop
        mantissa := mantissa * 10;
        exponent := exponent - 1;
    end loop;
end
$$;
comment on function safe_float(numeric) is
'The SafeFloat (value is mantissa * 10^exponent) that the chain makes of the bits of a U64F64.';
comment on function safe_float_normal(numeric, integer) is
'A SafeFloat with its mantissa brought into 10^20 < m <= 10^21, truncating.';

create function alpha_rao(
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
comment on function alpha_rao(integer, bigint, bigint, numeric, numeric, bigint, numeric, numeric, bigint, bigint, bigint) is
'What a row of stake_shares is worth in rao of alpha, exactly as the runtime of the spec computes it: plain stake before 233, U64F64 shares to 396, SafeFloat shares after that (a v1 share or total where its key exists, else v2), never above the pool since 458, nothing for a share of an earlier generation of the pool.';

create function is_basket_escrow(coldkey bytea) returns boolean
language sql immutable parallel safe as $$
    select $1 = '\x6d6f646c73756274656e7372626574612f657363000000000000000000000000'::bytea
$$;
comment on function is_basket_escrow(bytea) is
'Whether an account is the escrow that holds the alpha of all root baskets (5EYCAe5jLQhn6ofDSwHx3AZmsZPVFHnKpstqap4vqwDWtp7s): not a person.';

create view delegations as
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
    s.netuid,
    a.alpha_rao,
    floor(a.alpha_rao * case when at.spec < 233 or s.netuid = 0 then 1 else n.price end)::bigint as tao_rao,
    is_basket_escrow(s.coldkey) as is_escrow,
    case
        when at.spec < 233 then false
        when exists (select from prices) then not coalesce(n.exists_now, false)
    end as is_dissolving
from at
cross join stake_shares s
left join hotkey_pools p on p.netuid = s.netuid and p.hotkey = s.hotkey
cross join lateral (
    select alpha_rao(
        at.spec, s.stake, p.alpha, s.share_bits, s.share_mantissa, s.share_exponent,
        p.share_bits, p.share_mantissa, p.share_exponent, s.share_epoch, p.pool_epoch
    ) as alpha_rao
    offset 0
) a
left join prices n on n.netuid = s.netuid
join accounts hotkey on hotkey.account = s.hotkey
join accounts coldkey on coldkey.account = s.coldkey
where a.alpha_rao > 0;
comment on view delegations is
'Who delegates what to whom as of the last committed block: every position of stake above zero.';
comment on column delegations.hotkey is 'Hotkey the stake is on, SS58.';
comment on column delegations.coldkey is 'Coldkey the stake belongs to, SS58.';
comment on column delegations.netuid is 'Subnet; 0 is root, and all stake before dTAO.';
comment on column delegations.alpha_rao is 'Stake in rao of alpha (of TAO on netuid 0 and on subnets of mechanism 0).';
comment on column delegations.tao_rao is 'Value in rao of TAO at the spot price, without the slippage of a sale; NULL if the dataset subnets is not indexed at the block.';
comment on column delegations.is_escrow is 'True: the coldkey is the escrow of all root baskets, not a person.';
comment on column delegations.is_dissolving is 'True: the subnet was removed and its stake is being paid out.';

-- Rows as of a block: current rows that have not changed since, and for the others the history. Current rows
-- are few against history rows, and what was removed since has a partial index, so a recent block costs what
-- changed after it, and an old one a look-up per position.
create function delegations_at(
    block bigint default null, of_coldkey text default null, of_hotkey text default null, of_netuid integer default null
)
returns table (
    hotkey text, coldkey text, netuid integer, alpha_rao bigint, tao_rao bigint, is_escrow boolean, is_dissolving boolean
)
language sql stable as $$
    with at as materialized (
        select b.block, spec_at(b.block) as spec, account_id($2) as coldkey, account_id($3) as hotkey
        from indexed_block('stake', $1) b (block)
    ),
    prices as materialized (
        select x.netuid, x.price, coalesce(x.networks_added, false) as exists_now
        from at cross join lateral subnets_as_of(at.block) x
    ),
    moved as (
        select s.netuid, s.hotkey, s.coldkey
        from at join stake_shares s on s.block_number > at.block
        where ($2 is null or s.coldkey = at.coldkey) and ($3 is null or s.hotkey = at.hotkey)
            and ($4 is null or s.netuid = $4)
        union
        select h.netuid, h.hotkey, h.coldkey
        from at join stake_shares_history h on h.block_number > at.block and not h."exists"
        where ($2 is null or h.coldkey = at.coldkey) and ($3 is null or h.hotkey = at.hotkey)
            and ($4 is null or h.netuid = $4)
    ),
    shares as (
        select s.netuid, s.hotkey, s.coldkey, s.stake, s.share_bits, s.share_mantissa, s.share_exponent, s.share_epoch
        from at join stake_shares s on s.block_number <= at.block
        where ($2 is null or s.coldkey = at.coldkey) and ($3 is null or s.hotkey = at.hotkey)
            and ($4 is null or s.netuid = $4)
        union all
        select h.netuid, h.hotkey, h.coldkey, h.stake, h.share_bits, h.share_mantissa, h.share_exponent, h.share_epoch
        from at
        cross join moved m
        cross join lateral (
            select * from stake_shares_history h
            where h.netuid = m.netuid and h.hotkey = m.hotkey and h.coldkey = m.coldkey and h.block_number <= at.block
            order by h.block_number desc limit 1
        ) h
        where h."exists"
    )
    select
        hotkey.address,
        coldkey.address,
        s.netuid,
        a.alpha_rao,
        floor(a.alpha_rao * case when at.spec < 233 or s.netuid = 0 then 1 else n.price end)::bigint,
        is_basket_escrow(s.coldkey),
        case
            when at.spec < 233 then false
            when exists (select from prices) then not coalesce(n.exists_now, false)
        end
    from at
    cross join shares s
    left join lateral (
        select * from hotkey_pools_history h
        where h.netuid = s.netuid and h.hotkey = s.hotkey and h.block_number <= at.block
        order by h.block_number desc limit 1
    ) p on true
    cross join lateral (
        select alpha_rao(
            at.spec, s.stake, p.alpha, s.share_bits, s.share_mantissa, s.share_exponent,
            p.share_bits, p.share_mantissa, p.share_exponent, s.share_epoch, p.pool_epoch
        ) as alpha_rao
        offset 0
    ) a
    left join prices n on n.netuid = s.netuid
    join accounts hotkey on hotkey.account = s.hotkey
    join accounts coldkey on coldkey.account = s.coldkey
    where a.alpha_rao > 0
$$;
comment on function delegations_at(bigint, text, text, integer) is
'Who delegates what to whom as of a block (NULL: the last committed): the columns of the view delegations, for all or for one coldkey, hotkey or subnet.';
