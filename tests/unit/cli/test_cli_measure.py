"""calls show, compare, verify; report; tape; gate: what they print, what they write, how they end."""

from __future__ import annotations

import base64
import http.server
import io
import json
import sys
import threading
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "call"))

from fake_desk import ended
from taped_call import taped_call

from shortwire.audio.reading import read
from shortwire.audio.recording import recording, ulaw_wav
from shortwire.call.tape import Kind, TapeWriter, read_tape
from shortwire.cli.report import seconds_of
from shortwire.cli.root import app
from shortwire.cli.tape import find_tape
from shortwire.cli.verify import print_check, verify_gaps
from shortwire.errors import UsageError

runner = CliRunner()
TAPE = taped_call()


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    path = tmp_path / "call_taped.tape"
    path.write_bytes(TAPE)
    return path


@pytest.fixture(scope="module")
def reading() -> Any:
    return read(read_tape(TAPE))


@pytest.fixture
def call_file(tmp_path: Path, reading: Any) -> Path:
    """A call as the API would tell it."""
    path = tmp_path / "call.json"
    call = {"id": "call_taped", "turns": [turn.as_dict() for turn in reading.turns], "latencies": {}}
    path.write_text(json.dumps({**call, "agent_id": "agent_1", "created_at": 0.0, "disposition": "answered"}))
    return path


def run(*arguments: object, status: int = 0) -> str:
    result = runner.invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == status, result.output
    return result.output


def test_a_tape_is_shown(tape: Path) -> None:
    text = run("tape", "show", tape)
    assert "Are you open?" in text
    assert "(interrupted)" in text
    assert "turn 1" in text
    assert "sound: good" in text
    told = json.loads(run("tape", "show", tape, "--json"))
    assert [turn["party"] for turn in told["turns"]] == ["", "Are you open?", "And today?"]
    assert told["turns"][1]["interrupted"]
    # Speech of 800 ms, 600 ms of silence, then the reply is read; heard when the mark said so.
    assert told["turns"][1]["response_gap_ms"] == pytest.approx(600 + 160 - 60, abs=40)


def test_a_tape_is_found_by_its_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHORTWIRE_DATA_DIR", str(tmp_path))
    (tmp_path / "tapes").mkdir()
    (tmp_path / "tapes" / "call_taped.tape").write_bytes(TAPE)
    assert "every checksum fits" in run("tape", "verify", "call_taped")
    assert "no tape call_other" in run("tape", "verify", "call_other", status=2)


def test_what_is_neither_a_file_nor_a_call_is_said_to_be_none() -> None:
    for command in (("report",), ("tape", "show")):
        assert "no such file: nofile.tape" in run(*command, "nofile.tape", status=2)


def test_a_tape_is_heard(tape: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.wav"
    run("tape", "audio", tape, "-o", out)
    with wave.open(str(out)) as file:
        assert (file.getnchannels(), file.getframerate()) == (2, 8000)
        assert file.getnframes() > 8000 * 5


def test_a_tape_replays(tape: Path) -> None:
    assert "every one as it was sent then" in run("tape", "replay", tape)
    assert json.loads(run("tape", "replay", tape, "--json"))["differences"] == []


def test_a_difference_is_shown_with_its_time(tape: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shortwire.call.downlink.FIRST_MS", 120)
    text = run("tape", "replay", tape, status=1)
    assert "audio, 60 ms" in text
    assert "audio, 120 ms" in text
    assert "to the phone" in text


@pytest.mark.parametrize("command", ["show", "verify", "replay", "audio"])
def test_a_damaged_tape_says_where_and_gives_what_is_sound(tape: Path, command: str) -> None:
    tape.write_bytes(TAPE[: len(TAPE) * 2 // 3] + b"\0" * 400)
    text = run("tape", command, tape, status=1)
    assert "this tape is damaged: the block at byte" in text
    assert "records before that are sound" in text


def test_a_tape_of_a_newer_version_is_refused(tape: Path) -> None:
    tape.write_bytes(TAPE[:8] + b"\x63\x00" + TAPE[10:])
    assert "written by a newer Shortwire" in run("tape", "show", tape, status=2)
    tape.write_bytes(b"RIFF")
    assert "not a Shortwire tape" in run("tape", "replay", tape, status=2)


def test_a_report_is_made_of_a_tape_alone(tape: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    run("report", tape, "-o", out)
    page = out.read_text()
    assert "data:audio/wav;base64," in page
    assert "Are you open?" in page
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")


def test_a_report_of_a_damaged_tape_warns_and_says_so(tape: Path, tmp_path: Path) -> None:
    tape.write_bytes(TAPE[: len(TAPE) // 2])
    out = tmp_path / "page.html"
    assert "this tape is damaged: " in run("report", tape, "-o", out)
    assert "Its tape is damaged" in out.read_text()
    result = runner.invoke(app, ["report", str(tape), "--json"])
    assert "this tape is damaged: " in result.stderr
    assert "the file ends" in json.loads(result.stdout)["damage"]


def test_a_recording_stands_beside_the_live_gaps_and_a_tape_does_not(tape: Path, tmp_path: Path) -> None:
    out, wav = tmp_path / "page.html", tmp_path / "out.wav"
    run("report", tape, "-o", out)
    assert "gap, recording" not in out.read_text()
    run("tape", "audio", tape, "-o", wav)
    run("report", tape, "-o", out, "--wav", wav)
    assert "gap, recording" in out.read_text()
    told = json.loads(run("report", tape, "--json"))
    assert [gap["turn"] for gap in told["gaps"]] == [1, 2]


def test_a_report_wants_a_call_or_a_time() -> None:
    assert "name a call, or a time" in run("report", status=2)
    assert "no length of time" in run("report", "--since", "yesterday", status=2)
    assert (seconds_of("30m"), seconds_of("1.5d")) == (1800, 129600)
    with pytest.raises(UsageError):
        seconds_of("1y")


def test_a_report_of_the_last_day(server: Any, tmp_path: Path) -> None:
    told = json.loads(run("report", "--since", "1d", "--json"))
    assert told["all"]["calls"] == 0
    run("report", "--since", "1d", "-o", tmp_path / "many.html")
    assert "Calls of the last 1d" in (tmp_path / "many.html").read_text()


@pytest.fixture
def taped(server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of four calls of the server, newest first; the newest has no tape, the oldest one that nobody can read."""
    monkeypatch.setenv("SHORTWIRE_DATA_DIR", str(tmp_path))
    (tmp_path / "tapes").mkdir()
    server.desk.script = [("call.created", {}), ended()]
    for _ in range(4):
        run("call", "+14155550123")
    ids = [call["id"] for call in json.loads(run("calls", "list", "--json"))["calls"]]
    for call_id in ids:
        run("calls", "hangup", call_id)
    for call_id in ids[1:]:
        (tmp_path / "tapes" / f"{call_id}.tape").write_bytes(b"RIFF" if call_id == ids[-1] else TAPE)
    return ids


def test_a_report_of_many_calls_has_their_sound(taped: list[str], tmp_path: Path) -> None:
    out = tmp_path / "many.html"
    run("report", "--since", "5000w", "-o", out)
    page = out.read_text()
    assert [f'id="{call_id}"' in page for call_id in taped] == [False, True, True, False]
    assert page.count("data:audio/wav;base64,") == 2
    assert "3 of 4 calls have a tape on this machine" in page
    assert f"Not to be read: {taped[3]}: this file is not a Shortwire tape" in page
    assert "http" not in page.replace("http-equiv", "")


def test_the_sound_of_many_calls_is_bounded_and_says_so(taped: list[str], tmp_path: Path) -> None:
    out = tmp_path / "many.html"
    whole = len(ulaw_wav(recording(read_tape(TAPE)))) * 4 / 3e6  # type: ignore[arg-type]
    run("report", "--since", "5000w", "-o", out, "--audio-mb", 1.5 * whole)
    page = out.read_text()
    assert page.count("data:audio/wav;base64,") == 1
    assert "1 of them without sound" in page
    run("report", "--since", "5000w", "-o", out, "--waveforms", 1)
    page = out.read_text()
    assert page.count('class="card strip"') == 1
    assert "the 1 with the longest response gaps are here" in page
    run("report", "--since", "5000w", "-o", out, "--waveforms", 0)
    assert 'class="card strip"' not in out.read_text()


def silent_tape() -> bytes:
    """The call as far as the agent's first word: frames from the phone in which nobody speaks."""
    tape = read_tape(TAPE)
    assert tape.header is not None
    first = next(n for n, record in enumerate(tape.records) if record.kind is Kind.AGENT_AUDIO)
    return TapeWriter(tape.header).records(tape.records[:first])


def test_tapes_in_which_nobody_was_heard_take_no_place(taped: list[str], tmp_path: Path) -> None:
    for call_id in taped[:2]:
        (tmp_path / "tapes" / f"{call_id}.tape").write_bytes(silent_tape())
    out = tmp_path / "many.html"
    run("report", "--since", "5000w", "-o", out, "--waveforms", 1)
    page = out.read_text()
    assert page.count('class="card strip"') == 1
    assert f'id="{taped[2]}"' in page
    run("report", "--since", "5000w", "-o", out)
    page = out.read_text()
    assert "4 of 4 calls have a tape on this machine; 2 in which nobody was heard are not drawn." in page
    assert "--waveforms" not in page


def test_a_damaged_tape_is_drawn_as_far_as_it_goes(taped: list[str], tmp_path: Path) -> None:
    (tmp_path / "tapes" / f"{taped[1]}.tape").write_bytes(TAPE[: len(TAPE) * 2 // 3] + b"\0" * 400)
    out = tmp_path / "many.html"
    run("report", "--since", "5000w", "-o", out)
    page = out.read_text()
    assert f'id="{taped[1]}"' in page
    assert "damaged tape" in page


def test_the_gate(call_file: Path, tmp_path: Path) -> None:
    base = tmp_path / "base.json"
    run("gate", "--write", base, call_file)
    assert "ok      Response gap" in run("gate", "--baseline", base, call_file)
    slow = json.loads(call_file.read_text())
    for turn in slow["turns"]:
        for name in ("response_gap_ms", "playout_ms"):
            turn[name] = turn[name] and turn[name] + 400
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "call.json").write_text(json.dumps(slow))
    text = run("gate", "--baseline", base, folder, status=1)
    assert "SLOWER  Response gap" in text
    assert "Way to the ear and back (+400 ms)" in text
    assert json.loads(run("gate", "--baseline", base, folder, "--json", status=1))["slower"][0]["part"]
    assert "--baseline FILE or --write FILE" in run("gate", call_file, status=2)


def test_the_gate_says_what_it_could_not_take(call_file: Path, tmp_path: Path) -> None:
    base = tmp_path / "base.json"
    text = run("gate", "--baseline", base, call_file, status=2)
    assert f"no such baseline: {base}: make one with 'shortwire gate --write {base} RUN'" in text
    base.write_text("# Not JSON")
    assert f"{base}: this is not a baseline" in run("gate", "--baseline", base, call_file, status=2)
    assert "is not JSON" in run("gate", "--write", tmp_path / "new.json", base, status=2)
    assert "cannot be written" in run("gate", "--write", tmp_path / "no" / "new.json", call_file, status=2)
    assert "no such file or folder: nodir" in run("gate", "--write", tmp_path / "new.json", "nodir", status=2)


def test_the_gate_takes_no_run_of_two_profiles(call_file: Path, tmp_path: Path) -> None:
    call = json.loads(call_file.read_text())
    for profile in ("baseline", "optimized"):
        (tmp_path / "demo" / profile).mkdir(parents=True)
        (tmp_path / "demo" / profile / "call.json").write_text(json.dumps({**call, "profile": profile}))
    text = run("gate", "--write", tmp_path / "base.json", tmp_path / "demo", status=2)
    assert "this run holds calls of baseline and optimized" in text
    run("gate", "--write", tmp_path / "base.json", tmp_path / "demo" / "optimized")


class Twilio(http.server.BaseHTTPRequestHandler):
    """The recordings of one call, as documented (protocols/twilio.md section 3.6)."""

    wav = b""
    asked: list[str]
    listed: list[dict[str, Any]]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        expected = "Basic " + base64.b64encode(b"AC1:secret").decode()
        if self.headers["Authorization"] != expected:
            self._answer(401, b'{"code":20003,"message":"Authenticate"}')
        elif self.path == "/2010-04-01/Accounts/AC1/Calls/CA1/Recordings.json":
            self._answer(200, json.dumps({"recordings": self.listed}).encode())
        elif self.path.startswith("/2010-04-01/Accounts/AC1/Recordings/RE2.wav"):
            self._answer(200, self.wav)
        else:
            self._answer(404, b'{"code":20404}')

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def carrier(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Twilio]]:
    Twilio.asked, Twilio.wav = [], read(read_tape(TAPE)).wav(read_tape(TAPE)) or b""
    Twilio.listed = [
        {"sid": "RE1", "status": "completed", "channels": 1, "duration": "90"},
        {"sid": "RE2", "status": "completed", "channels": 2, "duration": "9"},
        {"sid": "RE3", "status": "in-progress", "channels": 2, "duration": None},
    ]
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Twilio)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", "AC1")
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "secret")
    monkeypatch.setenv("TWILIO_API_BASE_URL", f"http://127.0.0.1:{running.server_address[1]}")
    yield Twilio
    running.shutdown()
    running.server_close()
    thread.join(10)


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch, call_file: Path) -> dict[str, Any]:
    """The server knows the call."""
    call = {**json.loads(call_file.read_text()), "call_sid": "CA1"}
    monkeypatch.setattr("shortwire.cli.calls.fetch", lambda *_a, **_k: call)
    return call


def test_our_gaps_are_held_against_the_carriers_recording(carrier: type[Twilio], known: dict[str, Any]) -> None:
    text = run("calls", "verify", "call_taped")
    assert "our figures agree with the recording: 2 of 2 gaps compared" in text
    assert carrier.asked[-1].endswith("RE2.wav?RequestedChannels=2")
    known["turns"][2]["response_gap_ms"] -= 300  # a figure that flatters
    found = json.loads(run("calls", "verify", "call_taped", "--json", status=1))
    assert not found["agree"]
    assert found["turns"][1]["difference_ms"] == pytest.approx(-300, abs=40)


def test_a_call_without_a_gap_has_nothing_to_compare(carrier: type[Twilio], known: dict[str, Any]) -> None:
    known["turns"] = []
    text = run("calls", "verify", "call_taped", status=1)
    assert text.strip() == "we measured no gap in this call, the recording holds 2: there is nothing to compare"


def test_a_difference_that_rounds_to_nothing_has_no_sign(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"turn": 1, "party": "", "live_ms": 900.0, "recorded_ms": 900.3, "difference_ms": -0.3}
    found = {"agree": True, "tolerance_ms": 40.0, "compared": 1, "worst_ms": 0.3, "only_recorded": [], "turns": [row]}
    print_check(found)
    assert capsys.readouterr().out.splitlines()[1].split() == ["1", "900", "900", "0"]


def test_a_call_without_a_recording_says_how_to_get_one(carrier: type[Twilio], known: dict[str, Any]) -> None:
    carrier.listed = carrier.listed[2:]
    assert "no finished recording of this call" in run("calls", "verify", "call_taped", status=2)


def test_a_wrong_token_is_the_carriers_no(
    carrier: type[Twilio], known: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "wrong")
    assert "HTTP 401" in run("calls", "verify", "call_taped", status=69)
    monkeypatch.setenv("TWILIO_API_BASE_URL", "http://api.example.com")
    assert "is not https" in run("calls", "verify", "call_taped", status=78)


def test_a_recording_that_begins_later_is_laid_in_place(reading: Any) -> None:
    wav = reading.wav(read_tape(TAPE))
    with wave.open(io.BytesIO(wav)) as file:
        frames = file.readframes(file.getnframes())
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((2, 2, 8000, 0, "NONE", ""))
        file.writeframes(b"\0" * 4 * 8000 * 7 + frames)
    call = {"turns": [turn.as_dict() for turn in reading.turns]}
    assert verify_gaps(call, out.getvalue(), tolerance_ms=40)["agree"]
    assert not verify_gaps({"turns": []}, out.getvalue(), tolerance_ms=40)["agree"]
    with pytest.raises(UsageError, match="cannot be compared"):
        verify_gaps(call, b"mp3", tolerance_ms=40)


def test_a_call_is_shown_with_its_waterfall(
    known: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    facts = dict.fromkeys(("dialed_at", "ringing_at", "answered_at", "connected_at", "ended_at", "cause"))
    known.update(facts, direction="outbound", number="+1", profile="optimized", state="ended", conversation_id=None)
    text = run("calls", "show", "call_taped")
    assert "where the time went" in text
    assert "what to change" in text
    assert "Response gap" in run("calls", "compare", "call_taped", "call_taped")
    assert json.loads(run("calls", "show", "call_taped", "--json"))["id"] == "call_taped"


def test_a_report_of_a_call_of_the_server(server: Any, tmp_path: Path) -> None:
    server.desk.script = [("call.created", {}), ("party.said", {"text": "Are you open?"}), ended()]
    run("call", "+14155550123")
    (call,) = json.loads(run("calls", "list", "--json"))["calls"]
    out = tmp_path / "page.html"
    text = run("report", call["id"], "-o", out)
    assert "without waveforms" in text
    assert call["id"] in out.read_text()
    told = json.loads(run("report", call["id"], "--json"))
    assert told["call"]["id"] == call["id"]
    assert told["findings"] == []
    (tmp_path / "its.tape").write_bytes(TAPE)
    run("report", call["id"], "-o", out, "--tape", tmp_path / "its.tape")
    assert "data:audio/wav;base64," in out.read_text()


def test_a_data_directory_in_a_home_that_nobody_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHORTWIRE_DATA_DIR", "~nobody-of-this-name/calls")
    with pytest.raises(UsageError, match="SHORTWIRE_DATA_DIR") as caught:
        find_tape("call_0123456789")
    assert caught.value.details
