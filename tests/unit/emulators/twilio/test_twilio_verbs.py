"""Verbs as the party hears them and as the web server is asked: Gather, Record, Dial, conferences, one-way streams."""

from __future__ import annotations

import asyncio
import io
import wave
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from bridge_side import ACCOUNT, OURS, THEIRS, TOKEN, Bridge, bridge_running, config, create, emulator, rest

from shortwire.emulators.scenario import PartyScript, Say
from shortwire.emulators.twilio import Call, TwilioEmulator, describe
from shortwire.emulators.ulaw import decode, level, tone

AT_ONCE = PartyScript(ring_s=0.0)
HANGUP = "<Response><Hangup/></Response>"
OTHER = "+14155550199"


def party(*says: Say, **more: Any) -> PartyScript:
    return PartyScript(ring_s=0.0, says=says, **more)


def inside(verbs: str) -> str:
    return f"<Response>{verbs}</Response>"


async def over(twilio: TwilioEmulator, **form: str) -> Call:
    call = twilio.calls[await create(twilio, **form)]
    await asyncio.wait_for(call.finished.wait(), 60)
    assert not twilio.ledger.entries("emulator_error")
    return call


async def until(check: Any) -> None:
    async with asyncio.timeout(30):
        while not check():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def heard_ms(call: Call) -> float:
    """How much of what the party heard was sound."""
    assert call.line is not None
    heard = bytes(call.line.playout.heard)
    return 20.0 * sum(1 for at in range(0, len(heard), 160) if level(heard[at : at + 160]) > 500)


# --- what the party hears ---------------------------------------------------------------------------------


async def test_say_and_play_are_really_heard() -> None:
    async def answer(request: web.Request) -> web.StreamResponse | None:
        if request.path == "/sound":
            out = io.BytesIO()
            with wave.open(out, "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(8000)
                file.writeframes(decode(tone(700, 300)).tobytes())
            return web.Response(body=out.getvalue(), content_type="audio/wav")
        return None

    async with bridge_running() as bridge, emulator(config(scenario=AT_ONCE)) as twilio:
        bridge.hook_answer = answer
        call = await over(twilio, Twiml=inside(f"<Say loop='2'>200</Say><Play>{bridge.url}/sound</Play>"))
    assert heard_ms(call) == pytest.approx(700, abs=40)
    assert (bridge.hooks[0].method, bridge.hooks[0].params) == ("GET", {}), "a file is fetched without fields"
    assert call.notifications == []


async def test_a_file_that_cannot_be_played_is_silence_and_a_line_in_the_log() -> None:
    async with bridge_running() as bridge, emulator(config(scenario=AT_ONCE)) as twilio:
        call = await over(twilio, Twiml=inside(f"<Play>{bridge.url}/voice</Play>"))
    assert [note["error_code"] for note in call.notifications] == ["12300"]
    assert heard_ms(call) == 0


async def test_digits_of_ours_are_tones_for_the_party() -> None:
    async with emulator(config(scenario=AT_ONCE)) as twilio:
        call = await over(twilio, SendDigits="1w2", Twiml=inside("<Play digits='#'/>"))
    assert [key for key, _ in describe(call)["digits_heard"]] == ["1", "2", "#"]
    assert heard_ms(call) == pytest.approx(300, abs=60)
    pressed = [ms for _, ms in describe(call)["digits_heard"]]
    assert pressed[1] - pressed[0] >= 690, "200 ms for the key, 500 for the w"


# --- Gather -----------------------------------------------------------------------------------------------


async def gathered(script: PartyScript, attributes: str, prompt: str = "") -> tuple[Bridge, Call]:
    async with bridge_running() as bridge, emulator(config(scenario=script)) as twilio:
        bridge.twiml = HANGUP
        twiml = inside(f"<Gather action='{bridge.url}/voice' {attributes}>{prompt}</Gather><Pause length='0'/>")
        return bridge, await over(twilio, Twiml=twiml)


def keys(digits: str, delay_ms: int = 60) -> PartyScript:
    return party(Say(digits=digits, when="answered", delay_ms=delay_ms))


@pytest.mark.parametrize(
    ("digits", "attributes", "found", "finished_on"),
    [
        ("123", "numDigits='3' timeout='20'", "123", None),
        ("12#3", "timeout='20'", "12", "#"),
        ("12*", "finishOnKey='*' timeout='20'", "12", "*"),
        ("12", "timeout='1'", "12", None),
        ("1#2", "finishOnKey='' timeout='1'", "1#2", None),
    ],
)
async def test_digits_are_gathered(digits: str, attributes: str, found: str, finished_on: str | None) -> None:
    bridge, _ = await gathered(keys(digits), attributes)
    (hook,) = bridge.hooks
    assert hook.params["Digits"] == found
    assert hook.params.get("FinishedOnKey") == finished_on


async def test_a_key_stops_the_prompt() -> None:
    bridge, call = await gathered(keys("5"), "numDigits='1'", "<Say>8000</Say>")
    assert bridge.hooks[0].params["Digits"] == "5"
    assert heard_ms(call) < 4000


async def test_without_input_the_next_verb_runs_or_the_action_is_asked_anyway() -> None:
    bridge, call = await gathered(AT_ONCE, "timeout='1'")
    assert bridge.hooks == []
    assert call.ending is not None
    assert call.ending.by == "document"
    bridge, _ = await gathered(AT_ONCE, "timeout='1' actionOnEmptyResult='true'")
    assert bridge.hooks[0].params["Digits"] == ""


async def test_speech_is_gathered_as_the_scripts_words() -> None:
    script = party(Say("300", when="answered", delay_ms=100))
    bridge, _ = await gathered(script, "input='dtmf speech' timeout='20' speechTimeout='1'")
    assert bridge.hooks[0].params["SpeechResult"] == "300"


# --- Record -----------------------------------------------------------------------------------------------


async def test_record_keeps_the_party_until_it_is_silent() -> None:
    script = party(Say("400", when="agent_silent", delay_ms=100))
    async with bridge_running() as bridge, emulator(config(scenario=script)) as twilio:
        bridge.twiml = HANGUP
        twiml = inside(
            f"<Record action='{bridge.url}/voice' timeout='1' recordingStatusCallback='{bridge.url}/recorded'/>"
        )
        call = await over(twilio, Twiml=twiml)
        (asked,), (told,) = bridge.of("/voice"), bridge.of("/recorded")
        assert asked.params["RecordingSid"] == told.params["RecordingSid"]
        assert (told.params["RecordingStatus"], told.params["RecordingSource"]) == ("completed", "RecordVerb")
        assert heard_ms(call) == pytest.approx(500, abs=40), "the beep"
        async with aiohttp.ClientSession() as session, session.get(f"{asked.params['RecordingUrl']}.wav") as answer:
            body = await answer.read()
    with wave.open(io.BytesIO(body)) as file:
        assert file.getnchannels() == 1
        assert file.getnframes() == pytest.approx(3200, abs=400), "silence is trimmed off"


# --- Dial -------------------------------------------------------------------------------------------------


async def test_dial_rings_a_second_party_and_bridges_them() -> None:
    other = PartyScript(
        ring_s=0.1, says=(Say("300", when="answered", delay_ms=100),), hang_up_after_ms=200
    )  # hears the first one answer, then hangs up
    first = party(Say("500", when="agent_silent", delay_ms=100))
    async with bridge_running() as bridge, emulator(config(scenario=first, parties={OTHER: other})) as twilio:
        bridge.twiml = HANGUP
        twiml = inside(
            f"<Dial action='{bridge.url}/voice' record='record-from-answer-dual'>"
            f"<Number statusCallback='{bridge.url}/leg' statusCallbackEvent='initiated ringing answered completed'>"
            f"{OTHER}</Number></Dial>"
        )
        call = await over(twilio, Twiml=twiml)
        leg = next(item for item in twilio.calls.values() if item.parent_sid == call.sid)
        _, listed, _ = await rest(twilio, "GET", f"Calls.json?ParentCallSid={call.sid}")
    assert [row["sid"] for row in listed["calls"]] == [leg.sid]
    assert (listed["calls"][0]["direction"], listed["calls"][0]["parent_call_sid"]) == ("outbound-dial", call.sid)
    (asked,) = bridge.of("/voice")
    assert asked.params["DialCallSid"] == leg.sid
    assert (asked.params["DialCallStatus"], asked.params["DialBridged"]) == ("completed", "true")
    assert "/Recordings/RE" in asked.params["RecordingUrl"]
    told = [hook.params["CallStatus"] for hook in bridge.of("/leg")]
    assert told == ["initiated", "ringing", "in-progress", "completed"]
    assert bridge.of("/leg")[0].params["ParentCallSid"] == call.sid
    assert heard_ms(call) == pytest.approx(300, abs=60), "the other one's words"
    assert heard_ms(leg) == pytest.approx(500, abs=60)
    assert call.recordings.all[0].source == "DialVerb"


@pytest.mark.parametrize(
    ("script", "attributes", "status"),
    [
        (PartyScript(ring_s=0.0, outcome="busy"), "", "busy"),
        (PartyScript(outcome="no-answer"), "timeout='1'", "no-answer"),
        (PartyScript(outcome="failed"), "", "failed"),
    ],
)
async def test_a_dial_that_reaches_nobody(script: PartyScript, attributes: str, status: str) -> None:
    async with bridge_running() as bridge, emulator(config(scenario=AT_ONCE, parties={OTHER: script})) as twilio:
        bridge.twiml = HANGUP
        await over(twilio, Twiml=inside(f"<Dial action='{bridge.url}/voice' {attributes}>{OTHER}</Dial>"))
    assert bridge.hooks[0].params["DialCallStatus"] == status
    assert bridge.hooks[0].params["DialBridged"] == "false"


async def test_the_first_to_answer_wins_and_the_others_stop_ringing() -> None:
    parties = {OTHER: PartyScript(ring_s=30.0), "client:desk": PartyScript(ring_s=0.0, hang_up_after_ms=-1)}
    async with emulator(config(scenario=AT_ONCE, parties=parties)) as twilio:
        sid = await create(
            twilio, Twiml=inside(f"<Dial><Number>{OTHER}</Number><Client>desk</Client></Dial><Pause length='60'/>")
        )
        legs: dict[str, Call] = {}
        await until(lambda: len(twilio.calls) == 3)
        legs = {item.to: item for item in twilio.calls.values() if item.parent_sid == sid}
        await until(lambda: legs[OTHER].status == "canceled")
        assert legs["client:desk"].status == "in-progress"
        twilio.calls[sid].hang_up()
        await asyncio.wait_for(twilio.calls[sid].finished.wait(), 20)
        await until(lambda: legs["client:desk"].status == "completed")


async def test_a_number_that_is_none_is_13224_and_the_call_goes_on() -> None:
    async with bridge_running() as bridge, emulator(config(scenario=AT_ONCE)) as twilio:
        bridge.twiml = HANGUP
        call = await over(twilio, Twiml=inside(f"<Dial>call me</Dial><Redirect>{bridge.url}/voice</Redirect>"))
    assert [note["error_code"] for note in call.notifications] == ["13224"]
    assert len(bridge.hooks) == 1


async def test_a_star_ends_the_dialled_leg() -> None:
    script = party(Say(digits="*", when="answered", delay_ms=500))
    stays = {OTHER: AT_ONCE}
    async with bridge_running() as bridge, emulator(config(scenario=script, parties=stays)) as twilio:
        bridge.twiml = HANGUP
        await over(twilio, Twiml=inside(f"<Dial hangupOnStar='true' action='{bridge.url}/voice'>{OTHER}</Dial>"))
    assert bridge.hooks[0].params["DialCallStatus"] == "completed"


async def test_in_a_conference_everybody_hears_the_others() -> None:
    talker, listener = "+14155550111", "+14155550112"
    settings = config(
        parties={talker: party(Say("400", when="answered", delay_ms=1500)), listener: AT_ONCE},
        conference_guests={},
    )
    twiml = inside("<Dial hangupOnStar='true'><Conference endConferenceOnExit='true'>room</Conference></Dial>")
    async with emulator(settings) as twilio:
        one = twilio.calls[await create(twilio, To=talker, Twiml=twiml)]
        two = twilio.calls[await create(twilio, To=listener, Twiml=twiml)]
        await until(lambda: heard_ms(two) >= 360 if two.line else False)
        assert heard_ms(one) == 0, "nobody hears himself"
        one.hang_up()
        await asyncio.wait_for(two.finished.wait(), 20)
        assert two.ending is not None
        assert two.ending.by == "document", "endConferenceOnExit lets the other's document go on"


async def test_a_guest_comes_into_a_conference() -> None:
    guest = party(Say("300", when="answered", delay_ms=200))
    async with emulator(config(scenario=AT_ONCE, conference_guests={"room": guest})) as twilio:
        call = twilio.calls[await create(twilio, Twiml=inside("<Dial><Conference>room</Conference></Dial>"))]
        await until(lambda: heard_ms(call) >= 260 if call.line else False)
        call.hang_up()
        await asyncio.wait_for(call.finished.wait(), 20)
        await until(lambda: all(item.ending for item in twilio.calls.values()))


# --- one-way streams --------------------------------------------------------------------------------------


async def test_a_started_stream_carries_both_tracks_and_the_call_goes_on() -> None:
    script = party(Say("200", when="answered", delay_ms=100))
    async with bridge_running() as bridge, emulator(config(scenario=script)) as twilio:
        twiml = inside(
            f"<Start><Stream url='{bridge.media_url}' name='ear' track='both_tracks' "
            f"statusCallback='{bridge.url}/stream'><Parameter name='a' value='1'/></Stream></Start>"
            "<Say>400</Say><Stop><Stream name='ear'/></Stop><Pause length='0'/>"
        )
        call = await over(twilio, Twiml=twiml)
    (stream,) = bridge.streams
    start = stream.of("start")[0]["start"]
    assert start["tracks"] == ["inbound", "outbound"]
    assert start["customParameters"] == {"a": "1"}
    media = stream.of("media")
    assert {m["media"]["track"] for m in media} == {"inbound", "outbound"}
    assert [int(m["media"]["chunk"]) for m in media] == list(range(1, len(media) + 1)), "one counter for both tracks"
    assert stream.messages[-1]["event"] == "stop"
    events = [hook.params["StreamEvent"] for hook in bridge.of("/stream")]
    assert events == ["stream-started", "stream-stopped"]
    assert {hook.params["StreamName"] for hook in bridge.of("/stream")} == {"ear"}
    assert describe(call)["streams"][0]["bidirectional"] is False


async def test_whoever_speaks_on_a_one_way_stream_is_warned_of() -> None:
    async def speak(stream: Any) -> None:
        await stream.play(tone(440, 100))
        await stream.play(tone(440, 100))

    async with bridge_running() as bridge, emulator(config(scenario=AT_ONCE)) as twilio:
        bridge.on_stream = speak
        call = await over(twilio, Twiml=inside(f"<Start><Stream url='{bridge.media_url}'/></Start><Pause length='1'/>"))
    assert [note["error_code"] for note in call.notifications] == ["31924"]
    assert heard_ms(call) == 0


async def test_names_are_unique_and_four_tracks_are_the_limit() -> None:
    async with bridge_running() as bridge, emulator(config(scenario=AT_ONCE)) as twilio:
        start = f"<Start><Stream url='{bridge.media_url}' name='%s' track='both_tracks'/></Start>"
        twiml = inside(start % "a" + start % "a" + start % "b" + start % "c" + "<Pause length='1'/>")
        call = await over(twilio, Twiml=twiml)
    assert len(bridge.streams) == 2
    texts = [note["message_text"] for note in call.notifications]
    assert len(texts) == 2
    assert "unique" in texts[0]
    assert "4 one-way tracks" in texts[1]


async def test_streams_over_rest() -> None:
    async with bridge_running() as bridge, emulator(config(scenario=AT_ONCE)) as twilio:
        sid = await create(twilio, Twiml=inside("<Pause length='60'/>"))
        await until(lambda: twilio.calls[sid].status == "in-progress")
        status, made, _ = await rest(
            twilio,
            "POST",
            f"Calls/{sid}/Streams.json",
            {"Url": bridge.media_url, "Name": "ear", "Parameter1.Name": "k", "Parameter1.Value": "v"},
        )
        assert (status, made["name"], made["status"]) == (200, "ear", "in-progress")
        stream = await bridge.stream()
        assert stream.of("start")[0]["start"]["customParameters"] == {"k": "v"}
        status, stopped, _ = await rest(twilio, "POST", f"Calls/{sid}/Streams/ear.json", {"Status": "stopped"})
        assert (status, stopped["status"]) == (200, "stopped")
        await asyncio.wait_for(stream.closed.wait(), 20)
        assert stream.messages[-1]["event"] == "stop"
        assert twilio.calls[sid].status == "in-progress"


# --- detection, recording of the whole call ---------------------------------------------------------------

MACHINE = PartyScript(
    ring_s=0.0, answered_by="machine", says=(Say("2600", when="answered", delay_ms=0),), beep_after_ms=100
)


async def test_blocking_detection_comes_before_the_voice_request() -> None:
    script = party(Say("300", when="answered", delay_ms=100))
    async with bridge_running() as bridge, emulator(config(scenario=script)) as twilio:
        bridge.twiml = HANGUP
        call = await over(
            twilio,
            Url=f"{bridge.url}/voice",
            MachineDetection="Enable",
            MachineDetectionSilenceTimeout="2000",
            StatusCallback=f"{bridge.url}/status",
        )
        _, body, _ = await rest(twilio, "GET", f"Calls/{call.sid}.json")
    voice = bridge.of("/voice")[0].params
    # The party's voice is a pure tone here, which is neither speech nor long: only the silence counts.
    assert voice["AnsweredBy"] in {"human", "unknown"}
    assert int(voice["MachineDetectionDuration"]) >= 1000
    assert body["answered_by"] == voice["AnsweredBy"]
    assert bridge.of("/status")[0].params["AnsweredBy"] == voice["AnsweredBy"]


async def test_detection_beside_the_document() -> None:
    async with bridge_running() as bridge, emulator(config(scenario=MACHINE)) as twilio:
        bridge.twiml = inside("<Pause length='30'/>")
        sid = await create(
            twilio,
            Url=f"{bridge.url}/voice",
            MachineDetection="Enable",
            AsyncAmd="true",
            AsyncAmdStatusCallback=f"{bridge.url}/amd",
            MachineDetectionTimeout="3",
        )
        await until(lambda: bridge.of("/voice"))
        assert "AnsweredBy" not in bridge.of("/voice")[0].params
        await until(lambda: bridge.of("/amd"))
        told = bridge.of("/amd")[0].params
        assert set(told) == {"CallSid", "AccountSid", "AnsweredBy", "MachineDetectionDuration"}
        assert told["CallSid"] == sid
        assert twilio.calls[sid].status == "in-progress"


async def test_record_true_records_the_answered_call_in_two_channels() -> None:
    script = party(Say("300", when="agent_silent", delay_ms=100), hang_up_after_ms=-1)
    async with bridge_running() as bridge, emulator(config(scenario=script)) as twilio:
        call = await over(
            twilio,
            Twiml=inside("<Say>400</Say><Pause length='1'/>"),
            Record="true",
            RecordingChannels="dual",
            Trim="do-not-trim",
            RecordingStatusCallback=f"{bridge.url}/recorded",
            StatusCallback=f"{bridge.url}/status",
        )
        (told,), (ended,) = bridge.of("/recorded"), bridge.of("/status")
        assert (told.params["RecordingStatus"], told.params["RecordingChannels"]) == ("completed", "2")
        assert told.params["RecordingSource"] == "OutboundAPI"
        assert ended.params["RecordingSid"] == told.params["RecordingSid"]
        _, mixed = await media(twilio, told.params["RecordingSid"], "?RequestedChannels=1")
        channels, both = await media(twilio, told.params["RecordingSid"], "")
    assert call.line is not None
    assert channels == 2
    assert both[0::2] == decode(bytes(call.line.spoken))[: len(both) // 2]
    assert both[1::2] == decode(bytes(call.line.playout.heard))[: len(both) // 2]
    assert len(mixed) == len(both) // 2


async def media(twilio: TwilioEmulator, sid: str, query: str) -> tuple[int, Any]:
    from array import array

    url = f"{twilio.base_url}/2010-04-01/Accounts/{ACCOUNT}/Recordings/{sid}.wav{query}"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert (answer.status, answer.content_type) == (200, "audio/x-wav")
        with wave.open(io.BytesIO(await answer.read())) as file:
            return file.getnchannels(), array("h", file.readframes(file.getnframes()))


async def test_media_may_be_locked() -> None:
    async with emulator(config(scenario=AT_ONCE, recordings_need_auth=True)) as twilio:
        call = await over(twilio, Twiml=inside("<Pause length='1'/>"), Record="true", Trim="do-not-trim")
        url = f"{twilio.base_url}/2010-04-01/Accounts/{ACCOUNT}/Recordings/{call.recordings.all[0].sid}"
        async with aiohttp.ClientSession() as session:
            async with session.get(url) as answer:
                assert answer.status == 401
            headers = {"Authorization": aiohttp.encode_basic_auth(ACCOUNT, TOKEN)}
            async with session.get(url, headers=headers) as answer:
                assert answer.status == 200


async def test_the_same_seed_makes_the_same_call() -> None:
    """Every time the party says something, relative to what it heard, within one frame."""
    script = party(
        Say("300", delay_ms=260), Say("200", when="agent_silent", delay_ms=140), noise_db=30.0, hang_up_after_ms=100
    )

    async def once() -> list[float]:
        async with emulator(config(scenario=script, seed=7)) as twilio:
            call = await over(
                twilio, Twiml=inside("<Say>400</Say><Pause length='1'/><Say>300</Say><Pause length='9'/>")
            )
        facts = describe(call)
        ends = [stretch[1] for stretch in facts["heard_voice_ms"]]
        said = [utterance["begin_ms"] for utterance in facts["utterances"]]
        assert len(said) == 2
        return [begin - max(end for end in ends if end < begin) for begin in said]

    first, second = await once(), await once()
    assert first == pytest.approx(second, abs=20.001)


def test_the_numbers_of_this_file_are_different() -> None:
    assert len({OURS, THEIRS, OTHER}) == 3
