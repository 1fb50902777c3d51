-- Storage items that were chosen by name: every change, and the state as of a block.

create view storage_changes as
select h.block_number, h.pallet, h.item,
    coalesce(h.key, (
        select p.key from storage_value_history p
        where p.pallet = h.pallet and p.item = h.item and p.key_raw = h.key_raw and p.block_number < h.block_number
        order by p.block_number desc limit 1
    )) as key,
    h.value, h."exists", h.key_raw, h.value_raw
from storage_value_history h;
comment on view storage_changes is
'Every change of the storage items chosen with --item, one row per block and key. The first indexed block of an item tells its whole state.';
comment on column storage_changes.block_number is 'Block that changed it; the value holds until the key''s next change.';
comment on column storage_changes.pallet is 'Pallet, as the metadata names it.';
comment on column storage_changes.item is 'Storage item of the pallet.';
comment on column storage_changes.key is 'The parts of the key as an array, decoded; [] for a plain value. Of a key that was removed: as it was decoded before.';
comment on column storage_changes.value is 'The value, decoded through the metadata of the block; NULL if the key was removed.';
comment on column storage_changes.exists is 'False: the key was removed at this block; the runtime then uses its default.';
comment on column storage_changes.key_raw is 'The storage key behind its first 32 bytes, which are the item''s.';
comment on column storage_changes.value_raw is 'The value''s SCALE bytes; NULL if the key was removed.';

create function storage_at(block bigint default null, of_item text default null, of_key jsonb default null)
returns table (key jsonb, value jsonb, key_raw bytea, value_raw bytea, since_block bigint)
language plpgsql stable as $$
declare
    named constant text[] := string_to_array(of_item, '.');
    known text;
    at bigint;
begin
    if of_item is null or not exists (select from cursors c where c.dataset = of_item and of_item ~ '^\w+\.\w+$') then
        select string_agg(c.dataset, ', ' order by c.dataset) into known from cursors c where c.dataset like '%.%';
        raise exception 'storage item % is not indexed in this database; those that are: %',
            coalesce('"' || of_item || '"', 'NULL'), coalesce(known, 'none')
            using errcode = 'invalid_parameter_value', hint = 'Items are chosen with `indexer run --item Pallet.Item`.';
    end if;
    if jsonb_typeof(of_key) <> 'array' then
        raise exception 'of_key is an array of the key''s parts, such as [1] or ["5G…", 1], not %', of_key
            using errcode = 'invalid_parameter_value';
    end if;
    at := indexed_block(of_item, block);
    return query execute
        'with keys as (' || case when of_key is not null then '
            select distinct k.key_raw from storage_value_history k
            where k.pallet = $2 and k.item = $3 and jsonb_hash(k.key) = jsonb_hash($4) and k.key = $4
        ' else '
            select k.key_raw from storage_values k where k.pallet = $2 and k.item = $3
            union
            select k.key_raw from storage_value_history k
            where k.pallet = $2 and k.item = $3 and not k."exists" and k.block_number > $1
        ' end || ')
        select h.key, h.value, h.key_raw, h.value_raw, h.block_number
        from keys k
        cross join lateral (
            select * from storage_value_history h
            where h.pallet = $2 and h.item = $3 and h.key_raw = k.key_raw and h.block_number <= $1
            order by h.block_number desc limit 1
        ) h
        where h."exists"' || case when of_key is null then '' else ' and h.key = $4' end
    using at, named[1], named[2], of_key;
end
$$;
comment on function storage_at(bigint, text, jsonb) is
'The keys and values of a storage item chosen with --item (of_item: Pallet.Item) as of a block (NULL: the last committed); of_key: of this key only, an array of its parts, [] for a plain value. A key that is not there has the runtime''s default. since_block: the block that gave the value. An error for an item that is not indexed.';
