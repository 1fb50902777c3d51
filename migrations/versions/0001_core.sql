-- What every as-of function asks first: which block, and is it indexed; and how an address is read.

create function indexed_block(dataset text, block bigint default null) returns bigint
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
    return coalesce(block, last);
end
$$;
comment on function indexed_block(text, bigint) is
'The block itself if it is indexed for the dataset, the last committed block for NULL; an error naming the indexed range otherwise.';

create function account_id(address text) returns bytea
language plpgsql stable strict as $$
begin
    if address ~ '^0x[0-9a-fA-F]{64}$' then
        return decode(substr(address, 3), 'hex');
    end if;
    if address !~ '^[1-9A-HJ-NP-Za-km-z]{46,50}$' then
        raise exception '"%" is not an SS58 address nor 0x and 64 hexadecimal digits', address
            using errcode = 'invalid_parameter_value';
    end if;
    return (select a.account from accounts a where a.address = account_id.address);
end
$$;
comment on function account_id(text) is
'The 32 bytes behind an SS58 address, or behind 0x and 64 digits; NULL for an address that occurs in no table; an error for text that is no address.';
