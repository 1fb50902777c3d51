-- The dataset network as of a block.

create function chain_values_at(
    block bigint default null,
    of_name text[] default null
)
returns table ("name" text, "value" jsonb, since_block bigint)
language plpgsql stable as $$
declare
    at constant bigint := indexed_block('network', block);
    chosen constant text := ''
        || case when of_name is null then '' else ' and k.name = any($2)' end;
begin
    return query execute
        'with keys as (
            select k.name from chain_values k where true' || chosen || '
            union
            select k.name from chain_value_history k
            where not k."exists" and k.block_number > $1' || chosen || '
        )
        select
            k."name",
            h."value",
            h.block_number
        from keys k
        cross join lateral (
            select * from chain_value_history h
            where h.name = k.name and h.block_number <= $1
            order by h.block_number desc limit 1
        ) h
        where h."exists"'
    using at, of_name;
end
$$;
comment on function chain_values_at(bigint, text[]) is
'Values that the chain keeps once, by name, as stored: keys of MEV Shield, sudo, EVM and the like. As of a block (NULL: the last committed), of these keys only where they are given; since_block: the block that gave the row its values.';

create view runtime_constants as
select
    p.pallet, c.name, case when jsonb_typeof(c.value) = 'number' then c.value::numeric end as value, c.value as value_json
from constant_sets s
cross join lateral jsonb_each(s.value) p (pallet, members)
cross join lateral jsonb_each(p.members) c (name, value);
comment on view runtime_constants is
'Constants of the runtime of the last committed block, as its metadata lists them.';
comment on column runtime_constants.pallet is 'Pallet.';
comment on column runtime_constants.name is 'Name of the constant.';
comment on column runtime_constants.value is 'Value as a number; NULL where it is none.';
comment on column runtime_constants.value_json is 'Value as JSON; bytes that are no text as {hex: …}.';

create function runtime_constants_at(
    block bigint default null, of_pallet text[] default null, of_name text[] default null
) returns setof runtime_constants
language sql stable as $$
    select p.pallet, c.name, case when jsonb_typeof(c.value) = 'number' then c.value::numeric end, c.value
    from indexed_block('network', $1) at (block)
    cross join lateral (
        select h.value from constant_set_history h
        where h.name = 'constants' and h.block_number <= at.block
        order by h.block_number desc limit 1
    ) s
    cross join lateral jsonb_each(s.value) p (pallet, members)
    cross join lateral jsonb_each(p.members) c (name, value)
    where ($2 is null or p.pallet = any($2)) and ($3 is null or c.name = any($3))
$$;
comment on function runtime_constants_at(bigint, text[], text[]) is
'Constants of the runtime that executed a block (NULL: the last committed): the columns of the view runtime_constants, of all or of some pallets and names.';
