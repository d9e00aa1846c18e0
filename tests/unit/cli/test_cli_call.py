"""`shortwire call`: what is asked, what is shown, and the exit status of every outcome."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from fake_desk import ended
from typer.testing import CliRunner

from shortwire.cli.call import follow
from shortwire.cli.live import EXIT, clean, exit_status, line_of
from shortwire.cli.root import app
from shortwire.errors import CarrierRefused, CarrierUncertain, PeerError, Unavailable
from shortwire.records import EventKind
from shortwire.terms import CallState, Disposition, HangupCause

NUMBER = "+14155550123"
runner = CliRunner()


def test_a_call_is_followed_from_dialling_to_the_end(server: Any) -> None:
    server.desk.script = [
        (EventKind.CREATED, {}),
        (EventKind.STATE, {"state": "dialing"}),
        (EventKind.STATE, {"state": "ringing"}),
        (EventKind.STATE, {"state": "answered"}),
        (EventKind.STATE, {"state": "connected"}),
        (EventKind.AGENT_READY, {"input_format": "ulaw_8000", "output_format": "ulaw_8000"}),
        (EventKind.AGENT_SAID, {"text": "Good evening\x1b[2J."}),
        (EventKind.PARTY_SAID, {"text": "Hello."}),
        (EventKind.BARGE_IN, {"unheard_ms": 420.4, "clear_us": 90}),
        (EventKind.AGENT_CORRECTED, {"text": "Good"}),
        (EventKind.TURN, {"index": 2, "kind": "reply", "response_gap_ms": 742.2, "stop_ms": 201.0}),
        (EventKind.API_TIME, {"vendor": "twilio", "call": "calls.create", "ms": 12.0}),
        (EventKind.SUMMARY, {"response_gap_ms": {"p50": 742.2, "p95": 801, "n": 3}, "answer_to_first_word_ms": 512.0}),
        ended(),
    ]  # fmt: skip
    result = runner.invoke(app, ["call", NUMBER])
    assert result.exit_code == 0, result.output
    lines = [line.split(" s  ", 1) for line in result.stdout.splitlines()]
    assert [text for _, text in lines] == [
        f"dialling {NUMBER}",
        "ringing",
        "answered",
        "connected",
        "agent ready (ulaw_8000 in, ulaw_8000 out)",
        "agent:  Good evening [2J.",
        "party:  Hello.",
        "barge-in: the agent stopped, 420 ms of its words unheard",
        "agent:  (cut off) Good",
        "turn 2: response gap 742 ms, barge-in to clear 201 ms",
        "response gap p50 742 ms, p95 801 ms over 3 turns; answer to first word 512 ms",
        "ended after 12.5 s: the agent said goodbye and ended the call (agent_ended)",
    ]
    assert [time.strip() for time, _ in lines[:2]] == ["1.00", "2.00"]


def test_everything_given_reaches_the_server(server: Any) -> None:
    options = ["--prompt", "P", "--first-message", "F", "--agent", "a1", "--language", "de", "--voice", "v1"]
    result = runner.invoke(app, ["call", NUMBER, *options, "--var", "name=Zoë", "--var", "note=a=b", "--no-follow"])
    assert result.exit_code == 0 and result.stdout == "call_1\n"
    request, _ = server.desk.placed[0]
    assert (request.number, request.prompt, request.first_message) == (NUMBER, "P", "F")
    assert (request.agent_id, request.language, request.voice_id) == ("a1", "de", "v1")
    assert request.dynamic_variables == {"name": "Zoë", "note": "a=b"}


def test_json_gives_one_event_a_line(server: Any) -> None:
    result = runner.invoke(app, ["call", NUMBER, "--json"])
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert [event["seq"] for event in events] == [1, 2, 3, 4, 5, 6] and events[-1]["kind"] == "call.ended"
    placed = runner.invoke(app, ["call", NUMBER, "--json", "--no-follow"])
    assert json.loads(placed.stdout)["state"] == "dialing"


OUTCOMES = [
    (HangupCause.AGENT_ENDED, "answered", 0),
    (HangupCause.PARTY_HANGUP, "answered", 0),
    (HangupCause.API_HANGUP, "answered", 0),
    (HangupCause.DEADLINE, "answered", 0),
    (HangupCause.MEDIA_LOST, "answered", 5),
    (HangupCause.AGENT_QUOTA, "failed", 5),
    (HangupCause.BUSY, "busy", 3),
    (HangupCause.NO_ANSWER, "no_answer", 4),
    (HangupCause.AGENT_ENDED, "voicemail", 4),
    (HangupCause.CANCELED, "canceled", 5),
    (HangupCause.CARRIER_FAILED, "failed", 5),
    (HangupCause.CARRIER_UNKNOWN, "unknown", 6),
]


@pytest.mark.parametrize(("cause", "disposition", "status"), OUTCOMES)
def test_the_exit_status_says_how_it_went(server: Any, cause: HangupCause, disposition: str, status: int) -> None:
    server.desk.script = [(EventKind.CREATED, {}), ended(cause, disposition)]
    result = runner.invoke(app, ["call", NUMBER])
    assert result.exit_code == status
    assert cause.meaning in result.stdout and f"({cause.value})" in result.stdout


def test_every_disposition_has_an_exit_status() -> None:
    assert set(EXIT) == {disposition.value for disposition in Disposition}
    assert exit_status(None, None) == 6 and exit_status("new word", "none") == 6


REFUSALS = [
    (CarrierRefused("the carrier refused", carrier_code=21215, status=400, details="No. (Twilio error 21215)"), 5),
    (CarrierUncertain("the carrier was asked and gave no clear answer"), 6),
    (Unavailable("draining"), 75),
    (RuntimeError("inside"), 1),
]


@pytest.mark.parametrize(("failure", "status"), REFUSALS)
def test_a_call_that_was_not_placed_says_so_in_one_sentence(server: Any, failure: Exception, status: int) -> None:
    server.desk.failure = failure
    result = runner.invoke(app, ["call", NUMBER])
    assert result.exit_code == status and not result.stdout
    assert len(result.stderr.splitlines()) == 1 and result.stderr.startswith("shortwire: ")


def test_a_call_nobody_knows_of_is_followed_until_it_is_settled(server: Any) -> None:
    stored = server.desk.add("call_7", state=CallState.UNKNOWN)
    server.desk.failure = CarrierUncertain("the carrier gave no clear answer")
    server.desk.failure.call_id = stored.id
    server.desk.fails_once = True
    server.desk.script = [
        (EventKind.CREATED, {}),
        (EventKind.STATE, {"state": "unknown"}),
        ended(HangupCause.CARRIER_UNKNOWN, "unknown"),
    ]
    result = runner.invoke(app, ["call", NUMBER])
    assert result.exit_code == 6
    assert "no clear answer" in result.stderr and "(carrier_unknown)" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["call"], "Missing argument"),
        (["call", "555"], "E.164"),
        (["call", "+4930123456"], "ALLOWED_COUNTRIES"),
        (["call", NUMBER, "--var", "name"], "--var name=value"),
        (["call", NUMBER, "--var", "=x"], "--var name=value"),
        (["call", NUMBER, "--language", "English"], "language"),
        (["call", NUMBER, "--nonsense"], "No such option"),
        (["call", NUMBER, "--url", "localhost:8001"], "http://127.0.0.1:8001"),
        (["call", NUMBER, "--url", "http://127.0.0.1:port"], "http://127.0.0.1:8001"),
        (["call", NUMBER, "--url", "http://a..b"], "http://127.0.0.1:8001"),
        (["call", NUMBER, "--api-key", "wrong-wrong-wrong"], "API key is not that of the server at http"),
        (["calls", "show", "call_nope"], "has no call call_nope: 'shortwire calls list'"),
        (["calls", "hangup", "call_nope"], "has no call call_nope"),
        (["calls", "show", "no/pe"], "'no/pe' is no call's id"),
        (["report", "call_nope"], "has no call call_nope"),
        (["calls", "list", "--state", "foo"], "ringing"),
        (["calls", "list", "--before", "call_zzz"], "has no call call_zzz"),
        (["nonsense"], "No such command"),
    ],
)
def test_wrong_use_is_status_2_and_says_what_to_write(server: Any, arguments: list[str], text: str) -> None:
    result = runner.invoke(app, arguments)
    assert result.exit_code == 2 and text in result.stderr


def test_no_server_is_status_69_and_one_sentence() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        result = runner.invoke(app, ["call", NUMBER, "--url", url, "--api-key", "k" * 16])
    assert result.exit_code == 69 and len(result.stderr.splitlines()) == 1
    assert url in result.stderr and "shortwire serve" in result.stderr


def test_no_key_is_a_setting_to_change() -> None:
    result = runner.invoke(app, ["call", NUMBER])
    assert result.exit_code == 78 and "SHORTWIRE_API_KEY" in result.stderr


def test_something_else_that_answers_is_not_taken_for_a_server(server: Any) -> None:
    result = runner.invoke(app, ["call", NUMBER, "--url", server.url + "/docs#"])
    assert result.exit_code != 0 and result.stderr


def test_debugging_shows_where(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "debug")
    result = runner.invoke(app, ["call", "555"])
    assert result.exit_code == 2 and "Traceback" in result.stderr


class ScriptedApi:
    """Each item is a connection: events to give, and perhaps an exception to end with."""

    def __init__(self, *connections: list[Any]) -> None:
        self.connections = list(connections)
        self.posted: list[str] = []
        self.after: list[int] = []

    def post(self, path: str) -> None:
        self.posted.append(path)

    def events(self, call_id: str, *, after: int = 0) -> Iterator[dict[str, Any]]:
        self.after.append(after)
        for item in self.connections.pop(0):
            if isinstance(item, BaseException):
                raise item
            yield item


def event(seq: int, kind: str = "call.state", **data: Any) -> dict[str, Any]:
    return {"seq": seq, "at": float(seq), "kind": kind, "data": data}


END = event(9, "call.ended", disposition="answered", fault="none")


def test_the_first_interrupt_hangs_up_and_waits_for_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    api, shown = ScriptedApi([event(1), KeyboardInterrupt()], [END]), []
    assert follow(api, "call_1", shown.append) == 0
    assert api.posted == ["/v1/calls/call_1/hangup"] and api.after == [0, 1] and shown == [event(1), END]
    assert "hanging up" in capsys.readouterr().err


def test_the_second_interrupt_leaves(capsys: pytest.CaptureFixture[str]) -> None:
    api = ScriptedApi([event(1), KeyboardInterrupt()], [KeyboardInterrupt()])
    assert follow(api, "call_1", lambda _: None) == 130
    assert len(api.posted) == 1 and "calls show call_1" in capsys.readouterr().err


def test_a_broken_stream_is_taken_up_where_it_broke(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shortwire.cli.call._PAUSE_S", 0)
    api, shown = ScriptedApi([event(1), event(2), PeerError("gone")], [], [PeerError("gone")], [event(3), END]), []
    assert follow(api, "call_1", shown.append) == 0
    assert api.after == [0, 2, 2, 2] and [e["seq"] for e in shown] == [1, 2, 3, 9]


def test_a_server_that_stays_away_ends_the_following(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shortwire.cli.call._PAUSE_S", 0)
    with pytest.raises(PeerError, match="calls show call_1") as caught:
        follow(ScriptedApi(*([PeerError("gone")] for _ in range(20))), "call_1", lambda _: None)
    assert caught.value.exit_status == 69


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_in_the_installed_command_hangs_up_once(server: Any) -> None:
    server.desk.gate = asyncio.Event()
    server.desk.script[1:1] = []
    server.desk.script[-1] = ended(HangupCause.API_HANGUP)
    server.desk.script[0] = (EventKind.STATE, {"state": "dialing"})
    command = [sys.executable, "-c", "from shortwire.cli import main; main()", "call", NUMBER]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ.copy())
    assert child.stdout is not None
    assert "dialling" in child.stdout.readline()
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    assert server.desk.hung_up == ["call_1"] and "hanging up" in err and "api_hangup" in out
    assert "Traceback" not in err


def test_calls_are_listed(server: Any) -> None:
    assert runner.invoke(app, ["calls", "list"]).stdout.strip() == "no calls"
    server.desk.add("call_1", state=CallState.ENDED, cause=HangupCause.BUSY, disposition=Disposition.BUSY)
    server.desk.add("call_2")
    result = runner.invoke(app, ["calls", "list", "--limit", "1"])
    assert "call_2" in result.stdout and "call_1" not in result.stdout and "--before call_2" in result.stdout
    older = runner.invoke(app, ["calls", "list", "--before", "call_2"], env={"COLUMNS": "60"})
    assert "call_1" in older.stdout and "busy" in older.stdout and NUMBER not in older.stdout
    assert NUMBER in runner.invoke(app, ["calls", "list", "--reveal"], env={"COLUMNS": "60"}).stdout
    found = json.loads(runner.invoke(app, ["calls", "list", "--json", "--state", "ended"]).stdout)
    assert [call["id"] for call in found["calls"]] == ["call_1"]


def test_a_call_is_shown_with_the_setting_to_change(server: Any) -> None:
    turn = {
        "index": 1,
        "kind": "reply",
        "party": "Hi\x1b[31m",
        "agent": "Hello.",
        "response_gap_ms": 700.4,
        "interrupted": True,
    }
    server.desk.add(
        "call_1", state=CallState.ENDED, cause=HangupCause.AGENT_OVERRIDE_DENIED, disposition=Disposition.FAILED,
        cause_detail="Override for field 'voice_id' is not allowed by config.", ended_at=1_790_000_005.5, turns=(turn,),
    )  # fmt: skip
    text = runner.invoke(app, ["calls", "show", "call_1"], env={"COLUMNS": "60"}).stdout
    assert "state     ended, failed" in text
    assert "agent_override_denied" in text and "security settings" in text
    assert "detail    Override for field 'voice_id' is not allowed" in text
    assert "to change enable it in the agent's security settings" in text
    assert "doctor    agent.overrides" in text
    assert "ended +5.50 s" in text and "700" in text and "Hello.  (interrupted)" in text
    assert "\x1b[31m" not in text and NUMBER not in text
    assert json.loads(runner.invoke(app, ["calls", "show", "call_1", "--json", "--reveal"]).stdout)["number"] == NUMBER


def test_a_call_is_hung_up(server: Any) -> None:
    server.desk.add("call_1")
    result = runner.invoke(app, ["calls", "hangup", "call_1"])
    assert result.exit_code == 0 and result.stdout == "call_1: ended\n" and server.desk.hung_up == ["call_1"]


@pytest.mark.parametrize("command", ["show", "hangup"])
def test_an_unknown_call_is_said_to_be_unknown(server: Any, command: str) -> None:
    for name in ("nope", "../nope", "a b"):
        result = runner.invoke(app, ["calls", command, name])
        assert result.exit_code == 2 and len(result.stderr.splitlines()) == 1


def test_what_people_say_cannot_move_the_cursor() -> None:
    assert clean("a\x1b[2Jb\r\nc\u202e\x9b") == "a [2Jb  c"
    assert line_of({"kind": "unheard.of"}, "") is None
    assert line_of({"kind": "call.state", "data": {"state": "ended"}}, "") is None
