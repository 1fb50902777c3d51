"""The documented queries that are measured: what people ask, with other arguments each time, and how quickly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from bench.world import FIRST_BLOCK, Size, account_id
from indexer.scale import ss58_encode

Arguments = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """One statement and how its arguments are drawn."""

    name: str
    sql: str
    arguments: Callable[[Random, Size], Arguments]
    most_ms: float | None = None
    """What the 99th percentile must stay below at scale 1; None: reported only."""
    runs: int = 200


def _block(random: Random, size: Size) -> int:
    return random.randrange(FIRST_BLOCK, size.last_block + 1)


def _address(number: int) -> str:
    return ss58_encode(account_id(number), 42)


def _account(random: Random, size: Size) -> str:
    """Any account; every fourth time one of the busiest."""
    return _address(random.randrange(10 if random.random() < 0.25 else size.accounts))


def _coldkey(random: Random, size: Size) -> str:
    """A coldkey with stake, whichever."""
    return _address(random.randrange(size.of(100_000, 100)))


def _hotkey(random: Random, size: Size) -> str:
    return _address(-1 - random.randrange(size.hotkeys))


def _netuid(random: Random, size: Size) -> int:
    return random.randrange(size.subnets)


def _nothing(random: Random, size: Size) -> Arguments:
    del random, size
    return ()


QUERIES = (
    Query(
        "balance of an account",
        "SELECT * FROM balance_at($1, $2)",
        lambda random, size: (_account(random, size), _block(random, size)), 5, 500,
    ),
    Query(
        "uid of a hotkey",
        "SELECT uid($1, $2, $3)",
        lambda random, size: (_hotkey(random, size), _netuid(random, size), _block(random, size)), 5, 300,
    ),
    Query(
        "who holds a uid",
        "SELECT * FROM uids_at($3, ARRAY[$1::integer], ARRAY[$2::bigint])",
        lambda random, size: (_netuid(random, size), random.randrange(size.uids), _block(random, size)), 5, 300,
    ),
    Query(
        "where a hotkey serves",
        "SELECT * FROM axons_at($3, ARRAY[$2::integer], ARRAY[$1])",
        lambda random, size: (_hotkey(random, size), _netuid(random, size), _block(random, size)), 5, 300,
    ),
    Query(
        "a subnet's hyperparameters",
        "SELECT * FROM hyperparameters_at($1, $2)",
        lambda random, size: (_netuid(random, size), _block(random, size)), 20, 300,
    ),
    Query(
        "portfolio of a coldkey",
        "SELECT * FROM delegations_at($2, of_coldkey => $1)",
        lambda random, size: (_coldkey(random, size), _block(random, size)), 20, 400,
    ),
    Query(
        "portfolio of one of the ten largest",
        "SELECT * FROM delegations_at($2, of_coldkey => $1)",
        lambda random, size: (_address(random.randrange(10)), _block(random, size)), None, 50,
    ),
    Query(
        "nominators of a hotkey",
        "SELECT * FROM delegations_at($2, of_hotkey => $1)",
        lambda random, size: (_hotkey(random, size), _block(random, size)), None, 300,
    ),
    Query(
        "balances of 100 accounts",
        "SELECT a, b.* FROM unnest($1::text[]) a CROSS JOIN LATERAL balance_at(a, $2) b",
        lambda random, size: ([_account(random, size) for _ in range(100)], _block(random, size)), None, 100,
    ),
    Query(
        "metagraph of a subnet",
        "SELECT * FROM neurons_at($2, ARRAY[$1::integer])",
        lambda random, size: (_netuid(random, size), _block(random, size)), None, 100,
    ),
    Query(
        "all subnets with prices",
        "SELECT * FROM subnets_at($1)",
        lambda random, size: (_block(random, size),), None, 100,
    ),
    Query(
        "history of the busiest account",
        "SELECT block_number, free, reserved, nonce FROM balance_history WHERE account = account_id($1) "
        "ORDER BY block_number",
        lambda random, size: (_address(0),), 200, 30,
    ),
    Query(
        "stake history of a coldkey",
        "SELECT block_number, netuid, share_mantissa FROM stake_shares_history WHERE coldkey = account_id($1) "
        "ORDER BY block_number",
        lambda random, size: (_coldkey(random, size),), None, 200,
    ),
    Query(
        "stake history of a hotkey",
        "SELECT block_number, coldkey, share_mantissa FROM stake_shares_history WHERE hotkey = account_id($1) "
        "ORDER BY block_number DESC LIMIT 1000",
        lambda random, size: (_hotkey(random, size),), None, 200,
    ),
    Query(
        "hotkeys of an owner",
        "SELECT hotkey, take FROM delegates WHERE owner = account_id($1)",
        lambda random, size: (_account(random, size),), 5, 300,
    ),
    Query(
        "what an owner's hotkeys went through",
        "SELECT block_number, hotkey, take FROM delegate_history WHERE owner = account_id($1) ORDER BY block_number",
        lambda random, size: (_account(random, size),), 5, 300,
    ),
    Query(
        "members of a subnet",
        "SELECT * FROM registrations_at($2, of_netuid => ARRAY[$1::integer])",
        lambda random, size: (_netuid(random, size), _block(random, size)), None, 100,
    ),
    Query(
        "registrations of a subnet in a day",
        "SELECT block_number, hotkey, uid FROM registration_history WHERE netuid = $1 "
        "AND block_number BETWEEN $2 AND $2 + 7200",
        lambda random, size: (_netuid(random, size), _block(random, size)), None, 100,
    ),
    Query(
        "balances that moved within an hour",
        "SELECT account, max(free) - min(free) AS moved FROM balance_history "
        "WHERE block_number BETWEEN $1 AND $1 + 300 GROUP BY account ORDER BY moved DESC LIMIT 20",
        lambda random, size: (_block(random, size),), None, 50,
    ),
    Query(
        "a subnet's price over a day",
        "SELECT block_number, price FROM subnet_history WHERE netuid = $1 AND block_number BETWEEN $2 AND $2 + 7200",
        lambda random, size: (_netuid(random, size), _block(random, size)), None, 20,
    ),
    Query(
        "rich list",
        "SELECT a.address, b.free + b.reserved AS rao FROM balances b JOIN accounts a USING (account) "
        "ORDER BY rao DESC LIMIT 100",
        _nothing, 1000, 20,
    ),
    Query(
        "stake per subnet",
        "SELECT netuid, sum(alpha) AS alpha_rao FROM hotkey_pools GROUP BY netuid",
        _nothing, 1000, 20,
    ),
    Query(
        "stake per subnet, position by position, with its value",
        "SELECT netuid, sum(alpha_rao) AS alpha_rao, sum(tao_rao) AS tao_rao FROM delegations GROUP BY netuid",
        _nothing, None, 5,
    ),
    Query(
        "whole chain's delegations at the head",
        "SELECT count(*), sum(tao_rao) FROM delegations_at()", _nothing, None, 3,
    ),
    Query(
        "whole chain's delegations, a day back",
        "SELECT count(*), sum(tao_rao) FROM delegations_at($1)",
        lambda random, size: (max(FIRST_BLOCK, size.last_block - 7200),), None, 3,
    ),
    Query(
        "whole chain's delegations, half way back",
        "SELECT count(*), sum(tao_rao) FROM delegations_at($1)",
        lambda random, size: (size.last_block - size.blocks // 2,), None, 3,
    ),
    Query(
        "whole chain's delegations, at the first block",
        "SELECT count(*), sum(tao_rao) FROM delegations_at($1)",
        lambda random, size: (FIRST_BLOCK,), None, 3,
    ),
)  # fmt: skip
