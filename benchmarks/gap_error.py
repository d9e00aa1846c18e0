"""How far the live response gap is off: many short turns through the real server, judged by the phone's recording.

    python benchmarks/gap_error.py                 # about 330 turns, all three networks, both profiles: 6 minutes
    python benchmarks/gap_error.py --calls 2 --networks cross-continent --profiles optimized

Emulated vendors, background noise 20 dB below the party's speech, every third utterance a barge-in. The judge
knows the script's times only to find each utterance; its edges come from the samples of the recording alone,
with hindsight (the noise of the whole call) and code of its own. Exit status 0: the bar holds (95 % within 20 ms,
all within 40 ms). Needs the extra `emulators`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shortwire.demo.backstage import PARTY_NUMBER
from shortwire.demo.client import settled
from shortwire.demo.heard import read_stereo
from shortwire.demo.stage import Stage

NETWORKS = ("same-region", "cross-continent", "home-line-tunnel")
PROFILES = ("baseline", "optimized")
BAR_MS, MOST_MS, SHARE = 20.0, 40.0, 0.95
PARTY = (
    "Do you have a table for two tonight?",
    "Can I bring my dog?",
    "Yes.",
    "The garden at eight, please.",
    "What are your opening hours?",
    "No, thank you.",
    "Sorry, could you say that again?",
    "The garden at eight it is.",
    "Are you still there?",
    "Hello, how can I help you?",
    "One moment, please.",
    "Hi Ann, how are you?",
    "Of course, dogs are welcome here.",
    "Great, thank you, goodbye.",
    "Goodbye, and see you tonight.",
    "Hello.",
)
CUTTING = tuple(text for text in PARTY if len(text) > 24)
"""Who interrupts must go on speaking until the agent is silent, or takes the rest of its sentence for an answer."""
SHORT, LONG = (
    "Of course, dogs are welcome here.",
    ("We are open from nine in the morning until ten at night, every day of the week."),
)
HOP, WINDOW = 20, 80  # samples: 2.5 ms and 10 ms
RATE = 8  # samples a ms


@dataclass(frozen=True)
class Found:
    """One turn, live and in the recording."""

    where: str
    text: str
    barge_in: bool
    live_ms: float | None
    heard_ms: float
    end_error_ms: float
    """Of the end of speech alone, the product's less the judge's."""

    @property
    def error_ms(self) -> float | None:
        return None if self.live_ms is None else self.live_ms - self.heard_ms


def script(turn_count: int, first: int, network: str, noise_db: float) -> str:
    """A scenario of so many turns; every third utterance interrupts the reply before it."""
    says, replies, transcripts = [], [], []
    for turn in range(turn_count):
        cuts = turn % 3 == 2
        text = (CUTTING if cuts else PARTY)[(first + turn) % len(CUTTING if cuts else PARTY)]
        when, delay = ("agent_speaking", 900 + 37 * turn) if cuts else ("agent_silent", 400 + 7 * turn)
        says.append(f'[[party.says]]\ntext = "{text}"\nwhen = "{when}"\ndelay_ms = {delay}\n')
        reply = LONG if turn % 3 == 1 else SHORT
        end = "end_call = true\n" if turn == turn_count - 1 else ""
        replies.append(f'[[agent.replies]]\ntext = "{reply}"\nthink_ms = [150, 400]\n{end}')
        transcripts.append(json.dumps(text))
    return "\n".join(
        [
            f'name = "gap error, {network}"\nseed = {100 + first}\n',
            f"[party]\nring_s = 0.3\nnoise_db = {noise_db}\n",
            *says,
            f'[agent]\nfirst_message = "Hello."\nend_of_turn_ms = 500\ntranscripts = [{", ".join(transcripts)}]\n',
            *replies,
        ]
    )


def loudness(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean power of 10 ms windows, one every 2.5 ms; window k begins at sample k * HOP."""
    sums = np.concatenate(([0.0], np.cumsum(samples**2)))
    starts = np.arange(0, len(samples) - WINDOW + 1, HOP)
    found: NDArray[np.float64] = (sums[starts + WINDOW] - sums[starts]) / WINDOW
    return found


def last_audible_ms(power: NDArray[np.float64], noise: float, begin_ms: float, end_ms: float) -> float | None:
    """End of the last window between two instants that holds twice the noise's power (the speech as loud as it)."""
    first, last = int(begin_ms * RATE / HOP), int(end_ms * RATE / HOP)
    loud = np.flatnonzero(power[first:last] > 2 * noise)
    return None if not len(loud) else ((first + int(loud[-1])) * HOP + WINDOW) / RATE


def judge(where: str, call: dict[str, Any], carrier: dict[str, Any], wav: bytes) -> list[Found]:
    """Every answered utterance of one call."""
    party, agent, _ = read_stereo(wav)
    power = loudness(party.astype(np.float64))
    noise = float(np.median(power[power > 0])) if np.any(power > 0) else 0.0
    quiet = power[(power > 0.2 * noise) & (power < 2 * noise)]
    noise = float(np.mean(quiet)) if len(quiet) else 1.0
    heard = np.flatnonzero(np.abs(agent.astype(np.int32)) > 200) / RATE
    replies = [turn for turn in call["turns"] if turn["kind"] == "reply" and turn["heard_ms"] is not None]
    shift = _shift(replies, heard)
    said = [u for u in carrier["utterances"] if u["text"]]
    found = []
    for index, utterance in enumerate(said):
        end = last_audible_ms(power, noise, utterance["begin_ms"], utterance["end_ms"] + 30)
        until = said[index + 1]["begin_ms"] if index + 1 < len(said) else float("inf")
        # The reply is the first sound after the utterance that begins after silence (a barge-in stops the one before).
        start = _first_sound(heard, utterance["end_ms"] + 150, until)
        if end is None or start is None:
            continue
        turn = min(replies, key=lambda t: abs(t["heard_ms"] + shift - start), default=None)
        near = turn is not None and abs(turn["heard_ms"] + shift - start) < 300
        live = turn["response_gap_ms"] if near and turn is not None else None
        off = turn["speech_end_ms"] + shift - end if near and turn and turn["speech_end_ms"] is not None else 0.0
        found.append(Found(where, utterance["text"], utterance["when"] == "agent_speaking", live, start - end, off))
    return found


def _shift(replies: list[dict[str, Any]], heard: NDArray[np.float64]) -> float:
    """From the product's time line to the recording's: by the reply that fits best."""
    starts = heard[np.flatnonzero(np.diff(heard, prepend=-1e9) > 400)]
    if not replies or not len(starts):
        return 0.0
    # The greeting is the recording's first sound; both lines begin with the answer, give or take the news of it.
    shifts = [start - turn["heard_ms"] for turn in replies for start in starts if abs(start - turn["heard_ms"]) < 400]
    return float(np.median(shifts)) if shifts else 0.0


def _first_sound(heard: NDArray[np.float64], from_ms: float, until_ms: float) -> float | None:
    after = heard[(heard >= from_ms) & (heard < until_ms)]
    return float(after[0]) if len(after) else None


class Crowd(Stage):
    """A stage for several calls at once."""

    async def play_all(self, count: int) -> list[tuple[dict[str, Any], dict[str, Any], bytes]]:
        """Place so many calls, a little apart; each with what the carrier knows of it, and its recording."""

        async def one(number: int) -> dict[str, Any]:
            await asyncio.sleep(number * 0.137)
            placed = await self._api.place({"number": PARTY_NUMBER})
            async for _event in self._api.follow(placed["id"]):
                pass
            return await settled(self._api, placed["id"])

        async with asyncio.timeout(180):
            calls = await asyncio.gather(*(one(number) for number in range(count)))
        played = []
        for call in calls:
            truth = await self._ask({"do": "tell", "call_sid": call["call_sid"]})
            wav = await asyncio.to_thread(Path(truth["recording"]).read_bytes)
            played.append((call, truth["carrier"], wav))
        return played


async def measure(options: argparse.Namespace) -> list[Found]:
    found: list[Found] = []
    first = 0
    for network in options.networks:
        for profile in options.profiles:
            with tempfile.TemporaryDirectory() as name:
                folder = Path(options.keep or name) / f"{network}-{profile}"
                folder.mkdir(parents=True, exist_ok=True)
                scenario = folder / "scenario.toml"
                scenario.write_text(script(options.turns, first, network, options.noise_db), encoding="utf-8")
                async with Crowd(profile, network=network, scenario=scenario, folder=folder) as stage:
                    played = await stage.play_all(options.calls)
                for index, (call, carrier, wav) in enumerate(played):
                    if options.keep:
                        (folder / f"{index}.wav").write_bytes(wav)
                        (folder / f"{index}.json").write_text(json.dumps({"call": call, "carrier": carrier}))
                    found += judge(f"{network}, {profile}", call, carrier, wav)
            first += options.turns
            print(f"{network}, {profile}: {len(found)} turns so far", file=sys.stderr)
    return found


def show(found: list[Found]) -> bool:
    """The distribution; whether the bar holds."""
    groups = {"all": found}
    for where in dict.fromkeys(f.where for f in found):
        groups[where] = [f for f in found if f.where == where]
    groups["with barge-in"] = [f for f in found if f.barge_in]
    groups["without"] = [f for f in found if not f.barge_in]
    print(f"{'live gap less recorded gap (ms)':<32} {'n':>4} {'mean':>6} {'min':>6} {'p5':>6} {'p50':>6} {'p95':>6} "
          f"{'max':>6} {'<=20':>7} {'<=40':>7}")  # fmt: skip
    for name, group in groups.items():
        errors = np.array([f.error_ms for f in group if f.error_ms is not None])
        if len(errors):
            low, middle, high = np.percentile(errors, (5, 50, 95))
            within = [f"{100 * np.mean(np.abs(errors) <= ms):.1f} %" for ms in (BAR_MS, MOST_MS)]
            print(
                f"{name:<32} {len(errors):>4} {errors.mean():>+6.1f} {errors.min():>+6.1f} {low:>+6.1f} "
                f"{middle:>+6.1f} {high:>+6.1f} {errors.max():>+6.1f} {within[0]:>7} {within[1]:>7}"
            )
    missing = [f for f in found if f.error_ms is None]
    bad = sorted((f for f in found if f.error_ms is not None and abs(f.error_ms) > BAR_MS), key=lambda f: f.error_ms)
    for f in (*missing, *bad):
        error = "not measured live" if f.error_ms is None else f"{f.error_ms:+.1f} ms"
        print(f"  {error}  {f.where}: {f.text!r} (gap {f.heard_ms:.0f} ms, end of speech off {f.end_error_ms:+.0f} ms)")
    errors = np.array([f.error_ms for f in found if f.error_ms is not None])
    holds = bool(len(errors)) and float(np.mean(np.abs(errors) <= BAR_MS)) >= SHARE
    return holds and float(np.abs(errors).max()) <= MOST_MS and len(missing) == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--profiles", nargs="+", default=list(PROFILES))
    parser.add_argument("--calls", type=int, default=5, help="at once, for each network and profile")
    parser.add_argument("--turns", type=int, default=12, help="a call")
    parser.add_argument("--noise-db", type=float, default=20.0, help="below the speech")
    parser.add_argument("--keep", type=Path, help="folder for the recordings and what is known of the calls")
    found = asyncio.run(measure(options := parser.parse_args()))
    if options.keep:
        (options.keep / "found.json").write_text(json.dumps([vars(f) | {"error_ms": f.error_ms} for f in found]))
    return 0 if show(found) else 1


if __name__ == "__main__":
    sys.exit(main())
