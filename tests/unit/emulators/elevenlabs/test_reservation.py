"""The demo's scenario, both sides in virtual time: as long as planned, on a clean line and on a noisy one."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from shortwire.emulators import scenario
from shortwire.emulators.elevenlabs.cli import DEFAULT_SCENARIO
from shortwire.emulators.elevenlabs.config import Behaviour
from shortwire.emulators.elevenlabs.mind import AgentMind, Phase
from shortwire.emulators.speech import speak
from shortwire.emulators.speech.waveform import linear_to_ulaw, ulaw_to_linear

MS = 1_000_000


def line(script: scenario.PartyScript, noise_db: float | None):
    """20 ms frames of the party for ever; `say` puts words on the line."""
    rng = np.random.default_rng(4)
    waiting = bytearray()

    def frame() -> bytes:
        if waiting:
            out = bytes(waiting[:160])
            del waiting[:160]
        else:
            out = b"\xff" * 160
        if noise_db is not None:
            noise = rng.normal(0, 0.1 * 10 ** (-noise_db / 20), 160)
            out = linear_to_ulaw(ulaw_to_linear(out) + noise)
        return out

    def say(text: str) -> None:
        waiting.extend(speak(text, script.voice))

    return frame, say, waiting


@pytest.mark.parametrize("noise_db", [None, 20.0])
@pytest.mark.parametrize("one_way_ms", [0, 180])
def test_the_call_goes_as_scripted(noise_db, one_way_ms):
    played = scenario.load(Path(DEFAULT_SCENARIO))
    rng = random.Random(played.seed)
    mind = AgentMind(played.agent, Behaviour(), rng, voice=lambda text: speak(text, played.agent.voice))
    frame, say, waiting = line(played.party, noise_db)
    says = list(played.party.says)
    on_the_way: list[tuple[int, bytes]] = []
    now = 0
    mind.start(now)
    heard_turns = agent_spoke_at = agent_ends = 0
    while mind.phase is not Phase.OVER and now < 60_000 * MS:
        now += 20 * MS
        on_the_way.append((now + one_way_ms * MS, frame()))
        while on_the_way and on_the_way[0][0] <= now:
            mind.hear(on_the_way.pop(0)[1], now)
        while (due := mind.next_deadline()) is not None and due <= now:
            mind.handle_timer(now)
        mind.take()
        # What the party's ear hears, by the agent's clock and the way back.
        for turn in mind.turns[heard_turns:]:
            heard_turns += 1
            agent_spoke_at = turn.first_audio_ns + one_way_ms * MS
            agent_ends = agent_spoke_at + int(turn.audio_ms * MS)
        if mind.turns and mind.turns[-1].interrupted_ns is not None:
            agent_ends = min(agent_ends, mind.turns[-1].interrupted_ns + one_way_ms * MS)
        if says and heard_turns == 1 + len(played.party.says) - len(says) and not waiting:
            since = agent_spoke_at if says[0].when == "agent_speaking" else agent_ends
            if now >= since + says[0].delay_ms * MS:
                say(says.pop(0).text)
    assert [turn.kind for turn in mind.turns] == ["greeting"] + ["voice"] * 4
    assert [turn.interrupted_ns is not None for turn in mind.turns] == [False, True, False, False, False]
    assert [turn.user_text for turn in mind.turns[1:]] == [say.text for say in played.party.says]
    for turn, spoken in zip(mind.turns[1:], played.party.says, strict=True):
        long_ms = len(speak(spoken.text, played.party.voice)) / 8
        assert abs(turn.speech_ended_ms - turn.speech_began_ms - long_ms) <= 20
    ends_s = (mind.turns[-1].playout_ends_ns + one_way_ms * MS) / 1e9
    assert 16 < ends_s < 22
