-- The dataset commitments as of a block.

create function commitment_records_at(
    block bigint default null,
    of_netuid integer[] default null,
    of_hotkey text[] default null
)
returns table ("netuid" integer, "hotkey" text, "committed_block" bigint, "deposit" bigint, "fields" jsonb, "other" jsonb, "revealed" jsonb, "last_commitment" bigint, "last_bonds_reset" bigint, "used_space_epoch" bigint, "used_space" bigint, "used_space_other" jsonb, since_block bigint)
language plpgsql stable as $$
declare
    at constant bigint := indexed_block('commitments', block);
    chosen constant text := ''
        || case when of_netuid is null then '' else ' and k.netuid = any($2)' end
        || case when of_hotkey is null then '' else ' and k.hotkey = any($3)' end;
begin
    return query execute
        'with keys as (
            select k.netuid, k.hotkey from commitment_records k where true' || chosen || '
            union
            select k.netuid, k.hotkey from commitment_history k
            where not k."exists" and k.block_number > $1' || chosen || '
        )
        select
            k."netuid",
            (select a.address from accounts a where a.account = k."hotkey"),
            h."committed_block",
            h."deposit",
            h."fields",
            h."other",
            h."revealed",
            h."last_commitment",
            h."last_bonds_reset",
            h."used_space_epoch",
            h."used_space",
            h."used_space_other",
            h.block_number
        from keys k
        cross join lateral (
            select * from commitment_history h
            where h.netuid = k.netuid and h.hotkey = k.hotkey and h.block_number <= $1
            order by h.block_number desc limit 1
        ) h
        where h."exists"'
    using at, of_netuid, account_ids(of_hotkey);
end
$$;
comment on function commitment_records_at(bigint, integer[], text[]) is
'Commitments of hotkeys on subnets, as stored. As of a block (NULL: the last committed), of these keys only where they are given; since_block: the block that gave the row its values.';

-- For people.

create function document_bytes(document jsonb) returns bytea
language sql immutable strict as $$
    select case jsonb_typeof(document)
        when 'string' then convert_to(document #>> '{}', 'UTF8')
        else decode(document ->> 'hex', 'hex')
    end
$$;
comment on function document_bytes(jsonb) is 'The bytes that a JSON text, or {"hex": …}, stands for.';

create function text_or_hex(content bytea) returns text
language plpgsql immutable strict as $$
begin
    return convert_from(content, 'UTF8');
exception when character_not_in_repertoire or untranslatable_character then
    return '0x' || encode(content, 'hex');
end
$$;
comment on function text_or_hex(bytea) is 'Bytes as text if they are UTF-8 (without NUL), as hex that begins with 0x otherwise.';

create function compact_content(encoded bytea) returns bytea
language sql immutable strict as $$
    select case
        when length(encoded) = 0 then encoded
        else substr(encoded, 1 + case get_byte(encoded, 0) & 3
            when 0 then 1 when 1 then 2 when 2 then 4 else 5 + (get_byte(encoded, 0) >> 2)
        end)
    end
$$;
comment on function compact_content(bytea) is 'What follows the compact length in SCALE bytes of a Vec<u8>.';

create function revealed_commitments_at(
    block bigint default null,
    of_netuid integer[] default null,
    of_hotkey text[] default null
)
returns table (netuid integer, hotkey text, n bigint, revealed_block bigint, content text, data bytea)
language sql stable as $$
    select
        c.netuid, c.hotkey, r.n, (r.entry ->> 'block')::bigint,
        text_or_hex(compact_content(document_bytes(r.entry -> 'data'))), document_bytes(r.entry -> 'data')
    from commitment_records_at(block, of_netuid => of_netuid, of_hotkey => of_hotkey) c
    cross join lateral jsonb_array_elements(c.revealed) with ordinality r (entry, n)
$$;
comment on function revealed_commitments_at(bigint, integer[], text[]) is
'Sealed commitments that the chain has opened, oldest first (n from 1): content as text, or as hex; data as stored.';

create function commitments_at(
    block bigint default null,
    of_netuid integer[] default null,
    of_hotkey text[] default null
)
returns table (
    netuid integer, hotkey text, committed_block bigint, age_blocks bigint, deposit bigint, commitment text,
    status text, is_revealed boolean, reveal_round bigint, reveals_at timestamptz, fields jsonb, since_block bigint
)
language sql stable as $$
    select
        c.netuid,
        c.hotkey,
        own.block,
        greatest(0, at.block - own.block),
        coalesce(c.deposit, 0),
        coalesce(opened.content, plain.content),
        state.status,
        state.status in ('plain', 'revealed'),
        sealed.reveal_round,
        case when opened.content is null then to_timestamp(1692803367 + (sealed.reveal_round - 1) * 3) end,
        c.fields,
        c.since_block
    from (select indexed_block('commitments', block) as block) at
    cross join lateral commitment_records_at(at.block, of_netuid => of_netuid, of_hotkey => of_hotkey) c
    cross join lateral (
        select coalesce(c.committed_block, max((entry ->> 'block')::bigint)) as block
        from jsonb_array_elements(coalesce(c.revealed, '[]')) entry
    ) own
    left join lateral (
        select text_or_hex(compact_content(document_bytes(r.entry -> 'data'))) as content
        from jsonb_array_elements(c.revealed) with ordinality r (entry, n)
        where (r.entry ->> 'block')::bigint >= own.block
        order by (r.entry ->> 'block')::bigint desc, r.n desc limit 1
    ) opened on true
    cross join lateral (
        select nullif(text_or_hex(string_agg(document_bytes(part.content), '' order by f.n)), '') as content
        from jsonb_array_elements(coalesce(c.fields, '[]')) with ordinality f (field, n)
        cross join lateral jsonb_each(case jsonb_typeof(f.field) when 'object' then f.field else '{}' end)
            part (name, content)
        where part.name like 'Raw%' or part.name = 'BigRaw'
    ) plain
    cross join lateral (
        select
            max((f.field #>> '{TimelockEncrypted,reveal_round}')::bigint) as reveal_round,
            bool_or(f.field ? 'TimelockRevealFailed') as failed
        from jsonb_array_elements(coalesce(c.fields, '[]')) f (field)
        where jsonb_typeof(f.field) = 'object'
    ) sealed
    cross join lateral (
        select case
            when opened.content is not null then 'revealed'
            when sealed.failed then 'failed'
            when sealed.reveal_round is not null then 'sealed'
            else 'plain'
        end as status
    ) state
    where own.block is not null
$$;
comment on function commitments_at(bigint, integer[], text[]) is
'What hotkeys have published on subnets, and what of it can be read: commitment is the text in the clear or, if later, the one the chain has opened; bytes that are no text as hex. status: plain, sealed, revealed or failed. committed_block is that of the opening where the chain has dropped the rest; reveals_at: when drand makes the key of a sealed one known.';
