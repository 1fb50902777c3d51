-- What the SDK reads of accounts and stake: for many keys at once, as of a block.
-- Each question is planned for its own keys: a plan kept for any keys reads whole tables, and compares every row with
-- every key.

create function tao(rao numeric) returns numeric
language sql immutable strict parallel safe as $$
    select rao * 0.000000001
$$;
comment on function tao(numeric) is
'An amount in rao as TAO (or alpha): the same number with nine decimals, nothing rounded.';

drop function balance_at(text, bigint);
create function balance_at(address text, block bigint default null)
returns table (free bigint, reserved bigint, frozen bigint, nonce bigint, tao numeric)
language sql stable as $$
    with at as materialized (select indexed_block('balances', $2) as block, account_id($1) as account)
    select
        coalesce(h.free, 0),
        coalesce(h.reserved, 0),
        coalesce(h.frozen, greatest(h.misc_frozen, h.fee_frozen), 0),
        coalesce(h.nonce, 0),
        tao(coalesce(h.free, 0))
    from at
    left join lateral (
        select * from balance_history h
        where h.account = at.account and h.block_number <= at.block
        order by h.block_number desc limit 1
    ) h on true
$$;
comment on function balance_at(text, bigint) is
'Balance of an address as of a block (NULL: the last committed), in rao: free, reserved, frozen, and nonce; tao is free in TAO. An account that does not exist has zeros. Before spec ~146 frozen is the larger of the two locks of the old layout.';

create function balances_at(block bigint default null, of_account text[] default null)
returns table (
    account text, free bigint, reserved bigint, frozen bigint, nonce bigint, tao numeric, reserved_tao numeric,
    frozen_tao numeric
)
language plpgsql stable set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
    at constant bigint := indexed_block('balances', balances_at.block);
begin
    return query
    with keys (account, given) as (
        select account_id(a), min(a) from unnest(of_account) a where a is not null group by 1
        union all
        (
            select b.account, null from balances b where of_account is null
            union
            select g.account, null from balance_history g
            where of_account is null and not g."exists" and g.block_number > at
        )
    )
    select
        coalesce((select a.address from accounts a where a.account = k.account), k.given),
        v.free, v.reserved, v.frozen, v.nonce, tao(v.free), tao(v.reserved), tao(v.frozen)
    from keys k
    left join lateral (
        select * from balance_history h
        where h.account = k.account and h.block_number <= at
        order by h.block_number desc limit 1
    ) h on true
    cross join lateral (
        select
            coalesce(h.free, 0), coalesce(h.reserved, 0),
            coalesce(h.frozen, greatest(h.misc_frozen, h.fee_frozen), 0), coalesce(h.nonce, 0)
    ) v (free, reserved, frozen, nonce)
    where k.given is not null or h."exists";
end
$$;
comment on function balances_at(bigint, text[]) is
'Balances as of a block (NULL: the last committed), in rao, tao, reserved_tao and frozen_tao in TAO: a row for each of these addresses, zeros for one that has no account; or every account.';

create function hotkey_owners_at(block bigint default null, of_hotkey text[] default null)
returns table (hotkey text, owner text)
language plpgsql stable set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
    at constant bigint := indexed_block('stake', hotkey_owners_at.block);
    wanted constant bytea[] := account_ids(of_hotkey);
begin
    return query
    select
        (select a.address from accounts a where a.account = k.hotkey),
        (select a.address from accounts a where a.account = h.owner)
    from (
        select d.hotkey from delegates d where wanted is null or d.hotkey = any(wanted)
        union
        select g.hotkey from delegate_history g
        where not g."exists" and g.block_number > at and (wanted is null or g.hotkey = any(wanted))
    ) k
    cross join lateral (
        select * from delegate_history h
        where h.hotkey = k.hotkey and h.block_number <= at
        order by h.block_number desc limit 1
    ) h
    where h."exists" and h.owner is not null;
end
$$;
comment on function hotkey_owners_at(bigint, text[]) is
'Coldkeys that own hotkeys, as of a block (NULL: the last committed), of these hotkeys or of all; no row for a hotkey that nobody owns.';

create function hotkey_owner(hotkey text, block bigint default null) returns text
language sql stable as $$
    select o.owner from hotkey_owners_at($2, of_hotkey => array[$1]) o
$$;
comment on function hotkey_owner(text, bigint) is
'The coldkey that owns a hotkey, as of a block (NULL: the last committed); NULL if nobody does. Of many: hotkey_owners_at.';

create function hotkey_identities_at(block bigint default null, of_hotkey text[] default null)
returns table (hotkey text, owner text, identity jsonb)
language plpgsql stable set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
    at constant bigint := indexed_block('identities', hotkey_identities_at.block);
begin
    return query
    with owners as materialized (select o.hotkey, o.owner from hotkey_owners_at(at, of_hotkey => $2) o)
    select o.hotkey, o.owner, coalesce(i.identity, i.first_layout)
    from owners o
    join identities_at(at, of_coldkey => (select array_agg(distinct x.owner) from owners x)) i on i.coldkey = o.owner;
end
$$;
comment on function hotkey_identities_at(bigint, text[]) is
'What the owners of hotkeys tell of themselves, as of a block (NULL: the last committed), of these hotkeys or of all; no row where the owner tells nothing.';

create function alpha_prices_at(block bigint default null, of_netuid integer[] default null)
returns table (netuid integer, price numeric, price_rao bigint)
language plpgsql stable set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
    at constant bigint := indexed_block('subnets', alpha_prices_at.block);
begin
    return query
    select s.netuid, s.price, div(trunc(s.price * 4294967296) * 1000000000, 4294967296)::bigint
    from subnets_as_of(at) s
    where s.networks_added and ($2 is null or s.netuid = any($2));
end
$$;
comment on function alpha_prices_at(bigint, integer[]) is
'Spot prices of alpha in TAO as of a block (NULL: the last committed), of these subnets or of all that exist; price_rao: rao for 10^9 rao of alpha, cut as the runtime API cuts it. Root has price 1.';

create function stake_for_coldkeys(coldkeys text[], block bigint default null)
returns table (
    coldkey text, hotkey text, netuid integer, alpha_rao bigint, tao_rao bigint, is_registered boolean, alpha numeric,
    tao numeric
)
language plpgsql stable set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
    at constant bigint := indexed_block('stake', stake_for_coldkeys.block);
    has_neurons constant boolean := exists (
        select from cursors c where c.dataset = 'neurons' and at between c.start_block and c.block_number
    );
begin
    return query
    select d.coldkey, d.hotkey, d.netuid, d.alpha_rao, d.tao_rao, r.is_registered, tao(d.alpha_rao), tao(d.tao_rao)
    from (
        select account_id(a), min(a) from unnest(coldkeys) a where a is not null group by 1
    ) k (account, given)
    cross join lateral delegations_at(at, of_coldkey => k.given) d
    left join accounts h on h.address = d.hotkey
    left join lateral (
        select coalesce((
            select g."exists" and g.uid is not null from registration_history g
            where g.hotkey = h.account and g.netuid = d.netuid and g.block_number <= at
            order by g.block_number desc limit 1
        ), false) as is_registered
        where has_neurons
    ) r on true;
end
$$;
comment on function stake_for_coldkeys(text[], bigint) is
'Every position of stake of coldkeys, as of a block (NULL: the last committed): alpha_rao as the runtime computes it, tao_rao its value at the spot price (rounded down), alpha and tao the same in units; is_registered: the hotkey is registered on the subnet (NULL if the dataset neurons is not indexed).';

create function stake_value_for_coldkeys(coldkeys text[], block bigint default null)
returns table (
    coldkey text, hotkey text, netuid integer, alpha_rao bigint, price numeric, tao_rao bigint, total_rao bigint,
    alpha numeric, tao numeric, total_tao numeric
)
language plpgsql stable set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
    at constant bigint := indexed_block('subnets', indexed_block('stake', stake_value_for_coldkeys.block));
    spec constant integer := spec_at(at);
begin
    return query
    with prices as materialized (select s.netuid, s.price from subnets_at(at) s)
    select
        d.coldkey, d.hotkey, d.netuid, d.alpha_rao, case when spec < 233 or d.netuid = 0 then 1 else p.price end, d.tao_rao,
        (sum(d.tao_rao) over same)::bigint,
        d.alpha, d.tao, tao(sum(d.tao_rao) over same)
    from stake_for_coldkeys($1, at) d
    left join prices p on p.netuid = d.netuid
    window same as (partition by d.coldkey);
end
$$;
comment on function stake_value_for_coldkeys(text[], bigint) is
'What the stake of coldkeys is worth at the spot price, as of a block (NULL: the last committed): each position in rao of TAO, rounded down, and the coldkey''s total of all of them; without the slippage of a sale.';

create function total_stake_for_coldkeys(coldkeys text[], block bigint default null)
returns table (coldkey text, tao_rao bigint, tao numeric)
language plpgsql stable set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
    at constant bigint := indexed_block('subnets', indexed_block('stake', total_stake_for_coldkeys.block));
    spec constant integer := spec_at(at);
begin
    return query
    with keys as materialized (
        select c.account, coalesce((select a.address from accounts a where a.account = c.account), c.given) as address
        from (
            select account_id(a), min(a) from unnest(coldkeys) a where a is not null group by 1
        ) c (account, given)
    ),
    totals as (
        select d.coldkey, sum(d.tao_rao) as tao_rao
        from stake_for_coldkeys($1, at) d
        where spec >= 233
        group by d.coldkey
        union all
        select k.address, h.stake
        from keys k
        cross join lateral (
            select * from coldkey_stake_history h
            where h.coldkey = k.account and h.block_number <= at
            order by h.block_number desc limit 1
        ) h
        where spec < 233 and h."exists"
    )
    select k.address, coalesce(t.tao_rao, 0)::bigint, tao(coalesce(t.tao_rao, 0))
    from keys k
    left join totals t on t.coldkey = k.address;
end
$$;
comment on function total_stake_for_coldkeys(text[], bigint) is
'All stake of coldkeys at the spot price, in rao and in TAO, as of a block (NULL: the last committed): a row for each coldkey, zero for one without stake. Before dTAO the chain''s own sum (TotalColdkeyStake).';

create function hotkey_stakes_as_of(block bigint, of_hotkey bytea[] default null, of_netuid integer[] default null)
returns table (hotkey bytea, netuid integer, alpha bigint, stake bigint)
language plpgsql stable set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
begin
    return query
    select k.hotkey, k.netuid, h.alpha, h.stake
    from (
        select p.hotkey, p.netuid from hotkey_pools p
        where ($2 is null or p.hotkey = any($2)) and ($3 is null or p.netuid = any($3))
        union
        select g.hotkey, g.netuid from hotkey_pools_history g
        where not g."exists" and g.block_number > $1
            and ($2 is null or g.hotkey = any($2)) and ($3 is null or g.netuid = any($3))
    ) k
    cross join lateral (
        select * from hotkey_pools_history h
        where h.netuid = k.netuid and h.hotkey = k.hotkey and h.block_number <= $1
        order by h.block_number desc limit 1
    ) h
    where h."exists";
end
$$;
comment on function hotkey_stakes_as_of(bigint, bytea[], integer[]) is
'What the pools of hotkeys hold as of a block, rao: alpha, and before dTAO stake. The block is not checked.';

create function total_stake_for_hotkeys(hotkeys text[], block bigint default null)
returns table (hotkey text, tao_rao bigint, tao numeric)
language plpgsql stable set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
    at constant bigint := indexed_block('subnets', indexed_block('stake', total_stake_for_hotkeys.block));
    spec constant integer := spec_at(at);
begin
    return query
    with keys (account, given) as materialized (
        select account_id(a), min(a) from unnest(hotkeys) a where a is not null group by 1
    ),
    totals as (
        select
            p.hotkey,
            -- In fixed point of 32 bits, as the chain does it: to 282 each pool is cut to rao, since then the sum.
            case
                when spec < 233 then sum(p.stake)
                when spec < 283 then sum(div(p.alpha * trunc(s.price * 4294967296), 4294967296))
                else div(sum(p.alpha * trunc(s.price * 4294967296)), 4294967296)
            end as tao_rao
        from hotkey_stakes_as_of(at, (select array_agg(k.account) from keys k)) p
        left join subnets_at(at) s on s.netuid = p.netuid
        where spec < 233 or s.networks_added
        group by p.hotkey
    )
    select
        coalesce((select a.address from accounts a where a.account = k.account), k.given),
        coalesce(t.tao_rao, 0)::bigint,
        tao(coalesce(t.tao_rao, 0))
    from keys k
    left join totals t on t.hotkey = k.account;
end
$$;
comment on function total_stake_for_hotkeys(text[], bigint) is
'All stake on hotkeys at the spot price, in rao and in TAO, as of a block (NULL: the last committed), as the chain sums it: a row for each hotkey, zero for one without stake. Before dTAO its own sum (TotalHotkeyStake).';

create function total_alpha_staked_at(block bigint default null, of_netuid integer[] default null)
returns table (netuid integer, alpha_rao bigint, alpha numeric)
language plpgsql stable set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
    at constant bigint := indexed_block('stake', total_alpha_staked_at.block);
begin
    return query
    select p.netuid, sum(p.alpha)::bigint, tao(sum(p.alpha))
    from hotkey_stakes_as_of(at, null, $2) p
    where p.alpha is not null
    group by p.netuid;
end
$$;
comment on function total_alpha_staked_at(bigint, integer[]) is
'Alpha staked on subnets, the sum of all pools, as of a block (NULL: the last committed), of these subnets or of all where something is staked. The chain''s own TotalAlphaStaked (since spec 448) is in subnets_at.';
