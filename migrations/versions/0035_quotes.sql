-- What staking and unstaking would give at a block: the balancer's swap, with a power of Postgres' numeric.

create function swap_estimate(
    reserve_in numeric, reserve_out numeric, weight_in numeric, weight_out numeric, fee_rate bigint, amount bigint,
    price_limit numeric, out amount_in bigint, out amount_out bigint, out fee bigint
)
language plpgsql immutable strict parallel safe as $$
-- One step of the runtime's swap. Prices here are of what goes out, in what goes in, so they only rise.
declare
    one constant numeric := 18446744073709551616;
    scale constant numeric := 1000000000000000000;
    digits constant numeric := 1.0000000000000000000000000000000000000000; -- what quotients and powers are told to
    price constant numeric := digits * weight_out * reserve_in / nullif(weight_in * reserve_out, 0);
    left_over numeric; -- of reserve_out, in 2^-64
begin
    amount_in := 0;
    amount_out := 0;
    fee := 0;
    if amount <= 0 or reserve_out < 1000000 or reserve_in <= 0 or price is null or price > price_limit then
        return;
    end if;
    fee := div(amount * div(fee_rate * one, 65535), one);
    amount_in := amount - fee;
    if amount_in > 1000 * reserve_in then
        amount_in := 0;
        fee := 0;
        return;
    end if;
    for step in 1..2 loop
        left_over := trunc(scale * (digits * reserve_in / (reserve_in + amount_in)) ^ (digits * weight_in / weight_out));
        left_over := least(one, div(left_over * one, scale));
        amount_out := div(reserve_out * (one - left_over), one);
        -- What would take the price beyond the limit stops there, with a fee on what was taken.
        exit when step = 2 or reserve_out > amount_out and price * (1 + digits * amount_in / reserve_in)
            / (1 - digits * amount_out / reserve_out) <= price_limit;
        amount_in := trunc(reserve_in * ((price_limit / price) ^ (digits * weight_out / (weight_in + weight_out)) - 1));
        fee := trunc(digits * amount_in * fee_rate / nullif(65535 - fee_rate, 0));
    end loop;
    if amount_out = 0 then
        amount_in := 0;
        fee := 0;
    end if;
end
$$;
comment on function swap_estimate(numeric, numeric, numeric, numeric, bigint, bigint, numeric) is
'A swap in a weighted pool as the balancer of the runtime does it (since spec 423): reserves and weights of what goes in and out, fee in /65535, amount, and the highest price. Zeros where the runtime refuses. The power is that of numeric, the runtime''s has 256 bits: the result is within a few rao.';

create function balancer_quote_weight(balancer jsonb) returns numeric
language sql immutable parallel safe as $$
    select coalesce(
        case jsonb_typeof($1) when 'number' then $1 #>> '{}' when 'object' then $1 ->> 'quote' end, '500000000000000000'
    )::numeric
$$;
comment on function balancer_quote_weight(jsonb) is
'Weight of TAO in a pool, /1e18, out of swap_balancer; half where none is stored.';

create function quote_stake_estimate(
    netuid integer, tao_rao bigint, block bigint default null, out tao_in_rao bigint, out alpha_out_rao bigint,
    out tao_fee_rao bigint, out alpha_slippage_rao bigint, out price numeric
)
language plpgsql stable as $$
declare
    at constant bigint := indexed_block('hyperparameters', indexed_block('subnets', block));
    subnet record;
    quote_weight numeric;
begin
    select s.*, spec_at(at) as spec into subnet from subnets_as_of(at) s
    where s.netuid = quote_stake_estimate.netuid and s.networks_added;
    if subnet.netuid is null or tao_rao is null then
        return;
    end if;
    price := subnet.price;
    if subnet.netuid = 0 or coalesce(subnet.subnet_mechanism, 0) <> 1 then
        tao_in_rao := greatest(tao_rao, 0);
        alpha_out_rao := tao_in_rao;
        tao_fee_rao := 0;
        alpha_slippage_rao := 0;
        return;
    end if;
    if subnet.spec < 423 or subnet.swap_superellipse is not null then
        raise exception 'swaps as at block % (spec %) are not simulated: those of the balancer are, since spec 423', at,
            subnet.spec using errcode = 'invalid_parameter_value';
    end if;
    quote_weight := balancer_quote_weight(subnet.swap_balancer);
    select e.amount_in, e.amount_out, e.fee into tao_in_rao, alpha_out_rao, tao_fee_rao
    from swap_estimate(
        coalesce(subnet.subnet_tao, 0), coalesce(subnet.subnet_alpha_in, 0), quote_weight,
        1000000000000000000 - quote_weight,
        (select h.value::bigint from hyperparameter_as_of(subnet.netuid, 'fee_rate', at) h), tao_rao, 1000000
    ) e;
    alpha_slippage_rao := case
        when alpha_out_rao > 0 then greatest(0, trunc(tao_rao / nullif(price, 0)) - alpha_out_rao) else 0
    end;
end
$$;
comment on function quote_stake_estimate(integer, bigint, bigint) is
'What staking so much TAO (rao) into a subnet would give as of a block (NULL: the last committed): TAO that goes into the pool, alpha that comes out, the fee, and how much more alpha the spot price would have given, rao. Within a few rao of the runtime''s simulation; an error before spec 423; zeros where the runtime refuses the swap; NULL: no such subnet.';

create function quote_unstake_estimate(
    netuid integer, alpha_rao bigint, block bigint default null, out alpha_in_rao bigint, out tao_out_rao bigint,
    out alpha_fee_rao bigint, out tao_slippage_rao bigint, out price numeric
)
language plpgsql stable as $$
declare
    at constant bigint := indexed_block('hyperparameters', indexed_block('subnets', block));
    subnet record;
    quote_weight numeric;
begin
    select s.*, spec_at(at) as spec into subnet from subnets_as_of(at) s
    where s.netuid = quote_unstake_estimate.netuid and s.networks_added;
    if subnet.netuid is null or alpha_rao is null then
        return;
    end if;
    price := subnet.price;
    if subnet.netuid = 0 or coalesce(subnet.subnet_mechanism, 0) <> 1 then
        alpha_in_rao := greatest(alpha_rao, 0);
        tao_out_rao := alpha_in_rao;
        alpha_fee_rao := 0;
        tao_slippage_rao := 0;
        return;
    end if;
    if subnet.spec < 423 or subnet.swap_superellipse is not null then
        raise exception 'swaps as at block % (spec %) are not simulated: those of the balancer are, since spec 423', at,
            subnet.spec using errcode = 'invalid_parameter_value';
    end if;
    quote_weight := balancer_quote_weight(subnet.swap_balancer);
    select e.amount_in, e.amount_out, e.fee into alpha_in_rao, tao_out_rao, alpha_fee_rao
    from swap_estimate(
        coalesce(subnet.subnet_alpha_in, 0), coalesce(subnet.subnet_tao, 0), 1000000000000000000 - quote_weight,
        quote_weight,
        (select h.value::bigint from hyperparameter_as_of(subnet.netuid, 'fee_rate', at) h), alpha_rao, 1000000
    ) e;
    tao_slippage_rao := case
        when tao_out_rao > 0 then greatest(0, trunc(alpha_rao * price) - tao_out_rao) else 0
    end;
end
$$;
comment on function quote_unstake_estimate(integer, bigint, bigint) is
'What unstaking so much alpha (rao) from a subnet would give as of a block (NULL: the last committed): alpha that goes into the pool, TAO that comes out, the fee in alpha, and how much more TAO the spot price would have given, rao. As exact as quote_stake_estimate.';
