"""Post-call webhooks as a receiver sees them, checked by the official Python SDK's own verification."""

from __future__ import annotations

import asyncio
import base64
import json
import warnings
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from elevenlabs import ElevenLabs
    from elevenlabs.errors import BadRequestError

from shortwire.emulators.elevenlabs import Behaviour, ElevenLabsEmulator, EmulatorConfig, Faults, PostCallWebhook
from shortwire.emulators.scenario import AgentScript, Reply

SECRET = "wsec_test"
SCRIPT = AgentScript(first_message="Hello.", replies=(Reply("Goodbye.", (10, 20), end_call=True),))
ALL = ("transcript", "audio", "call_initiation_failure")


class Receiver:
    """An endpoint that keeps what it gets and answers as told."""

    def __init__(self) -> None:
        self.got: list[tuple[dict, bytes]] = []
        self.statuses: list[int] = []
        self.url = ""
        self.more = asyncio.Condition()

    async def take(self, request: web.Request) -> web.Response:
        self.got.append((dict(request.headers), await request.read()))
        async with self.more:
            self.more.notify_all()
        return web.Response(status=self.statuses.pop(0) if self.statuses else 200)

    async def arrived(self, times: int) -> None:
        async with asyncio.timeout(20), self.more:
            await self.more.wait_for(lambda: len(self.got) >= times)

    def event(self, number: int = 0, secret: str = SECRET) -> dict:
        headers, body = self.got[number]
        return ElevenLabs(api_key="k").webhooks.construct_event(body.decode(), headers["ElevenLabs-Signature"], secret)


@asynccontextmanager
async def receiving():
    receiver = Receiver()
    app = web.Application(client_max_size=2**26)
    app.router.add_post("/hook", receiver.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield receiver
    finally:
        await runner.cleanup()


def emulator(receiver: Receiver, hook: dict | None = None, **changes) -> ElevenLabsEmulator:
    settings = {"secret": SECRET, "after_close_ms": 0, **(hook or {})}
    behaviour = Behaviour(greeting_think_ms=(10, 20))
    return ElevenLabsEmulator(
        EmulatorConfig(
            script=SCRIPT,
            behaviour=behaviour,
            enable_auth=False,
            webhooks=(PostCallWebhook(receiver.url, **settings),),
            **changes,
        )
    )


async def call(eleven: ElevenLabsEmulator) -> str:
    """A whole conversation; its id."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{eleven.base_url}/v1/convai/conversation?agent_id=agent_demo") as ws,
        asyncio.timeout(20),
    ):
        first = await ws.receive_json()
        await ws.send_json({"type": "conversation_initiation_client_data", "user_id": "caller-1"})
        said = False
        while (message := await ws.receive()).type is aiohttp.WSMsgType.TEXT:
            if json.loads(message.data)["type"] == "agent_response" and not said:
                said = True
                await ws.send_json({"type": "user_message", "text": "Bye."})
    return first["conversation_initiation_metadata_event"]["conversation_id"]


async def test_transcript_and_audio_come_signed_after_the_call():
    async with receiving() as receiver, emulator(receiver, {"events": ALL}) as eleven:
        conversation_id = await call(eleven)
        await receiver.arrived(2)
        entries = list(eleven.ledger.webhooks)
    numbers = {json.loads(body)["type"]: number for number, (_, body) in enumerate(receiver.got)}
    transcript = receiver.event(numbers["post_call_transcription"])
    assert transcript["data"]["conversation_id"] == conversation_id
    assert transcript["data"]["status"] == "done"
    assert transcript["data"]["user_id"] == "caller-1"
    assert [turn["message"] for turn in transcript["data"]["transcript"]][-1] == "Goodbye."
    assert isinstance(transcript["event_timestamp"], int)
    audio = receiver.event(numbers["post_call_audio"])
    assert set(audio["data"]) == {"agent_id", "conversation_id", "full_audio"}
    assert base64.b64decode(audio["data"]["full_audio"]).startswith(b"\xff\xfb")
    headers = receiver.got[numbers["post_call_audio"]][0]
    assert headers["Transfer-Encoding"] == "chunked"
    assert "Content-Length" not in headers
    assert {entry.kind for entry in entries} == {"post_call_transcription", "post_call_audio"}
    with pytest.raises(BadRequestError):
        receiver.event(0, secret="another")


async def test_kept_audio_is_what_was_said():
    async with receiving() as receiver, emulator(receiver, {"events": ("audio",)}, keep_audio=True) as eleven:
        conversation_id = await call(eleven)
        await receiver.arrived(1)
        sound = base64.b64decode(receiver.event()["data"]["full_audio"])
        assert sound[:4] == b"RIFF"
        assert any(sound[1000:])
        async with aiohttp.ClientSession(eleven.base_url) as session:
            path = f"/v1/convai/conversations/{conversation_id}/audio"
            async with session.get(path, headers={"xi-api-key": "sk_emulated"}) as answer:
                assert answer.content_type == "audio/wav"
                assert await answer.read() == sound


async def test_a_call_that_could_not_begin_is_told_on_command():
    async with (
        receiving() as receiver,
        emulator(receiver, {"events": ALL}) as eleven,
        aiohttp.ClientSession(eleven.base_url) as session,
    ):
        twilio = {"type": "twilio", "body": {"CallStatus": "busy"}}
        async with session.post("/_emulator/webhooks", json={"failure_reason": "busy", "metadata": twilio}) as answer:
            assert await answer.json() == {"webhooks": 1}
        await receiver.arrived(1)
        event = receiver.event()
        assert event["type"] == "call_initiation_failure"
        assert (event["data"]["failure_reason"], event["data"]["metadata"]) == ("busy", twilio)
        for bad in ({"failure_reason": "tired"}, {"metadata": []}, []):
            async with session.post("/_emulator/webhooks", json=bad) as answer:
                assert answer.status == 400


async def test_transcripts_are_tried_again_only_where_retries_are_on_and_only_for_what_may_pass():
    fast = {"retry_delays_s": (0.01, 0.01, 0.01, 0.01)}
    for hook, statuses, tries in (
        ({"retries": False}, [500], 1),
        ({"retries": True}, [500, 429, 408, 503], 5),
        ({"retries": True}, [500] * 9, 5),
        ({"retries": True}, [400], 1),
        ({"retries": True}, [500, 404], 2),
    ):
        async with receiving() as receiver, emulator(receiver, {**fast, **hook}) as eleven:
            receiver.statuses = list(statuses)
            conversation_id = await call(eleven)
            await receiver.arrived(tries)
            await asyncio.sleep(0.1)
            assert [entry.attempt for entry in eleven.ledger.webhooks] == list(range(1, tries + 1))
            assert {entry.conversation_id for entry in eleven.ledger.webhooks} == {conversation_id}
        assert len({body for _, body in receiver.got}) == 1
        receiver.event(-1)


async def test_an_endpoint_that_is_not_there_is_noted_and_a_webhook_that_keeps_failing_is_disabled():
    async with receiving() as receiver:
        pass
    hook = {"disable_after_failures": 2}
    async with emulator(receiver, hook) as eleven:
        for _ in range(4):
            await call(eleven)
            await asyncio.sleep(0.1)
        assert [entry.status for entry in eleven.ledger.webhooks] == [None, None]
        assert all(entry.error for entry in eleven.ledger.webhooks)


async def test_faults_of_the_delivery():
    async with receiving() as receiver, emulator(receiver) as eleven:
        eleven.faults = Faults(webhook_lost=True)
        await call(eleven)
        eleven.faults = Faults(webhook_twice=True)
        await call(eleven)
        await receiver.arrived(2)
        assert receiver.got[0][1] == receiver.got[1][1]
        eleven.faults = Faults(webhook_bad_signature=True)
        await call(eleven)
        await receiver.arrived(3)
        with pytest.raises(BadRequestError):
            receiver.event(2)
        eleven.faults = Faults(webhook_age_s=1900)
        conversation_id = await call(eleven)
        await receiver.arrived(4)
        with pytest.raises(BadRequestError):
            receiver.event(3)
        eleven.faults = Faults()
        async with aiohttp.ClientSession(eleven.base_url) as session:
            async with session.post(f"/_emulator/conversations/{conversation_id}/webhook") as answer:
                assert answer.status == 200
            async with session.post("/_emulator/conversations/none/webhook") as answer:
                assert answer.status == 404
        await receiver.arrived(5)
        assert receiver.event(4)["data"]["conversation_id"] == conversation_id
        assert len(receiver.got) == 5


@pytest.mark.parametrize("url", ["https://example.com/hook", "http://10.0.0.1/hook", "ftp://127.0.0.1/x", "nonsense"])
def test_nothing_leaves_this_machine(url):
    with pytest.raises(ValueError, match="stays on this machine"):
        PostCallWebhook(url)
