-- The dataset identities as of a block.

create function identities_at(
    block bigint default null,
    of_coldkey text[] default null
)
returns table ("coldkey" text, "first_layout" jsonb, "identity" jsonb, since_block bigint)
language plpgsql stable as $$
declare
    at constant bigint := indexed_block('identities', block);
    chosen constant text := ''
        || case when of_coldkey is null then '' else ' and k.coldkey = any($2)' end;
begin
    return query execute
        'with keys as (
            select k.coldkey from identities k where true' || chosen || '
            union
            select k.coldkey from identity_history k
            where not k."exists" and k.block_number > $1' || chosen || '
        )
        select
            (select a.address from accounts a where a.account = k."coldkey"),
            h."first_layout",
            h."identity",
            h.block_number
        from keys k
        cross join lateral (
            select * from identity_history h
            where h.coldkey = k.coldkey and h.block_number <= $1
            order by h.block_number desc limit 1
        ) h
        where h."exists"'
    using at, account_ids(of_coldkey);
end
$$;
comment on function identities_at(bigint, text[]) is
'What accounts tell of themselves, as stored. As of a block (NULL: the last committed), of these keys only where they are given; since_block: the block that gave the row its values.';
