"""One real call between both emulators, measured three times: live, from its tape, from the phone's recording."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from live_house import ACCOUNT, THEIRS, TOKEN, House, open_house

from shortwire.audio.reading import read
from shortwire.call.replay import replay, sent_then
from shortwire.call.setup import SETUP_LABELS
from shortwire.call.tape import Kind, Tape, read_tape
from shortwire.cli.verify import carrier_recording, verify_gaps
from shortwire.emulators.scenario import AgentScript, PartyScript, Reply, Say

PARTY = PartyScript(
    ring_s=0.05,
    says=(Say("700", delay_ms=300), Say("900", when="agent_speaking", delay_ms=500), Say("500", delay_ms=300)),
)
AGENT = AgentScript(
    first_message="500",
    end_of_turn_ms=300,
    replies=(
        Reply("2500", think_ms=(80, 120)),
        Reply("800", think_ms=(80, 120)),
        Reply("900", think_ms=(80, 120), end_call=True),
    ),
)


@dataclass
class Played:
    call: dict[str, Any]
    tape: Tape
    wav: bytes
    """What the phone said and heard, from the emulator itself."""
    fetched: bytes
    """The carrier's dual-channel recording, over its API."""


@pytest.fixture(params=["optimized", "baseline"])
async def played(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Played]:
    async with open_house(
        tmp_path, party=PARTY, agent=AGENT, shortwire_tape=True, shortwire_profile=request.param
    ) as house:
        call_id = await house.place(THEIRS)
        await house.state(call_id, "connected")
        await _record(house)
        call = await house.ended(call_id)
        await house.nothing_is_left()
        wav = house.carrier_call().line.wav()
        monkeypatch.setenv("TWILIO_ACCOUNT_SID", ACCOUNT)
        monkeypatch.setenv("TWILIO_AUTH_TOKEN", TOKEN)
        monkeypatch.setenv("TWILIO_API_BASE_URL", house.twilio.base_url)
        fetched = await asyncio.to_thread(carrier_recording, call)
    data = (tmp_path / "data" / "tapes" / f"{call['id']}.tape").read_bytes()
    yield Played(call, read_tape(data), wav, fetched)


async def _record(house: House) -> None:
    """As a user would, beside us: a dual-channel recording of the live call."""
    url = f"{house.twilio.base_url}/2010-04-01/Accounts/{ACCOUNT}/Calls/{house.carrier_call().sid}/Recordings.json"
    credentials = "Basic " + base64.b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
    async with (
        aiohttp.ClientSession(headers={"Authorization": credentials}) as http,
        http.post(url, data={"RecordingChannels": "dual"}) as answer,
    ):
        assert answer.status == 201, await answer.text()


async def test_a_call_measured_three_times(played: Played) -> None:
    call, tape = played.call, played.tape
    assert call["cause"] == "agent_ended", call
    assert tape.damage is None
    _the_replay_is_exact(tape)
    _the_tape_says_the_same(call, tape)
    _the_recording_agrees(call, played.wav)
    _the_recording_agrees(call, played.fetched)
    _the_setup_adds_up(call["latencies"])


def _the_replay_is_exact(tape: Tape) -> None:
    found = replay(tape)
    assert found.differences == ()
    assert found.sent == len(sent_then(tape.records)) > 150
    assert Kind.BARGE_IN in {record.kind for record in tape.records}


def _the_tape_says_the_same(call: dict[str, Any], tape: Tape) -> None:
    names = (
        "index",
        "response_gap_ms",
        "agent_ms",
        "bridge_ms",
        "playout_ms",
        "stop_ms",
        "interrupted",
        "talk_over_ms",
    )
    taped = [turn.as_dict() for turn in read(tape).turns]
    assert [[turn[name] for name in names] for turn in taped] == [
        [turn[name] for name in names] for turn in call["turns"]
    ]
    assert len(taped) == 4
    assert taped[1]["interrupted"]


def _the_recording_agrees(call: dict[str, Any], wav: bytes) -> None:
    # Generous: on a busy machine a mark may be late; benchmarks/gap_error.py measures how far off it is.
    found = verify_gaps(call, wav, tolerance_ms=250)
    assert found["compared"] == 3, found
    assert found["agree"], found


def _the_setup_adds_up(latencies: dict[str, Any]) -> None:
    assert set(latencies["setup"]) <= set(SETUP_LABELS)
    assert all(ms > 0 for ms in latencies["setup"].values())
    assert sum(latencies["setup"].values()) == pytest.approx(latencies["answer_to_first_word_ms"], abs=0.2)
    assert latencies["answer_seen_to_first_word_ms"] <= latencies["answer_to_first_word_ms"]
    assert latencies["frames"] == (
        latencies["frames_relayed"] + latencies["frames_dropped"] + latencies["frames_after_end"]
    )
    assert latencies["quality"]["uplink"]["frames"] == latencies["frames"]
