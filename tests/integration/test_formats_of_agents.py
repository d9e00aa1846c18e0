"""Agents that are not mu-law: tones through the whole bridge, both ways; and formats that cannot be used."""

from __future__ import annotations

import math
import subprocess
import sys
from array import array
from pathlib import Path

import pytest
from live_house import QUIET, THEIRS, open_house

from shortwire.emulators.scenario import AgentScript, PartyScript, Reply, Say
from shortwire.emulators.ulaw import decode, level


def strength(samples: array[int], hz: float) -> float:
    """Amplitude of one frequency (Goertzel's sum, plainly)."""
    step = 2 * math.pi * hz / 8000
    real = sum(s * math.cos(step * n) for n, s in enumerate(samples))
    imaginary = sum(s * math.sin(step * n) for n, s in enumerate(samples))
    return 2 * math.hypot(real, imaginary) / len(samples)


def loud(ulaw: bytes) -> array[int]:
    """The middle of the longest loud stretch, whole periods of 100 Hz."""
    frames = [ulaw[i : i + 160] for i in range(0, len(ulaw) - 159, 160)]
    best, run = (0, 0), 0
    for index, frame in enumerate([*frames, b"\xff" * 160]):
        if level(frame) > 500:
            run += 1
            continue
        best, run = max(best, (run, index - run)), 0
    length, first = best
    assert length >= 15, f"only {length} loud frames"
    return decode(b"".join(frames[first + 3 : first + length - 3])[: (length - 6) // 1 * 160 // 80 * 80])


@pytest.mark.parametrize("form", ["pcm_16000", "pcm_24000"])
async def test_a_tone_both_ways(tmp_path: Path, form: str) -> None:
    pytest.importorskip("numpy")
    agent = AgentScript(first_message="800@1000", end_of_turn_ms=200, replies=(Reply("300", (20, 40)),))
    party = PartyScript(ring_s=0.05, says=(Say("600@400", delay_ms=100),))
    formats = {"user_input_audio_format": form, "agent_output_audio_format": form}
    heard = bytearray()
    async with open_house(tmp_path, party=party, agent=agent, eleven=formats) as house:
        from shortwire.emulators.elevenlabs.conversation import Conversation

        audio = Conversation._audio

        def and_keep(self: Conversation, data: bytes, now_ns: int) -> None:
            heard.extend(data)
            audio(self, data, now_ns)

        Conversation._audio = and_keep  # type: ignore[method-assign]
        try:
            call_id = await house.place(THEIRS)
            await house.until(lambda: house.conversations and len(house.conversations[0].turns) > 1, "a reply")
            line = house.carrier_call().line
            _, body = await house.api("POST", f"/v1/calls/{call_id}/hangup")
        finally:
            Conversation._audio = audio  # type: ignore[method-assign]
    assert body["latencies"]["malformed_messages"] == 0
    # The agent's 1000 Hz at the phone: its level, and nothing where an alias would be.
    samples = loud(bytes(line.playout.heard))
    assert strength(samples, 1000) == pytest.approx(8000, rel=0.1)
    for alias in (2000, 3000, 500, 3800):
        assert strength(samples, alias) < 160, alias
    # The party's 400 Hz at the agent, at the agent's own rate.
    rate = int(form.removeprefix("pcm_"))
    pcm = array("h", bytes(heard[: len(heard) // 2 * 2]))
    size = rate // 50
    stretches = [pcm[i : i + size] for i in range(0, len(pcm) - size, size)]
    loudest = max(range(len(stretches) - 10), key=lambda i: sum(abs(s) for part in stretches[i : i + 10] for s in part))
    tone = array("h", (s for part in stretches[loudest : loudest + 10] for s in part))
    scaled = 8000 / rate
    assert strength(tone, 400 * scaled) == pytest.approx(8000, rel=0.1)
    assert strength(tone, (8000 - 400) * scaled) < 240  # the image of the doubled rate
    assert strength(tone, 800 * scaled) < 240


async def test_a_format_that_nothing_converts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from shortwire.emulators.elevenlabs import messages

    metadata = messages.metadata
    monkeypatch.setattr(
        "shortwire.emulators.elevenlabs.messages.metadata",
        lambda conversation_id, output, given: metadata(conversation_id, "mp3_44100", given),
    )
    async with open_house(tmp_path, party=QUIET) as house:
        call = await house.ended(await house.place())
        assert (call["cause"], call["fault"]) == ("agent_format_unusable", "config")
        assert "ulaw_8000" in call["meaning"]
        assert "mp3_44100" in call["detail"]
        await house.nothing_is_left()


def test_what_the_first_such_call_needs_is_there_before_it() -> None:
    pytest.importorskip("numpy")
    before_and_after = (
        "import asyncio, sys; from shortwire.app import _warm_up; before = 'numpy' in sys.modules; "
        "asyncio.run(_warm_up('+14155550100')); print(before, 'numpy' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", before_and_after], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["False", "True"]
