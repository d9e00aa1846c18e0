"""The media stream against a real WebSocket server: clock, marks, clear, recording, warnings, endings."""

from __future__ import annotations

import asyncio
import base64
import io
import wave
from array import array
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from bridge_side import ACCOUNT, TOKEN, Bridge, Stream, bridge_running, config, create, emulator, rest

from shortwire.emulators.twilio import Choices, PartyScript, Say, TwilioEmulator, describe
from shortwire.emulators.twilio.signature import sign
from shortwire.emulators.ulaw import tone

PATIENT = PartyScript(ring_s=0.0)


def notes(twilio: TwilioEmulator, sid: str) -> list[str]:
    return [note["error_code"] for note in twilio.calls[sid].notifications]


async def hang_up(twilio: TwilioEmulator, sid: str) -> dict[str, Any]:
    twilio.calls[sid].hang_up()
    await twilio.calls[sid].ended()
    return describe(twilio.calls[sid])


async def test_the_upgrade_request_is_the_captured_one() -> None:
    async with bridge_running() as bridge, emulator(config(scenario=PATIENT)) as twilio:
        await create(twilio, Twiml=bridge.connect_twiml())
        request = (await bridge.stream()).request
    names = [name.decode() for name, _ in request.raw_headers]
    assert names == [
        "Host",
        "User-Agent",
        "Connection",
        "Sec-WebSocket-Key",
        "Sec-WebSocket-Version",
        "Upgrade",
        "X-Twilio-Signature",
        "Accept-Encoding",
    ]
    assert request.headers["User-Agent"] == "Twilio.TmeWs/1.0"
    assert request.headers["X-Twilio-Signature"] == sign(TOKEN, bridge.media_url)


async def test_frames_come_in_order_every_20_ms_with_their_numbers() -> None:
    async with bridge_running() as bridge, emulator(config(scenario=PATIENT)) as twilio:
        sid = await create(twilio, Twiml=bridge.connect_twiml('<Parameter name="who" value="Jürgen"/>'))
        stream = await bridge.stream()
        await stream.until(lambda: len(stream.of("media")) >= 50)
        facts = await hang_up(twilio, sid)
        await stream.closed.wait()
    connected, start = stream.messages[:2]
    assert connected == {"event": "connected", "protocol": "Call", "version": "1.0.0"}
    assert start["start"]["customParameters"] == {"who": "Jürgen"}
    assert (start["start"]["callSid"], start["start"]["accountSid"]) == (sid, ACCOUNT)
    numbered = stream.messages[1:]
    assert [int(m["sequenceNumber"]) for m in numbered] == list(range(1, len(numbered) + 1))
    media = stream.of("media")
    assert [int(m["media"]["chunk"]) for m in media] == list(range(1, len(media) + 1))
    stamps = [int(m["media"]["timestamp"]) for m in media]
    assert 57 <= stamps[0] <= 171
    assert all(abs(stamp - stamps[0] - 20 * n) <= 1 for n, stamp in enumerate(stamps))
    assert all(len(base64.b64decode(m["media"]["payload"])) == 160 for m in media)
    # No drift: every frame of the call has its instant; it may leave late, never early.
    began_ns = facts["answered_ns"] + round(facts["streams"][0]["first_frame_ms"] * 1e6)
    assert all(ns >= began_ns + (n + 1) * 20_000_000 for n, ns in enumerate(stream.when("media")))
    assert stream.messages[-1]["event"] == "stop"
    assert stream.messages[-1]["stop"] == {"accountSid": ACCOUNT, "callSid": sid}
    assert list(stream.messages[-1]) == ["event", "sequenceNumber", "streamSid", "stop"]
    assert stream.ws.close_code == 1000


async def test_marks_come_back_in_audio_time() -> None:
    async with bridge_running() as bridge, emulator(config(scenario=PATIENT)) as twilio:
        sid = await create(twilio, Twiml=bridge.connect_twiml())
        stream = await bridge.stream()
        await stream.play(tone(500, 200))
        await stream.mark("one")
        await stream.play(tone(500, 150))
        await stream.mark("two")
        await stream.until(lambda: len(stream.of("mark")) == 2)
        await stream.mark("three")
        await stream.until(lambda: len(stream.of("mark")) == 3)
        facts = await hang_up(twilio, sid)
    assert [m["mark"]["name"] for m in stream.of("mark")] == ["one", "two", "three"]
    record = facts["streams"][0]
    one, two, three = record["marks"]
    begin = record["first_audio_ms"]
    assert one["due_ms"] == pytest.approx(begin + 200, abs=1)
    assert two["due_ms"] == pytest.approx(one["due_ms"] + 150, abs=0.01)
    assert three["due_ms"] == pytest.approx(three["sent_ms"], abs=0.01)
    assert all(mark["returned_ms"] >= mark["due_ms"] - 0.2 and not mark["cleared"] for mark in (one, two, three))


async def test_clear_drops_the_rest_and_returns_marks_before_anything_else() -> None:
    async with bridge_running() as bridge, emulator(config(scenario=PATIENT)) as twilio:
        sid = await create(twilio, Twiml=bridge.connect_twiml())
        stream = await bridge.stream()
        await stream.play(tone(500, 5000))
        for name in ("a", "b", "a"):
            await stream.mark(name)
        await stream.until(lambda: len(stream.of("media")) >= 10)
        assert stream.of("mark") == []
        await stream.clear()
        await stream.until(lambda: len(stream.of("mark")) == 3)
        await stream.mark("after")
        await stream.until(lambda: len(stream.of("mark")) == 4)
        facts = await hang_up(twilio, sid)
    assert [m["mark"]["name"] for m in stream.of("mark")] == ["a", "b", "a", "after"]
    events = [m["event"] for m in stream.messages]
    first = events.index("mark")
    assert events[first : first + 3] == ["mark"] * 3, "returned together, in send order"
    record = facts["streams"][0]
    (clear,) = record["clears"]
    assert clear["marks"] == ["a", "b", "a"]
    (played,) = facts["played_ms"]
    assert played[1] - played[0] + clear["dropped_ms"] == pytest.approx(5000)
    assert played[1] == pytest.approx(clear["at_ms"], abs=1)
    assert [mark["cleared"] for mark in record["marks"]] == [True, True, True, False]


async def test_the_recording_holds_both_sides_where_they_were_heard() -> None:
    script = PartyScript(ring_s=0.0, says=(Say("240", delay_ms=400),))
    async with bridge_running() as bridge, emulator(config(scenario=script)) as twilio:
        sid = await create(twilio, Twiml=bridge.connect_twiml())
        stream = await bridge.stream()
        await stream.until(lambda: len(stream.of("media")) >= 5)
        await stream.play(tone(600, 500))
        await stream.until(lambda: bool(twilio.calls[sid].line.party.utterances))  # type: ignore[union-attr]
        await asyncio.sleep(0.5)
        facts = await hang_up(twilio, sid)
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{twilio.base_url}/_emulator/calls/{sid}/recording.wav") as response,
        ):
            assert response.content_type == "audio/wav"
            sound = await response.read()
    with wave.open(io.BytesIO(sound)) as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (2, 8000, 2)
        both = array("h", file.readframes(file.getnframes()))

    def span(samples: array[int]) -> tuple[float, float]:
        loud = [n for n, sample in enumerate(samples) if abs(sample) > 1000]
        return loud[0] / 8, loud[-1] / 8

    party, agent = span(both[0::2]), span(both[1::2])
    record = facts["streams"][0]
    assert agent[0] == pytest.approx(record["first_audio_ms"], abs=2)
    assert agent[1] - agent[0] == pytest.approx(500, abs=2)
    (said,) = facts["utterances"]
    assert party == (pytest.approx(said["begin_ms"], abs=1), pytest.approx(said["end_ms"], abs=1))
    gap = party[0] - agent[1]
    assert 380 <= gap <= 421, "400 ms after the true end of the agent's words, to the frame"
    sent = b"".join(base64.b64decode(m["media"]["payload"]) for m in stream.of("media"))
    assert tone(440, 240) in sent, "what the bridge got is what the party said, bit by bit"


async def test_a_misbehaving_server_is_warned_once_and_the_stream_goes_on() -> None:
    async with bridge_running() as bridge, emulator(config(scenario=PATIENT)) as twilio:
        sid = await create(twilio, Twiml=bridge.connect_twiml())
        stream = await bridge.stream()
        await stream.ws.send_bytes(b"\x00")
        await stream.ws.send_bytes(b"\x00")
        await stream.ws.send_str("{")
        await stream.send({"event": "media", "media": {"payload": "AAAA", "track": "outbound"}})
        await stream.ws.send_str('{"event":"clear","streamSid":"MZ0"}')
        await stream.ws.ping(b"are you there")
        await stream.mark("alive")
        await stream.until(lambda: len(stream.of("mark")) == 1)
        facts = await hang_up(twilio, sid)
    assert notes(twilio, sid) == ["31950", "31951"]
    record = facts["streams"][0]
    assert [w["code"] for w in record["warnings"]] == [31950, 31950, 31951, 31951, 31951]
    assert record["received"] == {"binary": 2, "refused": 3, "ping": 1, "mark": 1}
    assert record["received_audio_ms"] == 0


async def test_keys_reach_the_server_as_the_docs_write_them() -> None:
    script = PartyScript(ring_s=0.0, says=(Say(digits="4#", when="answered", delay_ms=100),))
    async with bridge_running() as bridge, emulator(config(scenario=script)) as twilio:
        sid = await create(twilio, Twiml=bridge.connect_twiml())
        stream = await bridge.stream()
        await stream.until(lambda: len(stream.of("dtmf")) == 2)
        twilio.calls[sid].press("9")
        await stream.until(lambda: len(stream.of("dtmf")) == 3)
    assert [m["dtmf"] for m in stream.of("dtmf")] == [{"track": "inbound_track", "digit": key} for key in "4#9"]
    assert list(stream.of("dtmf")[0]) == ["event", "streamSid", "sequenceNumber", "dtmf"]


async def test_a_server_that_closes_gets_31921_and_the_next_verb_runs() -> None:
    async def close_at_once(stream: Stream) -> None:
        await stream.play(tone(500, 4000))
        await stream.ws.close(code=1000)

    async with bridge_running() as bridge, emulator(config(scenario=PATIENT)) as twilio:
        bridge.on_stream = close_at_once
        sid = await create(twilio, Twiml=bridge.connect_twiml(after=f"<Redirect>{bridge.url}/next</Redirect>"))
        ending = await twilio.calls[sid].ended()
        await twilio.calls[sid].finished.wait()
    assert (ending.status, ending.by) == ("completed", "application-error"), "/next answers 204, which is no TwiML"
    assert len(bridge.of("/next")) == 1
    assert notes(twilio, sid)[0] == "31921"
    assert bridge.streams[0].of("stop") == []
    facts = describe(twilio.calls[sid])
    assert facts["streams"][0]["closed_by"] == "bridge"
    assert sum(end - begin for begin, end in facts["played_ms"]) < 4000, "what was not played is dropped"


async def test_buffered_audio_may_be_played_out_after_the_close() -> None:
    async def close_at_once(stream: Stream) -> None:
        await stream.play(tone(500, 300))
        await stream.ws.close()

    choices = Choices(play_out_after_close=True)
    async with bridge_running() as bridge, emulator(config(scenario=PATIENT, choices=choices)) as twilio:
        bridge.on_stream = close_at_once
        sid = await create(twilio, Twiml=bridge.connect_twiml())
        await twilio.calls[sid].ended()
    assert sum(end - begin for begin, end in describe(twilio.calls[sid])["played_ms"]) == pytest.approx(300, abs=5)


async def test_a_broken_connection_is_31903() -> None:
    async def break_it(stream: Stream) -> None:
        assert stream.request.transport is not None
        stream.request.transport.abort()

    async with bridge_running() as bridge, emulator(config(scenario=PATIENT)) as twilio:
        bridge.on_stream = break_it
        sid = await create(twilio, Twiml=bridge.connect_twiml())
        await twilio.calls[sid].ended()
    assert notes(twilio, sid) == ["31903"]


async def test_a_redirect_over_rest_stops_the_stream_and_runs_the_new_document() -> None:
    async with bridge_running() as bridge, emulator(config(scenario=PATIENT)) as twilio:
        sid = await create(twilio, Twiml=bridge.connect_twiml())
        stream = await bridge.stream()
        await stream.until(lambda: len(stream.of("media")) >= 3)
        status, body, _ = await rest(twilio, "POST", f"Calls/{sid}.json", {"Twiml": bridge.connect_twiml()})
        assert (status, body["status"]) == (200, "in-progress")
        await stream.closed.wait()
        assert stream.messages[-1]["event"] == "stop"
        await stream.until(lambda: len(bridge.streams) == 2 and len(bridge.streams[1].of("media")) >= 3)
        second = bridge.streams[1]
        assert second.sid != stream.sid
        assert second.messages[1]["sequenceNumber"] == "1"
        assert twilio.calls[sid].status == "in-progress"
    assert len(twilio.calls[sid].streams) == 2


async def test_a_reader_that_stops_loses_frames_and_not_the_call() -> None:
    stuck = asyncio.Event()

    async def never_read(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        assert request.transport is not None
        request.transport.pause_reading()  # type: ignore[attr-defined]
        await stuck.wait()
        return ws

    app = web.Application()
    app.router.add_get("/m", never_read)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    # One frame may wait: the loop being busy for 40 ms would do, so only the warning's kind is judged.
    settings = config(scenario=PATIENT, choices=Choices(outbox_frames=0))
    async with emulator(settings) as twilio:
        sid = await create(
            twilio, Twiml=f'<Response><Connect><Stream url="ws://127.0.0.1:{port}/m"/></Connect></Response>'
        )
        async with asyncio.timeout(20):
            while notes(twilio, sid) != ["31930"]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert twilio.calls[sid].status == "in-progress"
        assert twilio.calls[sid].streams[0].dropped_frames > 0
        stuck.set()
    await runner.cleanup()


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("ws://bridge.example.com/m", "31922"),
        ("https://bridge.example.com/m", "31922"),
        ("wss://127.0.0.1:1/m?token=x", "31920"),
        ("/relative", "31923"),
        ("wss://[/m", "31923"),
        ("ws://127.0.0.1:1/m", "31902"),
        ("REFUSED", "31920"),
        ("PLAIN", "31910"),
    ],
)
async def test_a_stream_that_cannot_open_falls_through_to_the_next_verb(url: str, code: str) -> None:
    async with bridge_running() as bridge, emulator(config(scenario=PATIENT)) as twilio:
        url = {"REFUSED": f"ws://127.0.0.1:{bridge.port}/voice", "PLAIN": f"wss://127.0.0.1:{bridge.port}/m"}.get(
            url, url
        )
        bridge.twiml = "<Response><Hangup/></Response>"
        sid = await create(
            twilio,
            Twiml=f'<Response><Connect><Stream url="{url}" statusCallback="{bridge.url}/stream"/></Connect>'
            f"<Redirect>{bridge.url}/voice</Redirect></Response>",
        )
        ending = await twilio.calls[sid].ended()
        await twilio.calls[sid].finished.wait()
    assert ending.by == "document"
    assert notes(twilio, sid) == [code]
    (hook,) = bridge.of("/stream")
    assert (hook.params["StreamEvent"], hook.params["StreamError"]) == (
        "stream-error",
        f"Stream error, code: {code}",
    )


async def test_stream_callbacks_tell_begin_and_end() -> None:
    async with bridge_running() as bridge, emulator(config(scenario=PATIENT)) as twilio:
        twiml = bridge.connect_twiml().replace("<Stream ", f'<Stream name="n" statusCallback="{bridge.url}/stream" ')
        sid = await create(twilio, Twiml=twiml)
        stream = await bridge.stream()
        await hang_up(twilio, sid)
        await twilio.calls[sid].finished.wait()
    began, ended = bridge.of("/stream")
    assert [began.params["StreamEvent"], ended.params["StreamEvent"]] == ["stream-started", "stream-stopped"]
    assert list(began.params) == ["StreamName", "StreamEvent", "CallSid", "Timestamp", "AccountSid", "StreamSid"]
    assert began.params["StreamName"] == "n"
    assert began.params["StreamSid"] == stream.sid
    assert began.params["Timestamp"].endswith("Z")
    assert len(began.params["Timestamp"].partition(".")[2]) == 10


def test_bridge_default_twiml_is_what_the_emulator_plays() -> None:
    bridge = Bridge()
    bridge.port = 1
    assert "ws://127.0.0.1:1/media/abc" in bridge.connect_twiml()
