-- The dataset keys as of a block.

create function account_proxies_at(
    block bigint default null,
    of_account text[] default null
)
returns table ("account" text, "delegates" jsonb, "deposit" bigint, "announcements" jsonb, "announcement_deposit" bigint, since_block bigint)
language plpgsql stable as $$
declare
    at constant bigint := indexed_block('keys', block);
    chosen constant text := ''
        || case when of_account is null then '' else ' and k.account = any($2)' end;
begin
    return query execute
        'with keys as (
            select k.account from account_proxies k where true' || chosen || '
            union
            select k.account from account_proxy_history k
            where not k."exists" and k.block_number > $1' || chosen || '
        )
        select
            (select a.address from accounts a where a.account = k."account"),
            h."delegates",
            h."deposit",
            h."announcements",
            h."announcement_deposit",
            h.block_number
        from keys k
        cross join lateral (
            select * from account_proxy_history h
            where h.account = k.account and h.block_number <= $1
            order by h.block_number desc limit 1
        ) h
        where h."exists"'
    using at, account_ids(of_account);
end
$$;
comment on function account_proxies_at(bigint, text[]) is
'Proxies of an account, and the calls it announced as the proxy of others, as stored. As of a block (NULL: the last committed), of these keys only where they are given; since_block: the block that gave the row its values.';

create function multisigs_at(
    block bigint default null,
    of_account text[] default null,
    of_call_hash bytea[] default null
)
returns table ("account" text, "call_hash" bytea, "opened" jsonb, "deposit" bigint, "depositor" text, "approvals" jsonb, "other" jsonb, since_block bigint)
language plpgsql stable as $$
declare
    at constant bigint := indexed_block('keys', block);
    chosen constant text := ''
        || case when of_account is null then '' else ' and k.account = any($2)' end
        || case when of_call_hash is null then '' else ' and k.call_hash = any($3)' end;
begin
    return query execute
        'with keys as (
            select k.account, k.call_hash from multisigs k where true' || chosen || '
            union
            select k.account, k.call_hash from multisig_history k
            where not k."exists" and k.block_number > $1' || chosen || '
        )
        select
            (select a.address from accounts a where a.account = k."account"),
            k."call_hash",
            h."opened",
            h."deposit",
            (select a.address from accounts a where a.account = h."depositor"),
            h."approvals",
            h."other",
            h.block_number
        from keys k
        cross join lateral (
            select * from multisig_history h
            where h.account = k.account and h.call_hash = k.call_hash and h.block_number <= $1
            order by h.block_number desc limit 1
        ) h
        where h."exists"'
    using at, account_ids(of_account), of_call_hash;
end
$$;
comment on function multisigs_at(bigint, text[], bytea[]) is
'Calls of multisig accounts that wait for approvals. As of a block (NULL: the last committed), of these keys only where they are given; since_block: the block that gave the row its values.';

create function coldkey_swaps_at(
    block bigint default null,
    of_coldkey text[] default null
)
returns table ("coldkey" text, "execute_block" bigint, "new_coldkey_hash" bytea, "dispute_block" bigint, "scheduled" boolean, "scheduled_block" bigint, "scheduled_coldkey" text, since_block bigint)
language plpgsql stable as $$
declare
    at constant bigint := indexed_block('keys', block);
    chosen constant text := ''
        || case when of_coldkey is null then '' else ' and k.coldkey = any($2)' end;
begin
    return query execute
        'with keys as (
            select k.coldkey from coldkey_swaps k where true' || chosen || '
            union
            select k.coldkey from coldkey_swap_history k
            where not k."exists" and k.block_number > $1' || chosen || '
        )
        select
            (select a.address from accounts a where a.account = k."coldkey"),
            h."execute_block",
            h."new_coldkey_hash",
            h."dispute_block",
            h."scheduled",
            h."scheduled_block",
            (select a.address from accounts a where a.account = h."scheduled_coldkey"),
            h.block_number
        from keys k
        cross join lateral (
            select * from coldkey_swap_history h
            where h.coldkey = k.coldkey and h.block_number <= $1
            order by h.block_number desc limit 1
        ) h
        where h."exists"'
    using at, account_ids(of_coldkey);
end
$$;
comment on function coldkey_swaps_at(bigint, text[]) is
'Coldkey swaps that are announced, disputed or scheduled. As of a block (NULL: the last committed), of these keys only where they are given; since_block: the block that gave the row its values.';

create function hotkey_successors_at(
    block bigint default null,
    of_netuid integer[] default null,
    of_hotkey text[] default null
)
returns table ("netuid" integer, "hotkey" text, "successor" text, "root" text, since_block bigint)
language plpgsql stable as $$
declare
    at constant bigint := indexed_block('keys', block);
    chosen constant text := ''
        || case when of_netuid is null then '' else ' and k.netuid = any($2)' end
        || case when of_hotkey is null then '' else ' and k.hotkey = any($3)' end;
begin
    return query execute
        'with keys as (
            select k.netuid, k.hotkey from hotkey_successors k where true' || chosen || '
            union
            select k.netuid, k.hotkey from hotkey_successor_history k
            where not k."exists" and k.block_number > $1' || chosen || '
        )
        select
            k."netuid",
            (select a.address from accounts a where a.account = k."hotkey"),
            (select a.address from accounts a where a.account = h."successor"),
            (select a.address from accounts a where a.account = h."root"),
            h.block_number
        from keys k
        cross join lateral (
            select * from hotkey_successor_history h
            where h.netuid = k.netuid and h.hotkey = k.hotkey and h.block_number <= $1
            order by h.block_number desc limit 1
        ) h
        where h."exists"'
    using at, of_netuid, account_ids(of_hotkey);
end
$$;
comment on function hotkey_successors_at(bigint, integer[], text[]) is
'Which hotkey replaced which on a subnet, since the chain keeps it (after spec 424). As of a block (NULL: the last committed), of these keys only where they are given; since_block: the block that gave the row its values.';

create function coldkey_successors_at(
    block bigint default null,
    of_coldkey text[] default null
)
returns table ("coldkey" text, "successor" text, "root" text, since_block bigint)
language plpgsql stable as $$
declare
    at constant bigint := indexed_block('keys', block);
    chosen constant text := ''
        || case when of_coldkey is null then '' else ' and k.coldkey = any($2)' end;
begin
    return query execute
        'with keys as (
            select k.coldkey from coldkey_successors k where true' || chosen || '
            union
            select k.coldkey from coldkey_successor_history k
            where not k."exists" and k.block_number > $1' || chosen || '
        )
        select
            (select a.address from accounts a where a.account = k."coldkey"),
            (select a.address from accounts a where a.account = h."successor"),
            (select a.address from accounts a where a.account = h."root"),
            h.block_number
        from keys k
        cross join lateral (
            select * from coldkey_successor_history h
            where h.coldkey = k.coldkey and h.block_number <= $1
            order by h.block_number desc limit 1
        ) h
        where h."exists"'
    using at, account_ids(of_coldkey);
end
$$;
comment on function coldkey_successors_at(bigint, text[]) is
'Which coldkey replaced which, since the chain keeps it (after spec 424). As of a block (NULL: the last committed), of these keys only where they are given; since_block: the block that gave the row its values.';

create function account_flags_at(
    block bigint default null,
    of_account text[] default null
)
returns table ("account" text, "flags" numeric, "auto_parent_delegation" boolean, since_block bigint)
language plpgsql stable as $$
declare
    at constant bigint := indexed_block('keys', block);
    chosen constant text := ''
        || case when of_account is null then '' else ' and k.account = any($2)' end;
begin
    return query execute
        'with keys as (
            select k.account from account_flags k where true' || chosen || '
            union
            select k.account from account_flag_history k
            where not k."exists" and k.block_number > $1' || chosen || '
        )
        select
            (select a.address from accounts a where a.account = k."account"),
            h."flags",
            h."auto_parent_delegation",
            h.block_number
        from keys k
        cross join lateral (
            select * from account_flag_history h
            where h.account = k.account and h.block_number <= $1
            order by h.block_number desc limit 1
        ) h
        where h."exists"'
    using at, account_ids(of_account);
end
$$;
comment on function account_flags_at(bigint, text[]) is
'Switches of accounts. As of a block (NULL: the last committed), of these keys only where they are given; since_block: the block that gave the row its values.';

create function evm_associations_at(
    block bigint default null,
    of_netuid integer[] default null,
    of_uid bigint[] default null
)
returns table ("netuid" integer, "uid" bigint, "evm_address" bytea, "associated_block" bigint, since_block bigint)
language plpgsql stable as $$
declare
    at constant bigint := indexed_block('keys', block);
    chosen constant text := ''
        || case when of_netuid is null then '' else ' and k.netuid = any($2)' end
        || case when of_uid is null then '' else ' and k.uid = any($3)' end;
begin
    return query execute
        'with keys as (
            select k.netuid, k.uid from evm_associations k where true' || chosen || '
            union
            select k.netuid, k.uid from evm_association_history k
            where not k."exists" and k.block_number > $1' || chosen || '
        )
        select
            k."netuid",
            k."uid",
            h."evm_address",
            h."associated_block",
            h.block_number
        from keys k
        cross join lateral (
            select * from evm_association_history h
            where h.netuid = k.netuid and h.uid = k.uid and h.block_number <= $1
            order by h.block_number desc limit 1
        ) h
        where h."exists"'
    using at, of_netuid, of_uid;
end
$$;
comment on function evm_associations_at(bigint, integer[], bigint[]) is
'EVM keys of neurons. As of a block (NULL: the last committed), of these keys only where they are given; since_block: the block that gave the row its values.';

create function auto_stake_at(
    block bigint default null,
    of_coldkey text[] default null,
    of_netuid integer[] default null
)
returns table ("coldkey" text, "netuid" integer, "hotkey" text, since_block bigint)
language plpgsql stable as $$
declare
    at constant bigint := indexed_block('keys', block);
    chosen constant text := ''
        || case when of_coldkey is null then '' else ' and k.coldkey = any($2)' end
        || case when of_netuid is null then '' else ' and k.netuid = any($3)' end;
begin
    return query execute
        'with keys as (
            select k.coldkey, k.netuid from auto_stake k where true' || chosen || '
            union
            select k.coldkey, k.netuid from auto_stake_history k
            where not k."exists" and k.block_number > $1' || chosen || '
        )
        select
            (select a.address from accounts a where a.account = k."coldkey"),
            k."netuid",
            (select a.address from accounts a where a.account = h."hotkey"),
            h.block_number
        from keys k
        cross join lateral (
            select * from auto_stake_history h
            where h.coldkey = k.coldkey and h.netuid = k.netuid and h.block_number <= $1
            order by h.block_number desc limit 1
        ) h
        where h."exists"'
    using at, account_ids(of_coldkey), of_netuid;
end
$$;
comment on function auto_stake_at(bigint, text[], integer[]) is
'Where mining rewards of a coldkey are staked; no row: on the miner itself. As of a block (NULL: the last committed), of these keys only where they are given; since_block: the block that gave the row its values.';

create function coldkey_hotkeys_at(
    block bigint default null,
    of_coldkey text[] default null
)
returns table ("coldkey" text, "owned" jsonb, "staking" jsonb, since_block bigint)
language plpgsql stable as $$
declare
    at constant bigint := indexed_block('keys', block);
    chosen constant text := ''
        || case when of_coldkey is null then '' else ' and k.coldkey = any($2)' end;
begin
    return query execute
        'with keys as (
            select k.coldkey from coldkey_hotkeys k where true' || chosen || '
            union
            select k.coldkey from coldkey_hotkey_history k
            where not k."exists" and k.block_number > $1' || chosen || '
        )
        select
            (select a.address from accounts a where a.account = k."coldkey"),
            h."owned",
            h."staking",
            h.block_number
        from keys k
        cross join lateral (
            select * from coldkey_hotkey_history h
            where h.coldkey = k.coldkey and h.block_number <= $1
            order by h.block_number desc limit 1
        ) h
        where h."exists"'
    using at, account_ids(of_coldkey);
end
$$;
comment on function coldkey_hotkeys_at(bigint, text[]) is
'Hotkeys of a coldkey as the chain lists them. As of a block (NULL: the last committed), of these keys only where they are given; since_block: the block that gave the row its values.';

-- For people.

create function proxies_at(block bigint default null, of_account text[] default null)
returns table (account text, delegate text, proxy_type text, delay bigint, deposit bigint, since_block bigint)
language sql stable as $$
    select p.account, d.delegate, d.proxy_type, d.delay, p.deposit, p.since_block
    from account_proxies_at(block, of_account => of_account) p
    cross join lateral jsonb_to_recordset(p.delegates) d (delegate text, proxy_type text, delay bigint)
$$;
comment on function proxies_at(bigint, text[]) is
'Who may act for accounts, as what, with which delay in blocks; deposit is that of all proxies of the account, rao.';

create function proxy_announcements_at(block bigint default null, of_account text[] default null)
returns table (account text, "real" text, call_hash text, height bigint, deposit bigint, since_block bigint)
language sql stable as $$
    select p.account, d."real", d.call_hash, d.height, p.announcement_deposit, p.since_block
    from account_proxies_at(block, of_account => of_account) p
    cross join lateral jsonb_to_recordset(p.announcements) d ("real" text, call_hash text, height bigint)
$$;
comment on function proxy_announcements_at(bigint, text[]) is
'Calls that accounts announced as proxies of others (real), and the block of the announcement.';

create function owned_hotkeys_at(block bigint default null, of_coldkey text[] default null)
returns table (coldkey text, hotkey text)
language sql stable as $$
    select k.coldkey, h.hotkey
    from coldkey_hotkeys_at(block, of_coldkey => of_coldkey) k
    cross join lateral jsonb_array_elements_text(k.owned) h (hotkey)
$$;
comment on function owned_hotkeys_at(bigint, text[]) is 'Hotkeys that coldkeys own, as the chain lists them.';

create function staking_hotkeys_at(block bigint default null, of_coldkey text[] default null)
returns table (coldkey text, hotkey text)
language sql stable as $$
    select k.coldkey, h.hotkey
    from coldkey_hotkeys_at(block, of_coldkey => of_coldkey) k
    cross join lateral jsonb_array_elements_text(k.staking) h (hotkey)
$$;
comment on function staking_hotkeys_at(bigint, text[]) is
'Hotkeys that coldkeys stake on, as the chain lists them: some may have no stake any more.';
