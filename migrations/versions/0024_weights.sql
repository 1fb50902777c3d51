-- Weights and bonds as of a block: the rows as stored, and taken apart by target.

create function weight_rows_at(
    block bigint default null,
    of_netuid integer[] default null,
    of_mechanism bigint[] default null,
    of_uid bigint[] default null
)
returns table ("netuid" integer, "mechanism" bigint, "uid" bigint, "targets" bigint[], "weights" bigint[], since_block bigint)
language plpgsql stable as $$
declare
    at constant bigint := indexed_block('weights', block);
    chosen constant text := ''
        || case when of_netuid is null then '' else ' and k.netuid = any($2)' end
        || case when of_mechanism is null then '' else ' and k.mechanism = any($3)' end
        || case when of_uid is null then '' else ' and k.uid = any($4)' end;
begin
    return query execute
        'with keys as (
            select k.netuid, k.mechanism, k.uid from weight_rows k where true' || chosen || '
            union
            select k.netuid, k.mechanism, k.uid from weight_row_history k
            where not k."exists" and k.block_number > $1' || chosen || '
        )
        select
            k."netuid",
            k."mechanism",
            k."uid",
            h."targets",
            h."weights",
            h.block_number
        from keys k
        cross join lateral (
            select * from weight_row_history h
            where h.netuid = k.netuid and h.mechanism = k.mechanism and h.uid = k.uid and h.block_number <= $1
            order by h.block_number desc limit 1
        ) h
        where h."exists"'
    using at, of_netuid, of_mechanism, of_uid;
end
$$;
comment on function weight_rows_at(bigint, integer[], bigint[], bigint[]) is
'Weights as validators set them, a row per validator. As of a block (NULL: the last committed), of these keys only where they are given; since_block: the block that gave the row its values.';

create function bond_rows_at(
    block bigint default null,
    of_netuid integer[] default null,
    of_mechanism bigint[] default null,
    of_uid bigint[] default null
)
returns table ("netuid" integer, "mechanism" bigint, "uid" bigint, "targets" bigint[], "bonds" bigint[], since_block bigint)
language plpgsql stable as $$
declare
    at constant bigint := indexed_block('bonds', block);
    chosen constant text := ''
        || case when of_netuid is null then '' else ' and k.netuid = any($2)' end
        || case when of_mechanism is null then '' else ' and k.mechanism = any($3)' end
        || case when of_uid is null then '' else ' and k.uid = any($4)' end;
begin
    return query execute
        'with keys as (
            select k.netuid, k.mechanism, k.uid from bond_rows k where true' || chosen || '
            union
            select k.netuid, k.mechanism, k.uid from bond_row_history k
            where not k."exists" and k.block_number > $1' || chosen || '
        )
        select
            k."netuid",
            k."mechanism",
            k."uid",
            h."targets",
            h."bonds",
            h.block_number
        from keys k
        cross join lateral (
            select * from bond_row_history h
            where h.netuid = k.netuid and h.mechanism = k.mechanism and h.uid = k.uid and h.block_number <= $1
            order by h.block_number desc limit 1
        ) h
        where h."exists"'
    using at, of_netuid, of_mechanism, of_uid;
end
$$;
comment on function bond_rows_at(bigint, integer[], bigint[], bigint[]) is
'Bonds of validators, a row per validator. As of a block (NULL: the last committed), of these keys only where they are given; since_block: the block that gave the row its values.';

create function weight_commits_at(
    block bigint default null,
    of_netuid integer[] default null,
    of_mechanism bigint[] default null,
    of_epoch bigint[] default null
)
returns table ("netuid" integer, "mechanism" bigint, "epoch" bigint, "timelocked" jsonb, "crv3_v2" jsonb, "crv3" jsonb, since_block bigint)
language plpgsql stable as $$
declare
    at constant bigint := indexed_block('weight_commits', block);
    chosen constant text := ''
        || case when of_netuid is null then '' else ' and k.netuid = any($2)' end
        || case when of_mechanism is null then '' else ' and k.mechanism = any($3)' end
        || case when of_epoch is null then '' else ' and k.epoch = any($4)' end;
begin
    return query execute
        'with keys as (
            select k.netuid, k.mechanism, k.epoch from weight_commits k where true' || chosen || '
            union
            select k.netuid, k.mechanism, k.epoch from weight_commit_history k
            where not k."exists" and k.block_number > $1' || chosen || '
        )
        select
            k."netuid",
            k."mechanism",
            k."epoch",
            h."timelocked",
            h."crv3_v2",
            h."crv3",
            h.block_number
        from keys k
        cross join lateral (
            select * from weight_commit_history h
            where h.netuid = k.netuid and h.mechanism = k.mechanism and h.epoch = k.epoch and h.block_number <= $1
            order by h.block_number desc limit 1
        ) h
        where h."exists"'
    using at, of_netuid, of_mechanism, of_epoch;
end
$$;
comment on function weight_commits_at(bigint, integer[], bigint[], bigint[]) is
'Sealed weights of validators, a row per epoch. As of a block (NULL: the last committed), of these keys only where they are given; since_block: the block that gave the row its values.';

create view weights as
select
    r.netuid,
    r.mechanism,
    r.uid,
    t.target,
    t.weight,
    t.weight / nullif(sum(t.weight) over (partition by r.netuid, r.mechanism, r.uid), 0) as fraction,
    r.block_number
from weight_rows r
cross join lateral unnest(r.targets, r.weights) as t (target, weight);
comment on view weights is
'What every validator has set on whom, now. The dataset weights is off by default.';
comment on column weights.netuid is 'Subnet id.';
comment on column weights.mechanism is 'Mechanism of the subnet, from 0.';
comment on column weights.uid is 'Validator that set it.';
comment on column weights.target is 'Uid it is set on.';
comment on column weights.weight is 'Weight as stored (u16).';
comment on column weights.fraction is 'Its part of all that the validator set there; NULL where that is 0.';
comment on column weights.block_number is 'Block at which the validator set it.';

create view bonds as
select
    r.netuid,
    r.mechanism,
    r.uid,
    t.target,
    t.bond,
    t.bond / 65535::numeric as fraction,
    r.block_number
from bond_rows r
cross join lateral unnest(r.targets, r.bonds) as t (target, bond);
comment on view bonds is
'What every validator holds in whom, now. The dataset bonds is off by default.';
comment on column bonds.netuid is 'Subnet id.';
comment on column bonds.mechanism is 'Mechanism of the subnet, from 0.';
comment on column bonds.uid is 'Validator that holds it.';
comment on column bonds.target is 'Uid it is held in.';
comment on column bonds.bond is 'Bond as stored (u16).';
comment on column bonds.fraction is 'The same, 65535 being 1.';
comment on column bonds.block_number is 'Block that gave the bonds of the validator their present values.';

create function weights_at(
    block bigint default null,
    of_netuid integer[] default null,
    of_mechanism bigint[] default null,
    of_uid bigint[] default null,
    of_target bigint[] default null
)
returns table (
    netuid integer, mechanism bigint, uid bigint, target bigint, weight bigint, fraction numeric, since_block bigint
)
language sql stable as $$
    select r.netuid, r.mechanism, r.uid, t.target, t.weight, t.weight / nullif(s.total, 0), r.since_block
    from weight_rows_at(block, of_netuid, of_mechanism, of_uid) r
    cross join lateral (select sum(w) as total from unnest(r.weights) w) s
    cross join lateral unnest(r.targets, r.weights) as t (target, weight)
    where of_target is null or t.target = any(of_target)
$$;
comment on function weights_at(bigint, integer[], bigint[], bigint[], bigint[]) is
'What validators (uid) had set on whom (target) as of a block, NULL for the last committed: weight as stored, fraction of all that the validator had set there (NULL where that is 0); since_block: the block at which it was set.';

create function bonds_at(
    block bigint default null,
    of_netuid integer[] default null,
    of_mechanism bigint[] default null,
    of_uid bigint[] default null,
    of_target bigint[] default null
)
returns table (
    netuid integer, mechanism bigint, uid bigint, target bigint, bond bigint, fraction numeric, since_block bigint
)
language sql stable as $$
    select r.netuid, r.mechanism, r.uid, t.target, t.bond, t.bond / 65535::numeric, r.since_block
    from bond_rows_at(block, of_netuid, of_mechanism, of_uid) r
    cross join lateral unnest(r.targets, r.bonds) as t (target, bond)
    where of_target is null or t.target = any(of_target)
$$;
comment on function bonds_at(bigint, integer[], bigint[], bigint[], bigint[]) is
'What validators (uid) held in whom (target) as of a block, NULL for the last committed: bond as stored, fraction with 65535 as 1; since_block: the block that gave the validator its bonds.';

create function timelocked_weight_commits_at(
    block bigint default null,
    of_netuid integer[] default null,
    of_mechanism bigint[] default null,
    of_epoch bigint[] default null
)
returns table (
    netuid integer, mechanism bigint, epoch bigint, n bigint, hotkey text, committed_block bigint,
    reveal_round numeric, reveals_at timestamptz, ciphertext text, since_block bigint
)
language sql stable as $$
    select
        c.netuid, c.mechanism, c.epoch, e.n, e.told ->> 'hotkey', (e.told ->> 'block')::bigint,
        r.round,
        case when r.round between 1 and 1000000000000 then to_timestamp((1692803367 + (r.round - 1) * 3)::double precision) end,
        e.told ->> 'ciphertext', c.since_block
    from weight_commits_at(block, of_netuid, of_mechanism, of_epoch) c
    cross join lateral (values (c.timelocked), (c.crv3_v2), (c.crv3)) as v (listed)
    cross join lateral jsonb_array_elements(v.listed) with ordinality e (told, n)
    cross join lateral (select (e.told ->> 'round')::numeric as round) r
$$;
comment on function timelocked_weight_commits_at(bigint, integer[], bigint[], bigint[]) is
'Sealed weights that the chain had not opened yet as of a block, NULL for the last committed, in order (n from 1) per epoch: who committed, at which block (NULL in runtimes that did not tell), what as hex, and when drand makes the key of the round known (reveals_at; NULL for a round that never comes).';
