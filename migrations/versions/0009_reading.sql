-- Many addresses at once.

create function account_ids(addresses text[]) returns bytea[]
language sql stable strict as $$
    select coalesce(array_agg(account_id(a) order by n), '{}') from unnest(addresses) with ordinality u (a, n)
$$;
comment on function account_ids(text[]) is
'account_id of each address: NULL for one that occurs in no table, an error for text that is no address.';
