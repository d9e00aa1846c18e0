"""The REST calls as a plain client sees them: filters, pages, audio, and what a deleted thing leaves behind."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from shortwire.emulators.elevenlabs import ElevenLabsEmulator, EmulatorConfig
from shortwire.emulators.elevenlabs.ledger import ConversationRecord
from shortwire.emulators.elevenlabs.turns import Turn

KEY = {"xi-api-key": "sk_emulated"}
LIST = "/v1/convai/conversations"


def record(number: int, **changes) -> ConversationRecord:
    made = ConversationRecord(f"conv_{number}", "agent_demo", "public", 0, 1000 + number)
    made.started_ns, made.closed_ns, made.close_code = 0, number * 10_000_000_000, 1000
    made.client_data = {"user_id": f"user-{number}"}
    made.turns = [Turn("greeting", agent_text=f"words {number}", audio_ms=100)]
    for name, value in changes.items():
        setattr(made, name, value)
    return made


@pytest.fixture
async def eleven():
    async with ElevenLabsEmulator(EmulatorConfig()) as running:
        for number in range(1, 6):
            running.ledger.conversations[f"conv_{number}"] = record(number)
        running.ledger.conversations["conv_4"].close_code = 1002
        running.ledger.conversations["conv_5"].closed_ns = None
        running.ledger.conversations["conv_5"].text_only = True
        yield running


async def got(eleven: ElevenLabsEmulator, path: str) -> dict:
    async with aiohttp.ClientSession(eleven.base_url) as session, session.get(path, headers=KEY) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("", [5, 4, 3, 2, 1]),
        ("sort_direction=asc", [1, 2, 3, 4, 5]),
        ("agent_id=agent_demo", [5, 4, 3, 2, 1]),
        ("agent_id=another", []),
        ("user_id=user-3", [3]),
        ("call_start_after_unix=1003", [5, 4]),
        ("call_start_before_unix=1003", [2, 1]),
        ("call_duration_min_secs=30", [4, 3]),
        ("call_duration_max_secs=20", [5, 2, 1]),
        ("call_successful=success", [3, 2, 1]),
        ("call_successful=failure", [4]),
        ("call_successful=unknown", [5]),
        ("exclude_statuses=done", [5, 4]),
        ("exclude_statuses=done&exclude_statuses=failed", [5]),
        ("text_only=true", [5]),
        ("search=words+2", [2]),
    ],
)
async def test_conversations_are_filtered(eleven, query, numbers):
    listed = (await got(eleven, f"{LIST}?{query}"))["conversations"]
    assert [item["conversation_id"] for item in listed] == [f"conv_{number}" for number in numbers]


async def test_pages_lead_through_everything_once(eleven):
    seen, cursor = [], ""
    for _ in range(3):
        page = await got(eleven, f"{LIST}?page_size=2&cursor={cursor}")
        seen += [item["conversation_id"] for item in page["conversations"]]
        cursor = page["next_cursor"]
        assert page["has_more"] is (cursor is not None)
    assert cursor is None
    assert sorted(seen) == [f"conv_{number}" for number in range(1, 6)]


async def test_summaries_come_when_asked_for(eleven):
    assert (await got(eleven, LIST))["conversations"][0]["transcript_summary"] is None
    assert (await got(eleven, f"{LIST}?summary_mode=include"))["conversations"][0]["transcript_summary"]


async def test_audio_is_an_mp3_of_the_right_length_or_not_there(eleven):
    eleven.ledger.conversations["conv_2"].has_audio = True
    async with aiohttp.ClientSession(eleven.base_url, headers=KEY) as session:
        async with session.get(f"{LIST}/conv_2/audio") as answer:
            assert answer.content_type == "audio/mpeg"
            assert len(await answer.read()) == pytest.approx(20 * 4000, rel=0.02)
        for without in ("conv_1", "conv_5"):
            async with session.get(f"{LIST}/{without}/audio") as answer:
                assert answer.status == 404
        assert (await got(eleven, f"{LIST}/conv_2"))["has_audio"] is True
        async with session.get(f"{LIST}/conv_2?format=opentelemetry") as answer:
            assert answer.status == 400


async def test_a_token_only_where_somebody_insists():
    path = "/v1/convai/conversation/token?agent_id=agent_demo"
    async with ElevenLabsEmulator(EmulatorConfig(webrtc="answer")) as eleven:
        assert set(await got(eleven, path)) == {"token", "conversation_id"}


async def test_agents_are_sorted_and_found_by_tag():
    async with ElevenLabsEmulator(EmulatorConfig()) as eleven:
        for name, tags in (("Anna", ["a"]), ("zoe", ["a", "b"])):
            eleven.agents.create({"conversation_config": {}, "name": name, "tags": tags})
        names = [
            [agent["name"] for agent in (await got(eleven, f"/v1/convai/agents?{query}"))["agents"]]
            for query in (
                "sort_by=name&sort_direction=asc",
                "sort_by=name&sort_direction=desc",
                "tags=a&tags=b",
                "search=ANN",
                "archived=true",
            )
        ]
    assert names == [["Anna", "Demo", "zoe"], ["zoe", "Demo", "Anna"], ["zoe"], ["Anna"], []]


async def test_every_banner_and_ledger_says_emulator(eleven):
    async with aiohttp.ClientSession(eleven.base_url) as session, session.get("/_emulator/ledger") as answer:
        assert (await answer.json())["emulator"] == "elevenlabs"
        assert "emulator" in answer.headers["Server"].lower()
    await asyncio.sleep(0)
