-- Balances as of a block.

create function balance_at(address text, block bigint default null)
returns table (free bigint, reserved bigint, frozen bigint, nonce bigint)
language sql stable as $$
    with at as materialized (select indexed_block('balances', $2) as block, account_id($1) as account)
    select
        coalesce(h.free, 0),
        coalesce(h.reserved, 0),
        coalesce(h.frozen, greatest(h.misc_frozen, h.fee_frozen), 0),
        coalesce(h.nonce, 0)
    from at
    left join lateral (
        select * from balance_history h
        where h.account = at.account and h.block_number <= at.block
        order by h.block_number desc limit 1
    ) h on true
$$;
comment on function balance_at(text, bigint) is
'Balance of an address as of a block (NULL: the last committed), in rao: free, reserved, frozen, and nonce. An account that does not exist has zeros. Before spec ~146 frozen is the larger of the two locks of the old layout.';
