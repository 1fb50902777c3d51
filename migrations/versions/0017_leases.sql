-- The dataset leases as of a block.

create function leases_at(
    block bigint default null,
    of_lease_id bigint[] default null
)
returns table ("lease_id" bigint, "beneficiary" text, "coldkey" text, "hotkey" text, "emissions_share" bigint, "end_block" bigint, "netuid" bigint, "cost" bigint, "other" jsonb, "accumulated_dividends" bigint, since_block bigint)
language plpgsql stable as $$
declare
    at constant bigint := indexed_block('leases', block);
    chosen constant text := ''
        || case when of_lease_id is null then '' else ' and k.lease_id = any($2)' end;
begin
    return query execute
        'with keys as (
            select k.lease_id from leases k where true' || chosen || '
            union
            select k.lease_id from lease_history k
            where not k."exists" and k.block_number > $1' || chosen || '
        )
        select
            k."lease_id",
            (select a.address from accounts a where a.account = h."beneficiary"),
            (select a.address from accounts a where a.account = h."coldkey"),
            (select a.address from accounts a where a.account = h."hotkey"),
            h."emissions_share",
            h."end_block",
            h."netuid",
            h."cost",
            h."other",
            h."accumulated_dividends",
            h.block_number
        from keys k
        cross join lateral (
            select * from lease_history h
            where h.lease_id = k.lease_id and h.block_number <= $1
            order by h.block_number desc limit 1
        ) h
        where h."exists"'
    using at, of_lease_id;
end
$$;
comment on function leases_at(bigint, bigint[]) is
'Leases of subnets. As of a block (NULL: the last committed), of these keys only where they are given; since_block: the block that gave the row its values.';

create function lease_shares_at(
    block bigint default null,
    of_lease_id bigint[] default null,
    of_account text[] default null
)
returns table ("lease_id" bigint, "account" text, "share" numeric, "unpaid_dividends" bigint, since_block bigint)
language plpgsql stable as $$
declare
    at constant bigint := indexed_block('leases', block);
    chosen constant text := ''
        || case when of_lease_id is null then '' else ' and k.lease_id = any($2)' end
        || case when of_account is null then '' else ' and k.account = any($3)' end;
begin
    return query execute
        'with keys as (
            select k.lease_id, k.account from lease_shares k where true' || chosen || '
            union
            select k.lease_id, k.account from lease_share_history k
            where not k."exists" and k.block_number > $1' || chosen || '
        )
        select
            k."lease_id",
            (select a.address from accounts a where a.account = k."account"),
            h."share",
            h."unpaid_dividends",
            h.block_number
        from keys k
        cross join lateral (
            select * from lease_share_history h
            where h.lease_id = k.lease_id and h.account = k.account and h.block_number <= $1
            order by h.block_number desc limit 1
        ) h
        where h."exists"'
    using at, of_lease_id, account_ids(of_account);
end
$$;
comment on function lease_shares_at(bigint, bigint[], text[]) is
'Parts of contributors in the emission of leased subnets. As of a block (NULL: the last committed), of these keys only where they are given; since_block: the block that gave the row its values.';

create function crowdloans_at(
    block bigint default null,
    of_crowdloan_id bigint[] default null
)
returns table ("crowdloan_id" bigint, "creator" text, "deposit" bigint, "min_contribution" bigint, "end_block" bigint, "cap" bigint, "funds_account" text, "raised" bigint, "target_address" text, "call" jsonb, "finalized" boolean, "contributors_count" bigint, "other" jsonb, "max_contribution" bigint, since_block bigint)
language plpgsql stable as $$
declare
    at constant bigint := indexed_block('leases', block);
    chosen constant text := ''
        || case when of_crowdloan_id is null then '' else ' and k.crowdloan_id = any($2)' end;
begin
    return query execute
        'with keys as (
            select k.crowdloan_id from crowdloans k where true' || chosen || '
            union
            select k.crowdloan_id from crowdloan_history k
            where not k."exists" and k.block_number > $1' || chosen || '
        )
        select
            k."crowdloan_id",
            (select a.address from accounts a where a.account = h."creator"),
            h."deposit",
            h."min_contribution",
            h."end_block",
            h."cap",
            (select a.address from accounts a where a.account = h."funds_account"),
            h."raised",
            (select a.address from accounts a where a.account = h."target_address"),
            h."call",
            h."finalized",
            h."contributors_count",
            h."other",
            h."max_contribution",
            h.block_number
        from keys k
        cross join lateral (
            select * from crowdloan_history h
            where h.crowdloan_id = k.crowdloan_id and h.block_number <= $1
            order by h.block_number desc limit 1
        ) h
        where h."exists"'
    using at, of_crowdloan_id;
end
$$;
comment on function crowdloans_at(bigint, bigint[]) is
'Crowdloans. As of a block (NULL: the last committed), of these keys only where they are given; since_block: the block that gave the row its values.';

create function crowdloan_contributions_at(
    block bigint default null,
    of_crowdloan_id bigint[] default null,
    of_account text[] default null
)
returns table ("crowdloan_id" bigint, "account" text, "amount" bigint, since_block bigint)
language plpgsql stable as $$
declare
    at constant bigint := indexed_block('leases', block);
    chosen constant text := ''
        || case when of_crowdloan_id is null then '' else ' and k.crowdloan_id = any($2)' end
        || case when of_account is null then '' else ' and k.account = any($3)' end;
begin
    return query execute
        'with keys as (
            select k.crowdloan_id, k.account from crowdloan_contributions k where true' || chosen || '
            union
            select k.crowdloan_id, k.account from crowdloan_contribution_history k
            where not k."exists" and k.block_number > $1' || chosen || '
        )
        select
            k."crowdloan_id",
            (select a.address from accounts a where a.account = k."account"),
            h."amount",
            h.block_number
        from keys k
        cross join lateral (
            select * from crowdloan_contribution_history h
            where h.crowdloan_id = k.crowdloan_id and h.account = k.account and h.block_number <= $1
            order by h.block_number desc limit 1
        ) h
        where h."exists"'
    using at, of_crowdloan_id, account_ids(of_account);
end
$$;
comment on function crowdloan_contributions_at(bigint, bigint[], text[]) is
'Contributions to crowdloans. As of a block (NULL: the last committed), of these keys only where they are given; since_block: the block that gave the row its values.';
