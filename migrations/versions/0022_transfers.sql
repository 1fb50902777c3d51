-- Transfers and stake events as people read them: addresses, time, amounts in TAO too.

create function indexed_range(
    dataset text, from_block bigint, to_block bigint, out first_block bigint, out last_block bigint
)
language plpgsql stable as $$
declare
    hole record;
begin
    last_block := indexed_block(dataset, to_block);
    select r.hole_first, r.hole_last into hole
    from (
        select
            c.last_block + 1 as hole_first,
            lead(c.first_block) over (order by c.first_block) - 1 as hole_last
        from coverage c where c.dataset = indexed_range.dataset
    ) r
    where r.hole_last >= r.hole_first and r.hole_last < indexed_range.last_block
    order by r.hole_first desc limit 1;
    first_block := indexed_block(
        dataset,
        coalesce(
            from_block, hole.hole_last + 1,
            (select c.start_block from cursors c where c.dataset = indexed_range.dataset)
        )
    );
    if first_block <= hole.hole_last then
        raise exception 'blocks % to % are missing in dataset "%": ask for what lies before them or behind them',
            hole.hole_first, hole.hole_last, dataset
            using errcode = 'invalid_parameter_value', hint = 'See the view gaps for the holes and their reasons.';
    end if;
end
$$;
comment on function indexed_range(text, bigint, bigint) is
'The blocks from one (NULL: the first that no hole parts from the last) to another (NULL: the last indexed) if all of them are indexed for the dataset, else an error naming what is.';

create view transfers as
select
    t.block_number,
    b."timestamp",
    t.event_index,
    t.extrinsic_index,
    s.address as sender,
    r.address as recipient,
    t.amount,
    trim_scale(t.amount * 0.000000001) as tao,
    t.fee,
    t.fields
from transfer_log t
left join blocks b using (block_number)
left join accounts s on s.account = t.sender
left join accounts r on r.account = t.recipient;
comment on view transfers is
'Transfers of TAO between accounts, one row per event Balances.Transfer, with the fee of its extrinsic.';
comment on column transfers.block_number is 'Height of the block.';
comment on column transfers."timestamp" is 'Time of the block.';
comment on column transfers.event_index is 'Place of the event in the block, from 0.';
comment on column transfers.extrinsic_index is 'Extrinsic it happened in, from 0; NULL: in none (a hook of the block).';
comment on column transfers.sender is 'Address that sent.';
comment on column transfers.recipient is 'Address that received.';
comment on column transfers.amount is 'What was sent, rao.';
comment on column transfers.tao is 'The same in TAO.';
comment on column transfers.fee is 'What the extrinsic cost who signed it, tip included, rao: the same on each of its transfers. NULL where it was not paid in TAO.';
comment on column transfers.fields is 'The event as decoded, where a runtime gave it a shape that this version does not know; the columns it tells are then NULL.';

create view stake_events as
select
    e.block_number,
    b."timestamp",
    e.event_index,
    e.extrinsic_index,
    e.name,
    coldkey.address as coldkey,
    hotkey.address as hotkey,
    e.netuid,
    destination_coldkey.address as destination_coldkey,
    destination_hotkey.address as destination_hotkey,
    e.destination_netuid,
    e.tao as tao_rao,
    e.alpha as alpha_rao,
    trim_scale(e.tao * 0.000000001) as tao,
    trim_scale(e.alpha * 0.000000001) as alpha,
    e.swap_fee,
    e.fee,
    e.fields
from stake_event_log e
left join blocks b using (block_number)
left join accounts coldkey on coldkey.account = e.coldkey
left join accounts hotkey on hotkey.account = e.hotkey
left join accounts destination_coldkey on destination_coldkey.account = e.destination_coldkey
left join accounts destination_hotkey on destination_hotkey.account = e.destination_hotkey;
comment on view stake_events is
'What people did with stake, one row per event StakeAdded, StakeRemoved, StakeMoved, StakeTransferred or StakeSwapped. The chain moves stake without events too: see delegations_at for amounts.';
comment on column stake_events.block_number is 'Height of the block.';
comment on column stake_events."timestamp" is 'Time of the block.';
comment on column stake_events.event_index is 'Place of the event in the block, from 0.';
comment on column stake_events.extrinsic_index is 'Extrinsic it happened in, from 0; NULL: in none (a hook of the block).';
comment on column stake_events.name is 'Name of the event.';
comment on column stake_events.coldkey is 'Coldkey whose stake it was; NULL in events of runtimes that did not tell (up to spec 165): whoever signed the extrinsic.';
comment on column stake_events.hotkey is 'Hotkey the stake was with, or is with where it was added.';
comment on column stake_events.netuid is 'Subnet the stake was on, or is on where it was added; NULL up to spec 165, when stake was on none.';
comment on column stake_events.destination_coldkey is 'StakeTransferred: who has it now.';
comment on column stake_events.destination_hotkey is 'StakeMoved: hotkey it is with now.';
comment on column stake_events.destination_netuid is 'StakeMoved, StakeTransferred, StakeSwapped: subnet it is on now.';
comment on column stake_events.tao_rao is 'TAO paid in or out, or that the moved stake was worth then, rao.';
comment on column stake_events.alpha_rao is 'Alpha got or given for it, rao; NULL where the event does not tell.';
comment on column stake_events.tao is 'tao_rao in TAO.';
comment on column stake_events.alpha is 'alpha_rao in alpha.';
comment on column stake_events.swap_fee is 'Fee of the exchange, rao; of StakeRemoved in alpha since there is a pallet Swap, else in TAO. NULL where the event does not tell.';
comment on column stake_events.fee is 'What the extrinsic cost who signed it, tip included, rao: the same on each of its events. NULL where it was not paid in TAO.';
comment on column stake_events.fields is 'Fields of the event in its order, accounts as addresses; all there is where a runtime gave it a shape that this version does not know.';

create function transfers_of(
    addresses text[],
    from_block bigint default null,
    to_block bigint default null
)
returns setof transfers
language plpgsql stable as $$
declare
    accounts_asked constant bytea[] := account_ids(addresses);
    bounds record;
begin
    select * into bounds from indexed_range('transfers', from_block, to_block);
    return query
    select
        t.block_number, b."timestamp", t.event_index, t.extrinsic_index, s.address, r.address, t.amount,
        trim_scale(t.amount * 0.000000001), t.fee, t.fields
    from transfer_log t
    left join blocks b using (block_number)
    left join accounts s on s.account = t.sender
    left join accounts r on r.account = t.recipient
    where (t.sender = any(accounts_asked) or t.recipient = any(accounts_asked))
        and t.block_number between bounds.first_block and bounds.last_block
    order by t.block_number, t.event_index;
end
$$;
comment on function transfers_of(text[], bigint, bigint) is
'Transfers from or to some addresses, in the order of the chain, as rows of the view transfers; from_block (NULL: the first that no hole parts from the last) to to_block (NULL: the last indexed).';

create function transfers_of(
    address text,
    from_block bigint default null,
    to_block bigint default null
)
returns setof transfers
language sql stable as $$
    select * from transfers_of(array[address], from_block, to_block)
$$;
comment on function transfers_of(text, bigint, bigint) is
'Transfers from or to an address, or an array of addresses, in the order of the chain, as rows of the view transfers; from_block (NULL: the first that no hole parts from the last) to to_block (NULL: the last indexed).';

create function stake_events_of(
    addresses text[],
    from_block bigint default null,
    to_block bigint default null
)
returns setof stake_events
language plpgsql stable as $$
declare
    accounts_asked constant bytea[] := account_ids(addresses);
    bounds record;
begin
    select * into bounds from indexed_range('stake_events', from_block, to_block);
    return query
    select
        e.block_number, b."timestamp", e.event_index, e.extrinsic_index, e.name, c.address, h.address, e.netuid,
        dc.address, dh.address, e.destination_netuid, e.tao, e.alpha,
        trim_scale(e.tao * 0.000000001), trim_scale(e.alpha * 0.000000001), e.swap_fee, e.fee, e.fields
    from stake_event_log e
    left join blocks b using (block_number)
    left join accounts c on c.account = e.coldkey
    left join accounts h on h.account = e.hotkey
    left join accounts dc on dc.account = e.destination_coldkey
    left join accounts dh on dh.account = e.destination_hotkey
    where (
            e.coldkey = any(accounts_asked) or e.hotkey = any(accounts_asked)
            or e.destination_coldkey = any(accounts_asked) or e.destination_hotkey = any(accounts_asked)
        )
        and e.block_number between bounds.first_block and bounds.last_block
    order by e.block_number, e.event_index;
end
$$;
comment on function stake_events_of(text[], bigint, bigint) is
'What was done with stake of some coldkeys, or with some hotkeys, in the order of the chain, as rows of the view stake_events; from_block (NULL: the first that no hole parts from the last) to to_block (NULL: the last indexed).';

create function stake_events_of(
    address text,
    from_block bigint default null,
    to_block bigint default null
)
returns setof stake_events
language sql stable as $$
    select * from stake_events_of(array[address], from_block, to_block)
$$;
comment on function stake_events_of(text, bigint, bigint) is
'What was done with stake of a coldkey or with a hotkey, or an array of such addresses, in the order of the chain, as rows of the view stake_events; from_block (NULL: the first that no hole parts from the last) to to_block (NULL: the last indexed).';
