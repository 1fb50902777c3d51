-- Root baskets: what the funds of root validators hold (exact) and would fetch (estimates), and what of it is whose.
-- Each question is planned for its own keys: a plan kept for any keys reads whole tables, and compares every row with
-- every key.

create function alpha_sale_estimate(
    spec_version integer, netuid integer, mechanism bigint, tao numeric, alpha_in numeric, balancer jsonb,
    superellipse jsonb, alpha_rao bigint
) returns bigint
language plpgsql immutable parallel safe as $$
declare
    quote_weight constant numeric := balancer_quote_weight(balancer);
    reserve_in numeric := coalesce(alpha_in, 0);
    reserve_out numeric := coalesce(tao, 0);
    left_over numeric := alpha_rao;
    is_large constant boolean := alpha_rao > 1000 * reserve_in;
    sold bigint;
    bought bigint;
    total numeric := 0;
begin
    if alpha_rao <= 0 then
        return 0;
    end if;
    if netuid = 0 or coalesce(mechanism, 0) <> 1 then
        return alpha_rao;
    end if;
    if alpha_rao is null or coalesce(spec_version, 0) < 423 or superellipse is not null then
        return null;
    end if;
    -- More than a pool takes at once is sold in parts, each to what those before have left, all of it or nothing.
    while left_over > 0 loop
        select e.amount_in, e.amount_out into sold, bought
        from swap_estimate(
            reserve_in, reserve_out, 1000000000000000000 - quote_weight, quote_weight, 0,
            least(left_over, case when reserve_in > 0 then 1000 * reserve_in end)::bigint, 1000000
        ) e;
        if not is_large or coalesce(sold, 0) = 0 then
            return case when is_large then 0 else coalesce(bought, 0) end;
        end if;
        left_over := left_over - sold;
        reserve_in := reserve_in + sold;
        reserve_out := reserve_out - bought;
        total := total + bought;
    end loop;
    return total;
end
$$;
comment on function alpha_sale_estimate(integer, integer, bigint, numeric, numeric, jsonb, jsonb, bigint) is
'What selling so much alpha to a pool would give without a fee, rao of TAO, as the runtime values a holding of a basket: by swap_estimate, so within a few rao; the alpha itself on root and where alpha is TAO; 0 where the runtime refuses the sale; NULL for pools that are not simulated (before spec 423, superellipse).';

create function basket_holdings_at(block bigint default null, of_hotkey text[] default null)
returns table (
    hotkey text, netuid integer, alpha_rao bigint, spot_rao bigint, alpha numeric, spot_tao numeric,
    value_rao_estimate bigint, value_tao_estimate numeric
)
language plpgsql stable set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
    at constant bigint := indexed_block('subnets', indexed_block('stake', basket_holdings_at.block));
    spec constant integer := spec_at(at);
    escrow constant text := '0x6d6f646c73756274656e7372626574612f657363000000000000000000000000';
begin
    return query
    with pools as materialized (select * from subnets_as_of(at)),
    held as materialized (
        select d.* from delegations_at(at, of_coldkey => escrow) d where of_hotkey is null
        union all
        select d.*
        from (select account_id(a), min(a) from unnest(of_hotkey) a where a is not null group by 1) k (account, given)
        cross join lateral delegations_at(at, of_coldkey => escrow, of_hotkey => k.given) d
    )
    select
        d.hotkey, d.netuid, d.alpha_rao, d.tao_rao, d.alpha, d.tao, e.value_rao, tao(e.value_rao)
    from held d
    left join pools p on p.netuid = d.netuid
    cross join lateral (
        select alpha_sale_estimate(
            spec, d.netuid, p.subnet_mechanism, p.subnet_tao, p.subnet_alpha_in, p.swap_balancer, p.swap_superellipse,
            d.alpha_rao
        ) as value_rao
        offset 0 -- once per holding, and not again for each use
    ) e;
end
$$;
comment on function basket_holdings_at(bigint, text[]) is
'What the funds (baskets) of root validators hold on each subnet, as of a block (NULL: the last committed), of these hotkeys or all: alpha_rao, the stake of the escrow, and spot_rao, rao of TAO at the spot price, exactly; value_rao_estimate, what selling the holding alone would give without a fee, see alpha_sale_estimate (NULL where the pool is not simulated). On netuid 0: TAO.';

create function baskets_at(block bigint default null, of_hotkey text[] default null)
returns table (
    hotkey text, shares numeric, holdings bigint, spot_nav_rao bigint, deposited_rao bigint, redeemed_rao bigint,
    rate numeric, twr numeric, frozen boolean, beta numeric, spot_nav_tao numeric, spot_price numeric,
    deposited_tao numeric, redeemed_tao numeric, nav_rao_estimate bigint, nav_tao_estimate numeric,
    price_estimate numeric, performance_estimate numeric
)
language plpgsql stable set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
    at constant bigint := indexed_block('subnets', indexed_block('stake', indexed_block('baskets', baskets_at.block)));
    digits constant numeric := 1.00000000000000000000; -- what quotients are told to
begin
    return query
    with navs as (
        select
            h.hotkey,
            count(*) as holdings,
            case when bool_and(h.spot_rao is not null) then sum(h.spot_rao) end as spot,
            case when bool_and(h.value_rao_estimate is not null) then sum(h.value_rao_estimate) end as nav
        from basket_holdings_at(at, of_hotkey) h
        group by h.hotkey
    )
    select
        k.hotkey, f.shares, k.holdings, k.spot::bigint, coalesce(f.deposited_tao, 0), coalesce(f.redeemed_tao, 0),
        coalesce(f.rate, 0), coalesce(f.twr, 1), coalesce(f.frozen, false),
        tao(f.shares), tao(k.spot), round(digits * k.spot / nullif(f.shares, 0), 20),
        tao(coalesce(f.deposited_tao, 0)), tao(coalesce(f.redeemed_tao, 0)),
        k.nav::bigint, tao(k.nav), round(digits * k.nav / nullif(f.shares, 0), 20),
        round(digits * (k.nav + coalesce(f.redeemed_tao, 0)) / nullif(f.deposited_tao, 0), 20)
    from basket_funds_at(at, of_hotkey) f
    full join navs n on n.hotkey = f.hotkey
    cross join lateral (
        select
            coalesce(f.hotkey, n.hotkey), coalesce(n.holdings, 0),
            case when n.hotkey is null then 0 else n.spot end, case when n.hotkey is null then 0 else n.nav end
    ) k (hotkey, holdings, spot, nav);
end
$$;
comment on function baskets_at(bigint, text[]) is
'Funds (baskets) of root validators as of a block (NULL: the last committed), of these hotkeys or all. Exactly: shares (NULL: the chain lists no fund) and beta, a billion shares each; how many holdings; their value at the spot price, and that per beta (spot_price, TAO); what was put in and paid out, ever; rate, shares earned per rao of root stake; twr, index of the return to stakers; frozen: it may not trade. Estimates: the value if each holding were sold alone (NAV, see basket_holdings_at; NULL if one of them has none), that per beta (price, TAO), and performance, (NAV + paid out) / put in. Quotients have 20 digits.';

create function basket_positions_at(
    block bigint default null, of_hotkey text[] default null, of_coldkey text[] default null
)
returns table (
    hotkey text, coldkey text, shares numeric, fund_shares numeric, share_of_fund numeric, spot_rao bigint,
    root_stake_rao bigint, beta numeric, fund_beta numeric, spot_tao numeric, root_stake_tao numeric,
    value_rao_estimate bigint, nav_rao_estimate bigint, price_estimate numeric, value_tao_estimate numeric,
    nav_tao_estimate numeric
)
language plpgsql stable set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
    at constant bigint := indexed_block(
        'subnets', indexed_block('stake', indexed_block('baskets', basket_positions_at.block))
    );
    digits constant numeric := 1.00000000000000000000; -- what quotients are told to
    wanted constant bytea[] := account_ids(of_hotkey);
    hotkeys constant text[] := (select array_agg(a.address) from accounts a where a.account = any(wanted));
    asked constant bytea[] := account_ids(of_coldkey); -- refuses what is no address, whatever else is found
    escrow constant text := (
        select a.address from accounts a
        where a.account = '\x6d6f646c73756274656e7372626574612f657363000000000000000000000000'
    );
begin
    return query
    with stakes as (
        select d.hotkey, d.coldkey, d.alpha_rao
        from delegations_at(at, of_netuid => 0) d
        where of_hotkey is null and of_coldkey is null
        union all
        select d.hotkey, d.coldkey, d.alpha_rao
        from (select account_id(a), min(a) from unnest(of_coldkey) a where a is not null group by 1) k (account, given)
        cross join lateral delegations_at(at, of_coldkey => k.given, of_netuid => 0) d
        where of_hotkey is null or d.hotkey = any(hotkeys)
        union all
        select d.hotkey, d.coldkey, d.alpha_rao
        from (select account_id(a), min(a) from unnest(of_hotkey) a where a is not null group by 1) k (account, given)
        cross join lateral delegations_at(at, of_hotkey => k.given, of_netuid => 0) d
        where of_coldkey is null
    ),
    -- Who has claims without stake owns shares, too.
    owed as materialized (
        select
            f.hotkey, k.coldkey, coalesce(s.alpha_rao, 0) as root_stake, f.shares as fund_shares,
            least(
                floor(coalesce(f.rate, 0) * coalesce(s.alpha_rao, 0)) - coalesce(c.claimed, 0), coalesce(f.shares, 0)
            ) as shares
        from stakes s
        full join basket_claims_at(at, of_hotkey, of_coldkey) c on c.hotkey = s.hotkey and c.coldkey = s.coldkey
        cross join lateral (select coalesce(s.hotkey, c.hotkey), coalesce(s.coldkey, c.coldkey)) k (hotkey, coldkey)
        join basket_funds_at(at, of_hotkey) f on f.hotkey = k.hotkey
        where k.coldkey is distinct from escrow
    ),
    navs as materialized (
        select b.hotkey, b.spot_nav_rao as spot, b.nav_rao_estimate as nav, b.price_estimate
        from baskets_at(at, coalesce((select array_agg(distinct o.hotkey) from owed o where o.shares > 0), '{}')) b
    )
    select
        o.hotkey, o.coldkey, o.shares, o.fund_shares, round(digits * o.shares / o.fund_shares, 20), v.spot::bigint,
        o.root_stake, tao(o.shares), tao(o.fund_shares), tao(v.spot), tao(o.root_stake),
        v.value::bigint, n.nav, n.price_estimate, tao(v.value), tao(n.nav)
    from owed o
    join navs n on n.hotkey = o.hotkey
    cross join lateral (
        select div(o.shares * n.spot, o.fund_shares) as spot, div(o.shares * n.nav, o.fund_shares) as value
    ) v
    where o.shares > 0;
end
$$;
comment on function basket_positions_at(bigint, text[], text[]) is
'What stakers own of the funds (baskets) of root validators and have not claimed, as of a block (NULL: the last committed), of these hotkeys and coldkeys or all. Exactly: shares, rate x root stake less what is claimed, all shares of the fund and the share they are of it (20 digits), beta, a billion shares each; spot_rao, their part of the fund at the spot price; the stake on root. Estimates: value, their part of the fund''s NAV, what a claim would pay (the runtime also leaves out dust); NAV and price as in baskets_at.';

create function root_basket_owed_estimate(coldkeys text[], block bigint default null)
returns table (coldkey text, value_rao_estimate bigint, value_tao_estimate numeric)
language plpgsql stable set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
    at constant bigint := indexed_block(
        'subnets', indexed_block('stake', indexed_block('baskets', root_basket_owed_estimate.block))
    );
begin
    return query
    select k.address, v.value::bigint, tao(v.value)
    from (
        select coalesce((select a.address from accounts a where a.account = c.account), c.given)
        from (
            select account_id(a), min(a) from unnest(coldkeys) a where a is not null group by 1
        ) c (account, given)
    ) k (address)
    left join (
        select
            p.coldkey,
            bool_and(p.value_rao_estimate is not null) as known,
            sum(p.value_rao_estimate) as value
        from basket_positions_at(at, of_coldkey => coalesce(coldkeys, '{}')) p
        group by p.coldkey
    ) p on p.coldkey = k.address
    cross join lateral (select case when p.coldkey is null then 0 when p.known then p.value end) v (value);
end
$$;
comment on function root_basket_owed_estimate(text[], bigint) is
'What coldkeys could claim of all root baskets, rao and TAO, as of a block (NULL: the last committed): the sum of basket_positions_at, a row for each coldkey, zero for one that owns nothing, NULL where a fund has no estimate.';

create function root_basket_total_nav_estimate(
    block bigint default null, out nav_rao_estimate bigint, out nav_tao_estimate numeric
)
language plpgsql stable as $$
declare
    at constant bigint := indexed_block(
        'subnets', indexed_block('stake', indexed_block('baskets', root_basket_total_nav_estimate.block))
    );
begin
    select case when bool_and(b.nav_rao_estimate is not null) then sum(b.nav_rao_estimate) when count(*) = 0 then 0 end
    into nav_rao_estimate
    from baskets_at(at) b
    where b.shares is not null;
    nav_tao_estimate := tao(nav_rao_estimate);
end
$$;
comment on function root_basket_total_nav_estimate(bigint) is
'What all root baskets are worth, rao and TAO, as of a block (NULL: the last committed): the sum of their NAV, see baskets_at; NULL where one of them has no estimate.';

create function basket_trading_at(block bigint default null, of_hotkey text[] default null)
returns table (
    hotkey text, enabled boolean, frozen boolean, refill_blocks integer, budget_rao_estimate bigint,
    available_rao_estimate bigint, used_rao_estimate bigint, budget_tao_estimate numeric,
    available_tao_estimate numeric, used_tao_estimate numeric
)
language plpgsql stable set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
    at constant bigint := indexed_block('hyperparameters', indexed_block(
        'subnets', indexed_block('stake', indexed_block('baskets', basket_trading_at.block))
    ));
    refill constant integer := 7200;
    may_trade constant boolean := (
        select e.value = 1 from effective_hyperparameter(-1, 'basket_trading_enabled', at) e
    );
    cap constant numeric := (select e.value from effective_hyperparameter(-1, 'basket_daily_turnover_cap', at) e);
begin
    return query
    with pools as materialized (select * from subnets_as_of(at)),
    -- No holding counts for more than by the slow average of the price.
    guarded as (
        select
            h.hotkey,
            case when bool_and(h.value_rao_estimate is not null) then sum(least(
                h.value_rao_estimate,
                case
                    when h.netuid <> 0 and coalesce(p.subnet_mechanism, 0) <> 0
                        then floor(coalesce(p.subnet_moving_price, 0) * h.alpha_rao)
                    when h.netuid <> 0 then h.alpha_rao
                end
            )) end as nav
        from basket_holdings_at(at, of_hotkey) h
        left join pools p on p.netuid = h.netuid
        group by h.hotkey
    )
    select
        f.hotkey, may_trade, coalesce(f.frozen, false), refill,
        v.budget::bigint, v.available::bigint, (v.budget - v.available)::bigint,
        tao(v.budget), tao(v.available), tao(v.budget - v.available)
    from basket_funds_at(at, of_hotkey) f
    left join guarded g on g.hotkey = f.hotkey
    cross join lateral (select div(case when g.hotkey is null then 0 else g.nav end * cap, 65535)) b (budget)
    cross join lateral (
        select
            b.budget,
            case
                when f.trade_block is null or b.budget is null then b.budget
                else least(
                    f.trade_tao_available + div(b.budget * greatest(at - f.trade_block, 0), refill), b.budget
                )
            end as available
    ) v
    where f.shares is not null;
end
$$;
comment on function basket_trading_at(bigint, text[]) is
'What the funds (baskets) of root validators may trade, as of a block (NULL: the last committed), of these hotkeys or all: whether baskets may trade at all (NULL: the runtime knows no such switch), whether this one is stopped, and in how many blocks its bucket fills. Estimates, rao and TAO: the size of the bucket, a share of what the fund is worth, no holding above its value at the slow average of the price; what is left in it, and what is used. NULL where a holding has no estimate.';
