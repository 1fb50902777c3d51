-- The dataset children as of a block.

create function childkeys_at(
    block bigint default null,
    of_netuid integer[] default null,
    of_hotkey text[] default null
)
returns table ("netuid" integer, "hotkey" text, "children" jsonb, "parents" jsonb, "pending_children" jsonb, "cooldown_block" bigint, "take" bigint, since_block bigint)
language plpgsql stable as $$
declare
    at constant bigint := indexed_block('children', block);
    chosen constant text := ''
        || case when of_netuid is null then '' else ' and k.netuid = any($2)' end
        || case when of_hotkey is null then '' else ' and k.hotkey = any($3)' end;
begin
    return query execute
        'with keys as (
            select k.netuid, k.hotkey from childkeys k where true' || chosen || '
            union
            select k.netuid, k.hotkey from childkey_history k
            where not k."exists" and k.block_number > $1' || chosen || '
        )
        select
            k."netuid",
            (select a.address from accounts a where a.account = k."hotkey"),
            h."children",
            h."parents",
            h."pending_children",
            h."cooldown_block",
            h."take",
            h.block_number
        from keys k
        cross join lateral (
            select * from childkey_history h
            where h.netuid = k.netuid and h.hotkey = k.hotkey and h.block_number <= $1
            order by h.block_number desc limit 1
        ) h
        where h."exists"'
    using at, of_netuid, account_ids(of_hotkey);
end
$$;
comment on function childkeys_at(bigint, integer[], text[]) is
'Relations between parent and child hotkeys, as stored. As of a block (NULL: the last committed), of these keys only where they are given; since_block: the block that gave the row its values.';

create function childkey_suspensions_at(
    block bigint default null,
    of_hotkey text[] default null
)
returns table ("hotkey" text, "suspended" boolean, since_block bigint)
language plpgsql stable as $$
declare
    at constant bigint := indexed_block('children', block);
    chosen constant text := ''
        || case when of_hotkey is null then '' else ' and k.hotkey = any($2)' end;
begin
    return query execute
        'with keys as (
            select k.hotkey from childkey_suspensions k where true' || chosen || '
            union
            select k.hotkey from childkey_suspension_history k
            where not k."exists" and k.block_number > $1' || chosen || '
        )
        select
            (select a.address from accounts a where a.account = k."hotkey"),
            h."suspended",
            h.block_number
        from keys k
        cross join lateral (
            select * from childkey_suspension_history h
            where h.hotkey = k.hotkey and h.block_number <= $1
            order by h.block_number desc limit 1
        ) h
        where h."exists"'
    using at, account_ids(of_hotkey);
end
$$;
comment on function childkey_suspensions_at(bigint, text[]) is
'Parents with too little stake: their children count only on subnets they own. As of a block (NULL: the last committed), of these keys only where they are given; since_block: the block that gave the row its values.';

-- For people.

create function child_keys_at(
    block bigint default null,
    of_parent text[] default null,
    of_netuid integer[] default null
)
returns table (netuid integer, parent text, child text, proportion numeric, share numeric, since_block bigint)
language sql stable as $$
    select k.netuid, k.hotkey, r.child, r.proportion, round(r.proportion / 18446744073709551615, 20), k.since_block
    from childkeys_at(block, of_netuid => of_netuid, of_hotkey => of_parent) k
    cross join lateral jsonb_to_recordset(k.children) r (proportion numeric, child text)
$$;
comment on function child_keys_at(bigint, text[], integer[]) is
'Children of hotkeys: proportion of the parent''s stake as the chain has it, /(2^64-1), and as a share from 0 to 1.';

create function parent_keys_at(
    block bigint default null,
    of_child text[] default null,
    of_netuid integer[] default null
)
returns table (netuid integer, child text, parent text, proportion numeric, share numeric, since_block bigint)
language sql stable as $$
    select k.netuid, k.hotkey, r.parent, r.proportion, round(r.proportion / 18446744073709551615, 20), k.since_block
    from childkeys_at(block, of_netuid => of_netuid, of_hotkey => of_child) k
    cross join lateral jsonb_to_recordset(k.parents) r (proportion numeric, parent text)
$$;
comment on function parent_keys_at(bigint, text[], integer[]) is
'Parents of hotkeys: proportion of the parent''s stake as the chain has it, /(2^64-1), and as a share from 0 to 1.';

create function pending_child_keys_at(
    block bigint default null,
    of_parent text[] default null,
    of_netuid integer[] default null
)
returns table (
    netuid integer, parent text, child text, proportion numeric, share numeric, cooldown_block bigint,
    since_block bigint
)
language sql stable as $$
    select
        k.netuid, k.hotkey, r.child, r.proportion, round(r.proportion / 18446744073709551615, 20), k.cooldown_block,
        k.since_block
    from childkeys_at(block, of_netuid => of_netuid, of_hotkey => of_parent) k
    left join lateral jsonb_to_recordset(k.pending_children) r (proportion numeric, child text) on true
    where k.pending_children is not null
$$;
comment on function pending_child_keys_at(bigint, text[], integer[]) is
'Children that wait for their cooldown to replace the present ones; one row without a child where all are taken away.';
