"""An indexer for the Bittensor chain: every balance, delegation and hyperparameter, as of every block.

The path of the data, readable from the listing of this folder:

    node -> heads -> capture -> decode -> datasets -> pipeline -> store

* ``model``     frozen values that travel along the path
* ``errors``    three roots: Retryable, Reorg, Fatal; back-off
* ``redaction`` secrets: what is one in a URL, and out of every text with it
* ``networks``  the public networks
* ``options``   an option as a person meets it: its names, what it takes, what is wrong with a value
* ``config``    settings: environment, TOML, command line
* ``liveness``  heartbeat and progress: what counts as getting on, and when a restart would help
* ``metrics``   every metric's name; what readiness is
* ``exposition`` /metrics, /healthz and /readyz on their own thread
* ``supervisor`` what systemd is told: ready, state, progress, stopping
* ``schema``    table declarations: core tables, keyed tables with history
* ``scale``     metadata, compiled SCALE decoders, storage keys, SS58
* ``trie``      the state trie: node codec, verified reads, diff (pure)
* ``whole``     a whole state in key order and bounded memory (pure)
* ``survey``    how large a state is, from a few random paths (pure)
* ``refusals``  the errors a request to a node can come to
* ``link``      one WebSocket connection: requests matched to replies
* ``gate``      how much one endpoint is asked at once, and how often
* ``portions``  how much one endpoint takes in one request, and in one message
* ``block``     a header and a body as nodes tell them, held against the hash that names them (pure)
* ``health``    how one endpoint stands: why and for how long it is left alone
* ``endpoints`` one endpoint: its connection and what it is asked
* ``pool``      whom to ask, and whom next
* ``inquiry``   proofs and runs of headers, asked of one endpoint in portions it takes
* ``node``      the chain's JSON-RPC methods over the pool: checked headers and proofs
* ``heads``     from "there is a head" to gap-free heights
* ``finality``  what of the committed blocks is final
* ``capture``   the changed keys of one block, proven against its state root
* ``prediction`` which keys will change, learnt from those that did (pure)
* ``lookahead`` runs of blocks asked for before their turn: headers, events, changes
* ``fallback``  likely changes and full scans, where no endpoint serves proofs
* ``runtimes``  one decoder set per runtime code, from the database or the node
* ``decode``    raw changes to typed changes, with the runtime that executed the block
* ``datasets``  one file per kind of data: tables, storage items, pure row function
* ``plan``      what one run of a pipeline is to do
* ``scans``     full reads beside a pipeline without proofs
* ``pursuit``   what a run shows of its pipelines: a state read, blocks caught up with, the head
* ``pipeline``  workers, order, batches
* ``merge``     patches of a run of blocks to whole rows
* ``statements`` the SQL that keeps a declared table, generated from its declaration
* ``sqlstate``  what an error of Postgres means to us
* ``session``   one connection to Postgres in which every call ends in time
* ``recent``    current rows that the last transactions read or wrote (pure)
* ``commit``    what one transaction appends
* ``together``  a run of blocks in few round trips: few rows of many tables read in one, appended in one
* ``upkeep``    current rows made what the histories say, in one round trip
* ``addresses`` the SS58 text of every account, written once
* ``mending``   rows of blocks that are not the next ones: filled in, replaced, taken back, repaired
* ``announce``  what listeners are told, in the transaction that writes the rows
* ``coverage``  what it says of which blocks are indexed: cursors, ranges, holes
* ``store``     the database: one writer, cursors, transactions, rewind
* ``staging``   where a first state waits until it is whole
* ``first_state`` a first state read in parts, and gone on with after a stop
* ``leader``    the one writer: becoming it, standing by for it, staying it
* ``recover``   the common ancestor; the only road back
* ``retention`` old blocks forgotten, what they left in force kept
* ``subtrie``   the trie of stored pairs, built from nothing (pure)
* ``verify``    the tables against the chain, by root and proof; repair
* ``census``    what the database says of itself, told to the metrics now and again
* ``heal``      state the nodes have dropped, holes to fill in, blocks to prove
* ``run``       one run: align, then pipelines until stopped or failed
* ``stall``     finality that stands still, as log and readiness tell it
* ``outage``    a stretch of failed runs as the log tells it
* ``daemon``    process life: task groups, signals, restarts, health
* ``embedded``  a supervised Postgres from a wheel
* ``devchain``  a simulated chain that speaks the node's RPC
* ``migrate``   the database's schema version, up and back
* ``migration_plan`` what a migration would create, drop and lock, for about how long
* ``schema_facts`` what the declarations and the SQL files say of the schema
* ``schema_doc`` migrations/SCHEMA.md from it
* ``schema_diagram`` DBML and Mermaid from it
* ``scaffold``  the migration of a new dataset, from its declaration
* ``progress``  rate and time left, from what is told of work (pure)
* ``board``     what is under way: bars on a terminal, log lines elsewhere
* ``logs``      structured logs on stderr
* ``demo``      everything at once, on a simulated chain
* ``status``    how a database stands, in figures and in words
* ``status_view`` the same as a terminal shows it
* ``inspection`` what a person asks from beside it: status, verify, rewind, psql
* ``preflight`` what `run` would meet and take, looked at before: the command check
* ``manual``    the pages of the manual that are written from the code
* ``playground`` the simulated chain as commands start it
* ``trying``    the commands devchain and demo
* ``cli``       the commands
"""

__version__ = "0.1.0"
