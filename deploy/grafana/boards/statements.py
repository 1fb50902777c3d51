"""The statements of the board Chain, over the documented views, functions and histories.

Each turns the time range into blocks first (``block_at`` finds one by primary key), as histories are ordered by block
and not by time. Lines ask the state as of some blocks of the range; what happened is counted within it. What a dataset
does not have is left out of lines: functions would refuse a block that is not indexed.
"""

from __future__ import annotations

_NAME = "'SN' || netuid || coalesce(' ' || nullif(subnet_name #>> '{}', ''), '')"
LINES = 10
"""Subnets that get a line of their own: more cannot be told apart."""
_FIRST = '(SELECT "timestamp" FROM blocks WHERE "timestamp" IS NOT NULL ORDER BY block_number LIMIT 1)'

RANGE = f"""span AS MATERIALIZED (
    SELECT block_at(greatest($__timeFrom()::timestamptz, {_FIRST})) AS low,
        block_at(greatest($__timeTo()::timestamptz, {_FIRST})) AS high
)"""
"""The blocks of the time range."""
WITHIN = "BETWEEN (SELECT low FROM span) AND (SELECT high FROM span)"
CHOSEN = f"""chosen AS MATERIALIZED (
    SELECT netuid, {_NAME} AS label
    FROM subnets
    WHERE netuid::text = ANY (string_to_array('${{netuid:csv}}', ',')) AND netuid > 0 AND networks_added
    ORDER BY subnet_tao DESC NULLS LAST
    LIMIT {LINES}
)"""
"""Those of the variable netuid that have most TAO in their pool."""
ACCOUNT = """account AS MATERIALIZED (
    SELECT coalesce(nullif(trim(${account:sqlstring}), ''), (
        SELECT a.address FROM balances b JOIN accounts a USING (account) ORDER BY b.free + b.reserved DESC LIMIT 1
    )) AS address
)"""
"""The variable account; the richest one where it is empty."""


def steps(dataset: str) -> str:
    """The blocks to ask for lines: one per interval, of those that the dataset has."""
    return f"""steps AS MATERIALIZED (
    SELECT at, block
    FROM (
        SELECT at, block_at(at) AS block
        FROM generate_series(
            greatest($__timeFrom()::timestamptz, {_FIRST}), $__timeTo()::timestamptz, '$__interval'::interval
        ) at
    ) every
    WHERE EXISTS (
        SELECT FROM coverage c WHERE c.dataset = '{dataset}' AND every.block BETWEEN c.first_block AND c.last_block
    )
)"""


def of_subnets(value: str) -> str:
    """A column of the view subnets, as of each step, for the chosen subnets."""
    return f"""
WITH {CHOSEN}, {steps("subnets")}
SELECT at AS "time", c.label AS metric, {value} AS value
FROM steps CROSS JOIN LATERAL subnets_at(block) s JOIN chosen c USING (netuid)
ORDER BY 1, 2
"""


def flow(sign: str) -> str:
    """TAO per hour that came into (``>``) or went out of (``<``) subnets, from the events of stake."""
    moved = "e.destination_netuid IS NOT NULL AND e.destination_netuid <> e.netuid"
    return f"""
WITH {RANGE}, {CHOSEN}
SELECT $__timeGroup(e."timestamp", $__interval) AS "time", coalesce(c.label, 'others') AS metric,
    abs(sum(f.tao)) * 3600000.0 / $__interval_ms AS value
FROM stake_events e
CROSS JOIN LATERAL (VALUES
    (e.netuid, CASE e.name WHEN 'StakeAdded' THEN e.tao WHEN 'StakeRemoved' THEN -e.tao END),
    (e.netuid, CASE WHEN {moved} THEN -e.tao END),
    (e.destination_netuid, CASE WHEN {moved} THEN e.tao END)
) f (netuid, tao)
LEFT JOIN chosen c ON c.netuid = f.netuid
WHERE e.block_number {WITHIN} AND $__timeFilter(e."timestamp") AND f.tao {sign} 0
    AND f.netuid::text = ANY (string_to_array('${{netuid:csv}}', ','))
GROUP BY 1, 2
ORDER BY 1, 2
"""


PRICES = of_subnets("s.price")
POOL_TAO = of_subnets("tao(s.subnet_tao)")
POOL_EMISSION = of_subnets("tao(coalesce(s.subnet_tao_in_emission, 0))")

SUBNETS = f"""
WITH {RANGE}, was AS (
    SELECT s.netuid, s.price FROM subnets_as_of((
        SELECT greatest(span.low, c.start_block) FROM span, cursors c WHERE c.dataset = 'subnets'
    )) s
)
SELECT s.netuid, coalesce(s.subnet_name #>> '{{}}', s.token_symbol #>> '{{}}') AS name,
    s.price, s.price / nullif(was.price, 0) - 1 AS change,
    tao(s.subnet_tao) AS pool_tao, s.price * tao(s.subnet_alpha_in + s.subnet_alpha_out) AS value_tao,
    s.subnetwork_n AS neurons
FROM subnets s LEFT JOIN was USING (netuid)
WHERE s.netuid > 0 AND s.networks_added AND s.netuid::text = ANY (string_to_array('${{netuid:csv}}', ','))
ORDER BY value_tao DESC NULLS LAST
"""

DELEGATES = """
WITH staked AS MATERIALIZED (
    SELECT p.hotkey, sum(p.alpha * s.price) AS rao, count(*) AS subnets
    FROM hotkey_pools p JOIN subnets s USING (netuid)
    WHERE s.networks_added AND p.alpha > 0
    GROUP BY p.hotkey
    ORDER BY rao DESC
    LIMIT 15
)
SELECT a.address AS hotkey, tao(trunc(s.rao)) AS stake_tao, s.subnets, d.take / 65535.0 AS take,
    (SELECT count(DISTINCT n.coldkey) FROM stake_shares n WHERE n.hotkey = s.hotkey) AS stakers
FROM staked s JOIN accounts a ON a.account = s.hotkey LEFT JOIN delegates d USING (hotkey)
ORDER BY s.rao DESC
"""

RICHEST = """
SELECT a.address, tao(b.free + b.reserved) AS tao, tao(b.reserved) AS reserved_tao, b.nonce, k."timestamp" AS changed
FROM (SELECT * FROM balances ORDER BY free + reserved DESC LIMIT 15) b
JOIN accounts a USING (account)
LEFT JOIN blocks k USING (block_number)
ORDER BY tao DESC
"""

BALANCE = f"""
WITH {ACCOUNT}, {steps("balances")}
SELECT at AS "time", left(a.address, 6) || '… ' || v.kind AS metric, v.value
FROM steps CROSS JOIN account a CROSS JOIN LATERAL balance_at(a.address, block) b
CROSS JOIN LATERAL (VALUES ('free', tao(b.free)), ('reserved', tao(b.reserved))) v (kind, value)
ORDER BY 1, 2
"""

STAKE = f"""
WITH {ACCOUNT}, {steps("stake")}
SELECT at AS "time", 'SN' || d.netuid AS metric, tao(sum(d.tao_rao)) AS value
FROM steps CROSS JOIN account a CROSS JOIN LATERAL delegations_at(block, of_coldkey => a.address) d
GROUP BY at, d.netuid
ORDER BY 1, 2
"""

TRANSFERRED = f"""
WITH {RANGE}
SELECT $__timeGroup("timestamp", $__interval) AS "time", 'transferred' AS metric,
    sum(tao) * 3600000.0 / $__interval_ms AS value
FROM transfers
WHERE block_number {WITHIN} AND $__timeFilter("timestamp")
GROUP BY 1
ORDER BY 1
"""

TRANSFERS = TRANSFERRED.replace("'transferred'", "'transfers'").replace("sum(tao)", "count(*)")

NEW_ACCOUNTS = f"""
WITH {RANGE}
SELECT $__timeGroup(k."timestamp", $__interval) AS "time", 'new accounts' AS metric, count(*) AS value
FROM (
    SELECT account, min(block_number) AS block_number
    FROM balance_history
    WHERE block_number {WITHIN} AND "exists"
    GROUP BY account
) h
JOIN blocks k USING (block_number)
WHERE $__timeFilter(k."timestamp")
    AND h.block_number > (SELECT c.start_block FROM cursors c WHERE c.dataset = 'balances')
    AND NOT EXISTS (
        SELECT FROM balance_history p WHERE p.account = h.account AND p.block_number < h.block_number
    )
GROUP BY 1
ORDER BY 1
"""

REGISTRATIONS = f"""
WITH {RANGE}, {CHOSEN}
SELECT $__timeGroup(k."timestamp", $__interval) AS "time", coalesce(c.label, 'others') AS metric, count(*) AS value
FROM uid_history h JOIN blocks k USING (block_number) LEFT JOIN chosen c USING (netuid)
WHERE h.block_number {WITHIN} AND $__timeFilter(k."timestamp") AND h.registered_at = h.block_number
    AND h.netuid::text = ANY (string_to_array('${{netuid:csv}}', ','))
GROUP BY 1, 2
ORDER BY 1, 2
"""

REGISTRATION_COST = f"""
WITH {CHOSEN}, {steps("hyperparameters")}
SELECT at AS "time", c.label AS metric, h.value / 1e9 AS value
FROM steps CROSS JOIN chosen c CROSS JOIN LATERAL hyperparameter_as_of(c.netuid, 'burn', block) h
ORDER BY 1, 2
"""

ISSUANCE = f"""
WITH {steps("balances")}
SELECT at AS "time", 'issuance' AS metric,
    tao(amount - lag(amount) OVER ordered) / nullif(block - lag(block) OVER ordered, 0) AS value
FROM steps CROSS JOIN LATERAL (
    SELECT amount FROM issuance_history
    WHERE name = 'total_issuance' AND block_number <= block
    ORDER BY block_number DESC LIMIT 1
) h
WINDOW ordered AS (ORDER BY at)
ORDER BY 1
"""

_CHANGES = f"""
    SELECT h.netuid, h.name, h.block_number, k."timestamp", was.value_json AS old, h.value_json AS new
    FROM hyperparameter_history h
    JOIN blocks k USING (block_number)
    CROSS JOIN LATERAL effective_hyperparameter(h.netuid, h.name, h.block_number - 1) was
    WHERE h.block_number {WITHIN} AND $__timeFilter(k."timestamp")
        AND h.block_number > (SELECT c.start_block FROM cursors c WHERE c.dataset = 'hyperparameters')
        AND h.netuid::text = ANY (string_to_array('${{netuid:csv}}', ','))
        AND h.name = ANY (string_to_array('${{parameter:csv}}', ','))
        AND h.name NOT IN ('burn', 'difficulty') AND was.value_json IS DISTINCT FROM h.value_json
"""

HYPERPARAMETERS = f"""
WITH {RANGE}
SELECT "timestamp" AS "time", block_number AS block, netuid, name, old #>> '{{}}' AS old, new #>> '{{}}' AS new
FROM ({_CHANGES}) changes
ORDER BY block_number DESC, netuid, name
LIMIT 200
"""

HYPERPARAMETER_MARKS = f"""
WITH {RANGE}
SELECT "timestamp" AS "time",
    string_agg('SN' || netuid || ' ' || name || ': ' || coalesce(old #>> '{{}}', 'none') || ' → '
        || coalesce(new #>> '{{}}', 'none'), E'\\n' ORDER BY netuid, name) AS text,
    'hyperparameter' AS tags
FROM ({_CHANGES}) changes
GROUP BY "timestamp"
ORDER BY "timestamp" DESC
LIMIT 200
"""

UPGRADES = """
SELECT k."timestamp" AS "time", 'runtime ' || r.spec_version AS text, 'upgrade' AS tags
FROM runtimes r JOIN blocks k ON k.block_number = r.first_block
WHERE $__timeFilter(k."timestamp") AND r.first_block > (SELECT min(first_block) FROM runtimes)
"""

NETUIDS = f"""
SELECT {_NAME} AS __text, netuid AS __value
FROM subnets WHERE netuid > 0 AND networks_added ORDER BY netuid
"""

PARAMETERS = """
SELECT DISTINCT name FROM stored_hyperparameters
WHERE netuid > 0 AND name NOT IN ('burn', 'difficulty', 'networks_added') ORDER BY name
"""

AGE = """
SELECT extract(epoch FROM now() - "timestamp") AS age FROM blocks ORDER BY block_number DESC LIMIT 1
"""
BLOCK = "SELECT max(block_number) AS block FROM blocks"
SUPPLY = "SELECT tao(amount) AS issuance FROM issuance WHERE name = 'total_issuance'"
STAKED = "SELECT tao(trunc(sum(p.alpha * s.price))) AS staked FROM hotkey_pools p JOIN subnets s USING (netuid)"
POOLED = "SELECT tao(sum(subnet_tao)) AS pooled FROM subnets WHERE netuid > 0 AND networks_added"
COUNT_SUBNETS = "SELECT count(*) AS subnets FROM subnets WHERE netuid > 0 AND networks_added"
COUNT_NEURONS = "SELECT count(*) AS neurons FROM uids"
COUNT_ACCOUNTS = "SELECT count(*) AS accounts FROM balances"
