"""Every vendor fault: switched over the control API while the emulator runs, seen from the other side."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from bridge_side import ACCOUNT, OURS, THEIRS, TOKEN, Bridge, bridge_running, config, create, emulator, rest

from shortwire.emulators.scenario import PartyScript
from shortwire.emulators.twilio import Faults, TwilioEmulator, WebhookManners
from shortwire.emulators.twilio.faults import FaultError

AT_ONCE = PartyScript(ring_s=0.0)
HANGUP = "<Response><Hangup/></Response>"
ALL = ["initiated", "ringing", "answered", "completed"]


async def switch(twilio: TwilioEmulator, **faults: Any) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{twilio.base_url}/_emulator/faults", json=faults) as answer,
    ):
        return answer.status, await answer.json()


async def over(twilio: TwilioEmulator, **form: Any) -> Any:
    call = twilio.calls[await create(twilio, **form)]
    await asyncio.wait_for(call.finished.wait(), 30)
    assert not twilio.ledger.entries("emulator_error")
    return call


async def until(check: Any) -> None:
    async with asyncio.timeout(30):
        while not check():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_the_control_api_shows_sets_and_clears() -> None:
    async with emulator(config()) as twilio:
        status, on = await switch(twilio, rest_status=500, callback_lost=["completed"], media_stall_ms=[100, 200])
        assert status == 200
        assert (on["rest_status"], on["callback_lost"], on["media_stall_ms"]) == (500, ["completed"], [100, 200])
        assert twilio.faults == Faults(rest_status=500, callback_lost=("completed",), media_stall_ms=(100, 200))
        _, off = await switch(twilio)
        assert off["rest_status"] == 0
        assert twilio.faults == Faults()


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ([], "JSON object"),
        ({"rest": 1}, "unknown fault 'rest'"),
        ({"rest_status": "500"}, "rest_status must be a whole number"),
        ({"rest_status": 200}, "400 to 599"),
        ({"missing_stop": 1}, "true or false"),
        ({"create_then": "explode"}, "create_then"),
        ({"callback_lost": ["answered"]}, "not a callback: 'answered'"),
        ({"callback_lost": "completed"}, "a list of texts"),
        ({"callback_order": "random"}, "callback_order"),
        ({"media_stall_ms": [1]}, "two whole numbers"),
        ({"reset_after_ms": -1}, "reset_after_ms"),
        ({"rest_path": 1}, "a text"),
    ],
)
async def test_faults_that_are_none_are_refused(document: Any, text: str) -> None:
    with pytest.raises(FaultError, match=text):
        Faults.parse(document)
    async with emulator(config()) as twilio:
        url = f"{twilio.base_url}/_emulator/faults"
        async with aiohttp.ClientSession() as session, session.post(url, json=document) as answer:
            assert answer.status == 400
            assert text in (await answer.json())["error"]


async def test_rest_answers_with_an_error_a_number_of_times() -> None:
    async with emulator(config()) as twilio:
        await switch(twilio, rest_status=429, rest_times=2, rest_method="GET", rest_path="/Calls", retry_after_s=3)
        assert (await rest(twilio, "POST", "Calls.json", {}))[0] == 400, "another method"
        assert (await rest(twilio, "GET", "Recordings.json"))[0] == 200, "another path"
        url = f"{twilio.base_url}/2010-04-01/Accounts/{ACCOUNT}/Calls.json"
        headers = {"Authorization": aiohttp.encode_basic_auth(ACCOUNT, TOKEN)}
        async with aiohttp.ClientSession(headers=headers) as session:
            for wanted, code in ((429, 20429), (429, 20429), (200, None)):
                async with session.get(url) as answer:
                    assert answer.status == wanted
                    assert (await answer.json()).get("code") == code
                    assert answer.headers.get("Retry-After") == ("3" if code else None)
        await switch(twilio, rest_status=400, rest_code=21610)
        assert (await rest(twilio, "GET", "Calls.json"))[1]["code"] == 21610


@pytest.mark.parametrize("then", ["timeout", "500", "reset"])
async def test_a_call_is_created_and_nobody_is_told(then: str) -> None:
    async with emulator(config(scenario=AT_ONCE)) as twilio:
        await switch(twilio, create_then=then, create_times=1, create_hold_ms=60_000)
        url = f"{twilio.base_url}/2010-04-01/Accounts/{ACCOUNT}/Calls.json"
        form = {"To": THEIRS, "From": OURS, "Twiml": "<Response><Pause length='60'/></Response>"}
        headers = {"Authorization": aiohttp.encode_basic_auth(ACCOUNT, TOKEN)}
        async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=1)) as session:
            if then == "500":
                async with session.post(url, data=form) as answer:
                    assert answer.status == 500
            else:
                expected = TimeoutError if then == "timeout" else aiohttp.ClientError
                with pytest.raises(expected):
                    await session.post(url, data=form)
        assert len(twilio.calls) == 1
        (entry,) = [e for e in twilio.ledger.entries("rest") if e.get("fault")]
        assert entry["call_sid"] == next(iter(twilio.calls)), "the ledger knows what was really dialled"
        await create(twilio, Twiml=HANGUP)  # once, and no more


async def callbacks(order: str = "sequential", **faults: Any) -> Bridge:
    settings = config(scenario=AT_ONCE, webhooks=WebhookManners(pair_window_s=0.1))
    async with bridge_running() as bridge, emulator(settings) as twilio:
        await switch(twilio, **faults)
        body = [("To", THEIRS), ("From", OURS), ("Twiml", HANGUP), ("StatusCallback", f"{bridge.url}/status")]
        status, made, text = await rest(
            twilio, "POST", "Calls.json", aiohttp.FormData(body + [("StatusCallbackEvent", event) for event in ALL])
        )
        assert status == 201, text
        await asyncio.wait_for(twilio.calls[made["sid"]].finished.wait(), 30)
        return bridge


def told(bridge: Bridge) -> list[str]:
    return [hook.params["CallStatus"] for hook in bridge.hooks]


async def test_callbacks_are_lost_doubled_and_reordered() -> None:
    assert told(await callbacks(callback_lost=["ringing"])) == ["initiated", "in-progress", "completed"]
    assert told(await callbacks(callback_lost=["all"])) == []
    twice = await callbacks(callback_twice=["completed"])
    assert told(twice) == ["initiated", "ringing", "in-progress", "completed", "completed"]
    assert twice.hooks[-1].params == twice.hooks[-2].params, "the same SequenceNumber, too"
    reversed_ = told(await callbacks(callback_order="reversed"))
    assert reversed_.index("ringing") < reversed_.index("initiated")


async def test_callbacks_come_late() -> None:
    async with bridge_running() as bridge, emulator(config(scenario=AT_ONCE)) as twilio:
        await switch(twilio, callback_delay_ms=300)
        call = twilio.calls[await create(twilio, Twiml=HANGUP, StatusCallback=f"{bridge.url}/status")]
        await asyncio.wait_for(call.finished.wait(), 30)
        assert bridge.hooks[0].at_ns - call.instants_ns["ended"] >= 290e6


async def test_the_voice_request_is_slow_and_doubled() -> None:
    async with bridge_running() as bridge, emulator(config(scenario=AT_ONCE)) as twilio:
        bridge.twiml = HANGUP
        await switch(twilio, webhook_delay_ms=300, webhook_twice=True, unknown_keys=True)
        call = await over(twilio, Url=f"{bridge.url}/voice")
    first, second = bridge.hooks
    assert first.at_ns - call.instants_ns["in-progress"] >= 290e6
    tokens = {hook.headers["I-Twilio-Idempotency-Token"] for hook in (first, second)}
    assert len(tokens) == 1, "a retry keeps its token"
    assert first.params["UnknownKey"] == "1"
    assert first.headers["X-Twilio-Signature"] == second.headers["X-Twilio-Signature"]


async def streaming(seconds: float, **faults: Any) -> tuple[Any, Any]:
    async with bridge_running() as bridge, emulator(config(scenario=AT_ONCE)) as twilio:
        await switch(twilio, **faults)
        call = twilio.calls[await create(twilio, Twiml=bridge.connect_twiml())]
        stream = await bridge.stream()
        await asyncio.sleep(seconds)
        call.hang_up()
        await asyncio.wait_for(call.finished.wait(), 30)
        await asyncio.wait_for(stream.closed.wait(), 30)
        return stream, call


async def test_a_stream_ends_without_stop() -> None:
    stream, _ = await streaming(0.1, missing_stop=True)
    assert stream.messages[-1]["event"] == "media"
    stream, _ = await streaming(0.1)
    assert stream.messages[-1]["event"] == "stop"


async def test_a_stream_is_cut() -> None:
    stream, call = await streaming(0.5, reset_after_ms=100)
    assert stream.ws.close_code == 1006
    assert call.streams[0].closed_by == "fault"
    assert [note["error_code"] for note in call.notifications] == ["31903"]


async def test_media_is_late_and_media_stalls() -> None:
    stream, _ = await streaming(0.6, media_stall_ms=[100, 300])
    arrivals = stream.when("media")
    longest = max(b - a for a, b in itertools.pairwise(arrivals))
    assert longest >= 250e6
    burst = sum(1 for a, b in itertools.pairwise(arrivals) if b - a < 5e6)
    assert burst >= 8, "what was held back comes at once"
    assert [int(m["sequenceNumber"]) for m in stream.messages[1:]] == list(range(1, len(stream.messages)))
    stream, call = await streaming(0.6, media_delay_ms=200)
    assert call.line.answered_ns + 200e6 <= stream.when("media")[0]


async def test_messages_carry_keys_nobody_knows() -> None:
    stream, _ = await streaming(0.1, unknown_keys=True)
    assert all(message["unknown"] == {"key": 1} for message in stream.messages)


async def test_the_upgrade_is_slow() -> None:
    _, call = await streaming(0.0, upgrade_delay_ms=300)
    assert call.streams[0].open_ms - call.streams[0].opening_ms >= 290


# --- webhooks: the rules that are not faults --------------------------------------------------------------


async def fetched(fragment: str, answers: list[int], **manners: Any) -> tuple[Bridge, Any]:
    left = list(answers)

    async def answer(request: web.Request) -> web.StreamResponse | None:
        if request.path == "/voice" and left:
            status = left.pop(0)
            if status == 0:
                await asyncio.sleep(5)
            return web.Response(status=status or 500)
        return None

    settings = config(scenario=AT_ONCE, webhooks=WebhookManners(**manners))
    async with bridge_running() as bridge, emulator(settings) as twilio:
        bridge.hook_answer = answer
        bridge.twiml = HANGUP
        return bridge, await over(twilio, Url=f"{bridge.url}/voice{fragment}")


@pytest.mark.parametrize(
    ("fragment", "answers", "requests", "codes"),
    [
        ("", [500], 1, ["11200"]),
        ("#rp=5xx", [500], 2, []),
        ("#rp=5xx&rc=3", [500, 502, 503], 4, []),
        ("#rp=5xx&rc=0", [500], 1, ["11200"]),
        ("#rp=4xx", [500], 1, ["11200"]),
        ("#rp=4xx", [404], 2, []),
        ("#rp=all&rc=2", [404, 500], 3, []),
        ("#rp=never", [500], 1, ["11200"]),
        ("#rc=9&rp=all", [500, 500, 500], 2, ["11200"]),
        ("#rt=200", [0], 1, ["11205"]),
        ("#rt=200&rp=rt", [0], 2, []),
        ("#tt=300&rp=all&rc=5", [0, 0], 1, ["11205"]),
    ],
)
async def test_overrides_in_the_fragment(fragment: str, answers: list[int], requests: int, codes: list[str]) -> None:
    bridge, call = await fetched(fragment, answers)
    assert len(bridge.of("/voice")) == requests
    assert [note["error_code"] for note in call.notifications] == codes
    assert len({hook.headers["I-Twilio-Idempotency-Token"] for hook in bridge.hooks}) == 1
    assert "#" not in bridge.hooks[0].url


async def test_time_limits_can_be_scaled() -> None:
    bridge, call = await fetched("", [0], time_scale=0.02)
    assert [note["error_code"] for note in call.notifications] == ["11205"]
    assert len(bridge.hooks) == 1


@pytest.mark.parametrize(("hops", "codes"), [(10, []), (11, ["11215"])])
async def test_ten_redirects_and_no_more(hops: int, codes: list[str]) -> None:
    async def answer(request: web.Request) -> web.StreamResponse | None:
        count = int(request.query.get("n", 0))
        if count >= hops:
            return None
        answer = web.Response(status=302, headers={"Location": f"/voice?n={count + 1}"})
        answer.set_cookie("seen", str(count))
        return answer

    async with bridge_running() as bridge, emulator(config(scenario=AT_ONCE)) as twilio:
        bridge.hook_answer = answer
        bridge.twiml = HANGUP
        call = await over(twilio, Url=f"{bridge.url}/voice")
    assert [note["error_code"] for note in call.notifications] == codes
    assert bridge.hooks[1].method == "GET", "302 loses the form"
    assert bridge.hooks[2].headers["Cookie"] == "seen=1", "cookies are kept"
