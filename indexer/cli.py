"""The commands. Parses, calls, prints; every decision lies in the modules it calls.

The options of ``run`` are made from ``config.Settings``, so an option is declared in one place. An
``IndexerError`` ends a command with one line and its exit code, never with a traceback.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from functools import partial
from typing import Annotated, Any, cast

import anyio
import typer
from rich.console import Console
from rich.markup import escape
from rich.text import Text
from typer.core import TyperGroup

from indexer import __version__, config, daemon, inspection, logs, options, preflight, status_view, trying
from indexer import status as standing
from indexer import verify as verification
from indexer.errors import EXIT_DIFFERENT, EXIT_USAGE, ConfigError, IndexerError, root_cause
from indexer.redaction import hide

UsageError = cast("type[Exception]", typer.BadParameter.__base__)
"""Wrong usage as typer's parser, once click and now a copy of it, raises it."""


class _Quiet(TyperGroup):
    """Commands whose complaints about a command line do not quote the secrets on it."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        with _hidden():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        with _hidden():
            return super().invoke(ctx)

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(super().list_commands(ctx), key=[*ORDER, *super().list_commands(ctx)].index)


@contextmanager
def _hidden() -> Iterator[None]:
    try:
        yield
    except UsageError as error:
        vars(error)["message"] = hide(str(vars(error)["message"]))
        raise


class SchemaFormat(StrEnum):
    """What ``indexer schema`` can print."""

    MARKDOWN = "markdown"
    DBML = "dbml"
    MERMAID = "mermaid"


app = typer.Typer(
    name="indexer",
    cls=_Quiet,
    help="Follows the Bittensor chain and keeps every balance, delegation and hyperparameter in Postgres, "
    "as of every block, proven complete.",
    epilog="Begin with `indexer demo`, which needs neither node nor database; then `indexer check` and `indexer run` "
    "with the same options. `indexer COMMAND --help` tells more, docs/CONFIGURATION.md all options.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
out = Console(highlight=False)
complaints = Console(stderr=True, highlight=False, soft_wrap=True)

WIDE = 400
"""Columns of a table that goes into a file or a pipe: nothing folded."""
PANELS = {
    "Chain and database": ("network", "archive", "database_url", "data_dir", "config"),
    "What is indexed": ("start", "stop", "follow", "datasets", "item", "retain"),
    "How it runs": ("standby", "verify_every_blocks", "rpc_timeout_s", "commit_timeout_s", "stop_timeout_s"),
    "Speed and memory": ("workers", "window", "batch", "scan_every_blocks"),
    "Log and metrics": ("log_format", "log_level", "metrics_address", "ready_lag_s", "progress_timeout_s"),
}
"""The settings as `--help` groups them."""
ORDER = ("demo", "check", "run", "status", "verify", "psql", "migrate", "rewind", "schema", "devchain")
"""The commands as a newcomer meets them."""
DATABASE_OPTIONS = ("config", "data_dir", "database_url", "log_format", "log_level")


def with_settings(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the settings' options of these names (all if none) and hand it the loaded ``Settings``."""
    fields = {name: field for name, field in config.Settings.model_fields.items() if not names or name in names}

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != "settings"]
        made = []
        for name, field in fields.items():
            flag, panel = options.flag(name), next(panel for panel, names in PANELS.items() if name in names)
            help_text = escape(options.help_text(name, field))
            if field.annotation is bool:
                own_option = typer.Option(f"{flag}/--no-{flag[2:]}", help=help_text, rich_help_panel=panel)
                kind: Any = Annotated[bool | None, own_option]
            else:
                shown = options.metavar(field)
                own_option = typer.Option(flag, help=help_text, metavar=shown, rich_help_panel=panel)
                many = name in ("network", "datasets", "item")
                kind = Annotated[list[str] | None, own_option] if many else Annotated[str | None, own_option]
            made.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind))

        def wrapped(*args: Any, **others: Any) -> None:
            given = {name: others.pop(name) for name in fields}
            given = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
            settings = config.load(given)
            logs.set_up(settings.log_format, settings.log_level, bars=True)
            command(*args, settings=settings, **others)

        paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
        # One line each: its own line breaks would be kept on a terminal of any width.
        wrapped.__name__, wrapped.__doc__ = command.__name__, "\n\n".join(" ".join(p.split()) for p in paragraphs)
        wrapped.__signature__ = inspect.Signature([*own, *made])  # type: ignore[attr-defined]
        return wrapped

    return decorate


@app.command()
@with_settings()
def run(settings: config.Settings) -> None:
    """Follow the chain and write the database, until stopped.

    Without options: the main network from now on, by public endpoints, into an
    embedded Postgres. Starts again where it stopped. SIGTERM or Ctrl-C finishes
    the blocks in hand and exits with 0.

    Every option may also stand in the environment or in a TOML file (--config):
    flags count before variables, and these before the file. What it does not
    know stops the start.

    Exit codes: 0 done or stopped, 2 wrong usage or configuration, 3 wrong
    chain, 4 another instance writes and --standby was not given, 5 a block
    cannot be decoded.
    """
    anyio.run(daemon.serve, settings)


@app.command()
@with_settings(*DATABASE_OPTIONS)
def status(
    settings: config.Settings,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object instead of a table; see docs/STATUS.md.")
    ] = False,
    every: Annotated[
        bool, typer.Option("--all", "-v", help="A line for each dataset, also where many are level.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Again every 2 s, until Ctrl-C.")] = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 1 unless it follows the head and all is complete.")
    ] = False,
) -> None:
    """Show whether it follows the head, how far each dataset is, which ranges are covered and complete, and the lag."""
    if watch:
        with suppress(KeyboardInterrupt), status_view.shown_again(out, as_json=json, every=every) as show:
            anyio.run(inspection.watch, settings, show)
        return
    report = anyio.run(inspection.status, settings)
    if json:
        sys.stdout.write(standing.as_json(report) + "\n")
    else:
        status_view.printer(out).print(status_view.view(report, every=every))
    if exit_code and not report.is_healthy:
        raise typer.Exit(EXIT_DIFFERENT)


@app.command()
@with_settings()
def check(
    settings: config.Settings,
    sample_blocks: Annotated[
        int,
        typer.Option(
            help="Blocks to capture and throw away, to tell what a backfill takes. 0: measure nothing.", min=0, max=100
        ),
    ] = preflight.SAMPLE_BLOCKS,
    timeout: Annotated[
        float,
        typer.Option(help="Seconds for everything; what is not done by then is told so.", min=1),
    ] = preflight.TIMEOUT_S,
    json: Annotated[bool, typer.Option("--json", help="One JSON object, see docs/CHECK.md.")] = False,
) -> None:
    """Tell what `run` would meet, do and take, without changing anything: a dry run.

    Give it the options that `run` is to have. It asks every endpoint by itself: which chain and node, how late, which
    methods and limits, read proofs, how far back its state goes. It looks at the database: rights, schema, settings,
    room, who else writes to it. It says where `run` would begin, and if somebody has the state for that. Then it
    estimates the first block from a part of the state trie, and captures some blocks without writing them, to tell how
    long a backfill takes and how large the database becomes.

    Exit codes: 0 `run` would work (there may be warnings), 2 it would not.
    """  # fmt: skip
    if settings.log_level == "info":  # what it meets is in the report
        logs.set_up(settings.log_format, "warning")
    with _told(quiet=json) as tell:
        look = partial(preflight.check, settings, sample_blocks=sample_blocks, timeout_s=timeout, tell=tell)
        report = anyio.run(look)
    if json:
        sys.stdout.write(preflight.as_json(report) + "\n")
    elif out.is_terminal:
        out.print(preflight.as_page(report))
    else:
        sys.stdout.writelines(f"{line}\n" for line in preflight.as_lines(report))
    if not report.works:
        raise typer.Exit(EXIT_USAGE)


@contextmanager
def _told(*, quiet: bool) -> Iterator[Callable[[str], None]]:
    """A function that says what goes on: beside a spinner on a terminal, else a line each."""
    if complaints.is_terminal:
        with complaints.status("looking", spinner="dots") as shown:
            yield lambda text: shown.update(Text(hide(text)))
    else:
        yield lambda text: None if quiet else complaints.print(f"{hide(text)} …", markup=False)


@app.command()
@with_settings(*DATABASE_OPTIONS)
def migrate(
    settings: config.Settings,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only print what would run, what it locks, about how long.")
    ] = False,
    to: Annotated[str | None, typer.Option(help="Revision to go to; `base` for none. Default: this version's.")] = None,
    allow_downgrade: Annotated[
        bool, typer.Option("--allow-downgrade", help="Go back to an older revision; what newer ones keep is lost.")
    ] = False,
) -> None:
    """Bring the database's tables, views and functions up to this version's. `run` does it by itself.

    Needed where `run` has a role that may only write rows (docs/OPERATING.md,
    Roles), to look first (--plan), and to go back to an older version (--to,
    --allow-downgrade).
    """
    if plan:
        for line in anyio.run(inspection.migration_planned, settings, to):
            out.print(line, markup=False, soft_wrap=True)
    else:
        revision = anyio.run(partial(inspection.migrated, settings, to=to, allow_downgrade=allow_downgrade))
        out.print(f"the database is at revision {revision}")


@app.command()
@with_settings(*DATABASE_OPTIONS)
def rewind(
    settings: config.Settings,
    block: Annotated[int, typer.Argument(help="Last block to keep.", min=0)],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Forget every block above BLOCK; `run` then indexes them again. Stop `run` first."""
    if not yes:
        typer.confirm(f"Delete everything above block {block} from the database?", abort=True)
    outcome = anyio.run(inspection.rewind, settings, block)
    out.print(outcome)


@app.command()
@with_settings("network", "rpc_timeout_s", "archive", *DATABASE_OPTIONS)
def verify(
    settings: config.Settings,
    block: Annotated[int | None, typer.Option(help="As of this block. Default: the last finalized.", min=0)] = None,
    sample: Annotated[
        int | None, typer.Option(help="Only about so many random rows per table, by proof, instead of all.", min=1)
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Write the rows that differ as the chain has them; stop `run` first.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,
) -> None:
    """Compare the tables with the chain, independently of how they were filled; exit code 1 if they differ.

    The root of every tracked map is rebuilt from the stored rows and held
    against a read proof; then the runtime's own API is asked for stakes,
    hyperparameters and prices, where the node has it.
    """
    report, repaired = anyio.run(partial(inspection.verified, settings, block=block, sample=sample, mend=repair))
    if json:
        sys.stdout.write(verification.as_json(report, repaired) + "\n")
    else:
        if repaired is not None:
            out.print(f"repaired {repaired} rows", soft_wrap=True)
        if (table := verification.as_table(report)) is not None:
            (out if out.is_terminal else Console(highlight=False, width=WIDE)).print(table)
        for word in report.skipped:
            out.print(f"not compared: {word}", markup=False, soft_wrap=True)
        out.print(verification.summary(report), markup=False, soft_wrap=True)
    if report.differences:
        raise typer.Exit(EXIT_DIFFERENT)


@app.command()
def schema(
    form: Annotated[SchemaFormat, typer.Option("--format", help="Document, or a diagram of the tables.")] = (
        SchemaFormat.MARKDOWN
    ),
) -> None:
    """Print the documentation of every table, view, function and index; needs no database and no node."""
    from indexer import schema_diagram, schema_doc

    written = {
        SchemaFormat.MARKDOWN: schema_doc.as_markdown,
        SchemaFormat.DBML: schema_diagram.as_dbml,
        SchemaFormat.MERMAID: schema_diagram.as_mermaid,
    }
    sys.stdout.write(written[form]())


@app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@with_settings(*DATABASE_OPTIONS)
def psql(
    settings: config.Settings,
    arguments: Annotated[list[str] | None, typer.Argument(help="Arguments for psql, after --.")] = None,
) -> None:
    """Open psql on the configured database; the embedded one is started for the time if need be.

    Arguments of psql stand behind --, as in: indexer psql -- -c 'SELECT * FROM
    status'
    """
    raise typer.Exit(anyio.run(inspection.psql, settings, arguments or []))


app.command()(trying.devchain)
app.command()(trying.demo)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
) -> None:
    if version:
        out.print(f"bittensor-indexer {__version__}")
        raise typer.Exit


def main() -> None:
    """The console script. Ends the process with its exit code; typer itself does so for wrong usage."""
    try:
        app()
    except (IndexerError, BaseExceptionGroup) as error:
        cause = root_cause(error)
        if not isinstance(cause, IndexerError):
            raise
        complaints.print(Text.assemble(("error: ", "bold red"), hide(" ".join(str(cause).split()))))
        sys.exit(getattr(cause, "exit_code", ConfigError.exit_code))
