"""The vendor's own Python SDK, unchanged, against the emulator: REST both ways, and every signature it receives."""

from __future__ import annotations

import asyncio
import io
import wave
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiohttp
import pytest
from aiohttp import web
from multidict import MultiDict
from twilio.base.exceptions import TwilioRestException
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.rest import Client
from twilio.twiml.voice_response import Connect, VoiceResponse

from shortwire.emulators.twilio import Faults, OwnedNumber, PartyScript, TwilioConfig, TwilioEmulator

ACCOUNT, TOKEN = "AC" + "7" * 32, "secret-of-the-account"
KEY, KEY_SECRET = "SK" + "8" * 32, "secret-of-the-key"
OURS, THEIRS = "+15005550006", "+14155550123"
PAUSE = "<Response><Pause length='60'/></Response>"
T = TypeVar("T")


class Silent:
    def feed(self, ulaw_frame: bytes) -> bool:
        del ulaw_frame
        return False


def emulator(**changes: Any) -> TwilioEmulator:
    defaults: dict[str, Any] = {
        "account_sid": ACCOUNT,
        "auth_token": TOKEN,
        "api_keys": {KEY: KEY_SECRET},
        "numbers": {OURS: OwnedNumber()},
        "scenario": PartyScript(ring_s=0.0),
        "calls_per_second": 0,
        "dial_s": 0.0,
    }
    return TwilioEmulator(TwilioConfig(**{**defaults, **changes}), speak=lambda *_: b"", detector=Silent)


def sdk(twilio: TwilioEmulator, user: str = ACCOUNT, password: str = TOKEN, **more: Any) -> Client:
    client = Client(user, password, ACCOUNT, **more)
    client.api.base_url = twilio.base_url
    return client


async def in_thread(work: Callable[[], T]) -> T:
    return await asyncio.wait_for(asyncio.to_thread(work), 30)


@pytest.fixture(autouse=True)
def no_region(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TWILIO_EDGE", "TWILIO_REGION"):
        monkeypatch.delenv(name, raising=False)


async def until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not check():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_the_sync_client_does_its_whole_job() -> None:
    async with emulator() as twilio:
        client = sdk(twilio)
        made = await in_thread(
            lambda: client.calls.create(
                to=THEIRS,
                from_=OURS,
                twiml=PAUSE,
                time_limit=60,
                timeout=20,
                status_callback="http://127.0.0.1:9/status",
                status_callback_event=["initiated", "completed"],
            )
        )
        assert (made.status, made.direction, made.to, made.from_formatted) == (
            "queued",
            "outbound-api",
            THEIRS,
            "(500) 555-0006",
        )
        assert made.date_created is None
        assert twilio.calls[made.sid].status_callback[2] == {"initiated", "completed"}, "repeated keys arrive as a list"
        await until(lambda: twilio.calls[made.sid].status == "in-progress")
        fetched = await in_thread(client.calls(made.sid).fetch)
        assert (fetched.status, fetched.end_time) == ("in-progress", None)
        assert fetched.start_time is not None
        done = await in_thread(lambda: client.calls(made.sid).update(status="completed"))
        assert done.status == "completed"
        assert done.end_time is not None
        assert await in_thread(client.calls(made.sid).delete) is True
        with pytest.raises(TwilioRestException) as gone:
            await in_thread(client.calls(made.sid).fetch)
        assert (gone.value.status, gone.value.code) == (404, 20404)


async def test_lists_are_paged_and_filtered() -> None:
    async with emulator() as twilio:
        client = sdk(twilio)
        for n in range(7):
            await in_thread(lambda n=n: client.calls.create(to=f"+1415555010{n}", from_=OURS, twiml=PAUSE))  # type: ignore[misc]
        everything = await in_thread(lambda: client.calls.list(page_size=3))
        assert [call.to[-1] for call in everything] == list("6543210")
        assert len(await in_thread(lambda: client.calls.list(to="+14155550103"))) == 1
        await until(lambda: all(call.status == "in-progress" for call in twilio.calls.values()))
        first = next(iter(twilio.calls))
        await in_thread(lambda: client.calls(first).update(status="completed"))
        assert [c.sid for c in await in_thread(lambda: client.calls.list(status="completed"))] == [first]
        started = everything[0].date_created
        assert started is not None
        assert len(await in_thread(lambda: client.calls.list(start_time_after=started))) == 7
        assert await in_thread(lambda: client.calls.list(start_time_before=started.replace(year=2000))) == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the SDK's own use of aiohttp
async def test_the_async_client() -> None:
    async with emulator() as twilio:
        http = AsyncTwilioHttpClient()
        try:
            client = sdk(twilio, http_client=http)
            made = await client.calls.create_async(to=THEIRS, from_=OURS, twiml=PAUSE)
            assert (await client.calls(made.sid).fetch_async()).sid == made.sid
            assert [call.sid for call in await client.calls.list_async()] == [made.sid]
            await until(lambda: twilio.calls[made.sid].status == "in-progress")
            moved = await client.calls(made.sid).update_async(twiml="<Response><Hangup/></Response>")
            assert moved.sid == made.sid
            await twilio.calls[made.sid].ended()
            with pytest.raises(TwilioRestException) as over:
                await client.calls(made.sid).update_async(status="completed")
            assert (over.value.status, over.value.code) == (400, 21220)
        finally:
            await http.close()


async def test_an_api_key_opens_the_door_and_a_wrong_secret_does_not() -> None:
    async with emulator() as twilio:
        assert await in_thread(sdk(twilio, KEY, KEY_SECRET).calls.list) == []
        for user, password in ((ACCOUNT, "wrong"), (KEY, TOKEN), ("SK" + "9" * 32, KEY_SECRET)):
            with pytest.raises(TwilioRestException) as refused:
                await in_thread(sdk(twilio, user, password).calls("CA0").fetch)
            assert (refused.value.status, refused.value.code) == (401, 20003)


async def test_notifications_are_readable() -> None:
    async with emulator() as twilio:
        client = sdk(twilio)
        made = await in_thread(
            lambda: client.calls.create(to=THEIRS, from_=OURS, twiml="<Response><Enqueue/></Response>")
        )
        await twilio.calls[made.sid].ended()
        (note,) = await in_thread(client.calls(made.sid).notifications.list)
    assert (note.error_code, note.log) == ("12100", "0")


async def test_recordings_of_a_live_call_from_start_to_delete() -> None:
    async with emulator(recording_processing_s=0.0) as twilio:
        client = sdk(twilio)
        sid = (await in_thread(lambda: client.calls.create(to=THEIRS, from_=OURS, twiml=PAUSE))).sid
        await until(lambda: twilio.calls[sid].status == "in-progress")
        made = await in_thread(
            lambda: client.calls(sid).recordings.create(recording_channels="dual", recording_track="both")
        )
        assert (made.status, made.channels, made.source, made.track) == (
            "in-progress",
            2,
            "StartCallRecordingAPI",
            "both",
        )
        assert (made.duration, made.call_sid) == (None, sid)
        paused = await in_thread(
            lambda: client.calls(sid).recordings("Twilio.CURRENT").update(status="paused", pause_behavior="skip")
        )
        assert (paused.sid, paused.status) == (made.sid, "paused")
        again = await in_thread(lambda: client.calls(sid).recordings(made.sid).update(status="in-progress"))
        assert again.status == "in-progress"
        await until(lambda: twilio.recordings[made.sid].length_ms >= 100)
        stopped = await in_thread(lambda: client.calls(sid).recordings(made.sid).update(status="stopped"))
        assert stopped.status == "stopped"
        await until(lambda: twilio.recordings[made.sid].status == "completed")
        whole = await in_thread(client.recordings(made.sid).fetch)
        assert (whole.status, whole.duration, whole.channels) == ("completed", "0", 2)
        assert whole.media_url == f"{twilio.base_url}/2010-04-01/Accounts/{ACCOUNT}/Recordings/{made.sid}"
        assert [r.sid for r in await in_thread(lambda: client.recordings.list(call_sid=sid))] == [made.sid]
        assert [r.sid for r in await in_thread(client.calls(sid).recordings.list)] == [made.sid]
        for query, channels in (("", 2), ("?RequestedChannels=2", 2), ("?RequestedChannels=1", 1)):
            async with aiohttp.ClientSession() as session, session.get(f"{whole.media_url}.wav{query}") as answer:
                with wave.open(io.BytesIO(await answer.read())) as file:
                    assert (file.getnchannels(), file.getframerate()) == (channels, 8000)
        assert await in_thread(client.recordings(made.sid).delete) is True
        with pytest.raises(TwilioRestException) as gone:
            await in_thread(client.recordings(made.sid).fetch)
        assert (gone.value.status, gone.value.code) == (404, 20404)
        assert await in_thread(lambda: client.recordings.list(call_sid=sid)) == []


async def test_one_way_streams_and_events() -> None:
    async with judging() as judge, emulator() as twilio:
        judge.media_messages = None
        client = sdk(twilio)
        sid = (await in_thread(lambda: client.calls.create(to=THEIRS, from_=OURS, twiml=PAUSE))).sid
        await until(lambda: twilio.calls[sid].status == "in-progress")
        url = f"ws://127.0.0.1:{judge.port}/media"
        made = await in_thread(
            lambda: client.calls(sid).streams.create(
                url=url,
                name="ear",
                track="both_tracks",
                status_callback=f"http://127.0.0.1:{judge.port}/stream",
                parameter1_name="ticket",
                parameter1_value="t-1",
            )
        )
        assert (made.name, made.status) == ("ear", "in-progress")
        await until(lambda: ("/stream", True) in judge.verdicts)
        with pytest.raises(TwilioRestException) as second:
            await in_thread(lambda: client.calls(sid).streams.create(url=url, name="ear"))
        assert (second.value.status, second.value.code) == (400, 21200)
        stopped = await in_thread(lambda: client.calls(sid).streams(made.sid).update(status="stopped"))
        assert stopped.status == "stopped"
        await until(lambda: judge.verdicts.count(("/stream", True)) == 2)
        events = await in_thread(client.calls(sid).events.list)
    assert [event.request["method"] for event in events if event.request] == ["POST", "POST"]
    assert [event.response["response_code"] for event in events if event.response] == [204, 204]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the SDK's own use of aiohttp
async def test_the_async_client_records_and_pages() -> None:
    async with emulator(recording_processing_s=0.0) as twilio:
        http = AsyncTwilioHttpClient()
        try:
            client = sdk(twilio, KEY, KEY_SECRET, http_client=http)
            for _ in range(5):
                made = await client.calls.create_async(to=THEIRS, from_=OURS, twiml=PAUSE)
            assert len(await client.calls.list_async(page_size=2)) == 5
            await until(lambda: twilio.calls[made.sid].status == "in-progress")
            recording = await client.calls(made.sid).recordings.create_async()
            await client.calls(made.sid).update_async(status="completed")
            await until(lambda: twilio.recordings[recording.sid].status in {"completed", "absent"})
            assert (await client.recordings(recording.sid).fetch_async()).status in {"completed", "absent"}
            assert await client.recordings(recording.sid).delete_async() is True
            assert await client.calls(made.sid).delete_async() is True
            with pytest.raises(TwilioRestException) as refused:
                await client.calls.create_async(to="+15005550002", from_=OURS, twiml=PAUSE)
            assert (refused.value.status, refused.value.code) == (400, 21214)
            assert "cannot be reached" in refused.value.msg
        finally:
            await http.close()


async def test_what_the_client_sees_of_a_fault() -> None:
    async with emulator() as twilio:
        client = sdk(twilio)
        for status, code in ((401, 20003), (429, 20429), (500, 20500), (503, 20503)):
            twilio.faults = Faults(rest_status=status, rest_times=1)
            with pytest.raises(TwilioRestException) as refused:
                await in_thread(lambda: client.calls.create(to=THEIRS, from_=OURS, twiml=PAUSE))
            assert (refused.value.status, refused.value.code) == (status, code)
            assert twilio.calls == {}, "nothing was done"
            assert (await in_thread(client.calls.list)) == [], "one time, and no more"
        twilio.faults = Faults(create_then="500")
        with pytest.raises(TwilioRestException) as unknown:
            await in_thread(lambda: client.calls.create(to=THEIRS, from_=OURS, twiml=PAUSE))
        assert unknown.value.status == 500
        assert len(twilio.calls) == 1, "it was created all the same"
        assert len(await in_thread(client.calls.list)) == 1, "and can be found"


class Judge:
    """A web server that lets the SDK's validator judge everything it is sent."""

    def __init__(self) -> None:
        self.verdicts: list[tuple[str, bool]] = []
        self.port = 0
        self.media_messages: int | None = 4
        """After how many messages it closes a stream; None: never."""
        self.validator = RequestValidator(TOKEN)

    async def hook(self, request: web.Request) -> web.StreamResponse:
        form = MultiDict(await request.post())
        url = f"http://127.0.0.1:{self.port}{request.path_qs}"
        signature = request.headers["X-Twilio-Signature"]
        self.verdicts.append((request.path, self.validator.validate(url, form, signature)))
        if request.path != "/voice":
            return web.Response(status=204)
        response, connect = VoiceResponse(), Connect()
        connect.stream(url=f"ws://127.0.0.1:{self.port}/media", status_callback=f"http://127.0.0.1:{self.port}/stream")
        response.append(connect)
        response.hangup()
        return web.Response(text=str(response), content_type="text/xml")

    async def media(self, request: web.Request) -> web.StreamResponse:
        # The SDK's validator adds or drops a port, which no ws URL may do: its own arithmetic is asked instead.
        expected = self.validator.compute_signature(f"ws://127.0.0.1:{self.port}/media", {})
        self.verdicts.append(("/media", expected == request.headers["X-Twilio-Signature"]))
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        left = self.media_messages
        while (left is None or left > 0) and (await ws.receive()).type is aiohttp.WSMsgType.TEXT:
            left = None if left is None else left - 1
        await ws.close()
        return ws


@asynccontextmanager
async def judging() -> AsyncIterator[Judge]:
    judge = Judge()
    app = web.Application()
    app.router.add_get("/media", judge.media)
    app.router.add_route("*", "/{tail:.*}", judge.hook)
    runner = web.AppRunner(app, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    judge.port = runner.addresses[0][1]
    try:
        yield judge
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_the_sdks_validator_accepts_every_signature(method: str) -> None:
    async with judging() as judge, emulator() as twilio:
        url = f"http://127.0.0.1:{judge.port}"
        client = sdk(twilio)
        made = await in_thread(
            lambda: client.calls.create(
                to=THEIRS,
                from_=OURS,
                url=f"{url}/voice",
                method=method,
                status_callback=f"{url}/status",
                status_callback_method=method,
                status_callback_event=["initiated", "ringing", "answered", "completed"],
            )
        )
        await asyncio.wait_for(twilio.calls[made.sid].finished.wait(), 20)
    paths = [path for path, _ in judge.verdicts]
    assert paths.count("/status") == 4
    assert paths.count("/stream") == 2
    assert paths.count("/media") == 1
    assert paths.count("/voice") == 1
    assert all(ok for _, ok in judge.verdicts), judge.verdicts
