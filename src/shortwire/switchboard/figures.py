"""A call's named instants and counters, and the gaps made of them at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..call.summary import CallFigures, call_summary
from ..clock import NS_PER_MS
from ..terms import CallState
from .line import AgentLine

if TYPE_CHECKING:
    from .live import LiveCall

__all__ = ["Figures"]


class Figures:
    """Instants in ns of the process's clock; 0: did not happen."""

    def __init__(self, created_ns: int) -> None:
        self.created_ns = created_ns
        self.dialed_ns = 0
        self.ringing_ns = 0
        self.answered_ns = 0
        self.connected_ns = 0
        self.media_open_ns = 0
        self.started_ns = 0
        self.agent_open_ns = 0
        self.agent_ready_ns = 0
        self.api_ms: dict[str, list[float]] = {}
        self.round_trips: list[float] = []
        self.turns: list[dict[str, Any]] = []

    def reached(self, state: CallState, now_ns: int) -> str | None:
        """A state was reached: keep the instant; the record's field for it, if there is one."""
        name = {
            CallState.DIALING: "dialed",
            CallState.RINGING: "ringing",
            CallState.ANSWERED: "answered",
            CallState.CONNECTED: "connected",
        }.get(state)
        if name is None:
            return None
        if not getattr(self, f"{name}_ns"):
            setattr(self, f"{name}_ns", now_ns)
        return f"{name}_at"

    def round_trip(self, ms: float) -> float:
        """One more round trip; the average so far."""
        self.round_trips.append(ms)
        return sum(self.round_trips) / len(self.round_trips)

    def setup(self, line: AgentLine) -> dict[str, float]:
        """The set-up as named gaps, ms; only what happened."""
        gaps = {
            "answered_to_media": (self.answered_ns, self.media_open_ns),
            "media_to_start": (self.media_open_ns, self.started_ns),
            "media_to_agent_open": (self.media_open_ns, self.agent_open_ns),
            "agent_open_to_ready": (self.agent_open_ns, self.agent_ready_ns),
        }
        found = {name: (to - start) / NS_PER_MS for name, (start, to) in gaps.items() if start and to}
        return {name: round(ms, 2) for name, ms in {**found, **line.setup_ms}.items()}

    def summary(self, call: LiveCall) -> dict[str, Any]:
        """What is stored as the call's latencies."""
        up, down = call.session.uplink, call.session.downlink
        figures = CallFigures(
            answer_to_first_word_ms=call.tracker_first_word_ms(),
            round_trips_ms=self.round_trips,
            bridge_uplink=call.phone.delays,
            bridge_downlink=call.agent.delays,
            setup=self.setup(call.line),
            api_ms=self.api_ms,
            audio_messages=down.chunks,
            slow_path_messages=up.slow + down.slow,
            counts={
                "frames": up.frames,
                "frames_relayed": up.relayed,
                "frames_dropped": up.early_dropped + up.paused_dropped,
                "frames_after_end": up.after_end,
                "chunks_stale": down.stale,
                "marks_returned": down.playout.returned_marks,
                "malformed_messages": call.session.malformed + up.unusable + down.unusable,
                "dropped_downlink_ms": round(down.paused_dropped_ms + down.held_dropped_ms),
            },
        )
        for turn in self.turns:
            figures.add_turn(turn)
        return {**call_summary(figures), "prewarmed": call.line.was_warm}
