-- Formulas are chosen by the runtime that executed a block.

create function spec_at(block bigint) returns integer
language sql stable as $$
    select coalesce(
        (select b.spec_version from blocks b where b.block_number = $1),
        (select r.spec_version from runtimes r where r.first_block <= $1 order by r.first_block desc limit 1)
    )::integer
$$;
comment on function spec_at(bigint) is
'spec_version of the runtime that executed the block: the one in the state of its parent.';
