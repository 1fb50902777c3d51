-- What epochs paid, and when limited things were last done, as of a block.

create function dividends_at(
    block bigint default null,
    of_netuid integer[] default null,
    of_hotkey text[] default null
)
returns table ("netuid" integer, "hotkey" text, "alpha_dividends" bigint, "tao_dividends" bigint, "root_alpha_dividends" bigint, since_block bigint)
language plpgsql stable as $$
declare
    at constant bigint := indexed_block('dividends', block);
    chosen constant text := ''
        || case when of_netuid is null then '' else ' and k.netuid = any($2)' end
        || case when of_hotkey is null then '' else ' and k.hotkey = any($3)' end;
begin
    return query execute
        'with keys as (
            select k.netuid, k.hotkey from dividends k where true' || chosen || '
            union
            select k.netuid, k.hotkey from dividend_history k
            where not k."exists" and k.block_number > $1' || chosen || '
        )
        select
            k."netuid",
            (select a.address from accounts a where a.account = k."hotkey"),
            h."alpha_dividends",
            h."tao_dividends",
            h."root_alpha_dividends",
            h.block_number
        from keys k
        cross join lateral (
            select * from dividend_history h
            where h.netuid = k.netuid and h.hotkey = k.hotkey and h.block_number <= $1
            order by h.block_number desc limit 1
        ) h
        where h."exists"'
    using at, of_netuid, account_ids(of_hotkey);
end
$$;
comment on function dividends_at(bigint, integer[], text[]) is
'What the last epoch of a subnet paid to hotkeys, as stored. As of a block (NULL: the last committed), of these keys only where they are given; since_block: the block that gave the row its values.';

create function rate_limits_at(
    block bigint default null,
    of_name text[] default null
)
returns table ("name" text, "last_block" bigint, since_block bigint)
language plpgsql stable as $$
declare
    at constant bigint := indexed_block('rate_limits', block);
    chosen constant text := ''
        || case when of_name is null then '' else ' and k.name = any($2)' end;
begin
    return query execute
        'with keys as (
            select k.name from rate_limits k where true' || chosen || '
            union
            select k.name from rate_limit_history k
            where not k."exists" and k.block_number > $1' || chosen || '
        )
        select
            k."name",
            h."last_block",
            h.block_number
        from keys k
        cross join lateral (
            select * from rate_limit_history h
            where h.name = k.name and h.block_number <= $1
            order by h.block_number desc limit 1
        ) h
        where h."exists"'
    using at, of_name;
end
$$;
comment on function rate_limits_at(bigint, text[]) is
'When what the chain limits in time was last done (since spec ~273). As of a block (NULL: the last committed), of these keys only where they are given; since_block: the block that gave the row its values.';
