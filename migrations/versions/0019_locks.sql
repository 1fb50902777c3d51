-- The dataset locks as of a block.

create function lock_records_at(
    block bigint default null,
    of_netuid integer[] default null,
    of_coldkey text[] default null,
    of_hotkey text[] default null
)
returns table ("netuid" integer, "coldkey" text, "hotkey" text, "locked_mass" bigint, "conviction" numeric, "last_update" bigint, "other" jsonb, "indexed" boolean, since_block bigint)
language plpgsql stable as $$
declare
    at constant bigint := indexed_block('locks', block);
    chosen constant text := ''
        || case when of_netuid is null then '' else ' and k.netuid = any($2)' end
        || case when of_coldkey is null then '' else ' and k.coldkey = any($3)' end
        || case when of_hotkey is null then '' else ' and k.hotkey = any($4)' end;
begin
    return query execute
        'with keys as (
            select k.netuid, k.coldkey, k.hotkey from lock_records k where true' || chosen || '
            union
            select k.netuid, k.coldkey, k.hotkey from lock_history k
            where not k."exists" and k.block_number > $1' || chosen || '
        )
        select
            k."netuid",
            (select a.address from accounts a where a.account = k."coldkey"),
            (select a.address from accounts a where a.account = k."hotkey"),
            h."locked_mass",
            h."conviction",
            h."last_update",
            h."other",
            h."indexed",
            h.block_number
        from keys k
        cross join lateral (
            select * from lock_history h
            where h.netuid = k.netuid and h.coldkey = k.coldkey and h.hotkey = k.hotkey and h.block_number <= $1
            order by h.block_number desc limit 1
        ) h
        where h."exists"'
    using at, of_netuid, account_ids(of_coldkey), account_ids(of_hotkey);
end
$$;
comment on function lock_records_at(bigint, integer[], text[], text[]) is
'Locks of coldkeys, as stored; not rolled forward from last_update. As of a block (NULL: the last committed), of these keys only where they are given; since_block: the block that gave the row its values.';

create function hotkey_locks_at(
    block bigint default null,
    of_netuid integer[] default null,
    of_hotkey text[] default null
)
returns table ("netuid" integer, "hotkey" text, "locked_mass" bigint, "conviction" numeric, "last_update" bigint, "other" jsonb, "decaying_locked_mass" bigint, "decaying_conviction" numeric, "decaying_last_update" bigint, "decaying_other" jsonb, since_block bigint)
language plpgsql stable as $$
declare
    at constant bigint := indexed_block('locks', block);
    chosen constant text := ''
        || case when of_netuid is null then '' else ' and k.netuid = any($2)' end
        || case when of_hotkey is null then '' else ' and k.hotkey = any($3)' end;
begin
    return query execute
        'with keys as (
            select k.netuid, k.hotkey from hotkey_locks k where true' || chosen || '
            union
            select k.netuid, k.hotkey from hotkey_lock_history k
            where not k."exists" and k.block_number > $1' || chosen || '
        )
        select
            k."netuid",
            (select a.address from accounts a where a.account = k."hotkey"),
            h."locked_mass",
            h."conviction",
            h."last_update",
            h."other",
            h."decaying_locked_mass",
            h."decaying_conviction",
            h."decaying_last_update",
            h."decaying_other",
            h.block_number
        from keys k
        cross join lateral (
            select * from hotkey_lock_history h
            where h.netuid = k.netuid and h.hotkey = k.hotkey and h.block_number <= $1
            order by h.block_number desc limit 1
        ) h
        where h."exists"'
    using at, of_netuid, account_ids(of_hotkey);
end
$$;
comment on function hotkey_locks_at(bigint, integer[], text[]) is
'Sums of the locks to a hotkey, perpetual and decaying, as stored. As of a block (NULL: the last committed), of these keys only where they are given; since_block: the block that gave the row its values.';

create function owner_locks_at(
    block bigint default null,
    of_netuid integer[] default null
)
returns table ("netuid" integer, "locked_mass" bigint, "conviction" numeric, "last_update" bigint, "other" jsonb, "decaying_locked_mass" bigint, "decaying_conviction" numeric, "decaying_last_update" bigint, "decaying_other" jsonb, since_block bigint)
language plpgsql stable as $$
declare
    at constant bigint := indexed_block('locks', block);
    chosen constant text := ''
        || case when of_netuid is null then '' else ' and k.netuid = any($2)' end;
begin
    return query execute
        'with keys as (
            select k.netuid from owner_locks k where true' || chosen || '
            union
            select k.netuid from owner_lock_history k
            where not k."exists" and k.block_number > $1' || chosen || '
        )
        select
            k."netuid",
            h."locked_mass",
            h."conviction",
            h."last_update",
            h."other",
            h."decaying_locked_mass",
            h."decaying_conviction",
            h."decaying_last_update",
            h."decaying_other",
            h.block_number
        from keys k
        cross join lateral (
            select * from owner_lock_history h
            where h.netuid = k.netuid and h.block_number <= $1
            order by h.block_number desc limit 1
        ) h
        where h."exists"'
    using at, of_netuid;
end
$$;
comment on function owner_locks_at(bigint, integer[]) is
'Sums of the locks to the hotkey of a subnet''s owner, perpetual and decaying, as stored. As of a block (NULL: the last committed), of these keys only where they are given; since_block: the block that gave the row its values.';

create function lock_modes_at(
    block bigint default null,
    of_coldkey text[] default null,
    of_netuid integer[] default null
)
returns table ("coldkey" text, "netuid" integer, "decaying" boolean, since_block bigint)
language plpgsql stable as $$
declare
    at constant bigint := indexed_block('locks', block);
    chosen constant text := ''
        || case when of_coldkey is null then '' else ' and k.coldkey = any($2)' end
        || case when of_netuid is null then '' else ' and k.netuid = any($3)' end;
begin
    return query execute
        'with keys as (
            select k.coldkey, k.netuid from lock_modes k where true' || chosen || '
            union
            select k.coldkey, k.netuid from lock_mode_history k
            where not k."exists" and k.block_number > $1' || chosen || '
        )
        select
            (select a.address from accounts a where a.account = k."coldkey"),
            k."netuid",
            h."decaying",
            h.block_number
        from keys k
        cross join lateral (
            select * from lock_mode_history h
            where h.coldkey = k.coldkey and h.netuid = k.netuid and h.block_number <= $1
            order by h.block_number desc limit 1
        ) h
        where h."exists"'
    using at, account_ids(of_coldkey), of_netuid;
end
$$;
comment on function lock_modes_at(bigint, text[], integer[]) is
'Whether the locks of a coldkey on a subnet decay; no row: they do. As of a block (NULL: the last committed), of these keys only where they are given; since_block: the block that gave the row its values.';
