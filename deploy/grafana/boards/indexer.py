"""The board Indexer: is it well, and if not, where it hurts. From Prometheus, and the database's own word on coverage.

``{@`` in an expression stands for the matchers of the variables job and instance. Figures at the top are those of the
writer, as a standby's data are as old as its start. Counters with labels are shown as they stand, not as rates: the
first event makes the series, and no rate sees it.
"""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as model

from deploy.grafana.boards import rpc
from deploy.grafana.boards.parts import (
    GOOD_IF_ZERO,
    POSTGRES_TYPE,
    POSTGRES_UID,
    PROMETHEUS,
    PROMETHEUS_UID,
    column,
    figure,
    grid,
    lines,
    now,
    numbered,
    over_time,
    query_variable,
    rows,
    source_variable,
    states,
)

WRITING = "and on (job, instance) indexer_writer{@} == 1"
YES_NO = {"1": ("yes", "green"), "0": ("no", "red")}
_LAG = ((None, "green"), (60.0, "yellow"), (180.0, "red"))

REMAINING = """(
    clamp_min(scalar(max(indexer_committed_block{@} + indexer_lag_blocks{@}))
        - max by (dataset) (indexer_dataset_committed_block{@}), 0)
    + max by (dataset) (indexer_dataset_missing_blocks{@})
)"""
"""Blocks that a dataset still has to index: up to the followed head, and those missing within."""
ETA = f"""
({REMAINING} < 10) * 0
or {REMAINING} / (
    max by (dataset) (deriv(indexer_dataset_committed_block{{@}}[15m]))
    - max by (dataset) (deriv(indexer_dataset_missing_blocks{{@}}[15m]))
    - scalar(max(deriv(indexer_head_block{{@, kind="best"}}[15m]))) > 0
)"""
"""Seconds until none remain at the pace of the last quarter of an hour; no answer where they do not get fewer."""

DATASETS = """
SELECT dataset, state, start_block, committed_block, complete_blocks, incomplete_blocks,
    jsonb_array_length(gaps) AS gaps, coalesce(stop_reason, note) AS note
FROM status ORDER BY lag_seconds DESC NULLS LAST, dataset
"""
GAPS = "SELECT dataset, first_block, last_block, reason FROM gaps ORDER BY dataset, first_block LIMIT 200"


def indexer() -> model.Dashboard:
    """The whole board."""
    board = (
        dashboard.Dashboard("Bittensor: indexer")
        .uid("bittensor-indexer")
        .description("Is the indexer well, and if not, where it hurts.")
        .tags(["bittensor", "indexer"])
        .time("now-1h", "now")
        .refresh("30s")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .with_variable(source_variable("datasource", "Prometheus", "prometheus", PROMETHEUS_UID))
        .with_variable(source_variable("database", "Database", POSTGRES_TYPE, POSTGRES_UID))
        .with_variable(
            query_variable("job", "Job", "Jobs of Prometheus.", "label_values(indexer_build_info, job)", PROMETHEUS)
        )
        .with_variable(
            query_variable(
                "instance", "Instance", "Processes: the writer and its standbys.",
                'label_values(indexer_build_info{job=~"$job"}, instance)', PROMETHEUS,
            )
        )
    )  # fmt: skip
    _glance(board)
    _latency(board)
    _throughput(board)
    rpc.rows(board)
    _coverage(board)
    _database(board)
    _life(board)
    return numbered(board.build())


def _glance(board: dashboard.Dashboard) -> None:
    board.with_row(dashboard.Row("Is it well?"))
    board.with_panel(
        figure("Ready", "Whether the writer's /readyz says that the data are current. No writer: nobody writes to the "
               "database.", "none", now(f"max(indexer_ready{{@}} {WRITING})"),
               words={"1": ("ready", "green"), "0": ("not ready", "red")}, no_value="no writer")
    )  # fmt: skip
    board.with_panel(
        figure("Lag", "Seconds since the last committed block was made, by its own clock. Following finalized blocks, "
               "20 to 40 s are usual, as finality takes that long.", "s",
               now(f"max(indexer_lag_seconds{{@}} {WRITING})"), steps=_LAG, decimals=1, no_value="no writer")
    )  # fmt: skip
    board.with_panel(
        figure("Lag in blocks", "Blocks between the followed head and the last committed one. 0 or 1 is usual.",
               "locale", now(f"max(indexer_lag_blocks{{@}} {WRITING})"), decimals=0,
               steps=((None, "green"), (5, "yellow"), (15, "red")), no_value="no writer")
    )  # fmt: skip
    board.with_panel(
        figure("Head age", "Seconds since a node told of a new best head. 12 s at most is usual; much more: the chain "
               "stands, or the nodes do, and the indexer cannot help it.", "s",
               now(f'max(indexer_head_age_seconds{{@, kind="best"}} {WRITING})'), decimals=1,
               steps=((None, "green"), (30, "yellow"), (120, "red")), no_value="no writer")
    )  # fmt: skip
    board.with_panel(
        figure("Complete", "Of the blocks committed in the time range, the part proven complete against the chain's "
               "state roots. Less than 100 %: no endpoint serves read proofs.", "percentunit",
               now("1 - sum(increase(indexer_incomplete_blocks_total{@}[$__range]))"
                   " / (sum(increase(indexer_blocks_total{@}[$__range])) > 0)"), decimals=2,
               steps=((None, "red"), (0.99, "yellow"), (1, "green")), no_value="no blocks")
    )  # fmt: skip
    board.with_panel(
        figure("Differences", "What the last comparison of all tables with the chain found. 0 is right; anything else "
               "is a page: see the runbook.", "locale",
               now("max(indexer_verify_differences{@} and on (job, instance) indexer_verified_block{@} > 0)"),
               steps=GOOD_IF_ZERO, decimals=0, no_value="not compared yet")
    )  # fmt: skip
    board.with_panel(
        figure("Uptime", "Since the writer's process started.", "s",
               now(f"max(time() - process_start_time_seconds{{@}} {WRITING})"), no_value="no writer")
    )  # fmt: skip
    board.with_panel(
        figure("Version", "Of the processes chosen above; two during a roll-out.", "none",
               now("count by (version) (indexer_build_info{@})", "{{version}}"), name_only=True)
    )  # fmt: skip


def _latency(board: dashboard.Dashboard) -> None:
    board.with_row(dashboard.Row("Latency"))
    board.with_panel(
        lines("Head to commit", "From the moment a node tells of a block to its commit: what the indexer itself takes. "
              "Below a second is usual with a node of your own.", "s",
              *(over_time(f"histogram_quantile({quantile}, sum by (le) "
                          "(rate(indexer_head_to_commit_seconds_bucket{@}[$__rate_interval])))", f"p{quantile * 100:g}")
                for quantile in (0.5, 0.9, 0.99)), span=6)
    )  # fmt: skip
    board.with_panel(
        lines("Head age by kind", "Seconds since a node told of a new head, best and finalized: what the chain and the "
              "nodes take. A saw-tooth up to 12 s is usual.", "s",
              over_time("min by (kind) (indexer_head_age_seconds{@})", "{{kind}}"), span=6,
              steps=((None, "transparent"), (120, "red")))
    )  # fmt: skip
    board.with_panel(
        lines("Lag by instance", "Seconds since the time of the last committed block. A standby's grows from its start "
              "until it takes over.", "s", over_time("indexer_lag_seconds{@}", "{{instance}}"), span=6)
    )  # fmt: skip
    board.with_panel(
        states("Who writes", "One instance at a time writes to a database; the others stand by.",
               {"1": ("writes", "green"), "0": ("stands by", "blue")}, over_time("indexer_writer{@}", "{{instance}}"),
               span=6)
    )  # fmt: skip
    board.with_panel(
        lines("Blocks behind", "Behind the followed head.", "locale",
              over_time(f"max(indexer_lag_blocks{{@}} {WRITING})", "behind the followed head"),
              over_time("min(indexer_finality_lag_blocks{@})", "finality behind the best head"))
    )  # fmt: skip
    board.with_panel(
        lines("Progress", "Seconds since a process last got on with what there is to do. Near 0, idle at the head too; "
              "growing: it stands, and the watchdog restarts it.", "s",
              over_time("indexer_progress_age_seconds{@}", "{{instance}}"))
    )  # fmt: skip
    board.with_panel(
        lines("Heights", "Heads as nodes tell them, and the last committed block.", "locale",
              over_time("max by (kind) (indexer_head_block{@})", "{{kind}} head"),
              over_time("max(indexer_committed_block{@})", "committed"), low=None)
    )  # fmt: skip


def _throughput(board: dashboard.Dashboard) -> None:
    board.with_row(dashboard.Row("Throughput, and where a block's time goes"))
    per_block = "/ on () group_left () (sum(rate(indexer_blocks_total{@}[$__rate_interval])) > 0)"
    board.with_panel(
        lines("Blocks per second", "Committed. At the head 1/12; while it catches up, as fast as the node answers.",
              "suffix:blocks/s", over_time("sum by (instance) (rate(indexer_blocks_total{@}[$__rate_interval]))",
                                           "{{instance}}"))
    )  # fmt: skip
    board.with_panel(
        lines("Rows per second", "Written, of the ten tables with most.", "suffix:rows/s",
              over_time("sum by (table) (rate(indexer_rows_total{@}[$__rate_interval])) and on (table) "
                        "topk(10, sum by (table) (increase(indexer_rows_total{@}[$__range] @ end())))", "{{table}}"),
              stack=True)
    )  # fmt: skip
    board.with_panel(
        lines("Queues", "What waits between the steps. jobs: heights to capture; order: captured blocks that wait for "
              "an earlier one. Near 0 at the head; order at its window while catching up: the database is the limit.",
              "locale", over_time("sum by (queue) (indexer_queue_depth{@})", "{{queue}}"))
    )  # fmt: skip
    board.with_panel(
        lines("Time per block by step", "Mean per committed block; several blocks are captured at once, so the sum may "
              "be more than passes. capture is the node's time.", "s",
              over_time(f"sum by (step) (rate(indexer_step_seconds_sum{{@}}[$__rate_interval])) {per_block}",
                        "{{step}}"), stack=True)
    )  # fmt: skip
    board.with_panel(
        lines("Slowest of a hundred, by step", "99th percentile of each step. commit is one transaction, of one block "
              "at the head and of many while catching up.", "s",
              over_time("histogram_quantile(0.99, sum by (step, le) "
                        "(rate(indexer_step_seconds_bucket{@}[$__rate_interval])))", "{{step}}"), log=True)
    )  # fmt: skip
    board.with_panel(
        lines("Round trips per block", "To capture one block: a handful; more where much changed, or where no endpoint "
              "serves proofs.", "locale",
              over_time("sum(rate(indexer_node_calls_per_block_sum{@}[$__rate_interval])) / "
                        "(sum(rate(indexer_node_calls_per_block_count{@}[$__rate_interval])) > 0)", "mean"),
              over_time("histogram_quantile(0.99, sum by (le) "
                        "(rate(indexer_node_calls_per_block_bucket{@}[$__rate_interval])))", "p99"))
    )  # fmt: skip


def _coverage(board: dashboard.Dashboard) -> None:
    board.with_row(dashboard.Row("Coverage and backfill"))
    board.with_panel(
        grid("Backfill by dataset", "Remaining: blocks up to the followed head, and those missing within. Time left: "
             "at the pace of the last 15 minutes; empty where they do not get fewer.",
             column("max by (dataset) (indexer_dataset_committed_block{@})"),
             column("max by (dataset) (indexer_dataset_missing_blocks{@})"),
             column("max by (dataset) (indexer_dataset_incomplete_blocks{@})"),
             column(REMAINING), column(ETA), join="dataset", height=10,
             units={"Time left": "s", "Committed": "locale", "Missing": "locale", "Incomplete": "locale",
                    "Remaining": "locale"},
             names={"dataset": "Dataset", "Value #A": "Committed", "Value #B": "Missing", "Value #C": "Incomplete",
                    "Value #D": "Remaining", "Value #E": "Time left"})
    )  # fmt: skip
    board.with_panel(
        grid("Datasets, as the database has them", "The view status. followed: kept up; behind: catches up; stopped: "
             "a block cannot be decoded; left: no longer in the configuration.", rows(DATASETS), height=10,
             units={"From": "locale", "To": "locale", "Complete": "locale", "Incomplete": "locale"},
             names={"dataset": "Dataset", "state": "State", "start_block": "From", "committed_block": "To",
                    "complete_blocks": "Complete", "incomplete_blocks": "Incomplete", "gaps": "Gaps", "note": "Note"})
    )  # fmt: skip
    board.with_panel(
        lines("Remaining blocks", "Of the five datasets that have most before them. Zero or one is usual at the head.",
              "locale", over_time(f"topk(5, {REMAINING})", "{{dataset}}"))
    )  # fmt: skip
    board.with_panel(
        lines("Not proven complete", "Blocks committed in the last hour without proof of completeness, and blocks that "
              "all datasets together hold so. None is good.", "locale",
              over_time("sum(increase(indexer_incomplete_blocks_total{@}[1h]))", "committed within an hour"),
              over_time("sum(max by (dataset) (indexer_dataset_incomplete_blocks{@}))", "held"),
              over_time("sum(max by (dataset) (indexer_dataset_missing_blocks{@}))", "missing"))
    )  # fmt: skip
    board.with_panel(
        grid("Gaps", "What is missing or not proven, and why: the view gaps. None is good.", rows(GAPS), span=8,
             height=8, names={"dataset": "Dataset", "first_block": "From", "last_block": "To", "reason": "Why"},
             no_value="none: all is there and proven")
    )  # fmt: skip


def _database(board: dashboard.Dashboard) -> None:
    board.with_row(dashboard.Row("Database and verification"))
    commit = 'rate(indexer_step_seconds_bucket{@, step="commit"}[$__rate_interval])'
    board.with_panel(
        lines("Commit", "One transaction, from its begin to its commit. At the head some 10 to 100 ms; much more: the "
              "database is busy, far away or short of memory.", "s",
              *(over_time(f"histogram_quantile({quantile}, sum by (le) ({commit}))", f"p{quantile * 100:g}")
                for quantile in (0.5, 0.99)), span=6)
    )  # fmt: skip
    board.with_panel(
        lines("Size of the database", "As Postgres tells it, indexes included.", "bytes",
              over_time("max(indexer_database_bytes{@})", "size"), span=6, low=None)
    )  # fmt: skip
    board.with_panel(
        lines("Growth per day", "At the pace of the last hour. It is less at the head than while it catches up.",
              "bytes", over_time("max(deriv(indexer_database_bytes{@}[1h])) * 86400", "growth"), span=6, low=None)
    )  # fmt: skip
    board.with_panel(
        lines("Free disk", "Where the embedded Postgres keeps its files. No data with another database: watch that "
              "one's disk there.", "bytes", over_time("min by (data_dir) (indexer_disk_free_bytes{@})", "{{data_dir}}"),
              span=6, no_value="not an embedded Postgres")
    )  # fmt: skip
    board.with_panel(
        lines("Blocks since the last comparison", "Committed since all tables were last compared with the chain. It "
              "falls to zero about once a day.", "locale",
              over_time("max(indexer_committed_block{@}) - max(indexer_verified_block{@} > 0)", "blocks"),
              no_value="not compared yet")
    )  # fmt: skip
    board.with_panel(
        lines("Comparisons", "What they found, and how many could not be made since the start. Zeros are good.",
              "locale", over_time("max(indexer_verify_differences{@})", "differences"),
              over_time("sum(indexer_verify_failures_total{@})", "could not be made"))
    )  # fmt: skip
    board.with_panel(
        lines("Duration of a comparison", "What the last one took, beside the work on new blocks.", "s",
              over_time("max(indexer_verify_seconds{@})", "seconds"))
    )  # fmt: skip


def _life(board: dashboard.Dashboard) -> None:
    board.with_row(dashboard.Row("Reorgs, restarts, process"))
    board.with_panel(
        lines("Blocks taken back", "Because the chain left them, within five minutes. With --follow finalized none; "
              "with best one or two now and then; many at once is a page.", "locale",
              over_time("sum(increase(indexer_reorg_depth_sum{@}[5m]))", "blocks"),
              over_time("sum(increase(indexer_reorgs_total{@}[5m]))", "rewinds"))
    )  # fmt: skip
    board.with_panel(
        lines("Runs that began anew", "Since the process started, by cause: lost nodes and databases, reorgs. A step "
              "up now and then is usual, a staircase is not.", "locale",
              over_time("sum by (cause) (indexer_restarts_total{@}) > 0 or "
                        'label_replace(vector(0), "cause", "none", "", "")', "{{cause}}"))
    )  # fmt: skip
    board.with_panel(
        grid("Stopped datasets", "Datasets that wait before a block they cannot decode, and the item. None is good.",
             column("max by (dataset, item) (indexer_undecodable{@})"), span=8, height=8,
             names={"dataset": "Dataset", "item": "Item", "Value": "Block"}, no_value="none: all can be decoded")
    )  # fmt: skip
    board.with_panel(
        lines("Memory", "Resident. It is flat; 150 to 400 MB are usual, more while catching up with a large window.",
              "bytes", over_time("process_resident_memory_bytes{@}", "{{instance}}"), span=6)
    )  # fmt: skip
    board.with_panel(
        lines("Processor", "Cores in use. Less than a tenth of one at the head, one while catching up.", "none",
              over_time("rate(process_cpu_seconds_total{@}[$__rate_interval])", "{{instance}}"), span=6)
    )  # fmt: skip
    board.with_panel(
        lines("Open files", "And connections. Some dozens; a steady rise is a leak.", "locale",
              over_time("process_open_fds{@}", "{{instance}}"), span=6)
    )  # fmt: skip
    board.with_panel(
        states("Alerts", "Rules of deploy/prometheus that fire. None is good; each names a section of "
               "the runbook.", {"1": ("fires", "red")},
               over_time('max by (alertname) (ALERTS{job=~"$job|", alertstate="firing"})', "{{alertname}}"), span=6,
               no_value="none fires")
    )  # fmt: skip
