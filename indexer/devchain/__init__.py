"""A simulated chain that speaks a Substrate node's RPC, for tests, demos and work without a network.

* ``trie_build``   persistent tries: roots, read proofs, key listings
* ``blocks``       headers, bodies, digests
* ``chain``        the block tree, best and finalized heads, all states
* ``tape``         a recorded chain as a producer of blocks
* ``runtime_file`` a runtime as served: version and metadata
* ``rpc``          the JSON-RPC methods over one chain
* ``server``       WebSocket, subscriptions, heartbeat

It imports of the product only ``scale``, ``trie``, ``errors`` and ``model``; nothing but the command
line imports it.
"""
