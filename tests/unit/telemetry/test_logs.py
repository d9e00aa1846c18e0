"""One way out, redacted, and a blocked output that costs lines and nothing else."""

from __future__ import annotations

import io
import json
import logging
import re
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator

import pytest
import structlog

from shortwire.telemetry.logs import LogPipe, configure_logging

CANARY = "c4n4ry-Value/with+odd=signs"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Blocked(io.StringIO):
    """A pipe without a reader: writing waits until somebody reads."""

    def __init__(self) -> None:
        super().__init__()
        self.reader = threading.Event()
        self.waiting = threading.Event()

    def write(self, text: str) -> int:
        self.waiting.set()
        assert self.reader.wait(60)
        return super().write(text)


@pytest.fixture
def configure() -> Iterator[Callable[..., LogPipe]]:
    """`configure_logging`, and everything as it was afterwards."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    pipes: list[LogPipe] = []

    def start(*arguments: object, **options: object) -> LogPipe:
        pipes.append(configure_logging(*arguments, **options))
        return pipes[-1]

    yield start
    for pipe in pipes:
        pipe.close(60)
    root.handlers[:], level = before
    root.setLevel(level)
    structlog.reset_defaults()


def lines(pipe: LogPipe, stream: io.StringIO) -> list[str]:
    pipe.close(60)
    return stream.getvalue().splitlines()


def test_a_console_line_for_people(configure):
    stream = io.StringIO()
    pipe = configure("info", False, (), stream=stream)
    structlog.stdlib.get_logger("shortwire.x").info(
        "call.state", state="ringing", call_id="call_01", text='say "hi"', ms=1.25, nested={"a": [1]}, none=None
    )
    logging.getLogger("uvicorn.error").warning("port %d taken", 8001)
    first, second = lines(pipe, stream)
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d\.\d{3} INFO    call\.state  call_id=call_01 state=ringing "
        r'text="say \\"hi\\"" ms=1\.25 nested=\{"a": \[1\]\} none=null',
        first,
    )
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} WARNING port 8001 taken  logger=uvicorn\.error", second)


def test_a_json_line_for_machines(configure):
    stream = io.StringIO()
    pipe = configure("INFO", True, (), stream=stream)
    structlog.stdlib.get_logger("shortwire.x").warning("call.ended", call_id="call_01", ms=1.5, level="mine")
    logging.getLogger("aiohttp.server").error("two\nlines \x1b[31m and %s", "Zoë")
    first, second = map(json.loads, lines(pipe, stream))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", first.pop("time"))
    assert first == {
        "level": "warning",
        "logger": "shortwire.x",
        "event": "call.ended",
        "call_id": "call_01",
        "ms": 1.5,
        "level_": "mine",
    }
    assert second["event"] == "two\nlines \x1b[31m and Zoë"


@pytest.mark.parametrize("as_json", [False, True])
def test_a_line_from_outside_stays_one_line(configure, as_json):
    stream = io.StringIO()
    pipe = configure("INFO", as_json, (), stream=stream)
    nasty = "a\n12:00:00.000 INFO fake\r\x1b[2J\u2028\x9b31m"
    structlog.stdlib.get_logger("shortwire.x").info(nasty, **{"text": nasty, f"key {nasty}": nasty})
    logging.getLogger("other").info(nasty)
    pipe.close(60)
    written = stream.getvalue()
    assert written.count("\n") == 2
    assert not set(written) & set("\r\x1b\u2028\x9b")


def test_colours_only_on_a_terminal(configure, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    for stream, coloured in ((io.StringIO(), False), (Terminal(), True)):
        pipe = configure("INFO", False, (), stream=stream)
        logging.getLogger("x").error("bad")
        pipe.close(60)
        assert ("\x1b[31m" in stream.getvalue()) is coloured
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    pipe = configure("INFO", False, (), stream=stream)
    logging.getLogger("x").error("bad")
    assert "\x1b" not in "".join(lines(pipe, stream))


def say_it_everywhere() -> None:
    log = structlog.stdlib.get_logger("shortwire.x")
    log.info(f"event {CANARY}", key=CANARY, nested={"a": [CANARY]}, object=ValueError(CANARY), **{CANARY: 1})
    log.info("positional %s", CANARY)
    logging.getLogger("uvicorn.access").info('%s - "GET %s"', "127.0.0.1", f"/x?y={CANARY}")
    logging.getLogger("aiohttp.client").error("text", extra={"header": CANARY}, stack_info=True)
    try:
        try:
            raise ValueError(f"cause {CANARY}")
        except ValueError as error:
            raise RuntimeError(f"text {CANARY}") from error
    except RuntimeError:
        log.exception("failed", what=CANARY)
        logging.getLogger("picows").exception("failed %s", CANARY)
    logging.getLogger("bad.format").info("%d of %d", CANARY, CANARY)
    thread = threading.Thread(target=lambda: int(f"no number {CANARY}"), name="canary")
    thread.start()
    thread.join()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(f"careful {CANARY}", UserWarning, stacklevel=1)


@pytest.mark.parametrize("as_json", [False, True])
def test_no_canary_gets_out(configure, as_json, capfd):
    stream = io.StringIO()
    pipe = configure("DEBUG", as_json, [CANARY], stream=stream)
    say_it_everywhere()
    pipe.close(60)
    written = stream.getvalue()
    assert "c4n4ry" not in written
    assert "c4n4ry" not in "".join(capfd.readouterr())
    assert written.count("[redacted]") >= 14
    for trace in ("The above exception was the direct cause", "RuntimeError: text [redacted]", "in say_it_everywhere"):
        assert trace in written
    assert "thread canary ended with an error" in written
    assert "could not be formatted (test_logs.py:" in written
    assert pipe.broken == 1


def test_without_the_secret_the_canary_is_seen(configure):
    """The negative control: the test above could not pass by logging nothing."""
    stream = io.StringIO()
    pipe = configure("DEBUG", False, (), stream=stream)
    say_it_everywhere()
    pipe.close(60)
    assert stream.getvalue().count("c4n4ry") >= 14


def test_tickets_and_numbers_are_masked_in_others_lines(configure):
    stream = io.StringIO()
    pipe = configure("INFO", False, (), stream=stream)
    logging.getLogger("uvicorn.access").info('"GET /outbound-media-stream/%s" To=%s', "tick3t", "+14155550123")
    (line,) = lines(pipe, stream)
    assert "/outbound-media-stream/[redacted]" in line
    assert "+1******0123" in line


def test_levels(configure):
    stream = io.StringIO()
    pipe = configure("info", False, (), stream=stream)
    ours = structlog.stdlib.get_logger("shortwire.x")
    ours.debug("hidden")
    ours.info("seen 1")
    for name in ("picows", "picows.client", "sqlalchemy.engine", "alembic.runtime.migration"):
        logging.getLogger(name).info("hidden")
    logging.getLogger("picows").warning("seen 2")
    assert [re.search(r"hidden|seen \d", line)[0] for line in lines(pipe, stream)] == ["seen 1", "seen 2"]
    with pytest.raises(ValueError, match="'loud' is no log level"):
        configure("loud", False, ())


def test_again_replaces_and_reaches_loggers_made_before(configure):
    first, second = io.StringIO(), io.StringIO()
    log = structlog.stdlib.get_logger("shortwire.x")
    configure("INFO", False, (), stream=first)
    log.info("one")
    pipe = configure("DEBUG", True, (), stream=second)
    log.debug("two")
    assert logging.getLogger().handlers == [pipe.handler]
    assert [json.loads(line)["event"] for line in lines(pipe, second)] == ["two"]
    assert first.getvalue().count("\n") == 1


def test_uvicorns_own_handlers_are_taken_away(configure):
    stray = logging.StreamHandler(io.StringIO())
    logging.getLogger("uvicorn").addHandler(stray)
    logging.getLogger("uvicorn").propagate = False
    stream = io.StringIO()
    pipe = configure("INFO", False, (), stream=stream)
    logging.getLogger("uvicorn.error").info("started")
    assert len(lines(pipe, stream)) == 1
    assert stray.stream.getvalue() == ""


def test_context_is_carried(configure):
    stream = io.StringIO()
    pipe = configure("INFO", True, (), stream=stream)
    with structlog.contextvars.bound_contextvars(call_id="call_01"):
        structlog.stdlib.get_logger("shortwire.x").info("event")
    assert json.loads(lines(pipe, stream)[0])["call_id"] == "call_01"


def test_a_blocked_output_costs_lines_and_says_so(configure):
    stream = Blocked()
    pipe = configure("INFO", False, (), stream=stream, capacity=5)
    log = logging.getLogger("x")
    log.info("line 0")
    assert stream.waiting.wait(60)  # the thread hangs in the write; from here on the queue fills
    for number in range(1, 101):
        log.info("line %d", number)
    assert pipe.dropped == 95
    stream.reader.set()
    while "line 5" not in stream.getvalue():
        threading.Event().wait(0.01)
    log.info("line 101")
    written = lines(pipe, stream)
    assert [re.search(r"line \d+|\d+ log lines", line)[0] for line in written] == [
        "line 0",
        "95 log lines",
        *(f"line {number}" for number in (1, 2, 3, 4, 5, 101)),
    ]


def test_closing_does_not_wait_for_a_blocked_output(configure):
    stream = Blocked()
    pipe = configure("INFO", False, (), stream=stream, capacity=2)
    for number in range(10):
        logging.getLogger("x").info("line %d", number)
    assert stream.waiting.wait(60)
    pipe.close(0.05)
    assert not stream.reader.is_set()  # it came back although nobody ever read
    stream.reader.set()


def test_a_broken_output_is_counted_not_raised(configure, capfd):
    stream = io.StringIO()
    pipe = configure("INFO", False, (), stream=stream)
    stream.close()
    logging.getLogger("x").info("nobody hears")
    pipe.close(60)
    assert pipe.broken == 1
    assert capfd.readouterr() == ("", "")


def test_an_output_that_knows_only_ascii(configure):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", write_through=True)
    pipe = configure("INFO", False, (), stream=stream)
    logging.getLogger("x").info("Zoë 👋")
    pipe.close(60)
    assert rb"Zo\xeb \U0001f44b" in raw.getvalue()


def test_a_program_that_dies_is_redacted_and_its_last_lines_are_written():
    program = (
        "import logging\n"
        "from shortwire.telemetry.logs import configure_logging\n"
        f"configure_logging('INFO', False, [{CANARY!r}])\n"
        "logging.getLogger('x').info('last line but one')\n"
        f"raise SystemError({CANARY!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "c4n4ry" not in done.stderr + done.stdout
    assert "last line but one" in done.stderr
    assert "SystemError: [redacted]" in done.stderr
