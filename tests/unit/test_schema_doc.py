"""SCHEMA.md is what the declarations and the migrations say, and leaves nothing out."""

from __future__ import annotations

from pathlib import Path

from indexer import schema, schema_doc
from indexer.datasets import load
from migrations import sql

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_document_in_the_repository_is_up_to_date() -> None:
    written = (REPOSITORY / "SCHEMA.md").read_text("utf-8")
    assert written == schema_doc.as_markdown(), "write it anew: .venv/bin/indexer schema > SCHEMA.md"


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
