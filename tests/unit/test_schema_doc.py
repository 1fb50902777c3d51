"""migrations/SCHEMA.md is what the declarations and the migrations say, and leaves nothing out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from indexer import schema, schema_diagram, schema_doc, schema_facts
from indexer.datasets import load
from migrations import sql

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_document_in_the_repository_is_up_to_date() -> None:
    written = (REPOSITORY / "migrations" / "SCHEMA.md").read_text("utf-8")
    assert written == schema_doc.as_markdown(), "write it anew: .venv/bin/indexer schema > migrations/SCHEMA.md"


def test_every_relation_and_function_of_the_contract_is_documented() -> None:
    text = schema_doc.as_markdown()
    relations = (
        "blocks accounts runtimes cursors coverage balances balance_history delegations stake_shares "
        "stake_shares_history hotkey_pools hotkey_pools_history delegates delegate_history hyperparameters "
        "hyperparameter_history subnets subnet_history"
    )
    for name in relations.split():
        assert f"### {name}\n" in text or f"History: `{name}`" in text, name
    for function in ("balance_at(", "delegations_at(", "hyperparameters_at(", "subnets_at("):
        assert f"* `{function}" in text
    for dataset in load(["all"]):
        assert f"## Dataset {dataset.name}\n" in text


def test_every_declared_column_has_a_comment() -> None:
    tables = [*schema.CORE]
    for dataset in load(["all"]):
        for table in dataset.tables:
            tables += [table.table] if isinstance(table, schema.Log) else [table.current, table.history]
    bare = [f"{t.name}.{c.name}" for t in tables for c in t.columns if not c.comment] + [
        t.name for t in tables if not t.comment
    ]
    assert bare == []


def test_a_script_falls_into_its_statements() -> None:
    script = "select 1; -- a; b\ncreate x as $$ a; b $$;\ncomment on x is 'it''s; so';\n-- the end\n"
    assert list(sql.statements(script)) == [
        "select 1",
        "-- a; b\ncreate x as $$ a; b $$",
        "comment on x is 'it''s; so'",
    ]


FACTS = {(table.name, column.name): column for table in schema_facts.tables() for column in table.columns}


@pytest.mark.parametrize(
    ("table", "column", "unit", "items"),
    [
        ("balances", "free", "rao", ("System.Account",)),
        ("balances", "account", "account", ()),
        ("stake_shares", "stake", "rao of TAO", ("SubtensorModule.Stake",)),
        ("stake_shares_history", "share_mantissa", "", ("SubtensorModule.AlphaV2",)),
        ("hotkey_pools", "alpha", "rao of alpha", ("SubtensorModule.TotalHotkeyAlpha",)),
        ("delegates", "take", "/65535", ("SubtensorModule.Delegates",)),
        ("subnet_pools", "subnet_moving_price", "TAO per alpha", ("SubtensorModule.SubnetMovingPrice",)),
        ("uids", "registered_at", "block", ("SubtensorModule.BlockAtRegistration",)),
        ("leases", "emissions_share", "%", ("SubtensorModule.SubnetLeases",)),
        ("account_proxies", "deposit", "rao", ("Proxy.Proxies",)),
        ("balance_history", "block_number", "block", ()),
    ],
)
def test_a_column_tells_its_unit_and_the_item_it_comes_from(
    table: str, column: str, unit: str, items: tuple[str, ...]
) -> None:
    assert (FACTS[table, column].unit, FACTS[table, column].items) == (unit, items)


def test_every_item_that_a_dataset_keeps_is_the_source_of_a_column() -> None:
    for dataset in load():
        tables = {table.name for table in schema_facts.tables() if table.group == dataset.name}
        told = {item for (table, _), column in FACTS.items() if table in tables for item in column.items}
        assert told == {str(source.item) for source in dataset.sources}, dataset.name


def test_an_amount_has_a_unit() -> None:
    for (table, name), column in FACTS.items():
        if "rao" in column.meaning.split(";")[0].split() or ", rao" in column.meaning:
            assert "rao" in column.unit, f"{table}.{name}"


TEXT = r"'(?:[^'\\\n]|\\['\\])*'"
DBML_LINE = re.compile(
    "|".join(
        [
            r"//.*",
            r"Table \w+ \{",
            r"TableGroup \w+ \{",
            rf'  "\w+" (?:\w+|"\w+\[\]") \[(?:pk, )?(?:not null, )?note: {TEXT}(?:, ref: > \w+\.\w+)?\]',
            r"  indexes \{",
            r"    \(\w+(?:, \w+)*\) \[pk\]",
            rf"    \(\w+(?:, \w+)*\) \[(?:unique, )?name: '\w+'(?:, note: {TEXT})?\]",
            r"  \w+",
            r"  \}",
            rf"  Note: {TEXT}",
            r"\}",
            r"",
        ]
    )
)
MERMAID_LINE = re.compile(
    r"%% .*|erDiagram|    \w+ \{|    \}|        [a-z]\w*(?:\[\])? \w+(?: PK)? \"[^\"\n]*\"|"
    r"    accounts \|\|--o\{ \w+ : \"\w+\""
)


def test_the_diagrams_keep_to_their_grammars() -> None:
    """Both were accepted by the parsers of @dbml/core and mermaid; this holds what is written to what they saw."""
    dbml, mermaid = schema_diagram.as_dbml(), schema_diagram.as_mermaid()
    assert [line for line in dbml.splitlines() if not DBML_LINE.fullmatch(line)] == []
    assert [line for line in mermaid.splitlines() if not MERMAID_LINE.fullmatch(line)] == []
    for text in (dbml, mermaid):
        assert text.count("{\n") == len(re.findall(r"^ *\}$", text, re.M))


def test_the_diagrams_show_every_table_and_refer_to_tables_that_are_there() -> None:
    dbml, mermaid = schema_diagram.as_dbml(), schema_diagram.as_mermaid()
    names = {table.name for table in schema_facts.tables()}
    assert set(re.findall(r"^Table (\w+)", dbml, re.M)) == names
    assert set(re.findall(r"^    (\w+) \{", mermaid, re.M)) == {
        t.name for t in schema_facts.tables() if not t.is_history
    }
    for table, column in re.findall(r"ref: > (\w+)\.(\w+)", dbml):
        assert (table, column) in FACTS
    grouped = re.findall(r"^  (\w+)$", dbml, re.M)
    assert sorted(grouped) == sorted(names)


def test_a_text_with_a_quote_stays_one_text() -> None:
    assert schema_diagram._dbml_text("the chain's \\ own") == "'the chain\\'s \\\\ own'"
