"""Log lines: one way out for our own events and everybody else's, redacted, and never in the loop's way.

structlog events and the records of uvicorn, picows, aiohttp and SQLAlchemy, tracebacks included, go into a
bounded queue; a thread formats, redacts and writes them. A blocked terminal or pipe costs lines, which are
counted, and never a call.
"""

from __future__ import annotations

import atexit
import json as json_text
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from types import ModuleType, TracebackType
from typing import Any, Final, TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger

from .lines import CLOSE_S, QUEUE_LINES, LinePipe
from .redaction import Redactor

__all__ = ["QUEUE_LINES", "LogPipe", "configure_logging"]

QUIET: Final = ("picows", "aiofastnet", "sqlalchemy", "alembic", "twilio", "aiohttp.access", "watchfiles")
"""Loggers that say things per connection or per request: heard from WARNING on."""
_FOREIGN_HANDLERS: Final = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi", "py.warnings")

_current: list[LogPipe] = []


def configure_logging(
    level: str | int = "INFO",
    json: bool = False,
    secrets: Iterable[str] = (),
    *,
    stream: TextIO | None = None,
    capacity: int = QUEUE_LINES,
) -> LogPipe:
    """Send all logging of this process through one redactor to `stream` (standard error when None).

    `level`: least level shown, a name or a number. `json`: one object a line instead of console lines.
    `secrets`: values to mask wherever they appear. Called again, it replaces what it set up before.
    Hand uvicorn ``log_config=None``, or it makes handlers of its own. Raises `ValueError` for no level.
    """
    number = _level(level)
    while _current:
        _current.pop().close()
    target = sys.stderr if stream is None else stream
    pipe = LogPipe(target, _formatter(target, json, Redactor(secrets)), capacity)
    root = logging.getLogger()
    root.handlers[:] = [pipe.handler]
    root.setLevel(number)
    for name in _FOREIGN_HANDLERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    for name in QUIET:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
    logging.captureWarnings(True)
    _configure_structlog(number)
    pipe.start()
    _current.append(pipe)
    return pipe


class LogPipe:
    """The way out of this process's log. Closed at exit by itself; close it earlier to be sure of the last lines."""

    def __init__(self, stream: TextIO, formatter: logging.Formatter, capacity: int) -> None:
        self._lines: LinePipe[logging.LogRecord] = LinePipe(
            stream, formatter.format, _lost, capacity=capacity, name="log"
        )
        self.handler = _Entrance(self._lines.put)
        self._hooks: list[Callable[[], None]] = []

    @property
    def dropped(self) -> int:
        """Lines lost because the queue was full."""
        return self._lines.dropped

    @property
    def broken(self) -> int:
        """Lines that could not be formatted or written."""
        return self.handler.broken + self._lines.broken

    def start(self) -> None:
        self._lines.start()
        self._hooks = [_hook(sys, "excepthook", _on_uncaught), _hook(threading, "excepthook", _on_thread_uncaught)]
        atexit.register(self.close)

    def close(self, timeout_s: float = CLOSE_S) -> None:
        """Write what waits, for at most so long, and stop. Later lines are lost. May be called again."""
        atexit.unregister(self.close)
        root = logging.getLogger()
        if self.handler in root.handlers:
            root.removeHandler(self.handler)
            logging.captureWarnings(False)
        for undo in self._hooks:
            undo()
        self._hooks = []
        self._lines.close(timeout_s)


class _Entrance(logging.Handler):
    """The loop's side: never waits, never raises, never prints."""

    def __init__(self, put: Callable[[logging.LogRecord], None]) -> None:
        super().__init__()
        self._put = put
        self.broken = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Fix the text now, because its arguments may change; leave the traceback to the thread."""
        if not isinstance(record.msg, dict):
            try:
                record.msg = record.getMessage()
            except Exception:  # the caller's format string: its arguments may be secret, its place is not
                self.broken += 1
                record.msg = f"a log line could not be formatted ({record.filename}:{record.lineno})"
            record.args = None
        self._put(record)


def _lost(count: int) -> logging.LogRecord:
    text = f"{count} log lines were dropped, because the output was blocked"
    return logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, None, None)


def _configure_structlog(level: int) -> None:
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.PositionalArgumentsFormatter(),
            _keep_exception,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,  # a second configuration must reach loggers made before it
    )


def _formatter(stream: TextIO, json: bool, redactor: Redactor) -> logging.Formatter:
    def masked(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return dict(redactor.value(dict(event)))

    line = _json_line if json else _ConsoleLine(colours=_is_terminal(stream))
    return structlog.stdlib.ProcessorFormatter(
        processors=[_facts, structlog.processors.format_exc_info, masked, line],
        keep_exc_info=False,
        keep_stack_info=False,
    )


def _facts(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Time, level and logger from the record, the same for everybody's lines, and these first."""
    record: logging.LogRecord = event.pop("_record")
    event.pop("_from_structlog", None)
    if record.stack_info and "stack" not in event:
        event["stack"] = record.stack_info
    created = datetime.fromtimestamp(record.created, UTC)
    facts = {
        "time": created.isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "logger": record.name,
    }
    return facts | {f"{name}_" if name in facts else name: value for name, value in event.items()}


def _keep_exception(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The exception being handled is known in this thread only; its text can be made in the other."""
    if event.get("exc_info") is True:
        event["exc_info"] = sys.exc_info()
    return event


def _json_line(_logger: WrappedLogger, _method: str, event: Mapping[str, Any]) -> str:
    # ASCII: no terminal escape, no line break and no odd encoding can get out of a line.
    return json_text.dumps(event, default=repr)


class _ConsoleLine:
    """``12:04:01.123 INFO    call.state  call_id=call_01 state=ringing``; tracebacks on lines of their own.

    Time is local. Anything a terminal would act on is escaped, so text from outside cannot fake a line.
    """

    _COLOURS: Final = {"debug": "2", "warning": "33", "error": "31", "critical": "1;31"}
    _FIRST: Final = ("call_id",)
    _APART: Final = ("exception", "stack")

    def __init__(self, *, colours: bool) -> None:
        self._colours = colours

    def __call__(self, _logger: WrappedLogger, _method: str, event: Mapping[str, Any]) -> str:
        rest = dict(event)
        at = datetime.fromisoformat(rest.pop("time")).astimezone()
        level, logger = str(rest.pop("level")), str(rest.pop("logger"))
        if not logger.startswith("shortwire"):
            rest["logger"] = logger
        name = _visible(str(rest.pop("event", "")))
        apart = [str(rest.pop(key)) for key in self._APART if key in rest]
        order = [key for key in self._FIRST if key in rest] + [key for key in rest if key not in self._FIRST]
        line = f"{at:%H:%M:%S}.{at.microsecond // 1000:03d} {level.upper():<7} {name}"
        if order:
            line += "  " + " ".join(f"{_visible(str(key))}={_shown(rest[key])}" for key in order)
        if self._colours and level in self._COLOURS:
            line = f"\x1b[{self._COLOURS[level]}m{line}\x1b[0m"
        return "\n".join([line, *(f"    {_visible(row)}" for text in apart for row in text.splitlines())])


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}" if abs(value) < 1e6 else f"{value:.3f}"
    text = value if isinstance(value, str) else json_text.dumps(value, ensure_ascii=False, default=repr)
    if isinstance(value, str) and (not text or any(mark in text for mark in " \"'=")):
        text = json_text.dumps(text, ensure_ascii=False)
    return _visible(text)


def _visible(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(mark if mark.isprintable() else mark.encode("unicode_escape").decode() for mark in text)


def _hook(module: ModuleType, name: str, ours: Callable[..., None]) -> Callable[[], None]:
    """Set a hook of the interpreter; the result undoes it, unless somebody else set theirs meanwhile."""
    before = getattr(module, name)
    setattr(module, name, ours)

    def undo() -> None:
        if getattr(module, name) is ours:
            setattr(module, name, before)

    return undo


def _on_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """The interpreter would print the traceback itself, with whatever secret is in the error's text."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        logging.getLogger(__name__).critical("the program ended with an error", exc_info=(kind, error, trace))


def _on_thread_uncaught(given: threading.ExceptHookArgs) -> None:
    if given.exc_value is not None and not isinstance(given.exc_value, SystemExit):
        name = given.thread.name if given.thread else "?"
        trace = (given.exc_type, given.exc_value, given.exc_traceback)
        logging.getLogger(__name__).critical("thread %s ended with an error", name, exc_info=trace)


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty() and "NO_COLOR" not in os.environ
    except (AttributeError, ValueError):
        return False


def _level(level: str | int) -> int:
    number = logging.getLevelNamesMapping().get(level.strip().upper()) if isinstance(level, str) else level
    if number is None:
        raise ValueError(f"{level!r} is no log level: use DEBUG, INFO, WARNING or ERROR")
    return number
