-- The dataset collateral as of a block.

create function miner_collateral_at(
    block bigint default null,
    of_netuid integer[] default null,
    of_hotkey text[] default null,
    of_coldkey text[] default null
)
returns table ("netuid" integer, "hotkey" text, "coldkey" text, "locked" bigint, "drain_ratio" numeric, "min_locked" bigint, "earned" bigint, "other" jsonb, since_block bigint)
language plpgsql stable as $$
declare
    at constant bigint := indexed_block('collateral', block);
    chosen constant text := ''
        || case when of_netuid is null then '' else ' and k.netuid = any($2)' end
        || case when of_hotkey is null then '' else ' and k.hotkey = any($3)' end
        || case when of_coldkey is null then '' else ' and k.coldkey = any($4)' end;
begin
    return query execute
        'with keys as (
            select k.netuid, k.hotkey, k.coldkey from miner_collateral k where true' || chosen || '
            union
            select k.netuid, k.hotkey, k.coldkey from miner_collateral_history k
            where not k."exists" and k.block_number > $1' || chosen || '
        )
        select
            k."netuid",
            (select a.address from accounts a where a.account = k."hotkey"),
            (select a.address from accounts a where a.account = k."coldkey"),
            h."locked",
            h."drain_ratio",
            h."min_locked",
            h."earned",
            h."other",
            h.block_number
        from keys k
        cross join lateral (
            select * from miner_collateral_history h
            where h.netuid = k.netuid and h.hotkey = k.hotkey and h.coldkey = k.coldkey and h.block_number <= $1
            order by h.block_number desc limit 1
        ) h
        where h."exists"'
    using at, of_netuid, account_ids(of_hotkey), account_ids(of_coldkey);
end
$$;
comment on function miner_collateral_at(bigint, integer[], text[], text[]) is
'Collateral of stake positions of miners. As of a block (NULL: the last committed), of these keys only where they are given; since_block: the block that gave the row its values.';

create function coldkey_collateral_at(
    block bigint default null,
    of_netuid integer[] default null,
    of_coldkey text[] default null
)
returns table ("netuid" integer, "coldkey" text, "locked" bigint, "hotkeys" jsonb, since_block bigint)
language plpgsql stable as $$
declare
    at constant bigint := indexed_block('collateral', block);
    chosen constant text := ''
        || case when of_netuid is null then '' else ' and k.netuid = any($2)' end
        || case when of_coldkey is null then '' else ' and k.coldkey = any($3)' end;
begin
    return query execute
        'with keys as (
            select k.netuid, k.coldkey from coldkey_collateral k where true' || chosen || '
            union
            select k.netuid, k.coldkey from coldkey_collateral_history k
            where not k."exists" and k.block_number > $1' || chosen || '
        )
        select
            k."netuid",
            (select a.address from accounts a where a.account = k."coldkey"),
            h."locked",
            h."hotkeys",
            h.block_number
        from keys k
        cross join lateral (
            select * from coldkey_collateral_history h
            where h.netuid = k.netuid and h.coldkey = k.coldkey and h.block_number <= $1
            order by h.block_number desc limit 1
        ) h
        where h."exists"'
    using at, of_netuid, account_ids(of_coldkey);
end
$$;
comment on function coldkey_collateral_at(bigint, integer[], text[]) is
'Collateral per coldkey, as the chain sums it. As of a block (NULL: the last committed), of these keys only where they are given; since_block: the block that gave the row its values.';

-- For people.

create function collateral_at(
    block bigint default null,
    of_netuid integer[] default null,
    of_hotkey text[] default null,
    of_coldkey text[] default null
)
returns table (
    netuid integer, hotkey text, coldkey text, locked bigint, min_locked bigint, earned bigint, drain_ratio numeric,
    headroom bigint, shortfall bigint, releasable_work numeric, since_block bigint
)
language sql stable as $$
    select
        c.netuid, c.hotkey, c.coldkey, c.locked, c.min_locked, c.earned, c.drain_ratio,
        greatest(c.locked - c.min_locked, 0),
        greatest(c.min_locked - c.locked, 0),
        coalesce(div(greatest(c.locked - c.min_locked, 0), nullif(c.drain_ratio, 0)), 0),
        c.since_block
    from miner_collateral_at(block, of_netuid => of_netuid, of_hotkey => of_hotkey, of_coldkey => of_coldkey) c
$$;
comment on function collateral_at(bigint, integer[], text[], text[]) is
'Collateral of stake positions of miners, rao of alpha: headroom is what drains, shortfall what is still to be locked, releasable_work the emission that releases the headroom.';
