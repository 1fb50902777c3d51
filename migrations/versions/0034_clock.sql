-- Reads that move with the block number alone: nothing of them is stored.

create function block_time(block bigint default null) returns numeric
language sql stable as $$
    select coalesce(
        (select c.value / 1000 from runtime_constants_at($1, '{Aura}', '{SlotDuration}') c),
        (select c.value / 500 from runtime_constants_at($1, '{Timestamp}', '{MinimumPeriod}') c)
    )
$$;
comment on function block_time(bigint) is
'Seconds from block to block that the runtime of a block (NULL: the last committed) aims at: 12, or 0.25 on a chain with fast blocks. Older runtimes do not tell it; there it is twice the minimum period, as they have it.';

create function is_fast_blocks(block bigint default null) returns boolean
language sql stable as $$ select block_time($1) = 0.25 $$;
comment on function is_fast_blocks(bigint) is
'Whether the chain runs fast blocks, one every 0.25 seconds, as of a block (NULL: the last committed): test chains do.';

create function existential_deposit(block bigint default null) returns bigint
language sql stable as $$
    select c.value::bigint from runtime_constants_at($1, '{Balances}', '{ExistentialDeposit}') c
$$;
comment on function existential_deposit(bigint) is
'The least that an account may hold, rao: a constant of the runtime of a block (NULL: the last committed).';

create function epoch_status_at(block bigint default null, of_netuid integer[] default null)
returns table (
    netuid integer, tempo bigint, epoch_index bigint, last_epoch_block bigint, blocks_since_last_step bigint,
    pending_epoch_at bigint, next_epoch_start_block bigint, blocks_remaining bigint, seconds_remaining numeric
)
language plpgsql stable as $$
#variable_conflict use_column
declare
    at constant bigint := indexed_block('hyperparameters', indexed_block('subnets', block));
    spec constant integer := spec_at(at);
    seconds constant numeric := case when exists (
        select from cursors c where c.dataset = 'network' and at between c.start_block and c.block_number
    ) then block_time(at) end;
begin
    return query select
        s.netuid,
        t.tempo,
        p.subnet_epoch_index,
        coalesce(p.last_epoch_block, 0),
        coalesce(p.blocks_since_last_step, 0),
        nullif(p.pending_epoch_at, 0),
        n.next,
        case when n.next is not null then greatest(0, n.next - at) end,
        case when n.next is not null then greatest(0, n.next - at) * seconds end
    from (
        select k.netuid from subnet_info k where of_netuid is null or k.netuid = any(of_netuid)
        union
        select h.netuid from subnet_info_history h
        where not h."exists" and h.block_number > at and (of_netuid is null or h.netuid = any(of_netuid))
    ) s
    cross join lateral (
        select h.networks_added from subnet_info_history h
        where h.netuid = s.netuid and h.block_number <= at
        order by h.block_number desc limit 1
    ) i
    cross join lateral (
        select coalesce(h.value, 0)::bigint as tempo from hyperparameter_as_of(s.netuid, 'tempo', at) h
    ) t
    left join lateral (
        select * from subnet_pool_history h
        where h.netuid = s.netuid and h.block_number <= at
        order by h.block_number desc limit 1
    ) p on true
    cross join lateral (
        select case
            when t.tempo = 0 then null
            -- Before spec 423 subnets took their turn by number, whatever had happened.
            when spec < 423 then at + t.tempo - mod(at + s.netuid + 1, t.tempo + 1)
            else least(coalesce(p.last_epoch_block, 0) + t.tempo, nullif(p.pending_epoch_at, 0))
        end as next
    ) n
    where i.networks_added
    order by s.netuid;
end
$$;
comment on function epoch_status_at(bigint, integer[]) is
'Where subnets are in their epochs as of a block (NULL: the last committed): tempo, number and block of the last epoch and an epoch that the owner asked for (all kept since spec 423), blocks since the last one, and by the rule of the spec the block at which the next is due, with the blocks until then (seconds: NULL where the dataset network is not indexed). An epoch can come later, as few run in one block. tempo 0: none is due.';

create function next_epoch_start_block(netuid integer, block bigint default null) returns bigint
language sql stable as $$ select e.next_epoch_start_block from epoch_status_at($2, array[$1]) e $$;
comment on function next_epoch_start_block(integer, bigint) is
'Block at which the next epoch of a subnet is due, as of a block (NULL: the last committed), by the rule of the spec: that block itself if it is now; NULL: none is, or no such subnet. Of many subnets at once: epoch_status_at.';

create function blocks_until_next_epoch(netuid integer, block bigint default null) returns bigint
language sql stable as $$ select e.blocks_remaining from epoch_status_at($2, array[$1]) e $$;
comment on function blocks_until_next_epoch(integer, bigint) is
'Blocks until the next epoch of a subnet is due, as of a block (NULL: the last committed); NULL: none is, or no such subnet.';

create function blocks_since_last_step(netuid integer, block bigint default null) returns bigint
language sql stable as $$ select e.blocks_since_last_step from epoch_status_at($2, array[$1]) e $$;
comment on function blocks_since_last_step(integer, bigint) is
'Blocks since the last epoch of a subnet as the chain counts them, as of a block (NULL: the last committed); NULL: no such subnet.';

-- A function as of a block refuses blocks that are not indexed, or says that it does not.

comment on function spec_at(bigint) is
'spec_version of the runtime that executed the block: the one in the state of its parent. The block is not checked.';

comment on function effective_hyperparameter(integer, text, bigint) is
'One parameter as the runtime uses it: as hyperparameter_as_of, but min_childkey_take of a subnet is not below that of the network. The block is not checked.';

comment on function neuron_vector(integer, text, bigint, bigint) is
'A vector of neuron_vectors as of a block, whose element uid + 1 is that of the uid; NULL if there is none. The block is not checked: neurons_at and neuron_vectors_at do that.';
