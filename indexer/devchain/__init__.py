"""A simulated chain that speaks a Substrate node's RPC, for tests, demos and work without a network.

A chain of blocks, whoever makes them:

* ``trie_build``, ``state``   persistent tries: roots, read proofs, key listings
* ``blocks``, ``chain``       headers and bodies; the block tree, best and finalized heads, all states
* ``runtime_file``            a runtime as a node serves it: version and metadata
* ``tape``                    recorded blocks as such a chain
* ``rpc``, ``subscriptions``  the JSON-RPC methods; what a subscription tells
* ``server``, ``heartbeat``   WebSocket and faults; growth and finality by the clock
* ``oracle``                  stakes and prices of any block, from its raw state

A chain that makes its own blocks:

* ``scale_encode``, ``declare``, ``forms``, ``pallet``, ``metadata``  types and pallets declared in code
* ``substrate_types``, ``pallets_*``, ``hyperparameters``, ``runtimes``  the two runtimes, 293 and 475
* ``ledger``, ``accounts``, ``shares``, ``pools``, ``staking``, ``baskets``  the rules
* ``calls``, ``emission``, ``migrations``, ``execution``  what a block does
* ``genesis``, ``activity``, ``simulate``  who takes part, what they do, and the chain of it

A chain the size of the main network, made once and then only looked up:

* ``node_file``, ``growing_trie``  trie nodes of many states in one file; the trie that writes them
* ``served``, ``prepared``         what a node needs of a chain; such a chain in a folder
* ``finney_state``, ``finney_genesis``, ``finney_blocks``  who holds what, how it begins, what happens
* ``finney``                       the profile: sizes, where it lies, when it is made

It imports of the product only ``scale``, ``trie``, ``errors`` and ``model``; of the product only the
module behind the commands ``devchain`` and ``demo`` imports it.
"""
