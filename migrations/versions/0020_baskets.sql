-- The dataset baskets as of a block.

create function basket_funds_at(
    block bigint default null,
    of_hotkey text[] default null
)
returns table ("hotkey" text, "shares" numeric, "rate" numeric, "twr" numeric, "deposited_tao" bigint, "redeemed_tao" bigint, "baseline_price_divisor" numeric, "baseline_rate0" numeric, "baseline_tr_splice" numeric, "baseline_first_block" bigint, "baseline_other" jsonb, "trade_tao_available" bigint, "trade_block" bigint, "frozen" boolean, since_block bigint)
language plpgsql stable as $$
declare
    at constant bigint := indexed_block('baskets', block);
    chosen constant text := ''
        || case when of_hotkey is null then '' else ' and k.hotkey = any($2)' end;
begin
    return query execute
        'with keys as (
            select k.hotkey from basket_funds k where true' || chosen || '
            union
            select k.hotkey from basket_fund_history k
            where not k."exists" and k.block_number > $1' || chosen || '
        )
        select
            (select a.address from accounts a where a.account = k."hotkey"),
            h."shares",
            h."rate",
            h."twr",
            h."deposited_tao",
            h."redeemed_tao",
            h."baseline_price_divisor",
            h."baseline_rate0",
            h."baseline_tr_splice",
            h."baseline_first_block",
            h."baseline_other",
            h."trade_tao_available",
            h."trade_block",
            h."frozen",
            h.block_number
        from keys k
        cross join lateral (
            select * from basket_fund_history h
            where h.hotkey = k.hotkey and h.block_number <= $1
            order by h.block_number desc limit 1
        ) h
        where h."exists"'
    using at, account_ids(of_hotkey);
end
$$;
comment on function basket_funds_at(bigint, text[]) is
'Funds of root validators, as stored. As of a block (NULL: the last committed), of these keys only where they are given; since_block: the block that gave the row its values.';

create function basket_claims_at(
    block bigint default null,
    of_hotkey text[] default null,
    of_coldkey text[] default null
)
returns table ("hotkey" text, "coldkey" text, "claimed" numeric, since_block bigint)
language plpgsql stable as $$
declare
    at constant bigint := indexed_block('baskets', block);
    chosen constant text := ''
        || case when of_hotkey is null then '' else ' and k.hotkey = any($2)' end
        || case when of_coldkey is null then '' else ' and k.coldkey = any($3)' end;
begin
    return query execute
        'with keys as (
            select k.hotkey, k.coldkey from basket_claims k where true' || chosen || '
            union
            select k.hotkey, k.coldkey from basket_claim_history k
            where not k."exists" and k.block_number > $1' || chosen || '
        )
        select
            (select a.address from accounts a where a.account = k."hotkey"),
            (select a.address from accounts a where a.account = k."coldkey"),
            h."claimed",
            h.block_number
        from keys k
        cross join lateral (
            select * from basket_claim_history h
            where h.hotkey = k.hotkey and h.coldkey = k.coldkey and h.block_number <= $1
            order by h.block_number desc limit 1
        ) h
        where h."exists"'
    using at, account_ids(of_hotkey), account_ids(of_coldkey);
end
$$;
comment on function basket_claims_at(bigint, text[], text[]) is
'What stakers have claimed of a fund, as stored. As of a block (NULL: the last committed), of these keys only where they are given; since_block: the block that gave the row its values.';

create function basket_slots_at(
    block bigint default null,
    of_hotkey text[] default null,
    of_netuid integer[] default null
)
returns table ("hotkey" text, "netuid" integer, "pending" bigint, "liquidity_used" bigint, "liquidity_block" bigint, since_block bigint)
language plpgsql stable as $$
declare
    at constant bigint := indexed_block('baskets', block);
    chosen constant text := ''
        || case when of_hotkey is null then '' else ' and k.hotkey = any($2)' end
        || case when of_netuid is null then '' else ' and k.netuid = any($3)' end;
begin
    return query execute
        'with keys as (
            select k.hotkey, k.netuid from basket_slots k where true' || chosen || '
            union
            select k.hotkey, k.netuid from basket_slot_history k
            where not k."exists" and k.block_number > $1' || chosen || '
        )
        select
            (select a.address from accounts a where a.account = k."hotkey"),
            k."netuid",
            h."pending",
            h."liquidity_used",
            h."liquidity_block",
            h.block_number
        from keys k
        cross join lateral (
            select * from basket_slot_history h
            where h.hotkey = k.hotkey and h.netuid = k.netuid and h.block_number <= $1
            order by h.block_number desc limit 1
        ) h
        where h."exists"'
    using at, account_ids(of_hotkey), of_netuid;
end
$$;
comment on function basket_slots_at(bigint, text[], integer[]) is
'What a fund has under way on a subnet, as stored. As of a block (NULL: the last committed), of these keys only where they are given; since_block: the block that gave the row its values.';
