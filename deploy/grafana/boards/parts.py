"""Panels as these boards use them: the SDK's builders with the settings that all panels of a kind share.

Data sources are variables of the boards, so that an import by hand can choose them; provisioned, they are those with
the uids below. The SDK knows no query of Postgres: ``Sql`` is one, as Grafana's query editor saves it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from grafana_foundation_sdk.builders import (
    common,
    dashboard,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common as settings
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

PROMETHEUS_UID, POSTGRES_UID = "prometheus", "indexer-db"
POSTGRES_TYPE = "grafana-postgresql-datasource"
PROMETHEUS = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
POSTGRES = model.DataSourceRef(type_val=POSTGRES_TYPE, uid="${database}")

Steps: TypeAlias = Sequence[tuple[float | None, str]]
"""Thresholds: (from this value on, colour); the first has no value."""
GOOD_IF_ZERO: Steps = ((None, "green"), (1, "red"))
_PALETTE = model.FieldColorModeId.PALETTE_CLASSIC


class Sql(Dataquery):
    """A statement: ``time_series`` gives (time, metric, value), a row per point; ``table`` gives a table."""

    def __init__(self, sql: str, form: Literal["time_series", "table"], ref_id: str = "A") -> None:
        self.sql, self.form, self.ref_id = sql.strip(), form, ref_id

    def build(self) -> Dataquery:
        """Itself: there is nothing more to set."""
        return self

    def to_json(self) -> dict[str, object]:
        """As the query editor saves it."""
        return {
            "datasource": POSTGRES,
            "editorMode": "code",
            "format": self.form,
            "rawQuery": True,
            "rawSql": self.sql,
            "refId": self.ref_id,
        }


class _SqlBuilder(Builder[Dataquery]):
    def __init__(self, query: Sql) -> None:
        self._query = query

    def build(self) -> Dataquery:
        return self._query


def series(sql: str) -> Builder[Dataquery]:
    """A statement for lines: columns time, metric and value."""
    return _SqlBuilder(Sql(sql, "time_series"))


def rows(sql: str) -> Builder[Dataquery]:
    """A statement for a table."""
    return _SqlBuilder(Sql(sql, "table"))


def chosen(expr: str) -> str:
    """The expression with ``{@`` replaced by the matchers of the variables job and instance."""
    return " ".join(expr.replace("{@", '{job=~"$job", instance=~"$instance"').split())


def over_time(expr: str, legend: str) -> Builder[Dataquery]:
    """An expression over the time range, one point per step."""
    return prometheus.Dataquery().expr(chosen(expr)).range().legend_format(legend).datasource(PROMETHEUS)


def now(expr: str, legend: str = "") -> Builder[Dataquery]:
    """An expression at the end of the time range."""
    return prometheus.Dataquery().expr(chosen(expr)).instant().legend_format(legend).datasource(PROMETHEUS)


def column(expr: str) -> Builder[Dataquery]:
    """An expression at the end of the time range, as a column of a table."""
    return (
        prometheus.Dataquery().expr(chosen(expr)).instant().format(PromQueryFormat.TABLE).datasource(PROMETHEUS)
    )  # fmt: skip


def lines(
    title: str,
    description: str,
    unit: str,
    *targets: Builder[Dataquery],
    span: int = 8,
    height: int = 8,
    stack: bool = False,
    bars: bool = False,
    steps: Steps = (),
    low: float | None = 0,
    decimals: int | None = None,
    points: int | None = None,
    no_value: str | None = None,
    log: bool = False,
) -> timeseries.Panel:
    """Lines, areas or bars over time. ``low`` None lets the axis begin anywhere; ``points``: at most so many."""
    panel = timeseries.Panel().title(title).description(description).unit(unit).span(span).height(height)
    panel = panel.datasource(_source(targets)).color_scheme(dashboard.FieldColor().mode(_PALETTE))
    panel = panel.legend(_legend()).tooltip(
        common.VizTooltipOptions().mode(settings.TooltipDisplayMode.MULTI).sort(settings.SortOrder.DESCENDING)
    )
    panel = panel.line_width(1).fill_opacity(25 if stack else 8).show_points(settings.VisibilityMode.NEVER)
    if bars:
        panel = panel.draw_style(settings.GraphDrawStyle.BARS).fill_opacity(70).line_width(0)
    if stack:
        panel = panel.stacking(common.StackingConfig().mode(settings.StackingMode.NORMAL).group("A"))
    if log:
        scale = common.ScaleDistributionConfig().type(settings.ScaleDistribution.LOG).log(10)
        panel, low = panel.scale_distribution(scale), None
    if steps:
        style = common.GraphThresholdsStyleConfig().mode(settings.GraphTresholdsStyleMode.DASHED)
        panel = panel.thresholds(_thresholds(steps)).thresholds_style(style)
    if low is not None:
        panel = panel.min(low)
    if decimals is not None:
        panel = panel.decimals(decimals)
    if points is not None:
        panel = panel.max_data_points(points)
    if no_value is not None:
        panel = panel.no_value(no_value)
    return panel.targets(_lettered(targets))


def figure(
    title: str,
    description: str,
    unit: str,
    target: Builder[Dataquery],
    *,
    steps: Steps = ((None, "blue"),),
    span: int = 3,
    height: int = 4,
    decimals: int | None = None,
    words: Mapping[str, tuple[str, str]] | None = None,
    name_only: bool = False,
    no_value: str | None = None,
) -> stat.Panel:
    """One large value, its background coloured by the thresholds. ``words``: value -> (text, colour)."""
    panel = stat.Panel().title(title).description(description).unit(unit).span(span).height(height)
    panel = panel.datasource(_source((target,))).thresholds(_thresholds(steps))
    panel = panel.color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
    panel = panel.color_mode(settings.BigValueColorMode.BACKGROUND_SOLID).graph_mode(settings.BigValueGraphMode.NONE)
    panel = panel.text_mode(settings.BigValueTextMode.NAME if name_only else settings.BigValueTextMode.VALUE)
    panel = panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
    if words is not None:
        panel = panel.mappings([_words(words)])
    if decimals is not None:
        panel = panel.decimals(decimals)
    if no_value is not None:
        panel = panel.no_value(no_value)
    return panel.targets(_lettered((target,)))


def states(
    title: str,
    description: str,
    words: Mapping[str, tuple[str, str]],
    target: Builder[Dataquery],
    *,
    span: int = 8,
    height: int = 8,
    no_value: str | None = None,
) -> statetimeline.Panel:
    """A bar per series whose colour tells its state over time."""
    panel = statetimeline.Panel().title(title).description(description).span(span).height(height)
    panel = panel.datasource(_source((target,))).mappings([_words(words)]).show_value(settings.VisibilityMode.AUTO)
    panel = panel.merge_values(True).row_height(0.8).fill_opacity(80).line_width(0)
    if no_value is not None:
        panel = panel.no_value(no_value)
    return panel.legend(_legend()).targets(_lettered((target,)))


def grid(
    title: str,
    description: str,
    *targets: Builder[Dataquery],
    span: int = 12,
    height: int = 9,
    units: Mapping[str, str] | None = None,
    join: str | None = None,
    names: Mapping[str, str] | None = None,
    no_value: str | None = None,
) -> table.Panel:
    """A table. ``units`` by column; ``join``: the column that parts of several queries have in common; ``names``: what
    columns are called, in this order, and no others are shown."""
    panel = table.Panel().title(title).description(description).span(span).height(height)
    panel = panel.datasource(_source(targets)).cell_height(settings.TableCellHeight.SM)
    for name, unit in (units or {}).items():
        panel = panel.override_by_name(name, [model.DynamicConfigValue(id_val="unit", value=unit)])
    if join is not None:
        panel = panel.with_transformation(_transformation("joinByField", {"byField": join, "mode": "outer"}))
    if names is not None:
        panel = panel.with_transformation(
            _transformation("filterFieldsByName", {"include": {"names": list(names)}})
        ).with_transformation(
            _transformation(
                "organize", {"indexByName": {name: at for at, name in enumerate(names)}, "renameByName": dict(names)}
            )
        )
    if no_value is not None:
        panel = panel.no_value(no_value)
    return panel.targets(_lettered(targets))


def source_variable(name: str, label: str, kind: str, uid: str) -> Builder[model.VariableModel]:
    """Which data source to ask; the provisioned one until another is chosen."""
    return (
        dashboard.DatasourceVariable(name)
        .label(label)
        .type(kind)
        .current(model.VariableOption(text=uid, value=uid, selected=True))
    )


def query_variable(
    name: str, label: str, description: str, query: str, source: model.DataSourceRef
) -> Builder[model.VariableModel]:
    """Several of what a query finds; all at first."""
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .description(description)
        .datasource(source)
        .query(query)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .include_all(True)
        .current(model.VariableOption(text=["All"], value=["$__all"], selected=True))
    )


def numbered(board: model.Dashboard) -> model.Dashboard:
    """With numbers on the panels, in their order."""
    for number, panel in enumerate(board.panels or (), start=1):
        panel.id_val = number
    return board


def _lettered(targets: Sequence[Builder[Dataquery]]) -> list[Builder[Dataquery]]:
    for letter, target in zip("ABCDEFGH", targets, strict=False):
        if isinstance(target, prometheus.Dataquery):
            target.ref_id(letter)
    return list(targets)


def _source(targets: Sequence[Builder[Dataquery]]) -> model.DataSourceRef:
    return PROMETHEUS if isinstance(targets[0], prometheus.Dataquery) else POSTGRES


def _thresholds(steps: Steps) -> dashboard.ThresholdsConfig:
    return (
        dashboard.ThresholdsConfig()
        .mode(model.ThresholdsMode.ABSOLUTE)
        .steps([model.Threshold(value=value, color=color) for value, color in steps])
    )


def _words(words: Mapping[str, tuple[str, str]]) -> model.ValueMap:
    return model.ValueMap(
        options={
            value: model.ValueMappingResult(text=text, color=color, index=at)
            for at, (value, (text, color)) in enumerate(words.items())
        }
    )


def _legend() -> common.VizLegendOptions:
    return (
        common.VizLegendOptions()
        .display_mode(settings.LegendDisplayMode.LIST)
        .placement(settings.LegendPlacement.BOTTOM)
        .show_legend(True)
    )


def _transformation(name: str, options: object) -> model.DataTransformerConfig:
    return model.DataTransformerConfig(id_val=name, options=options)
