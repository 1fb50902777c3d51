"""The dataset hyperparameters: its tables, views of effective values, and hyperparameters_at()."""

from __future__ import annotations

from migrations import sql, tables

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, then run the SQL file of the same name."""
    tables.create_keyed(
        "stored_hyperparameters",
        "stored_hyperparameter_history",
        "Parameters that have a storage key, as stored. networks_added says which subnets exist.",
        keys=[
            ("netuid", tables.NETUID, "Subnet id; -1 for a parameter of the network."),
            ("name", tables.TEXT, "Name of the parameter."),
        ],
        values=[
            ("value", tables.NUMBER, "Value as a number; NULL where it is none (lists, accounts)."),
            ("value_json", tables.JSON, "Value as JSON."),
            ("raw", tables.RAW, "The storage item's value, SCALE encoded; shared by all names the item gives."),
        ],
    )
    tables.create_keyed(
        "hyperparameter_defaults",
        "hyperparameter_default_history",
        "Value of an absent key, for every parameter the running runtime has.",
        keys=[
            ("name", tables.TEXT, "Name of the parameter."),
            ("is_network", tables.FLAG, "True: a parameter of the network; false: per subnet."),
        ],
        values=[
            ("value", tables.NUMBER, "The runtime's default as a number; NULL where it is none."),
            (
                "value_json",
                tables.JSON,
                "The default as JSON; NULL: no default, an absent key means that nothing is set.",
            ),
            ("is_constant", tables.FLAG, "True: the runtime answers this whatever is stored."),
        ],
    )
    sql.run("0005_hyperparameters")


def downgrade() -> None:
    """Drop the tables and what the cursors say of the dataset: its history is lost, and indexed again."""
    sql.undo("0005_hyperparameters")
    tables.forget("hyperparameters")
    tables.drop(
        "stored_hyperparameters",
        "stored_hyperparameter_history",
        "hyperparameter_defaults",
        "hyperparameter_default_history",
    )
