-- What a dashboard needs, in one row per dataset. Lag is computed when it is asked for: it grows while nothing is committed.

create view status as
with
newest as (
    select b.block_number, b.timestamp from blocks b order by b.block_number desc limit 1
),
recent as (
    select b.block_number, b.timestamp from blocks b
    where b.timestamp is not null order by b.block_number desc limit 100
),
pace as (
    select extract(epoch from max(r.timestamp) - min(r.timestamp))
        / nullif(max(r.block_number) - min(r.block_number), 0) as seconds_per_block
    from recent r
),
head as (
    select greatest(max(c.head_block), max(c.block_number)) as block_number from cursors c
),
ranges as (
    select c.dataset,
        coalesce(sum(c.last_block - c.first_block + 1) filter (where c.complete), 0)::bigint as complete_blocks,
        coalesce(sum(c.last_block - c.first_block + 1) filter (where not c.complete), 0)::bigint as incomplete_blocks,
        coalesce(
            jsonb_agg(jsonb_build_array(c.first_block, c.last_block) order by c.first_block) filter (where c.complete),
            '[]'
        ) as complete_ranges,
        coalesce(
            jsonb_agg(jsonb_build_array(c.first_block, c.last_block) order by c.first_block)
                filter (where not c.complete),
            '[]'
        ) as incomplete_ranges
    from coverage c group by c.dataset
),
missing as (
    select g.dataset, jsonb_agg(
        jsonb_build_object('first_block', g.first_block, 'last_block', g.last_block, 'reason', g.reason)
        order by g.first_block
    ) as gaps
    from gaps g group by g.dataset
),
stops as (
    select h.dataset, h.first_block, h.reason from holes h left join cursors c using (dataset)
    where h.last_block is null and coalesce(c.block_number, h.first_block - 1) < h.first_block
),
every as (
    select c.dataset from cursors c union select s.dataset from stops s
)
select e.dataset,
    case
        when not coalesce(c.is_followed, true) then 'left'
        when s.dataset is not null then 'stopped'
        when c.block_number < newest.block_number then 'behind'
        else 'followed'
    end as state,
    c.start_block,
    c.block_number as committed_block,
    '0x' || encode(c.block_hash, 'hex') as committed_hash,
    c.finalized_block,
    b.timestamp as block_time,
    c.committed_at,
    head.block_number as head_block,
    head.block_number - c.block_number as lag_blocks,
    round((extract(epoch from newest.timestamp - coalesce(b.timestamp, newest.timestamp))
        + case when b.timestamp is null then newest.block_number - c.block_number else 0 end
            * coalesce(pace.seconds_per_block, 12)
        + (head.block_number - newest.block_number) * coalesce(pace.seconds_per_block, 12))::numeric, 3)
        as chain_lag_seconds,
    round(extract(epoch from now() - b.timestamp)::numeric, 3) as lag_seconds,
    coalesce(r.complete_blocks, 0) as complete_blocks,
    coalesce(r.incomplete_blocks, 0) as incomplete_blocks,
    coalesce(r.complete_ranges, '[]') as complete_ranges,
    coalesce(r.incomplete_ranges, '[]') as incomplete_ranges,
    coalesce(m.gaps, '[]') as gaps,
    s.first_block as stopped_at,
    s.reason as stop_reason,
    case
        when coalesce(c.is_followed, true) then c.note
        else concat_ws(
            '; ', 'no longer in the configuration: its rows stay as of the committed block', c.note
        )
    end as note
from every e
left join cursors c using (dataset)
left join blocks b on b.block_number = c.block_number
left join ranges r using (dataset)
left join missing m using (dataset)
left join stops s using (dataset)
cross join head
cross join pace
left join newest on true;

comment on view status is
'How far, how complete and how late each dataset is: all that a dashboard needs. Lag is computed at the moment of the query.';
comment on column status.dataset is 'Dataset, or storage item chosen with --item.';
comment on column status.state is
'followed; behind: it catches up with other datasets; stopped: a block cannot be decoded, see stop_reason; left: no longer in the configuration, its rows stay.';
comment on column status.start_block is 'First block indexed for the dataset; NULL before the first.';
comment on column status.committed_block is 'Last committed block.';
comment on column status.committed_hash is 'Its hash, 0x and hex.';
comment on column status.finalized_block is 'Last committed block known to be finalized.';
comment on column status.block_time is 'When the last committed block was made, by the chain''s clock.';
comment on column status.committed_at is 'When it was committed.';
comment on column status.head_block is 'Height of the followed head, as of the last commit of any dataset.';
comment on column status.lag_blocks is 'Blocks between that head and the last committed block.';
comment on column status.chain_lag_seconds is
'Seconds between that head and the last committed block by the chain''s clock; for blocks that are not indexed, at the mean pace of the last 100 indexed ones. Stays small when the chain itself stands still.';
comment on column status.lag_seconds is 'Seconds from the time of the last committed block to now(): grows also when nothing is alive.';
comment on column status.complete_blocks is 'Indexed blocks that are exact.';
comment on column status.incomplete_blocks is 'Indexed blocks that are not complete.';
comment on column status.complete_ranges is 'Ranges of exact blocks: a JSON array of [first, last].';
comment on column status.incomplete_ranges is 'Ranges of blocks that are not complete: a JSON array of [first, last].';
comment on column status.gaps is 'What is missing or not complete, and why: a JSON array of objects with first_block, last_block and reason; see the view gaps.';
comment on column status.stopped_at is 'Block before which the dataset waits, as it cannot be decoded; NULL if it does not.';
comment on column status.stop_reason is 'Why it waits.';
comment on column status.note is 'What is to be known of it: that the runtime lacks the storage item (with near names), or that it is no longer in the configuration.';
