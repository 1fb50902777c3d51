-- A round beyond any that drand will ever reach: anybody may commit to one, and it must not break the answer for others.

create or replace function commitments_at(
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
        case when sealed.reveal_round <= 9223372036854775807 then sealed.reveal_round::bigint end,
        case
            when opened.content is null and sealed.reveal_round between 1 and 1000000000000
                then to_timestamp((1692803367 + (sealed.reveal_round - 1) * 3)::double precision)
        end,
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
            max((f.field #>> '{TimelockEncrypted,reveal_round}')::numeric) as reveal_round,
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
