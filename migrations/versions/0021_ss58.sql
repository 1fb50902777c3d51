-- SS58 in SQL: an address that occurs in a table is looked up; any other is decoded and its checksum computed.

create function blake2b_512(message bytea) returns bytea
language plpgsql immutable strict parallel safe as $$
-- RFC 7693 for one block without key. A word is a bigint, whose sums must be made of halves: they may not overflow.
declare
    iv constant bigint[] := array[
        7640891576956012808, -4942790177534073029, 4354685564936845355, -6534734903238641935,
        5840696475078001361, -7276294671716946913, 2270897969802886507, 6620516959819538809
    ];
    sigma constant integer[] := array[
        array[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        array[14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
        array[11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
        array[7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
        array[9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
        array[2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
        array[12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
        array[13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
        array[6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
        array[10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0]
    ];
    lanes constant integer[] := array[
        array[1, 5, 9, 13], array[2, 6, 10, 14], array[3, 7, 11, 15], array[4, 8, 12, 16],
        array[1, 6, 11, 16], array[2, 7, 12, 13], array[3, 8, 9, 14], array[4, 5, 10, 15]
    ];
    low constant bigint := 4294967295;
    block bytea;
    m bigint[] := '{}';
    h bigint[];
    v bigint[];
    word bigint;
    a bigint; b bigint; c bigint; d bigint; x bigint; sum bigint;
    result bytea := ''::bytea;
begin
    if length(message) > 128 then
        raise exception 'blake2b_512 takes one block of 128 bytes at most, not %', length(message)
            using errcode = 'invalid_parameter_value';
    end if;
    block := message || decode(repeat('00', 128 - length(message)), 'hex');
    for i in 0..15 loop
        word := 0;
        for j in reverse 7..0 loop
            word := (word << 8) | get_byte(block, i * 8 + j);
        end loop;
        m := m || word;
    end loop;
    h := iv;
    h[1] := h[1] # 16842816;  -- 0x01010040: digest of 64 bytes, no key
    v := h || iv;
    v[13] := v[13] # length(message)::bigint;
    v[15] := ~ v[15];
    for r in 0..11 loop
        for g in 1..8 loop
            a := v[lanes[g][1]]; b := v[lanes[g][2]]; c := v[lanes[g][3]]; d := v[lanes[g][4]];
            for half in 0..1 loop
                x := m[sigma[r % 10 + 1][2 * g - 1 + half] + 1];
                sum := (a & low) + (b & low) + (x & low);
                a := ((((a >> 32) & low) + ((b >> 32) & low) + ((x >> 32) & low) + (sum >> 32)) << 32) | (sum & low);
                d := d # a;
                if half = 0 then
                    d := ((d >> 32) & low) | (d << 32);
                else
                    d := ((d >> 16) & 281474976710655) | (d << 48);
                end if;
                sum := (c & low) + (d & low);
                c := ((((c >> 32) & low) + ((d >> 32) & low) + (sum >> 32)) << 32) | (sum & low);
                b := b # c;
                if half = 0 then
                    b := ((b >> 24) & 1099511627775) | (b << 40);
                else
                    b := ((b >> 63) & 1) | (b << 1);
                end if;
            end loop;
            v[lanes[g][1]] := a; v[lanes[g][2]] := b; v[lanes[g][3]] := c; v[lanes[g][4]] := d;
        end loop;
    end loop;
    for i in 1..8 loop
        word := h[i] # v[i] # v[i + 8];
        for j in 0..7 loop
            result := result || set_byte('\x00'::bytea, 0, ((word >> (8 * j)) & 255)::integer);
        end loop;
    end loop;
    return result;
end
$$;
comment on function blake2b_512(bytea) is
'BLAKE2b with a digest of 64 bytes, of 128 bytes at most: what checksums of SS58 addresses are made with.';

create function ss58_decode(address text) returns bytea
language plpgsql stable strict as $$
declare
    alphabet constant text := '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';
    known bytea := (select a.account from accounts a where a.address = ss58_decode.address);
    expected integer;
    number numeric := 0;
    bytes bytea := ''::bytea;
    prefix integer;
    prefix_bytes integer;
begin
    if known is not null then
        return known;
    end if;
    if address !~ '^[1-9A-HJ-NP-Za-km-z]{46,50}$' then
        raise exception '"%" is not an SS58 address nor 0x and 64 hexadecimal digits', address
            using errcode = 'invalid_parameter_value';
    end if;
    for i in 1..length(address) loop
        number := number * 58 + strpos(alphabet, substr(address, i, 1)) - 1;
    end loop;
    while number > 0 loop
        bytes := set_byte('\x00'::bytea, 0, mod(number, 256)::integer) || bytes;
        number := div(number, 256);
    end loop;
    bytes := decode(repeat('00', length(address) - length(ltrim(address, '1'))), 'hex') || bytes;
    prefix_bytes := case when length(bytes) > 0 and get_byte(bytes, 0) >= 64 then 2 else 1 end;
    if length(bytes) <> prefix_bytes + 34 then
        raise exception '"%" is no SS58 address of an account: % bytes where % are due', address, length(bytes),
            prefix_bytes + 34 using errcode = 'invalid_parameter_value';
    end if;
    if substr(blake2b_512('SS58PRE'::bytea || substr(bytes, 1, prefix_bytes + 32)), 1, 2)
        <> substr(bytes, prefix_bytes + 33) then
        raise exception '"%" has a wrong checksum: a letter of it is not what it was', address
            using errcode = 'invalid_parameter_value';
    end if;
    prefix := case prefix_bytes
        when 1 then get_byte(bytes, 0)
        else ((get_byte(bytes, 0) & 63) << 2) | (get_byte(bytes, 1) >> 6) | ((get_byte(bytes, 1) & 63) << 8)
    end;
    expected := coalesce((select ss58_prefix from chain), 42);
    if prefix <> expected then
        raise exception '"%" is an address of another network: its prefix is %, here it is %', address, prefix, expected
            using errcode = 'invalid_parameter_value';
    end if;
    return substr(bytes, prefix_bytes + 1, 32);
end
$$;
comment on function ss58_decode(text) is
'The 32 bytes behind an SS58 address: looked up where it occurs in a table, else decoded with its checksum; an error for text that is no address, a wrong checksum or the prefix of another network.';

create or replace function account_id(address text) returns bytea
language sql stable strict as $$
    select case when address ~ '^0x[0-9a-fA-F]{64}$' then decode(substr(address, 3), 'hex') else ss58_decode(address) end
$$;
comment on function account_id(text) is
'The 32 bytes behind an SS58 address, or behind 0x and 64 digits; an error for text that is neither, see ss58_decode.';
