-- Effective values: what is stored, else the default of the runtime that executed the block.

create function hyperparameter_as_of(scope integer, parameter text, block bigint)
returns table (value numeric, value_json jsonb, is_default boolean)
language sql stable as $$
    select
        case when u.by_default then d.value else s.value end,
        case when u.by_default then d.value_json else s.value_json end,
        u.by_default
    from (values (1)) one
    left join lateral (
        select * from stored_hyperparameter_history h
        where h.netuid = $1 and h.name = $2 and h.block_number <= $3
        order by h.block_number desc limit 1
    ) s on s."exists"
    left join lateral (
        select * from hyperparameter_default_history h
        where h.name = $2 and h.is_network = ($1 = -1) and h.block_number <= $3
        order by h.block_number desc limit 1
    ) d on d."exists"
    cross join lateral (select s.name is null or coalesce(d.is_constant, false) as by_default) u
    where s.name is not null or d.name is not null
$$;
comment on function hyperparameter_as_of(integer, text, bigint) is
'One parameter of a subnet (scope -1: of the network) as of a block: stored, else the default; no row if the runtime has no such parameter and none is stored. The block is not checked.';

create function effective_hyperparameter(scope integer, parameter text, block bigint)
returns table (value numeric, value_json jsonb, is_default boolean)
language sql stable as $$
    select
        greatest(own.value, network.value),
        case when network.value > own.value then network.value_json else own.value_json end,
        own.is_default
    from hyperparameter_as_of($1, $2, $3) own
    left join lateral hyperparameter_as_of(-1, 'min_childkey_take', $3) network
        on $2 = 'min_childkey_take' and $1 <> -1
$$;
comment on function effective_hyperparameter(integer, text, bigint) is
'One parameter as the runtime uses it: as hyperparameter_as_of, but min_childkey_take of a subnet is not below that of the network.';

create function hyperparameters_at(netuid integer, block bigint default null)
returns table (name text, value numeric, value_json jsonb, is_default boolean)
language sql stable as $$
    with at as materialized (select indexed_block('hyperparameters', $2) as block, coalesce($1, -1) as scope)
    select n.name, v.value, v.value_json, v.is_default
    from at
    cross join lateral (
        select distinct h.name from hyperparameter_default_history h where h.is_network = (at.scope = -1)
    ) n
    cross join lateral effective_hyperparameter(at.scope, n.name, at.block) v
    where at.scope = -1
        or exists (select from hyperparameter_as_of(at.scope, 'networks_added', at.block) e where e.value = 1)
    order by n.name
$$;
comment on function hyperparameters_at(integer, bigint) is
'Hyperparameters of a subnet, or of the network for netuid NULL, as of a block (NULL: the last committed): the value as a number and as JSON, and whether it is a default. No rows for a subnet that does not exist at the block.';

create view hyperparameters as
with at as materialized (select block_number as block from cursors where dataset = 'hyperparameters')
select s.netuid, n.name, v.value, v.value_json, v.is_default
from at
cross join stored_hyperparameters s
cross join (select distinct name from hyperparameter_default_history where not is_network) n
cross join lateral effective_hyperparameter(s.netuid, n.name, at.block) v
where s.name = 'networks_added' and s.value = 1
union all
select null, n.name, v.value, v.value_json, v.is_default
from at
cross join (select distinct name from hyperparameter_default_history where is_network) n
cross join lateral effective_hyperparameter(-1, n.name, at.block) v;
comment on view hyperparameters is
'Hyperparameters of all subnets and of the network as of the last committed block, effective: stored or default.';
comment on column hyperparameters.netuid is 'Subnet id; NULL for parameters of the network.';
comment on column hyperparameters.name is 'Name as the runtime API gives it, else snake case of the storage item.';
comment on column hyperparameters.value is 'Effective value as a number; NULL where it is none or nothing is set.';
comment on column hyperparameters.value_json is 'Effective value as JSON: lists, names of enum variants, addresses, bits of fixed point.';
comment on column hyperparameters.is_default is 'True: nothing is stored, the default of the runtime holds.';

-- A value changes where a key is written, where a default moves under an absent key, and where a subnet
-- appears or goes: those are the points at which the effective value is looked up.
create view hyperparameter_history as
select k.netuid, k.name, k.block_number, v.value, v.value_json, v.is_default, v.is_default is not null as "exists"
from (
    select netuid, name, block_number
    from stored_hyperparameter_history
    where netuid >= 0 and name <> 'networks_added'
    union
    select e.netuid, d.name, d.block_number
    from hyperparameter_default_history d
    cross join (select distinct netuid from stored_hyperparameter_history where name = 'networks_added') e
    left join lateral hyperparameter_as_of(e.netuid, d.name, d.block_number) was on true
    where not d.is_network and was.is_default is not false
        and exists (select from hyperparameter_as_of(e.netuid, 'networks_added', d.block_number) x where x.value = 1)
    union
    select e.netuid, n.name, e.block_number
    from stored_hyperparameter_history e
    cross join (select distinct name from hyperparameter_default_history where not is_network) n
    where e.name = 'networks_added' and exists (select from hyperparameter_as_of(e.netuid, n.name, e.block_number))
) k
left join lateral (
    select v.* from effective_hyperparameter(k.netuid, k.name, k.block_number) v
    where exists (select from hyperparameter_as_of(k.netuid, 'networks_added', k.block_number) x where x.value = 1)
) v on true
union all
select null, k.name, k.block_number, v.value, v.value_json, v.is_default, v.is_default is not null
from (
    select name, block_number from stored_hyperparameter_history where netuid = -1
    union
    select d.name, d.block_number
    from hyperparameter_default_history d
    left join lateral hyperparameter_as_of(-1, d.name, d.block_number) was on true
    where d.is_network and was.is_default is not false
) k
left join lateral effective_hyperparameter(-1, k.name, k.block_number) v on true;
comment on view hyperparameter_history is
'Effective hyperparameters at every block that changed them: by a write, by a default that moved with a runtime, or because the subnet appeared or went.';
comment on column hyperparameter_history.netuid is 'Subnet id; NULL for parameters of the network.';
comment on column hyperparameter_history.name is 'Name as the runtime API gives it, else snake case of the storage item.';
comment on column hyperparameter_history.block_number is 'First block with this value; it holds until the next row of the name.';
comment on column hyperparameter_history.value is 'Effective value as a number; NULL where it is none or nothing is set.';
comment on column hyperparameter_history.value_json is 'Effective value as JSON.';
comment on column hyperparameter_history.is_default is 'True: nothing is stored, the default of the runtime holds.';
comment on column hyperparameter_history."exists" is 'False: the subnet or the parameter does not exist from this block on.';
