"""A call's named instants and counters, and the gaps made of them at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..call.setup import SetupInstants, answer_notice_ms, setup_parts
from ..call.summary import CallFigures, call_summary
from ..clock import NS_PER_MS, NS_PER_S
from ..terms import CallDirection, CallState

if TYPE_CHECKING:
    from .live import LiveCall

__all__ = ["Figures"]


class Figures:
    """Instants in ns of the process's clock; 0: did not happen."""

    def __init__(self, created_ns: int) -> None:
        self.created_ns = created_ns
        self.dialed_ns = 0
        self.heard_ns = 0
        """When the carrier had something new to say of the call before it was answered; later than now while it stands
        in its queue, as long as the carrier thinks that it will."""
        self.ringing_ns = 0
        self.answered_ns = 0
        self.connected_ns = 0
        self.media_open_ns = 0
        self.started_ns = 0
        self.agent_open_ns = 0
        self.agent_ready_ns = 0
        self.api_ms: dict[str, list[float]] = {}
        self.round_trips: list[float] = []
        self._round_trips_ms = 0.0
        """Their sum."""
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

    def heard_of(self, now_ns: int, queued_s: float = 0.0) -> None:
        """The carrier says that it has the call, and will not dial it for so long."""
        self.heard_ns = max(self.heard_ns, now_ns + int(queued_s * NS_PER_S))

    def round_trip(self, ms: float) -> float:
        """One more round trip; the average so far."""
        self.round_trips.append(ms)
        self._round_trips_ms += ms
        return self._round_trips_ms / len(self.round_trips)

    @property
    def news_ns(self) -> int:
        """When we first knew that somebody had picked up."""
        return min((ns for ns in (self.answered_ns, self.media_open_ns) if ns), default=0)

    def setup(self, call: LiveCall, notice_ms: float = 0.0) -> dict[str, float]:
        """The set-up as far as it has come, as parts in ms that add up (`shortwire.call.setup`)."""
        connection = call.agent.connection
        line, tracker, first_audio_ns = call.line, call.analyst.tracker, call.analyst.first_audio_ns
        at = SetupInstants(
            news_ns=self.answered_ns,
            media_open_ns=self.media_open_ns,
            started_ns=self.started_ns,
            opening_ns=line.opening_ns,
            url_ns=line.url_ns,
            looked_up_ns=connection.looked_up_ns,
            tcp_ns=connection.tcp_ns,
            tls_ns=connection.tls_ns,
            connected_ns=connection.connected_ns,
            agent_open_ns=self.agent_open_ns,
            agent_ready_ns=self.agent_ready_ns,
            first_audio_ns=first_audio_ns,
            written_ns=tracker.first_word_written_ns or 0,
            heard_ns=tracker.first_word_ns or 0,
        )
        return setup_parts(at, notice_ms)

    def _first_word(self, call: LiveCall) -> tuple[float | None, float]:
        """From the first news of the answer to the first word heard, and how much earlier the answer was."""
        tracker = call.analyst.tracker
        notice_ms = answer_notice_ms(
            tracker.carrier_round_trip_ms,
            secure=call.context.options.public_url.startswith("https:"),
            inbound=call.record.direction is CallDirection.INBOUND,
        )
        if tracker.first_word_ns is None or not self.news_ns:
            return None, notice_ms
        return (tracker.first_word_ns - self.news_ns) / NS_PER_MS, notice_ms

    def summary(self, call: LiveCall) -> dict[str, Any]:
        """What is stored as the call's latencies."""
        up, down = call.session.uplink, call.session.downlink
        seen_ms, notice_ms = self._first_word(call)
        figures = CallFigures(
            answer_to_first_word_ms=None if seen_ms is None else seen_ms + notice_ms,
            answer_seen_to_first_word_ms=seen_ms,
            carrier_round_trip_ms=call.analyst.tracker.carrier_round_trip_ms,
            round_trips_ms=self.round_trips,
            bridge_uplink=call.phone.delays,
            bridge_downlink=call.agent.delays,
            setup=self.setup(call, notice_ms),
            api_ms=self.api_ms,
            audio_messages=down.chunks,
            slow_path_messages=up.slow + down.slow,
            counts={
                "frames": up.frames,
                "frames_relayed": up.relayed,
                "frames_dropped": up.early_dropped + up.paused_dropped,
                "frames_after_end": up.after_end,
                "chunks_stale": down.stale,
                "chunks_overflowed": down.overflow,
                "marks_returned": down.playout.returned_marks,
                "malformed_messages": call.session.malformed + up.unusable + down.unusable,
                "dropped_downlink_ms": round(down.paused_dropped_ms + down.held_dropped_ms),
            },
        )
        for turn in self.turns:
            figures.add_turn(turn)
        return {
            **call_summary(figures),
            "prewarmed": call.line.was_warm,
            "quality": call.analyst.quality(),
        }
