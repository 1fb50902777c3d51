"""Comparing the tables with the chain, independently of how they were filled.

For one block, the trie of every tracked map is rebuilt from the stored rows, and its root compared with the
one that a read proof shows under the header's state root: no difference means that every row is right.

    verification -> snapshot (what the tables say), truth (what the chain has) -> comparison -> report

``crosscheck`` asks the runtime's own API as well; ``schedule`` does it all now and then, beside the daemon.
"""

from indexer.verify.report import Difference, Report, as_json, as_table, summary
from indexer.verify.schedule import patrol
from indexer.verify.verification import repair, verify

__all__ = ["Difference", "Report", "as_json", "as_table", "patrol", "repair", "summary", "verify"]
