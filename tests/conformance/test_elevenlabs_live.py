"""The same scenario against the emulator and, where ELEVENLABS_LIVE_* says so, against the vendor.

The live half has never been run by this project: it had no account. It costs money where it runs. Variables:
ELEVENLABS_LIVE_API_KEY and ELEVENLABS_LIVE_AGENT_ID (both needed), ELEVENLABS_LIVE_BASE_URL (https://api.elevenlabs.io).
The agent should have a first message and list the default client events.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import pytest

from shortwire.emulators.elevenlabs import Behaviour, ElevenLabsEmulator, EmulatorConfig
from shortwire.emulators.elevenlabs.formats import encoded
from shortwire.emulators.scenario import AgentScript, Reply
from shortwire.emulators.speech import speak

QUESTION = "What are your opening hours?"
SCRIPT = AgentScript(
    first_message="Hello.", replies=(Reply("Yes.", (50, 150)), Reply("Goodbye.", (50, 150))), transcripts=(QUESTION,)
)


@dataclass(frozen=True)
class Target:
    base_url: str
    api_key: str
    agent_id: str
    emulator: ElevenLabsEmulator | None


@asynccontextmanager
async def target(name: str):
    if name == "live":
        key, agent = os.environ.get("ELEVENLABS_LIVE_API_KEY"), os.environ.get("ELEVENLABS_LIVE_AGENT_ID")
        if not key or not agent:
            pytest.skip("ELEVENLABS_LIVE_API_KEY and ELEVENLABS_LIVE_AGENT_ID are not set: the vendor is not asked")
        yield Target(os.environ.get("ELEVENLABS_LIVE_BASE_URL", "https://api.elevenlabs.io"), key, agent, None)
        return
    config = EmulatorConfig(script=SCRIPT, behaviour=Behaviour(), seed=11)
    async with ElevenLabsEmulator(config) as eleven:
        yield Target(eleven.base_url, "sk_emulated", "agent_demo", eleven)


async def conversation(to: Target) -> list[dict]:
    """Greeting, a spoken question with its answer, a written one with its answer; every message in order."""
    got: list[dict] = []
    async with aiohttp.ClientSession() as session, asyncio.timeout(60):
        query = {"agent_id": to.agent_id}
        path = f"{to.base_url}/v1/convai/conversation/get-signed-url"
        async with session.get(path, params=query, headers={"xi-api-key": to.api_key}) as answer:
            assert answer.status == 200, await answer.text()
            url = (await answer.json())["signed_url"]
        async with session.ws_connect(url, max_msg_size=2**24) as ws:
            await ws.send_json({"type": "conversation_initiation_client_data"})

            async def until(kind: str) -> None:
                while True:
                    message = json.loads((await ws.receive()).data)
                    got.append(message)
                    if message["type"] == "ping":
                        await ws.send_json({"type": "pong", "event_id": message["ping_event"]["event_id"]})
                    elif message["type"] == kind:
                        return

            await until("conversation_initiation_metadata")
            listening = got[0]["conversation_initiation_metadata_event"]["user_input_audio_format"]
            await until("agent_response")
            await asyncio.sleep(1.0)  # the greeting is over
            party = encoded(speak(QUESTION, "party") + b"\xff" * 16000, listening)
            step = 20 * len(party) // (len(speak(QUESTION, "party") + b"\xff" * 16000) // 8)
            for at in range(0, len(party), step):
                await ws.send_json({"user_audio_chunk": base64.b64encode(party[at : at + step]).decode()})
                await asyncio.sleep(0.02 if to.emulator is None else 0)
            await until("agent_response")
            await ws.send_json({"type": "user_message", "text": "Goodbye."})
            await until("agent_response")
    return got


@pytest.mark.parametrize("name", ["emulator", "live"])
async def test_what_holds_of_the_service_holds_of_the_emulator(name):
    async with target(name) as to:
        got = await conversation(to)
    kinds = [message["type"] for message in got]
    assert kinds[0] == "conversation_initiation_metadata"
    assert kinds.count("conversation_initiation_metadata") == 1
    assert all(list(message)[-1] == "type" for message in got), "payload object first, type last"
    assert all(isinstance(message["ping_event"]["event_id"], int) for message in got if message["type"] == "ping")
    audio = [message["audio_event"]["event_id"] for message in got if message["type"] == "audio"]
    assert audio == sorted(audio)
    assert audio[0] >= 1
    assert "user_transcript" in kinds
    assert kinds.index("audio") < kinds.index("agent_response"), "the text comes with or after the first audio"


async def test_the_same_seed_and_audio_make_the_same_call_on_real_sockets():
    calls = []
    for _ in range(2):
        async with target("emulator") as to:
            got = await conversation(to)
            (record,) = to.emulator.ledger.conversations.values()
        said = [message for message in got if message["type"] not in ("ping", "conversation_initiation_metadata")]
        calls.append((record.turns, said))
    (first, said), (again, said_again) = calls
    assert said == said_again
    assert len(first) == len(again) == 3
    for one, other in zip(first, again, strict=True):
        assert (one.kind, one.event_id, one.think_ms, one.audio_ms) == (
            other.kind,
            other.event_id,
            other.think_ms,
            other.audio_ms,
        )
    assert abs(first[1].speech_began_ms - again[1].speech_began_ms) <= 20  # one frame, in the audio that arrived
    assert abs(first[1].speech_ended_ms - again[1].speech_ended_ms) <= 20
