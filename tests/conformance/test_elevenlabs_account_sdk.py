"""The subscription of the agent emulator against the vendor's own SDK, and our reading of it and of PATCH."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from elevenlabs import ElevenLabs

from shortwire.emulators.elevenlabs import ElevenLabsEmulator
from shortwire.errors import AgentError
from shortwire.net.elevenlabs_account import ElevenLabsAccount
from shortwire.terms import AgentId

AGENT = AgentId("agent_demo")


@pytest.fixture
async def eleven() -> AsyncIterator[ElevenLabsEmulator]:
    async with ElevenLabsEmulator() as emulator:
        yield emulator


@pytest.fixture
async def ours(eleven: ElevenLabsEmulator) -> AsyncIterator[ElevenLabsAccount]:
    made = ElevenLabsAccount("sk_emulated", base_url=eleven.base_url)
    yield made
    await made.close()


async def test_the_subscription_as_the_sdk_reads_it(eleven: ElevenLabsEmulator) -> None:
    eleven.subscription.character_count = 7
    client = ElevenLabs(api_key="sk_emulated", base_url=eleven.base_url)
    found = await asyncio.to_thread(client.user.subscription.get)
    assert (found.tier, found.character_count, found.character_limit) == ("creator", 7, 100_000)
    assert found.status == "active"
    assert found.open_invoices == []


async def test_our_reading(eleven: ElevenLabsEmulator, ours: ElevenLabsAccount) -> None:
    eleven.subscription.can_extend_character_limit = True
    eleven.subscription.max_credit_limit_extension = "unlimited"
    quota = await ours.quota()
    assert (quota.used, quota.limit, quota.may_exceed) == (1000, 100_000, True)
    assert await ours.live_conversations(AGENT) == 0
    eleven.subscription.readable = False
    with pytest.raises(AgentError, match="missing_permissions"):
        await ours.quota()


async def test_a_change_is_merged_and_answered_with_the_agent(ours: ElevenLabsAccount) -> None:
    before = await ours.agent(AGENT)
    after = await ours.change_agent(AGENT, {"conversation_config": {"turn": {"turn_eagerness": "eager"}}})
    assert after["conversation_config"]["turn"]["turn_eagerness"] == "eager"
    assert after["conversation_config"]["tts"] == before["conversation_config"]["tts"]
    with pytest.raises(AgentError):
        await ours.change_agent(AgentId("agent_gone"), {"name": "x"})
    with pytest.raises(AgentError, match="HTTP 422"):
        await ours.change_agent(AGENT, {"conversation_config": {"tts": {"agent_output_audio_format": "mp3"}}})
