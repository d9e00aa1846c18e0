"""The seed's ``[LATENCY]`` lines, in the seed's exact format, from the honest measurements.

An event sink. Lines carry no call id, because scripts read them; the id goes to the output function beside
each line, so that several calls at once stay attributable. Formats: the seed's page, "Understanding Latency
Measurements".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..records import CallEvent, CallRecord, EventKind
from ..terms import CallId

__all__ = ["LatencyLines"]

_VENDORS = {"elevenlabs": "ElevenLabs", "twilio": "Twilio"}
_API_CALLS = {"signed_url": "signed URL"}


class LatencyLines:
    """Writes round trips as they are measured, API times, and the summary when the call has one.

    Args:
        out: takes one line without its end and the call it belongs to, and returns at once: it is called on the event
            loop's thread (`lines.LinePipe`). What it raises is counted in `failed`, not passed on: a closed pipe must
            not end a call.
    """

    def __init__(self, out: Callable[[str, CallId], None]) -> None:
        self._out = out
        self.failed = 0

    def on_event(self, call: CallRecord, event: CallEvent) -> None:
        lines = _lines(event.kind, event.data)
        try:
            for line in lines:
                self._out(line, call.id)
        except (OSError, ValueError):
            self.failed += 1


def _lines(kind: str, data: Mapping[str, Any]) -> tuple[str, ...]:
    if kind == EventKind.ROUND_TRIP:
        return (f"[LATENCY] Audio round trip: {_whole(data.get('ms'))}, Avg: {_average(data.get('average_ms'))}",)
    if kind == EventKind.API_TIME:
        vendor, name = str(data.get("vendor", "")), str(data.get("call", ""))
        vendor = _VENDORS.get(vendor.lower(), vendor)
        return (f"[LATENCY] {vendor} API ({_API_CALLS.get(name, name.replace('_', ' '))}): {_whole(data.get('ms'))}",)
    if kind == EventKind.SUMMARY:
        found = data.get("round_trip_ms") or {}
        return (
            "[LATENCY] Call Performance Summary:",
            f"  - Average round trip: {_average(found.get('avg'))}",
            f"  - Minimum round trip: {_whole(found.get('min'))}",
            f"  - Maximum round trip: {_whole(found.get('max'))}",
            f"  - Total audio messages: {data.get('audio_messages', 0)}",
        )
    return ()


# A call in which nobody was answered has no round trip. "0ms" would be a lie, and the best one of all.
def _whole(ms: float | None) -> str:
    return "n/a" if ms is None else f"{ms:.0f}ms"


def _average(ms: float | None) -> str:
    return "n/a" if ms is None else f"{ms:.2f}ms"
