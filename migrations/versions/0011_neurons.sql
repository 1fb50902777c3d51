-- The dataset neurons as of a block.

create function uids_at(
    block bigint default null,
    of_netuid integer[] default null,
    of_uid bigint[] default null
)
returns table ("netuid" integer, "uid" bigint, "hotkey" text, "registered_at" bigint, since_block bigint)
language plpgsql stable as $$
declare
    at constant bigint := indexed_block('neurons', block);
    chosen constant text := ''
        || case when of_netuid is null then '' else ' and k.netuid = any($2)' end
        || case when of_uid is null then '' else ' and k.uid = any($3)' end;
begin
    return query execute
        'with keys as (
            select k.netuid, k.uid from uids k where true' || chosen || '
            union
            select k.netuid, k.uid from uid_history k
            where not k."exists" and k.block_number > $1' || chosen || '
        )
        select
            k."netuid",
            k."uid",
            (select a.address from accounts a where a.account = h."hotkey"),
            h."registered_at",
            h.block_number
        from keys k
        cross join lateral (
            select * from uid_history h
            where h.netuid = k.netuid and h.uid = k.uid and h.block_number <= $1
            order by h.block_number desc limit 1
        ) h
        where h."exists"'
    using at, of_netuid, of_uid;
end
$$;
comment on function uids_at(bigint, integer[], bigint[]) is
'Who holds which uid of a subnet, and since when. As of a block (NULL: the last committed), of these keys only where they are given; since_block: the block that gave the row its values.';

create function registrations_at(
    block bigint default null,
    of_hotkey text[] default null,
    of_netuid integer[] default null
)
returns table ("hotkey" text, "netuid" integer, "is_network_member" boolean, "uid" bigint, since_block bigint)
language plpgsql stable as $$
declare
    at constant bigint := indexed_block('neurons', block);
    chosen constant text := ''
        || case when of_hotkey is null then '' else ' and k.hotkey = any($2)' end
        || case when of_netuid is null then '' else ' and k.netuid = any($3)' end;
begin
    return query execute
        'with keys as (
            select k.hotkey, k.netuid from registrations k where true' || chosen || '
            union
            select k.hotkey, k.netuid from registration_history k
            where not k."exists" and k.block_number > $1' || chosen || '
        )
        select
            (select a.address from accounts a where a.account = k."hotkey"),
            k."netuid",
            h."is_network_member",
            h."uid",
            h.block_number
        from keys k
        cross join lateral (
            select * from registration_history h
            where h.hotkey = k.hotkey and h.netuid = k.netuid and h.block_number <= $1
            order by h.block_number desc limit 1
        ) h
        where h."exists"'
    using at, account_ids(of_hotkey), of_netuid;
end
$$;
comment on function registrations_at(bigint, text[], integer[]) is
'On which subnets a hotkey is registered, and under which uid. As of a block (NULL: the last committed), of these keys only where they are given; since_block: the block that gave the row its values.';

create function neuron_vectors_at(
    block bigint default null,
    of_netuid integer[] default null,
    of_mechanism bigint[] default null,
    of_name text[] default null
)
returns table ("netuid" integer, "mechanism" bigint, "name" text, "elements" bigint[], since_block bigint)
language plpgsql stable as $$
declare
    at constant bigint := indexed_block('neurons', block);
    chosen constant text := ''
        || case when of_netuid is null then '' else ' and k.netuid = any($2)' end
        || case when of_mechanism is null then '' else ' and k.mechanism = any($3)' end
        || case when of_name is null then '' else ' and k.name = any($4)' end;
begin
    return query execute
        'with keys as (
            select k.netuid, k.mechanism, k.name from neuron_vectors k where true' || chosen || '
            union
            select k.netuid, k.mechanism, k.name from neuron_vector_history k
            where not k."exists" and k.block_number > $1' || chosen || '
        )
        select
            k."netuid",
            k."mechanism",
            k."name",
            h."elements",
            h.block_number
        from keys k
        cross join lateral (
            select * from neuron_vector_history h
            where h.netuid = k.netuid and h.mechanism = k.mechanism and h.name = k.name and h.block_number <= $1
            order by h.block_number desc limit 1
        ) h
        where h."exists"'
    using at, of_netuid, of_mechanism, of_name;
end
$$;
comment on function neuron_vectors_at(bigint, integer[], bigint[], text[]) is
'What is told of every uid of a subnet, a row per vector, as stored: see neurons. As of a block (NULL: the last committed), of these keys only where they are given; since_block: the block that gave the row its values.';

create function axons_at(
    block bigint default null,
    of_netuid integer[] default null,
    of_hotkey text[] default null
)
returns table ("netuid" integer, "hotkey" text, "axon_block" bigint, "axon_version" bigint, "axon_ip" numeric, "axon_port" bigint, "axon_ip_type" bigint, "axon_protocol" bigint, "axon_placeholder1" bigint, "axon_placeholder2" bigint, "axon_other" jsonb, "prometheus_block" bigint, "prometheus_version" bigint, "prometheus_ip" numeric, "prometheus_port" bigint, "prometheus_ip_type" bigint, "prometheus_other" jsonb, "certificate_public_key" bytea, "certificate_algorithm" bigint, "certificate_other" jsonb, since_block bigint)
language plpgsql stable as $$
declare
    at constant bigint := indexed_block('neurons', block);
    chosen constant text := ''
        || case when of_netuid is null then '' else ' and k.netuid = any($2)' end
        || case when of_hotkey is null then '' else ' and k.hotkey = any($3)' end;
begin
    return query execute
        'with keys as (
            select k.netuid, k.hotkey from axons k where true' || chosen || '
            union
            select k.netuid, k.hotkey from axon_history k
            where not k."exists" and k.block_number > $1' || chosen || '
        )
        select
            k."netuid",
            (select a.address from accounts a where a.account = k."hotkey"),
            h."axon_block",
            h."axon_version",
            h."axon_ip",
            h."axon_port",
            h."axon_ip_type",
            h."axon_protocol",
            h."axon_placeholder1",
            h."axon_placeholder2",
            h."axon_other",
            h."prometheus_block",
            h."prometheus_version",
            h."prometheus_ip",
            h."prometheus_port",
            h."prometheus_ip_type",
            h."prometheus_other",
            h."certificate_public_key",
            h."certificate_algorithm",
            h."certificate_other",
            h.block_number
        from keys k
        cross join lateral (
            select * from axon_history h
            where h.netuid = k.netuid and h.hotkey = k.hotkey and h.block_number <= $1
            order by h.block_number desc limit 1
        ) h
        where h."exists"'
    using at, of_netuid, account_ids(of_hotkey);
end
$$;
comment on function axons_at(bigint, integer[], text[]) is
'Where neurons serve, as they tell it themselves; NULL: they tell nothing. As of a block (NULL: the last committed), of these keys only where they are given; since_block: the block that gave the row its values.';
