-- Extrinsics as people read them: addresses, time, hashes as hex.

create view extrinsics as
select
    x.block_number,
    b."timestamp",
    x.extrinsic_index,
    '0x' || encode(x.hash, 'hex') as hash,
    s.address as signer,
    x.nonce,
    x.pallet,
    x.call,
    x.args,
    x.success,
    x.error,
    x.fee,
    x.tip,
    x.problem
from extrinsic_log x
left join blocks b using (block_number)
left join accounts s on s.account = x.signer;
comment on view extrinsics is
'Extrinsics of blocks: who called what, and how it ended. The dataset extrinsics is off by default.';
comment on column extrinsics.block_number is 'Height of the block.';
comment on column extrinsics."timestamp" is 'Time of the block.';
comment on column extrinsics.extrinsic_index is 'Place of the extrinsic in the block, from 0.';
comment on column extrinsics.hash is 'Its hash, 0x and 64 digits; extrinsic(hash) finds it by that.';
comment on column extrinsics.signer is 'Address that signed; NULL for inherents and others without signature.';
comment on column extrinsics.nonce is 'Nonce of the signer; NULL where not signed.';
comment on column extrinsics.pallet is 'Pallet of the call.';
comment on column extrinsics.call is 'Name of the call there.';
comment on column extrinsics.args is 'Its arguments by name, accounts as addresses, calls as {pallet: {call: arguments}}.';
comment on column extrinsics.success is 'Whether it was applied; a call inside (of a batch, a proxy, a multisig, sudo) may have failed all the same, which events tell. NULL: not told.';
comment on column extrinsics.error is 'Why it failed, as Pallet.Error; NULL where it did not.';
comment on column extrinsics.fee is 'What it cost the payer, tip included, rao; NULL where nothing was paid in TAO.';
comment on column extrinsics.tip is 'Part of fee that was offered on top, rao.';
comment on column extrinsics.problem is 'Why pallet, call and args are not told: the bytes, in extrinsic_log.raw, do not fit the metadata. NULL where they are.';

create function extrinsics_of(
    addresses text[],
    from_block bigint default null,
    to_block bigint default null
)
returns setof extrinsics
language plpgsql stable as $$
declare
    accounts_asked constant bytea[] := account_ids(addresses);
    bounds record;
begin
    select * into bounds from indexed_range('extrinsics', from_block, to_block);
    return query
    select
        x.block_number, b."timestamp", x.extrinsic_index, '0x' || encode(x.hash, 'hex'), s.address, x.nonce, x.pallet,
        x.call, x.args, x.success, x.error, x.fee, x.tip, x.problem
    from extrinsic_log x
    left join blocks b using (block_number)
    left join accounts s on s.account = x.signer
    where x.signer = any(accounts_asked) and x.block_number between bounds.first_block and bounds.last_block
    order by x.block_number, x.extrinsic_index;
end
$$;
comment on function extrinsics_of(text[], bigint, bigint) is
'Extrinsics that some addresses signed, in the order of the chain, as rows of the view extrinsics; from_block (NULL: the first that no hole parts from the last) to to_block (NULL: the last indexed). Blocks whose extrinsics no endpoint had are in the view gaps.';

create function extrinsics_of(
    address text,
    from_block bigint default null,
    to_block bigint default null
)
returns setof extrinsics
language sql stable as $$
    select * from extrinsics_of(array[address], from_block, to_block)
$$;
comment on function extrinsics_of(text, bigint, bigint) is
'Extrinsics that an address, or one of an array of addresses, signed, in the order of the chain, as rows of the view extrinsics; from_block (NULL: the first that no hole parts from the last) to to_block (NULL: the last indexed). Blocks whose extrinsics no endpoint had are in the view gaps.';

create function extrinsic(hash text) returns setof extrinsics
language plpgsql stable as $$
begin
    perform indexed_block('extrinsics');
    if hash !~ '^0x[0-9a-fA-F]{64}$' then
        raise exception '"%" is not the hash of an extrinsic: 0x and 64 hexadecimal digits', hash
            using errcode = 'invalid_parameter_value';
    end if;
    return query
    select v.*
    from extrinsic_log x
    join extrinsics v using (block_number, extrinsic_index)
    where x.hash = decode(substr(extrinsic.hash, 3), 'hex')
    order by x.block_number;
end
$$;
comment on function extrinsic(text) is
'The extrinsic of a hash, as a row of the view extrinsics; more than one row where it was sent again after its signer had been reaped, none where no indexed block holds it.';
