"""The board Chain: what the indexed tables tell of subnets, stake, accounts and hyperparameters, asked in SQL."""

from __future__ import annotations

from collections.abc import Mapping

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as model

from deploy.grafana.boards import statements as sql
from deploy.grafana.boards.parts import (
    POSTGRES,
    POSTGRES_TYPE,
    POSTGRES_UID,
    Sql,
    figure,
    grid,
    lines,
    numbered,
    query_variable,
    rows,
    series,
    source_variable,
)

TAO = "suffix:TAO"
_TEN = f"Of the chosen subnets the {sql.LINES} with most TAO in their pool."


MARKED = ("Price", "TAO in the pool", "Emission into pools", "Registrations", "Cost of a registration")
"""Panels with marks where hyperparameters changed."""


class _SqlMarks(model.AnnotationQuery):
    """An annotation that a statement gives: time in milliseconds, text, tags. The SDK knows tags of Grafana only."""

    def __init__(self, name: str, color: str, statement: str) -> None:
        super().__init__(name=name, datasource=POSTGRES, enable=True, icon_color=color)
        self._statement = statement

    def build(self) -> model.AnnotationQuery:
        """Itself."""
        return self

    def to_json(self) -> dict[str, object]:
        """With the statement where Grafana looks for it."""
        return {**super().to_json(), "target": Sql(self._statement, "table", "Anno")}


class _Marks(dashboard.AnnotationQuery):
    def __init__(self, marks: _SqlMarks) -> None:
        super().__init__()
        self._internal = marks


def chain() -> model.Dashboard:
    """The whole board."""
    board = (
        dashboard.Dashboard("Bittensor: chain")
        .uid("bittensor-chain")
        .description("Subnets, stake, accounts and hyperparameters, from the indexer's database.")
        .tags(["bittensor", "indexer"])
        .time("now-24h", "now")
        .refresh("5m")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .with_variable(source_variable("database", "Database", POSTGRES_TYPE, POSTGRES_UID))
        .with_variable(query_variable("netuid", "Subnets", "Which subnets the panels tell of.", sql.NETUIDS, POSTGRES))
        .with_variable(
            query_variable(
                "parameter", "Hyperparameters", "Which of them marks and the table tell of.", sql.PARAMETERS, POSTGRES
            )
        )
        .with_variable(
            dashboard.TextBoxVariable("account")
            .label("Account")
            .description("SS58 address of a coldkey; the richest account where empty.")
            .default_value("")
        )
        .annotation(_Marks(_SqlMarks("Hyperparameters", "yellow", sql.HYPERPARAMETER_MARKS)))
        .annotation(_Marks(_SqlMarks("Runtime upgrades", "purple", sql.UPGRADES)))
    )
    _glance(board)
    _subnets(board)
    _stake(board)
    _accounts(board)
    _rules(board)
    return _marked(numbered(board.build()))


def _marked(board: model.Dashboard) -> model.Dashboard:
    """With marks on those panels alone that hyperparameters have to do with."""
    numbers = {panel.title: panel.id_val for panel in board.panels or () if isinstance(panel, model.Panel)}
    for one in board.annotations.list_val or ():
        one.filter_val = model.AnnotationPanelFilter(exclude=False, ids=[numbers[title] or 0 for title in MARKED])
    return board


def _glance(board: dashboard.Dashboard) -> None:
    def one(title: str, description: str, unit: str, statement: str, decimals: int = 0) -> None:
        board.with_panel(figure(title, description, unit, rows(statement), decimals=decimals))

    board.with_row(dashboard.Row("At the last indexed block"))
    one("Block", "Height of the last indexed block.", "locale", sql.BLOCK)
    board.with_panel(
        figure(
            "Age of the data", "Since the last indexed block was made. Some 30 s is usual: finality takes as long.",
            "s", rows(sql.AGE), decimals=0, steps=((None, "green"), (120, "yellow"), (600, "red")),
        )
    )  # fmt: skip
    one("Issuance", "All TAO that exists.", TAO, sql.SUPPLY)
    one("Staked", "All stake at the spot prices of its subnets, in TAO.", TAO, sql.STAKED)
    one("In pools", "TAO in the pools of all subnets.", TAO, sql.POOLED)
    one("Subnets", "Subnets that exist, without root.", "locale", sql.COUNT_SUBNETS)
    one("Neurons", "Uids that are held, over all subnets.", "locale", sql.COUNT_NEURONS)
    one("Accounts", "Accounts that exist.", "locale", sql.COUNT_ACCOUNTS)


def _subnets(board: dashboard.Dashboard) -> None:
    board.with_row(dashboard.Row("Subnets"))
    board.with_panel(
        lines("Price", f"Spot price of a subnet's alpha. {_TEN} Marks: changes of hyperparameters, and upgrades.",
              TAO, series(sql.PRICES), span=12, height=9, points=150, log=True)
    )  # fmt: skip
    board.with_panel(
        lines("TAO in the pool", f"What traders can take out at most; grows by emission and by stake. {_TEN}",
              TAO, series(sql.POOL_TAO), span=12, height=9, points=150, low=None)
    )  # fmt: skip
    board.with_panel(
        grid("Subnets by value", "At the last indexed block; the change is that of the price over the time range. "
             "Value: price times all alpha that exists.", rows(sql.SUBNETS), height=9, span=12,
             units={"Price": TAO, "Change": "percentunit", "Pool": TAO, "Value": TAO},
             names={"netuid": "Netuid", "name": "Name", "price": "Price", "change": "Change", "pool_tao": "Pool",
                    "value_tao": "Value", "neurons": "Neurons"})
    )  # fmt: skip
    board.with_panel(
        lines("Emission into pools", "TAO that the chain put into a subnet's pool in a block. Zero is usual for those "
              f"that the chain does not pay. {_TEN}",
              TAO, series(sql.POOL_EMISSION), span=6, height=9, points=150, stack=True)
    )  # fmt: skip
    board.with_panel(
        lines("Growth of issuance", "TAO that came into being per block, less what was recycled; below zero where "
              "registrations recycled more than was emitted.", TAO, series(sql.ISSUANCE), span=6, height=9,
              points=100, low=None)
    )  # fmt: skip


def _stake(board: dashboard.Dashboard) -> None:
    board.with_row(dashboard.Row("Stake"))
    flows = {
        "Staked per hour": ("TAO that people put into subnets, moves from other subnets included", ">"),
        "Unstaked per hour": ("TAO that people took out of subnets, moves to other subnets included", "<"),
    }
    for title, (told, sign) in flows.items():
        board.with_panel(
            lines(title, f"{told}, by the events of stake: the chain's own emission is not in it. {_TEN}",
                  TAO, series(sql.flow(sign)), span=6, height=9, points=48, stack=True, bars=True, low=None)
        )  # fmt: skip
    board.with_panel(
        grid("Top delegates", "Hotkeys with most stake over all subnets, at spot prices. Take: the part of dividends "
             "they keep; empty: not open for delegation. Stakers: coldkeys with a share.",
             rows(sql.DELEGATES), units={"Stake": TAO, "Take": "percentunit"},
             names={"hotkey": "Hotkey", "stake_tao": "Stake", "subnets": "Subnets", "take": "Take",
                    "stakers": "Stakers"})
    )  # fmt: skip


def _accounts(board: dashboard.Dashboard) -> None:
    board.with_row(dashboard.Row("Accounts"))
    board.with_panel(
        grid("Richest balances", "Accounts with most TAO, free and reserved; stake is not in it.", rows(sql.RICHEST),
             units={"Balance": TAO, "Reserved": TAO},
             names={"address": "Account", "tao": "Balance", "reserved_tao": "Reserved", "nonce": "Signed",
                    "changed": "Changed"})
    )  # fmt: skip
    chosen = "Of the account in the field above; of the richest one where it is empty."
    board.with_panel(
        lines("Balance of the account", f"Free and reserved TAO over time. {chosen}", TAO, series(sql.BALANCE), span=6,
              height=9, points=100, stack=True)
    )  # fmt: skip
    board.with_panel(
        lines("Stake of the account", f"By subnet, at the spot price of each moment. {chosen} Nothing: it has none.",
              TAO, series(sql.STAKE), span=6, height=9, points=50, stack=True, no_value="no stake")
    )  # fmt: skip
    activity: Mapping[str, tuple[str, str, str]] = {
        "Transferred per hour": ("TAO that accounts sent to others.", TAO, sql.TRANSFERRED),
        "Transfers per hour": ("How often accounts sent TAO to others.", "short", sql.TRANSFERS),
        "New accounts": ("Accounts with a balance for the first time, per bar.", "short", sql.NEW_ACCOUNTS),
    }
    for title, (told, unit, statement) in activity.items():
        board.with_panel(
            lines(title, told, unit, series(statement), height=7, points=48, bars=True, no_value="none in this time")
        )


def _rules(board: dashboard.Dashboard) -> None:
    board.with_row(dashboard.Row("Hyperparameters and registrations"))
    board.with_panel(
        grid("Changes of hyperparameters", "Newest first, up to 200. Also those of which the chain tells no event, and "
             "defaults that an upgrade moved. Left out: burn and difficulty, which the chain moves by itself.",
             rows(sql.HYPERPARAMETERS), names={"time": "Time", "block": "Block", "netuid": "Netuid", "name": "Name",
                                               "old": "From", "new": "To"}, no_value="none in this time")
    )  # fmt: skip
    board.with_panel(
        lines("Registrations", f"Hotkeys that took a uid, per bar. {_TEN}", "short", series(sql.REGISTRATIONS), span=6,
              height=9, points=48, stack=True, bars=True, no_value="none in this time")
    )  # fmt: skip
    board.with_panel(
        lines("Cost of a registration", f"What a registration burns. It rises with each and falls while there is none. "
              f"{_TEN}", TAO, series(sql.REGISTRATION_COST), span=6, height=9, points=100, log=True)
    )  # fmt: skip
