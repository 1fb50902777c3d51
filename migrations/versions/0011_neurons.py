"""The dataset neurons."""

from __future__ import annotations

from migrations import sql, tables

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, then run the SQL file of the same name."""
    tables.create_keyed(
        "uids",
        "uid_history",
        "Who holds which uid of a subnet, and since when.",
        keys=[
            ("netuid", tables.NETUID, "Subnet id."),
            ("uid", tables.INTEGER, "Place in the subnet, from 0."),
        ],
        values=[
            ("hotkey", tables.ACCOUNT, "Keys: hotkey that holds the uid."),
            ("registered_at", tables.INTEGER, "BlockAtRegistration: block at which the hotkey took the uid."),
        ],
    )
    tables.index_removed("uid_history")
    tables.create_keyed(
        "registrations",
        "registration_history",
        "On which subnets a hotkey is registered, and under which uid.",
        keys=[
            ("hotkey", tables.ACCOUNT, "Hotkey."),
            ("netuid", tables.NETUID, "Subnet id."),
        ],
        values=[
            ("is_network_member", tables.FLAG, "IsNetworkMember: registered."),
            ("uid", tables.INTEGER, "Uids: uid it holds."),
        ],
        indexes=[("netuid",)],
    )
    tables.index_removed("registration_history")
    tables.create_keyed(
        "neuron_vectors",
        "neuron_vector_history",
        "What is told of every uid of a subnet, a row per vector, as stored: see neurons.",
        keys=[
            ("netuid", tables.NETUID, "Subnet id."),
            ("mechanism", tables.INTEGER, "Mechanism of the subnet, from 0."),
            ("name", tables.TEXT, "Storage item, in snake case."),
        ],
        values=[
            ("elements", tables.INTEGERS, "The values of uids 0, 1, 2, … in this order; flags are 0 and 1."),
        ],
    )
    tables.index_removed("neuron_vector_history")
    tables.create_keyed(
        "axons",
        "axon_history",
        "Where neurons serve, as they tell it themselves; NULL: they tell nothing.",
        keys=[
            ("netuid", tables.NETUID, "Subnet id."),
            ("hotkey", tables.ACCOUNT, "Hotkey."),
        ],
        values=[
            ("axon_block", tables.INTEGER, "Block at which it was told."),
            ("axon_version", tables.INTEGER, "Version the neuron tells."),
            ("axon_ip", tables.NUMBER, "IP address as a number; ip_address(ip, ip_type) reads it."),
            ("axon_port", tables.INTEGER, "Port."),
            ("axon_ip_type", tables.INTEGER, "4 or 6."),
            ("axon_protocol", tables.INTEGER, "Protocol the neuron tells."),
            ("axon_placeholder1", tables.INTEGER, "Not in use."),
            ("axon_placeholder2", tables.INTEGER, "Not in use."),
            ("axon_other", tables.JSON, "Members that this version does not know, by name; normally NULL."),
            ("prometheus_block", tables.INTEGER, "Block at which it was told."),
            ("prometheus_version", tables.INTEGER, "Version the neuron tells."),
            ("prometheus_ip", tables.NUMBER, "IP address as a number; ip_address(ip, ip_type) reads it."),
            ("prometheus_port", tables.INTEGER, "Port."),
            ("prometheus_ip_type", tables.INTEGER, "4 or 6."),
            ("prometheus_other", tables.JSON, "Members that this version does not know, by name; normally NULL."),
            ("certificate_public_key", tables.RAW, "Public key for TLS."),
            ("certificate_algorithm", tables.INTEGER, "Its algorithm."),
            ("certificate_other", tables.JSON, "Members that this version does not know, by name; normally NULL."),
        ],
    )
    tables.index_removed("axon_history")
    sql.run("0011_neurons")


def downgrade() -> None:
    """Drop the tables and what the cursors say of the dataset: its history is lost, and indexed again."""
    sql.undo("0011_neurons")
    tables.forget("neurons")
    tables.drop(
        "uids",
        "uid_history",
        "registrations",
        "registration_history",
        "neuron_vectors",
        "neuron_vector_history",
        "axons",
        "axon_history",
    )
