"""`shortwire call` and `calls` as somebody runs them; the exit status says how it went."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from command import scene

from shortwire.emulators.elevenlabs import Faults
from shortwire.emulators.scenario import AgentScript, PartyScript, Reply, Say

pytestmark = pytest.mark.acceptance

POLITE = PartyScript(ring_s=1.0, says=(Say("300", delay_ms=100),))
"""Rings long enough for the carrier's word of it to come before the answer, on a busy machine too."""
GOODBYE = AgentScript(first_message="300", end_of_turn_ms=200, replies=(Reply("600", (20, 40), end_call=True),))


@pytest.mark.parametrize("profile", ["optimized", "baseline"])
async def test_a_call_that_is_answered(tmp_path: Path, profile: str) -> None:
    async with scene(tmp_path, party=POLITE, agent=GOODBYE) as made:
        await made.serving("--profile", profile, "--port", str(made.port))
        ran = await made.run("call", "+14155550123")
        assert ran.status == 0, ran
        for word in ("ringing", "answered", "connected", "agent ready", "goodbye"):
            assert word in ran.out, word
        again = await made.run("call", "+14155550124", "--json")
        assert again.status == 0
        events = [json.loads(line) for line in again.out.splitlines()]
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        assert events[0]["kind"] == "call.created" and events[-1]["kind"] == "call.ended"
        instants = [event["at"] for event in events]
        assert instants == sorted(instants)
        shown = await made.run("calls", "show", events[0]["call_id"])
        assert shown.status == 0 and "agent_ended" in shown.out


@pytest.mark.parametrize(("outcome", "status"), [("busy", 3), ("no-answer", 4), ("failed", 5)])
async def test_a_call_that_is_not(tmp_path: Path, outcome: str, status: int) -> None:
    async with scene(tmp_path, party=PartyScript(outcome=outcome, ring_s=0.1)) as made:  # type: ignore[arg-type]
        await made.serving(changes={"RING_TIMEOUT_SECONDS": "1"})
        assert (await made.run("call", "+14155550123")).status == status


async def test_a_refusal_names_the_setting(tmp_path: Path) -> None:
    async with scene(tmp_path, party=PartyScript(ring_s=5)) as made:
        made.eleven.faults = Faults(signed_url_status=401)
        await made.serving()
        ran = await made.run("call", "+14155550123")
        assert ran.status == 5
        assert "ELEVENLABS_API_KEY" in ran.out
        assert "ELEVENLABS_API_KEY" in (await made.run("calls", "list", "--json")).out + ran.out


async def test_a_number_that_may_not_be_dialled(tmp_path: Path) -> None:
    async with scene(tmp_path) as made:
        await made.serving()
        ran = await made.run("call", "+442079460000")
        assert ran.status == 2
        assert "ALLOWED_COUNTRIES" in ran.err
        assert not made.twilio.calls


async def test_no_server_there(tmp_path: Path) -> None:
    async with scene(tmp_path) as made:
        ran = await made.run("call", "+14155550123")
        assert ran.status == 69
        assert "Traceback" not in ran.err


async def test_ctrl_c_hangs_up(tmp_path: Path) -> None:
    async with scene(tmp_path) as made:
        await made.serving()
        following = await made.start("call", "+14155550123")
        await made.talking()
        following.signal(signal.SIGINT)
        ran = await following.ended()
        assert "api_hangup" in ran.out
        [call] = made.twilio.calls.values()
        assert call.ending is not None and call.ending.by == "api"


async def test_hung_up_by_another_command(tmp_path: Path) -> None:
    async with scene(tmp_path) as made:
        await made.serving()
        call_id = (await made.run("call", "+14155550123", "--no-follow")).out.strip()
        await made.talking()
        assert (await made.run("calls", "hangup", call_id)).status == 0
        assert "api_hangup" in (await made.run("calls", "show", call_id)).out
        assert (await made.run("calls", "show", "call_nothing")).status != 0
