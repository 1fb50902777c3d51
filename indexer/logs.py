"""Log set-up: one line per event on stderr, for people or for machines.

An event's name is the first argument and stays the same for ever, what varies goes into fields:
``log.info("block_committed", block=7)``. Nothing above debug is logged per block. Secrets never get
here: URLs are logged through ``redaction.redact``; and should one come, each finished line is gone through.
"""

from __future__ import annotations

import logging
import sys
import traceback
from types import TracebackType
from typing import Any, Literal

import structlog
from rich.console import Console
from rich.text import Text

from indexer import board
from indexer.redaction import hide


def set_up(log_format: Literal["console", "json"] = "console", level: str = "info", *, bars: bool = False) -> None:
    """Send structlog's and the libraries' log lines to stderr in one form; called once, by the command line.

    ``bars``: on a terminal, and with lines for people, draw what is under way below them.
    """
    renderer: structlog.typing.Processor
    if log_format == "json":
        renderer = structlog.processors.JSONRenderer()
    else:
        # Not the default traceback, which prints local variables and with them the database password.
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    exceptions = [structlog.processors.format_exc_info] if log_format == "json" else []
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    terminal = Console(stderr=True, highlight=False, markup=False)
    is_drawn = bars and log_format == "console" and sys.stderr.isatty() and terminal.is_terminal
    if is_drawn and not terminal.is_dumb_terminal:
        handler = _Above(terminal)
        board.open_on(terminal)
    else:
        board.open_on(None)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, _name_the_library],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *exceptions, renderer, _hide],
        )
    )
    sys.excepthook = _print_exception
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Libraries are quiet unless something is wrong; at debug, websockets would print every frame.
    root.setLevel(logging.WARNING)
    logging.getLogger("indexer").setLevel(level.upper())


class _Above(logging.Handler):
    """Writes lines as they are, above whatever is drawn at the terminal's end."""

    def __init__(self, terminal: Console) -> None:
        super().__init__()
        self._terminal = terminal

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        try:
            self._terminal.print(Text.from_ansi(self.format(record)), soft_wrap=True)
        except (OSError, ValueError):  # the terminal is gone: nobody reads it, but the work goes on
            self.handleError(record)


def _hide(_logger: object, _method: str, line: Any) -> str:
    return hide(line)


def _print_exception(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """A bug's traceback as Python prints it; a foreign exception in it may quote a URL."""
    sys.stderr.write(hide("".join(traceback.format_exception(kind, error, trace))))


def _name_the_library(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    record = event.get("_record")
    if isinstance(record, logging.LogRecord):
        event["logger"] = record.name
    return event
