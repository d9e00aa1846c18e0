"""A call's life as the web server sees it: statuses, callbacks, webhooks, incoming calls, the side door."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import parse_qsl, urlencode

import aiohttp
import pytest
from aiohttp import web
from bridge_side import (
    ACCOUNT,
    OURS,
    THEIRS,
    TOKEN,
    Bridge,
    Hook,
    bridge_running,
    config,
    create,
    emulator,
    rest,
)

from shortwire.emulators.twilio import (
    Choices,
    OwnedNumber,
    PartyScript,
    TwilioConfig,
    TwilioEmulator,
    WebhookManners,
    describe,
)
from shortwire.emulators.twilio.signature import sign

ALL = ["initiated", "ringing", "answered", "completed"]
AT_ONCE = PartyScript(ring_s=0.0)
HANGUP = "<Response><Hangup/></Response>"


def watched(bridge: Bridge, **more: Any) -> dict[str, Any]:
    return {"StatusCallback": f"{bridge.url}/status", "StatusCallbackEvent": ALL, **more}


async def place(twilio: TwilioEmulator, **form: Any) -> tuple[str, Any]:
    """Create a call (lists become repeated keys), wait until it is over and everybody has been told."""
    pairs = [(k, v) for k, values in form.items() for v in (values if isinstance(values, list) else [values])]
    body = urlencode([("To", THEIRS), ("From", OURS), *pairs])
    headers = {
        "Authorization": aiohttp.encode_basic_auth(ACCOUNT, TOKEN),
        "Content-Type": "application/x-www-form-urlencoded",
    }
    url = f"{twilio.base_url}/2010-04-01/Accounts/{ACCOUNT}/Calls.json"
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as response:
        assert response.status == 201, await response.text()
        call = twilio.calls[(await response.json())["sid"]]
    await asyncio.wait_for(call.finished.wait(), 20)
    return call.sid, call


def told(hooks: list[Hook]) -> list[tuple[str, str]]:
    return [(hook.params["SequenceNumber"], hook.params["CallStatus"]) for hook in hooks]


def check_signature(hook: Hook) -> None:
    params = parse_qsl(hook.raw, keep_blank_values=True)
    assert hook.headers["X-Twilio-Signature"] == sign(TOKEN, hook.url, params)


@pytest.mark.parametrize(
    ("script", "form", "expected", "sip"),
    [
        (PartyScript(ring_s=0.0), {}, ["initiated", "ringing", "in-progress", "completed"], "200"),
        (PartyScript(ring_s=0.0, outcome="busy"), {}, ["initiated", "ringing", "busy"], "486"),
        (PartyScript(outcome="no-answer"), {"Timeout": "1"}, ["initiated", "ringing", "no-answer"], "487"),
        (PartyScript(ring_s=9.0), {"Timeout": "1"}, ["initiated", "ringing", "no-answer"], "487"),
        (PartyScript(outcome="failed"), {}, ["initiated", "failed"], "404"),
    ],
)
async def test_every_outcome_is_told_in_order(
    script: PartyScript, form: dict[str, str], expected: list[str], sip: str
) -> None:
    async with bridge_running() as bridge, emulator(config(scenario=script)) as twilio:
        sid, call = await place(twilio, Twiml=HANGUP, **watched(bridge, **form))
        status, body, _ = await rest(twilio, "GET", f"Calls/{sid}.json")
    assert told(bridge.hooks) == [(str(n), name) for n, name in enumerate(expected)]
    assert (status, body["status"]) == (200, expected[-1])
    for hook in bridge.hooks:
        check_signature(hook)
        assert "+" not in hook.raw, "spaces of callbacks are %20"
        assert hook.params["Timestamp"].endswith(" +0000")
        assert hook.params["CallbackSource"] == "call-progress-events"
    last = bridge.hooks[-1].params
    assert (last["SipResponseCode"], last["CallDuration"]) == (sip, "0")
    assert "CallDuration" not in bridge.hooks[0].params
    assert call.ending.status == expected[-1]
    assert [e["status"] for e in twilio.ledger.entries("transition", sid)] == expected


async def test_only_the_events_asked_for_are_told() -> None:
    async with bridge_running() as bridge, emulator(config(scenario=AT_ONCE)) as twilio:
        await place(twilio, Twiml=HANGUP, StatusCallback=f"{bridge.url}/status")
        assert told(bridge.hooks) == [("0", "completed")]
        bridge.hooks.clear()
        await place(twilio, Twiml=HANGUP, **watched(bridge, StatusCallbackEvent=["answered", "completed"]))
        assert told(bridge.hooks) == [("0", "in-progress"), ("1", "completed")]


async def test_callbacks_can_be_reordered_on_purpose() -> None:
    settings = config(scenario=AT_ONCE, webhooks=WebhookManners(order="reversed", pair_window_s=0.1))
    async with bridge_running() as bridge, emulator(settings) as twilio:
        await place(twilio, Twiml=HANGUP, **watched(bridge))
    order = [hook.params["SequenceNumber"] for hook in bridge.hooks]
    assert sorted(order) == ["0", "1", "2", "3"]
    assert order.index("1") < order.index("0")
    assert order.index("3") < order.index("2")


async def test_sequence_numbers_may_count_everything() -> None:
    settings = config(scenario=AT_ONCE, choices=Choices(sequence_counts="all"))
    async with bridge_running() as bridge, emulator(settings) as twilio:
        await place(twilio, Twiml=HANGUP, StatusCallback=f"{bridge.url}/status")
    assert told(bridge.hooks) == [("3", "completed")]


async def test_a_callback_answered_with_an_error_is_a_warning() -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        return web.Response(status=500 if request.path == "/status" else 204)

    async with bridge_running() as bridge, emulator(config(scenario=AT_ONCE)) as twilio:
        bridge.hook_answer = refuse
        sid, _ = await place(twilio, Twiml=HANGUP, StatusCallback=f"{bridge.url}/status")
        _, body, _ = await rest(twilio, "GET", f"Calls/{sid}/Notifications.json")
    assert len(bridge.hooks) == 1, "5xx are not retried by default"
    assert [(n["error_code"], n["log"]) for n in body["notifications"]] == [("15003", "1")]


async def test_the_voice_request_after_pick_up() -> None:
    async with bridge_running() as bridge, emulator(config(scenario=AT_ONCE)) as twilio:
        bridge.twiml = HANGUP
        sid, _ = await place(twilio, Url=f"{bridge.url}/voice?x=1")
    (hook,) = bridge.hooks
    check_signature(hook)
    assert hook.url.endswith("/voice?x=1")
    assert hook.params["CallSid"] == sid
    assert (hook.params["CallStatus"], hook.params["Direction"]) == ("in-progress", "outbound-api")
    assert (hook.params["From"], hook.params["Caller"], hook.params["To"]) == (OURS, OURS, THEIRS)
    assert next(iter(hook.params)) == "Called"
    assert hook.headers["Content-Type"] == "application/x-www-form-urlencoded; charset=UTF-8"
    assert hook.headers["User-Agent"] == "TwilioProxy/1.1"
    assert len(hook.headers["I-Twilio-Idempotency-Token"]) == 36


async def test_a_get_voice_request_carries_its_fields_in_the_query_and_signs_the_url() -> None:
    async with bridge_running() as bridge, emulator(config(scenario=AT_ONCE)) as twilio:
        bridge.twiml = HANGUP
        await place(twilio, Url=f"{bridge.url}/voice?x=1", Method="GET")
    (hook,) = bridge.hooks
    assert hook.method == "GET"
    assert hook.params["x"] == "1"
    assert hook.params["CallStatus"] == "in-progress"
    assert hook.headers["X-Twilio-Signature"] == sign(TOKEN, hook.url)


async def test_redirects_retries_and_the_fallback() -> None:
    async def answer(request: web.Request) -> web.StreamResponse | None:
        if request.path == "/voice-moved":
            return web.Response(status=307, headers={"Location": "/voice-broken"})
        if request.path == "/voice-broken":
            return web.Response(status=500)
        return None

    async with bridge_running() as bridge, emulator(config(scenario=AT_ONCE)) as twilio:
        bridge.hook_answer = answer
        bridge.twiml = HANGUP
        sid, call = await place(twilio, Url=f"{bridge.url}/voice-moved", FallbackUrl=f"{bridge.url}/voice-fallback")
    assert [hook.path for hook in bridge.hooks] == ["/voice-moved", "/voice-broken", "/voice-fallback"]
    for hook in bridge.hooks:
        check_signature(hook)
    assert bridge.hooks[1].params["CallSid"] == sid, "307 keeps the method and the form"
    assert bridge.hooks[2].params["ErrorCode"] == "11200"
    assert bridge.hooks[2].params["ErrorUrl"] == f"{bridge.url}/voice-moved"
    assert [n["error_code"] for n in call.notifications] == ["11200"]
    assert call.ending.by == "document"


@pytest.mark.parametrize(
    ("body", "content_type", "code"),
    [
        ("<Response><Enqueue/></Response>", "text/xml", "12100"),
        ("no xml", "application/xml", "12100"),
        ("{}", "application/json", "12100"),
    ],
)
async def test_a_document_that_cannot_be_played_ends_the_call(body: str, content_type: str, code: str) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        del request
        return web.Response(text=body, content_type=content_type)

    async with bridge_running() as bridge, emulator(config(scenario=AT_ONCE)) as twilio:
        bridge.hook_answer = answer
        _, call = await place(twilio, Url=f"{bridge.url}/voice")
    assert [n["error_code"] for n in call.notifications] == [code]
    assert (call.ending.status, call.ending.by) == ("completed", "application-error")


async def test_a_server_that_never_answers_costs_the_time_limit_only() -> None:
    async def hang(request: web.Request) -> web.StreamResponse:
        del request
        await asyncio.sleep(30)
        return web.Response()

    async with bridge_running() as bridge, emulator(config(scenario=AT_ONCE)) as twilio:
        bridge.hook_answer = hang
        _, call = await place(twilio, Url=f"{bridge.url}/voice#tt=200")
    assert [n["error_code"] for n in call.notifications] == ["11205"]
    assert bridge.hooks[0].url == f"{bridge.url}/voice", "the fragment is neither sent nor signed"


async def test_nobody_there_is_tried_twice() -> None:
    async with bridge_running() as bridge:
        dead = bridge.url
    async with emulator(config(scenario=AT_ONCE)) as twilio:
        sid, call = await place(twilio, Url=f"{dead}/voice")
        (entry,) = twilio.ledger.entries("webhook", sid)
    assert entry["attempts"] == 2
    assert [n["error_code"] for n in call.notifications] == ["11205"]


async def test_the_time_limit_ends_the_call() -> None:
    async with bridge_running() as bridge, emulator(config(scenario=AT_ONCE)) as twilio:
        _, call = await place(
            twilio, Twiml="<Response><Pause length='60'/></Response>", TimeLimit="1", **watched(bridge)
        )
    assert (call.ending.status, call.ending.by) == ("completed", "time-limit")
    last = bridge.hooks[-1].params
    assert (last["CallStatus"], last["CallDuration"], last["Duration"]) == ("completed", "1", "1")


async def test_verbs_take_their_time_and_dial_tells_its_result() -> None:
    settings = config(scenario=AT_ONCE, dialed_leg_s=0.05, choices=Choices(say_ms_per_character=10, play_ms=50))
    async with bridge_running() as bridge, emulator(settings) as twilio:
        bridge.twiml = HANGUP
        _, call = await place(
            twilio,
            Twiml=f"<Response><Say>twenty characters ok</Say><Play>https://h/x.wav</Play>"
            f"<Dial action='{bridge.url}/voice'>+14155550199</Dial></Response>",
        )
    (hook,) = bridge.hooks
    assert (hook.params["DialCallStatus"], hook.params["DialBridged"]) == ("completed", "true")
    assert describe(call)["recorded_ms"] >= 280


async def test_connect_action_is_asked_when_the_stream_ends() -> None:
    async def close(stream: Any) -> None:
        await stream.ws.close()

    async with bridge_running() as bridge, emulator(config(scenario=AT_ONCE)) as twilio:
        bridge.on_stream = close
        bridge.hook_answer = None
        twiml = bridge.connect_twiml().replace("<Connect>", f'<Connect action="{bridge.url}/voice-after">')
        bridge.twiml = HANGUP
        await place(twilio, Twiml=twiml)
    assert [hook.path for hook in bridge.hooks] == ["/voice-after"]


# --- incoming calls --------------------------------------------------------------------------------------


async def test_an_incoming_call_asks_the_numbers_voice_url() -> None:
    async with bridge_running() as bridge, emulator(config(bridge, scenario=AT_ONCE)) as twilio:
        call = twilio.call_in(OURS, THEIRS)
        stream = await bridge.stream()
        await stream.until(lambda: len(stream.of("media")) >= 2)
        _, body, _ = await rest(twilio, "GET", f"Calls/{call.sid}.json")
        call.hang_up()
        await call.ended()
    (hook,) = bridge.of("/voice")
    check_signature(hook)
    assert list(hook.params) == sorted(hook.params), "alphabetical, as captured"
    assert (hook.params["CallStatus"], hook.params["Direction"]) == ("ringing", "inbound")
    assert (hook.params["From"], hook.params["To"]) == (THEIRS, OURS)
    assert (body["direction"], body["status"], body["from"]) == ("inbound", "in-progress", THEIRS)
    assert (call.status, stream.messages[-1]["event"]) == ("completed", "stop")


@pytest.mark.parametrize(("reason", "status"), [("busy", "busy"), ("rejected", "no-answer")])
async def test_an_incoming_call_can_be_rejected(reason: str, status: str) -> None:
    async with bridge_running() as bridge:
        number = OwnedNumber(voice_url=f"{bridge.url}/voice", status_callback=f"{bridge.url}/status")
        async with emulator(config(numbers={OURS: number})) as twilio:
            bridge.twiml = f"<Response><Reject reason='{reason}'/></Response>"
            call = twilio.call_in(OURS, THEIRS)
            await asyncio.wait_for(call.finished.wait(), 20)
    assert call.status == status
    assert call.line is None, "never answered"
    assert told(bridge.of("/status")) == [("0", status)]


async def test_a_caller_may_give_up_while_the_server_thinks() -> None:
    release = asyncio.Event()

    async def hang(request: web.Request) -> web.StreamResponse | None:
        del request
        await release.wait()
        return None

    async with bridge_running() as bridge, emulator(config(bridge, scenario=AT_ONCE)) as twilio:
        bridge.hook_answer = hang
        call = twilio.call_in(OURS, THEIRS)
        while not bridge.hooks:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        call.hang_up()
        assert (await call.ended()).status == "canceled"
        release.set()


def test_incoming_calls_need_a_number_with_a_voice_url() -> None:
    async def attempt(settings: TwilioConfig) -> None:
        async with emulator(settings) as twilio:
            with pytest.raises(ValueError, match="voice_url"):
                twilio.call_in(OURS, THEIRS)
            with pytest.raises(ValueError, match="not a number of this account"):
                twilio.call_in("+19995550000", THEIRS)

    asyncio.run(attempt(config()))


# --- the queue -------------------------------------------------------------------------------------------


async def test_calls_leave_the_queue_at_the_accounts_rate() -> None:
    async with emulator(config(scenario=AT_ONCE, calls_per_second=5.0)) as twilio:
        sids = [await create(twilio, Twiml=HANGUP) for _ in range(3)]
        waits = [twilio.calls[sid].queue_ms for sid in sids]
        for sid in sids:
            await twilio.calls[sid].ended()
        begun = [twilio.calls[sid].instants_ns["initiated"] for sid in sids]
    assert waits[0] == 0
    assert waits == sorted(waits)
    assert waits[2] <= 400
    assert begun[2] - twilio.calls[sids[0]].instants_ns["created"] >= 0.39e9


async def test_a_queue_of_more_than_a_day_is_refused() -> None:
    async with emulator(config(calls_per_second=1 / 90_000)) as twilio:
        await create(twilio, Twiml=HANGUP)
        status, body, _ = await rest(twilio, "POST", "Calls.json", {"To": THEIRS, "From": OURS, "Twiml": HANGUP})
    assert (status, body["code"]) == (400, 22005)


# --- the emulator itself ---------------------------------------------------------------------------------


async def side_door(
    twilio: TwilioEmulator, method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body)
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"{twilio.base_url}/_emulator/{path}", data=data, headers=headers) as response,
    ):
        return response.status, await response.json()


async def test_the_side_door() -> None:
    async with bridge_running() as bridge, emulator(config(bridge, scenario=AT_ONCE)) as twilio:
        status, made = await side_door(
            twilio, "POST", "incoming", {"To": OURS, "From": THEIRS, "party": {"voice": "x"}}
        )
        assert status == 201
        sid = made["sid"]
        stream = await bridge.stream()
        assert (await side_door(twilio, "POST", f"calls/{sid}/dtmf", {"digits": "7"}))[0] == 200
        await stream.until(lambda: len(stream.of("dtmf")) == 1)
        assert (await side_door(twilio, "POST", f"calls/{sid}/hangup"))[1]["status"] == "completed"
        status, facts = await side_door(twilio, "GET", f"calls/{sid}")
        assert (facts["ended_by"], facts["digits_pressed"][0][0]) == ("party", "7")
        assert {"transition", "webhook", "stream"} <= {entry["kind"] for entry in facts["timeline"]}
        assert len((await side_door(twilio, "GET", "calls"))[1]["calls"]) == 1
        ledger = (await side_door(twilio, "GET", "ledger?kind=webhook"))[1]["ledger"]
        assert [entry["status"] for entry in ledger] == [200]
        assert (await side_door(twilio, "POST", "reset"))[0] == 200
        assert (await side_door(twilio, "GET", "calls"))[1]["calls"] == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "text"),
    [
        ("GET", "calls/CA0", None, 404, "no such call"),
        ("POST", "incoming", {"To": "x", "From": THEIRS}, 400, "E.164"),
        ("POST", "incoming", {"To": OURS, "From": THEIRS, "script": {}}, 400, "unknown key"),
        ("POST", "incoming", {"To": OURS, "From": THEIRS, "party": {"outcom": 1}}, 400, "unknown key"),
        ("POST", "incoming", {"To": OURS, "From": THEIRS, "party": {"says": [3]}}, 400, ""),
        ("POST", "incoming", [], 400, "JSON object"),
        ("POST", "incoming", {"To": OURS, "From": THEIRS}, 400, "voice_url"),
    ],
)
async def test_the_side_door_says_what_is_wrong(method: str, path: str, body: Any, status: int, text: str) -> None:
    async with emulator(config()) as twilio:
        actual, answer = await side_door(twilio, method, path, body)
    assert actual == status
    assert text in answer["error"]


async def test_web_pages_do_not_get_in_by_the_side_door() -> None:
    async with emulator(config()) as twilio:
        assert (await side_door(twilio, "GET", "calls", Host="evil.example"))[0] == 403
        assert (await side_door(twilio, "GET", "calls", Origin="https://evil.example"))[0] == 403


def test_it_listens_on_loopback_only() -> None:
    for host in ("0.0.0.0", "::", "example.com"):
        with pytest.raises(ValueError, match=r"127\.0\.0\.1 only"):
            TwilioEmulator(config(), host=host)


async def test_a_taken_port_is_an_error_and_leaves_nothing_open() -> None:
    async with emulator(config()) as first:
        with pytest.raises(OSError, match="address already in use"):
            await TwilioEmulator(config(), port=first.port).start()


async def test_stopping_hangs_up_every_call() -> None:
    async with bridge_running() as bridge:
        async with emulator(config(scenario=AT_ONCE)) as twilio:
            sid = await create(twilio, Twiml=bridge.connect_twiml())
            stream = await bridge.stream()
        assert twilio.calls[sid].ending is not None
        assert twilio.calls[sid].ending.by == "emulator"
        await stream.closed.wait()
        assert stream.messages[-1]["event"] == "stop"
    assert not [t for t in asyncio.all_tasks() if t is not asyncio.current_task() and not t.done()]


async def test_a_mistake_of_the_emulator_is_never_lost() -> None:
    def cannot_speak(text: str, voice: str) -> bytes:
        raise RuntimeError(f"no voice {voice} for {text}")

    from shortwire.emulators.twilio import Say

    script = PartyScript(ring_s=0.0, says=(Say("hello"),))
    async with TwilioEmulator(config(scenario=script), speak=cannot_speak) as twilio:
        sid = await create(twilio, Twiml=HANGUP)
        ending = await twilio.calls[sid].ended()
        await asyncio.sleep(0)
        (entry,) = twilio.ledger.entries("emulator_error")
    assert (ending.status, ending.by) == ("failed", "emulator")
    assert "no voice party" in entry["error"]


def test_a_config_that_cannot_work_is_refused() -> None:
    for changes, text in (
        ({"account_sid": "x"}, "account_sid"),
        ({"auth_token": ""}, "auth_token"),
        ({"numbers": {"0123": OwnedNumber()}}, "E.164"),
    ):
        with pytest.raises(ValueError, match=text):
            config(**changes)
