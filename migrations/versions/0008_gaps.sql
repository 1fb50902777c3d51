-- What is missing or not proven, and why; and as-of functions that refuse a block in a hole.

create view gaps as
select dataset, last_block + 1 as first_block, next_block - 1 as last_block,
    coalesce(
        (select h.reason from holes h where h.dataset = ranges.dataset and h.last_block = ranges.next_block - 1 limit 1),
        'not told'
    ) as reason
from (
    select dataset, last_block, lead(first_block) over (partition by dataset order by first_block) as next_block
    from coverage
) ranges
where next_block > last_block + 1
union all
select dataset, first_block, last_block, coalesce(reason, 'not proven') from coverage where not complete
union all
select h.dataset, h.first_block, greatest(h.first_block, (select max(block_number) from cursors)), h.reason
from holes h left join cursors c using (dataset)
where h.last_block is null and coalesce(c.block_number, h.first_block - 1) < h.first_block;

comment on view gaps is
'Blocks that are missing or not complete, per dataset, and why. Empty: all that the cursors span is there and proven.';
comment on column gaps.dataset is 'Dataset.';
comment on column gaps.first_block is 'First block of the gap.';
comment on column gaps.last_block is 'Last block of the gap.';
comment on column gaps.reason is 'Why the blocks are missing or not complete.';

create or replace function indexed_block(dataset text, block bigint default null) returns bigint
language plpgsql stable as $$
declare
    first bigint;
    last bigint;
begin
    select c.start_block, c.block_number into first, last from cursors c where c.dataset = indexed_block.dataset;
    if last is null then
        raise exception 'dataset "%" is not indexed in this database', dataset
            using errcode = 'invalid_parameter_value', hint = 'See the table cursors for the datasets that are.';
    end if;
    if block < first or block > last then
        raise exception 'block % is not indexed for dataset "%": blocks % to % are', block, dataset, first, last
            using errcode = 'invalid_parameter_value', hint = 'See the tables cursors and coverage.';
    end if;
    if block < (
        select min(c.first_block) from coverage c where c.dataset = indexed_block.dataset and c.last_block >= block
    ) then
        raise exception 'block % lies in a hole of dataset "%"', block, dataset
            using errcode = 'invalid_parameter_value', hint = 'See the view gaps for the holes and their reasons.';
    end if;
    return coalesce(block, last);
end
$$;
comment on function indexed_block(text, bigint) is
'The block itself if it is indexed for the dataset, the last committed block for NULL; an error naming the indexed range otherwise.';
