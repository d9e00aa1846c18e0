"""The carrier's side of the load: ``python -m shortwire.bench.phones``.

Each call goes through the front door as a call of the carrier does: a signed webhook, the TwiML's stream, a signed
upgrade, `connected`, `start`, a frame each 20 ms, `stop` (protocols/twilio.md 2 and 4.4). Marks come back at once; no
play-back is simulated. The calls' phases are spread evenly over the 20 ms.
"""

from __future__ import annotations

import random
from typing import Any

from ..call.summary import Histogram
from ..clock import SystemClock
from .ask import Questions, first_question, say
from .machine import step_back
from .phone import Phone
from .poll import Loop
from .stamp import Voice
from .tally import Tally, figures

__all__ = ["PhoneSide", "main"]

_now_ns = SystemClock.now_ns
_FRAME_NS = 20_000_000
_AT_ONCE = 32
_OPEN_S = 30.0
_SILENT_S = 0.5
_DRAIN_S = 5.0
_END_S = 2.0


class PhoneSide:
    """All calls. The keys of `config` are those of `shortwire.bench.load.Load`, with what names the server."""

    def __init__(self, loop: Loop, config: dict[str, Any]) -> None:
        self.loop, self.config = loop, config
        self.voice = Voice()
        self.tally = Tally()
        self.late = Histogram()
        self.slots: list[Phone | None] = [None] * config["calls"]
        self.phones: dict[int, Phone] = {}
        self.phase = "opening"
        self.skipped = 0
        self.progress_every_s: float = config["progress_s"]
        self._tick_number = 0
        self._step_ns = _FRAME_NS // config["calls"]
        self._due_ns = _now_ns()
        self._draw = random.Random(config["seed"])  # noqa: S311 - lengths of calls, not secrets
        self._numbers: int = config["first_number"]
        for slot in range(config["calls"]):
            loop.after(slot / config["ramp"], lambda slot=slot: self._dial(slot))  # type: ignore[misc]
        loop.after(config["calls"] / config["ramp"] + _OPEN_S, self._opened)
        self._tick()
        self._tell()

    # Calls

    @property
    def dialled(self) -> int:
        return self._numbers - int(self.config["first_number"])

    def _dial(self, slot: int) -> None:
        if self.phase in ("draining", "ending"):
            return
        self._numbers += 1
        self.slots[slot] = self.phones[self._numbers] = Phone(self, self._numbers, slot)

    def connected(self, phone: Phone) -> None:
        """A call's stream is open."""
        length_s = self.config["call_s"]
        if length_s:
            seconds = self._draw.uniform(0.5, 1.5) * length_s
            self.loop.after(seconds, lambda: self._hang_up(phone))
        self._look()

    def over(self, phone: Phone) -> None:
        """A call has ended, by whomever."""
        if self.slots[phone.slot] is phone:
            self.slots[phone.slot] = None
            if self.config["call_s"] and self.phase in ("opening", "warming", "window"):
                self.loop.after(0.1, lambda: self._dial(phone.slot))
        if self.config["forget"]:
            self.phones.pop(phone.number, None)
            self._forget(phone)
        self._look()

    def _forget(self, phone: Phone) -> None:
        """A long run keeps no books of each call, only sums; what is wrong with it is counted now."""
        self.tally.arrived.pop(phone.number, None)
        self.tally.first.pop(phone.number, None)
        self.tally.last.pop(phone.number, None)

    def _hang_up(self, phone: Phone) -> None:
        if phone.streaming and self.phase in ("opening", "warming", "window"):
            phone.hang_up()

    def _look(self) -> None:
        everybody = self.phase == "opening" and self.dialled >= self.config["calls"]
        if everybody and all(phone is None or phone.streaming for phone in self.slots):
            self._opened()

    # Phases

    def _opened(self) -> None:
        if self.phase != "opening":
            return
        self.phase = "warming"
        begin_ns = _now_ns() + int(self.config["warmup_s"] * 1e9)
        end_ns = begin_ns + int(self.config["seconds"] * 1e9)
        self.tally.window(begin_ns, end_ns)
        say({"window": [begin_ns, end_ns], "open": sum(1 for p in self.slots if p is not None and p.streaming)})
        self.loop.at(begin_ns, lambda: self._to("window"))
        self.loop.at(end_ns, self._drain)

    def _to(self, phase: str) -> None:
        self.phase = phase

    def _drain(self) -> None:
        self.phase = "draining"
        say({"quiet": True})
        began_ns = _now_ns()
        before = -1

        def look() -> None:
            nonlocal before
            arrived = sum(self.tally.arrived.values())
            if arrived == before or _now_ns() - began_ns > _DRAIN_S * 1e9:
                self._end()
                return
            before = arrived
            self.loop.after(_SILENT_S, look)

        self.loop.after(_SILENT_S, look)

    def _end(self) -> None:
        self.phase = "ending"
        for phone in self.slots:
            if phone is not None and phone.streaming:
                phone.hang_up()
        until_ns = _now_ns() + int(_END_S * 1e9)

        def look() -> None:
            if any(phone is not None and phone.streaming for phone in self.slots) and _now_ns() < until_ns:
                self.loop.after(0.05, look)
            else:
                self._report()

        look()

    def _report(self) -> None:
        say({"report": self.report()})
        self.loop.stop()

    def report(self) -> dict[str, Any]:
        phones = self.phones.values()
        return {
            **self.tally.report(),
            "late_us": figures(self.late),
            "skipped": self.skipped,
            "dialled": self.dialled,
            "sent": {phone.number: phone.sent for phone in phones if phone.sent},
            "clears": {phone.number: phone.clears for phone in phones if phone.clears},
            "times": {phone.number: phone.times for phone in phones},
            "failed": [f"call {phone.number}: {phone.trouble}" for phone in phones if phone.trouble],
        }

    # Frames

    def _tick(self) -> None:
        """Frames that are due; each call in its turn, so one timer serves them all."""
        slots, step_ns, late = self.slots, self._step_ns, self.late
        window = self.phase == "window"
        for _ in range(_AT_ONCE):
            now_ns = _now_ns()
            if self._due_ns > now_ns:
                break
            phone = slots[self._tick_number % len(slots)]
            if phone is not None and phone.streaming and self.phase != "draining":
                phone.speak(now_ns)
                if window:
                    late.record(now_ns - self._due_ns)
            self._tick_number += 1
            self._due_ns += step_ns
            if now_ns - self._due_ns > 1_000_000_000:
                # A second behind: these frames are never sent, and said to be so.
                behind = (now_ns - self._due_ns) // step_ns
                self.skipped += behind
                self._tick_number += behind
                self._due_ns += behind * step_ns
        if self.phase not in ("draining", "ending"):
            self.loop.at(self._due_ns, self._tick)

    def _tell(self) -> None:
        streaming = sum(1 for phone in self.slots if phone is not None and phone.streaming)
        say(
            {
                "progress": {
                    "phase": self.phase,
                    "open": streaming,
                    "dialled": self.dialled,
                }
            }
        )
        if self.phase != "ending":
            self.loop.after(self.progress_every_s, self._tell)

    def question(self, asked: dict[str, Any]) -> None:
        """`mute`: read no more on that many streams."""
        if "mute" in asked:
            chosen = [phone for phone in self.slots if phone is not None and phone.streaming][: asked["mute"]]
            for phone in chosen:
                phone.mute()
            say({"muted": [phone.number for phone in chosen]})


def main() -> None:
    """Until everything is measured, or standard input ends."""
    config = first_question()
    if config.get("steps_back"):
        step_back()
    loop = Loop()
    side = PhoneSide(loop, config)
    Questions(loop, side.question)
    loop.run()


if __name__ == "__main__":
    main()
