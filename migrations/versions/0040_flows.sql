-- What questions over a stretch of time begin with: which block, what went in and out, what a share is worth.

create function block_at(moment timestamptz) returns bigint
language plpgsql stable strict as $$
-- Block times only rise: some twenty look-ups by primary key find the block, and no index on times is needed.
declare
    low bigint := (select min(b.block_number) from blocks b);
    high bigint := (select max(b.block_number) from blocks b);
    middle bigint;
    found timestamptz;
begin
    select b."timestamp" into found from blocks b where b."timestamp" is not null order by b.block_number limit 1;
    if found is null or found > moment then
        raise exception 'no block of % or before is indexed: the first one is of %', moment, coalesce(found::text, 'no time')
            using errcode = 'invalid_parameter_value', hint = 'See the tables blocks and cursors.';
    end if;
    while low < high loop
        middle := (low + high + 1) / 2;
        select b."timestamp" into found from blocks b where b.block_number <= middle order by b.block_number desc limit 1;
        if found is null or found <= moment then
            low := middle;
        else
            high := middle - 1;
        end if;
    end loop;
    return (select max(b.block_number) from blocks b where b.block_number <= low);
end
$$;
comment on function block_at(timestamptz) is
'The last indexed block of a moment or before it: balance_at(address, block_at(''2026-03-01'')). The last one for a moment after it; an error for one before the first.';

create function stake_flows(
    from_block bigint, to_block bigint default null,
    of_coldkey text[] default null, of_hotkey text[] default null, of_netuid integer[] default null
)
returns table (
    block_number bigint, hotkey text, coldkey text, netuid integer, flow_rao bigint, tao_rao bigint, is_owner boolean
)
language sql stable as $$
    select
        s.block_number,
        (select a.address from accounts a where a.account = s.hotkey),
        (select a.address from accounts a where a.account = s.coldkey),
        s.netuid,
        f.flow_rao,
        (
            select trunc(f.flow_rao * subnet_price(
                spec.spec, s.netuid, i.subnet_mechanism, p.subnet_tao, p.subnet_alpha_in, p.swap_v3_initialized,
                p.alpha_sqrt_price, p.swap_balancer, p.swap_superellipse
            ))::bigint
            from (select) one
            left join lateral (
                select * from subnet_pool_history h
                where h.netuid = s.netuid and h.block_number <= s.block_number
                order by h.block_number desc limit 1
            ) p on true
            left join lateral (
                select * from subnet_info_history h
                where h.netuid = s.netuid and h.block_number <= s.block_number
                order by h.block_number desc limit 1
            ) i on true
            where s.netuid = 0 or p.netuid is not null or i.netuid is not null
        ),
        coalesce(
            s.coldkey = (
                select h.owner from delegate_history h
                where h.hotkey = s.hotkey and h.block_number <= s.block_number
                order by h.block_number desc limit 1
            ),
            false
        )
    from stake_shares_history s
    cross join lateral (select spec_at(s.block_number) as spec offset 0) spec
    left join lateral (
        select * from stake_shares_history h
        where h.netuid = s.netuid and h.hotkey = s.hotkey and h.coldkey = s.coldkey and h.block_number < s.block_number
        order by h.block_number desc limit 1
    ) was on true
    left join lateral (
        -- The pool after the block; if the block emptied it, the one before: what left it was worth something.
        select * from (
            select * from hotkey_pools_history h
            where h.netuid = s.netuid and h.hotkey = s.hotkey and h.block_number <= s.block_number
            order by h.block_number desc limit 2
        ) h
        order by h.block_number = s.block_number and coalesce(h.share_bits, h.share_mantissa, 0) = 0, h.block_number desc
        limit 1
    ) pool on true
    cross join lateral (
        select
            alpha_rao(
                spec.spec, s.stake, pool.alpha, s.share_bits, s.share_mantissa, s.share_exponent,
                pool.share_bits, pool.share_mantissa, pool.share_exponent, s.share_epoch, pool.pool_epoch
            )
            - alpha_rao(
                spec.spec, was.stake, pool.alpha, was.share_bits, was.share_mantissa, was.share_exponent,
                pool.share_bits, pool.share_mantissa, pool.share_exponent, was.share_epoch, pool.pool_epoch
            ) as flow_rao
        offset 0
    ) f
    where s.block_number > indexed_block('stake', $1) and s.block_number <= indexed_block('stake', $2)
        and ($3 is null or s.coldkey = any(account_ids($3)))
        and ($4 is null or s.hotkey = any(account_ids($4)))
        and ($5 is null or s.netuid = any($5))
$$;
comment on function stake_flows(bigint, bigint, text[], text[], integer[]) is
'What came into and went out of positions of stake after from_block, up to to_block (NULL: the last committed): a row per block in which a share changed, valued at the pool and the price after that block (at the pool before it, where the block emptied it). Dividends change no share: what a position gained beyond its flows is what it earned. Of an owner (is_owner) the flow holds incentive and take too, which the chain adds to its share; before dTAO (spec < 233) it holds all that was earned.';

create function alpha_per_share(netuid integer, hotkey text, block bigint default null) returns numeric
language sql stable as $$
    select h.alpha / nullif(
        coalesce(h.share_bits / 18446744073709551616, h.share_mantissa * power(10::numeric, h.share_exponent)), 0
    )
    from (select indexed_block('stake', $3) as block, account_id($2) as hotkey) at
    cross join lateral (
        select * from hotkey_pools_history h
        where h.netuid = $1 and h.hotkey = at.hotkey and h.block_number <= at.block
        order by h.block_number desc limit 1
    ) h
$$;
comment on function alpha_per_share(integer, text, bigint) is
'What one share of a hotkey''s pool on a subnet is worth in rao of alpha, as of a block (NULL: the last committed). It grows by dividends alone: the quotient of two blocks is the yield of every nominator between them. NULL where there is no pool.';
