-- Neurons put together from the tables of the dataset, one row per uid.

create function ip_address(ip numeric, ip_type bigint) returns inet
language sql immutable parallel safe as $$
    select case
        when ip_type = 4 and ip between 0 and 4294967295 then inet '0.0.0.0' + ip::bigint
        when ip_type = 6 and ip between 0 and 340282366920938463463374607431768211455 then (
            select string_agg(to_hex(mod(div(ip, trunc(power(65536::numeric, n))), 65536)::integer), ':' order by n desc)
            from generate_series(0, 7) n
        )::inet
    end
$$;
comment on function ip_address(numeric, bigint) is
'An IP address as the chain keeps it: a number, and its type (4 or 6). NULL where they are no address.';

create view neurons as
select
    u.netuid,
    u.uid,
    hotkey.address as hotkey,
    coldkey.address as coldkey,
    u.registered_at,
    coalesce(v.active, 0) = 1 as active,
    coalesce(v.validator_permit, 0) = 1 as validator_permit,
    coalesce(v.last_update, 0) as last_update,
    case when at.stake_block is not null then
        coalesce(case when at.spec < 233 then p.stake else p.alpha end, 0)
    end as stake_alpha,
    coalesce(v.emission, 0) as emission,
    coalesce(v.incentive, 0) as incentive,
    coalesce(v.consensus, 0) as consensus,
    coalesce(v.validator_trust, 0) as validator_trust,
    coalesce(v.dividends, 0) as dividends,
    case when at.spec < 397 then coalesce(v.rank, 0) else 0 end as rank,
    case when at.spec < 397 then coalesce(v.trust, 0) else 0 end as trust,
    case when at.spec < 397 then coalesce(v.pruning_score, 65535) else 65535 end as pruning_score,
    ip_address(x.axon_ip, x.axon_ip_type) as axon_ip,
    x.axon_port,
    x.axon_version,
    x.axon_protocol,
    x.axon_block,
    ip_address(x.prometheus_ip, x.prometheus_ip_type) as prometheus_ip,
    x.prometheus_port,
    x.prometheus_version,
    x.prometheus_block
from (
    select
        spec_at(c.block_number) as spec,
        (select s.block_number from cursors s where s.dataset = 'stake') as stake_block
    from cursors c where c.dataset = 'neurons'
    offset 0 -- once, and not for each neuron
) at
cross join uids u
left join (
    select s.netuid, e.*
    from (select distinct netuid from neuron_vectors) s
    cross join lateral unnest(
        (select elements from neuron_vectors where (netuid, mechanism, name) = (s.netuid, 0, 'active')),
        (select elements from neuron_vectors where (netuid, mechanism, name) = (s.netuid, 0, 'validator_permit')),
        (select elements from neuron_vectors where (netuid, mechanism, name) = (s.netuid, 0, 'last_update')),
        (select elements from neuron_vectors where (netuid, mechanism, name) = (s.netuid, 0, 'emission')),
        (select elements from neuron_vectors where (netuid, mechanism, name) = (s.netuid, 0, 'incentive')),
        (select elements from neuron_vectors where (netuid, mechanism, name) = (s.netuid, 0, 'consensus')),
        (select elements from neuron_vectors where (netuid, mechanism, name) = (s.netuid, 0, 'validator_trust')),
        (select elements from neuron_vectors where (netuid, mechanism, name) = (s.netuid, 0, 'dividends')),
        (select elements from neuron_vectors where (netuid, mechanism, name) = (s.netuid, 0, 'rank')),
        (select elements from neuron_vectors where (netuid, mechanism, name) = (s.netuid, 0, 'trust')),
        (select elements from neuron_vectors where (netuid, mechanism, name) = (s.netuid, 0, 'pruning_scores'))
    ) with ordinality e (
        active, validator_permit, last_update, emission, incentive, consensus, validator_trust, dividends, rank, trust,
        pruning_score, position
    )
) v on v.netuid = u.netuid and v.position = u.uid + 1
join accounts hotkey on hotkey.account = u.hotkey
left join axons x on x.netuid = u.netuid and x.hotkey = u.hotkey
left join delegates d on d.hotkey = u.hotkey
left join accounts coldkey on coldkey.account = d.owner
left join hotkey_pools p on p.netuid = case when at.spec < 233 then 0 else u.netuid end and p.hotkey = u.hotkey;
comment on view neurons is
'The metagraph as of the last committed block: every neuron of every subnet, as the runtime API get_neurons_lite tells it. Values of mechanisms above 0: neuron_vectors.';
comment on column neurons.netuid is 'Subnet id.';
comment on column neurons.uid is 'Place in the subnet, from 0.';
comment on column neurons.hotkey is 'Hotkey that holds the uid, SS58.';
comment on column neurons.coldkey is 'Owner of the hotkey, SS58; NULL if the chain names none (the API tells 32 zero bytes) or the dataset stake is not indexed.';
comment on column neurons.registered_at is 'Block at which the hotkey took the uid.';
comment on column neurons.active is 'Whether it set weights within the activity cutoff, as of the last epoch.';
comment on column neurons.validator_permit is 'Whether it may set weights as a validator.';
comment on column neurons.last_update is 'Block at which it last set weights, or was registered.';
comment on column neurons.stake_alpha is 'What the hotkey''s pool on the subnet holds, rao of alpha (of TAO on netuid 0; before spec 233 all its stake, rao of TAO). NULL if the dataset stake is not indexed. Not the weight in consensus, to which root stake and children count too.';
comment on column neurons.emission is 'Emission of the last epoch, rao of alpha (before spec 233 of TAO).';
comment on column neurons.incentive is 'Share of miner emission, /65535.';
comment on column neurons.consensus is 'Stake-weighted median of the weights set on it, /65535.';
comment on column neurons.validator_trust is 'Sum of the weights it set, each cut to consensus, /65535.';
comment on column neurons.dividends is 'Share of validator emission, /65535.';
comment on column neurons.rank is 'Rank, /65535; since spec 397 the chain keeps none and its API tells 0, as this does.';
comment on column neurons.trust is 'Trust, /65535; since spec 397 the chain keeps none and its API tells 0, as this does.';
comment on column neurons.pruning_score is 'The lowest was replaced next, /65535; since spec 397 the chain keeps none and its API tells 65535, as this does.';
comment on column neurons.axon_ip is 'Where it serves, as it tells itself; NULL: it does not (the API tells zeros).';
comment on column neurons.axon_port is 'Port of its axon.';
comment on column neurons.axon_version is 'Version its axon tells.';
comment on column neurons.axon_protocol is 'Protocol its axon tells.';
comment on column neurons.axon_block is 'Block at which it told its axon.';
comment on column neurons.prometheus_ip is 'Where it serves metrics, as it tells itself; NULL: it does not.';
comment on column neurons.prometheus_port is 'Port of its metrics.';
comment on column neurons.prometheus_version is 'Version its metrics tell.';
comment on column neurons.prometheus_block is 'Block at which it told its metrics.';

create function neuron_vector(netuid integer, name text, block bigint, mechanism bigint default 0) returns bigint[]
language sql stable as $$
    select h.elements from neuron_vector_history h
    where h.netuid = $1 and h.mechanism = $4 and h.name = $2 and h.block_number <= $3
    order by h.block_number desc limit 1
$$;
comment on function neuron_vector(integer, text, bigint, bigint) is
'A vector of neuron_vectors as of a block, whose element uid + 1 is that of the uid; NULL if there is none. It does not ask whether the block is indexed: neurons_at and neuron_vectors_at do.';

create function neurons_at(block bigint default null, of_netuid integer[] default null) returns setof neurons
language sql stable rows 256 as $$
    with at as materialized (
        select
            b.block,
            spec_at(b.block) as spec,
            exists (
                select from cursors c where c.dataset = 'stake' and b.block between c.start_block and c.block_number
            ) as has_stake
        from indexed_block('neurons', $1) b (block)
    ),
    subnets as materialized (
        select n.netuid from generate_series(0, (select max(h.netuid) from uid_history h)) n (netuid) where $2 is null
        union
        select unnest($2)
    ),
    holders as materialized (
        select s.netuid, n.uid, u.hotkey, u.registered_at
        from at
        cross join subnets s
        cross join lateral generate_series(0, (select max(h.uid) from uid_history h where h.netuid = s.netuid)) n (uid)
        cross join lateral (
            select * from uid_history h
            where h.netuid = s.netuid and h.uid = n.uid and h.block_number <= at.block
            order by h.block_number desc limit 1
        ) u
        where u.hotkey is not null
    ),
    vectors as materialized (
        select s.netuid, e.*
        from at
        cross join subnets s
        cross join lateral unnest(
            neuron_vector(s.netuid, 'active', at.block),
            neuron_vector(s.netuid, 'validator_permit', at.block),
            neuron_vector(s.netuid, 'last_update', at.block),
            neuron_vector(s.netuid, 'emission', at.block),
            neuron_vector(s.netuid, 'incentive', at.block),
            neuron_vector(s.netuid, 'consensus', at.block),
            neuron_vector(s.netuid, 'validator_trust', at.block),
            neuron_vector(s.netuid, 'dividends', at.block),
            neuron_vector(s.netuid, 'rank', at.block),
            neuron_vector(s.netuid, 'trust', at.block),
            neuron_vector(s.netuid, 'pruning_scores', at.block)
        ) with ordinality e (
            active, validator_permit, last_update, emission, incentive, consensus, validator_trust, dividends, rank,
            trust, pruning_score, position
        )
    )
    select
        u.netuid,
        u.uid,
        (select a.address from accounts a where a.account = u.hotkey),
        (select a.address from accounts a where a.account = d.owner),
        u.registered_at,
        coalesce(v.active, 0) = 1,
        coalesce(v.validator_permit, 0) = 1,
        coalesce(v.last_update, 0),
        case when at.has_stake then coalesce(case when at.spec < 233 then p.stake else p.alpha end, 0) end,
        coalesce(v.emission, 0),
        coalesce(v.incentive, 0),
        coalesce(v.consensus, 0),
        coalesce(v.validator_trust, 0),
        coalesce(v.dividends, 0),
        case when at.spec < 397 then coalesce(v.rank, 0) else 0 end,
        case when at.spec < 397 then coalesce(v.trust, 0) else 0 end,
        case when at.spec < 397 then coalesce(v.pruning_score, 65535) else 65535 end,
        ip_address(x.axon_ip, x.axon_ip_type),
        x.axon_port,
        x.axon_version,
        x.axon_protocol,
        x.axon_block,
        ip_address(x.prometheus_ip, x.prometheus_ip_type),
        x.prometheus_port,
        x.prometheus_version,
        x.prometheus_block
    from at
    cross join holders u
    left join vectors v on v.netuid = u.netuid and v.position = u.uid + 1
    left join lateral (
        select * from axon_history h
        where h.netuid = u.netuid and h.hotkey = u.hotkey and h.block_number <= at.block
        order by h.block_number desc limit 1
    ) x on true
    left join lateral (
        select h.owner from delegate_history h
        where at.has_stake and h.hotkey = u.hotkey and h.block_number <= at.block
        order by h.block_number desc limit 1
    ) d on true
    left join lateral (
        select h.stake, h.alpha from hotkey_pools_history h
        where at.has_stake and h.netuid = case when at.spec < 233 then 0 else u.netuid end and h.hotkey = u.hotkey
            and h.block_number <= at.block
        order by h.block_number desc limit 1
    ) p on true
$$;
comment on function neurons_at(bigint, integer[]) is
'The metagraph as of a block (NULL: the last committed), of some subnets or of all: the columns of the view neurons.';

create function netuids_for_hotkey(hotkey text, block bigint default null) returns setof integer
language sql stable as $$
    select r.netuid from registrations_at($2, of_hotkey => array[$1]) r where r.is_network_member order by r.netuid
$$;
comment on function netuids_for_hotkey(text, bigint) is
'Subnets a hotkey is registered on, as of a block (NULL: the last committed). Of many hotkeys at once: registrations_at.';

create function uid(hotkey text, netuid integer, block bigint default null) returns bigint
language sql stable as $$
    select r.uid from registrations_at($3, of_hotkey => array[$1], of_netuid => array[$2]) r
$$;
comment on function uid(text, integer, bigint) is
'The uid of a hotkey on a subnet, as of a block (NULL: the last committed); NULL if it has none. Of many hotkeys at once: registrations_at.';

create function blocks_since_last_update(netuid integer, uid integer, block bigint default null) returns bigint
language sql stable as $$
    select at.block - (neuron_vector($1, 'last_update', at.block))[$2 + 1] from indexed_block('neurons', $3) at (block)
$$;
comment on function blocks_since_last_update(integer, integer, bigint) is
'Blocks since a neuron last set weights (or was registered), as of a block (NULL: the last committed); NULL if there is no such uid. Of a whole subnet: block - last_update from neurons_at.';
