"""The recordings of one call: started by the create request, by REST or by a verb; told about; finished with the call.

Pages "recording-resource", "call-resource". What they hold is `recording`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from .recording import Recording

if TYPE_CHECKING:
    from .call import Call

__all__ = ["Recordings", "recording_of"]


def recording_of(call: Call, fields: Mapping[str, str], events: Sequence[str], *, source: str, trim: str) -> Recording:
    """From checked fields of REST. The call has been answered. `trim`: the default, which differs per request."""
    assert call.line is not None
    return Recording(
        call.line,
        call_sid=call.sid,
        source=source,
        channels=2 if fields.get("RecordingChannels") == "dual" else 1,
        track=fields.get("RecordingTrack", "both"),
        trim=fields.get("Trim", trim) == "trim-silence",
        events=events or ("completed",),
        callback=(
            fields.get("RecordingStatusCallback", ""),
            fields.get("RecordingStatusCallbackMethod", "POST"),
        ),
    )


class Recordings:
    """In the order they were started."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self.all: list[Recording] = []
        self._finishing: set[asyncio.Event] = set()

    @property
    def current(self) -> Recording | None:
        """The newest that still records or is paused."""
        return next((item for item in reversed(self.all) if item.live), None)

    @property
    def of_create(self) -> Recording | None:
        """The one `Record=true` asked for."""
        return next((item for item in self.all if item.source == "OutboundAPI"), None)

    def answered(self) -> None:
        """Start the one the create request asked for."""
        call = self._call
        if call.fields.get("Record", "").lower() == "true":
            self.add(recording_of(call, call.fields, call.record_events, source="OutboundAPI", trim="trim-silence"))

    def add(self, recording: Recording) -> None:
        self.all.append(recording)
        self._call.exchange.recordings[recording.sid] = recording
        self._call.ledger.add("recording", self._call.sid, recording_sid=recording.sid, status="in-progress")
        self._tell(recording, "in-progress")

    def finish(self, recording: Recording) -> None:
        """Stop it; it is processed for a while, then complete, or absent when it holds nothing."""
        if not recording.live:
            return
        recording.stop()
        over = asyncio.Event()
        self._finishing.add(over)
        self._call.spawn(self._process(recording, over), f"recording {recording.sid}")

    def ended(self) -> None:
        """The call is over, so everything that records stops."""
        for recording in self.all:
            self.finish(recording)

    async def settled(self) -> None:
        for over in list(self._finishing):
            await over.wait()

    def url(self, recording: Recording) -> str:
        """Without an extension, as told in callbacks."""
        call = self._call
        return f"{call.exchange.base_url}/2010-04-01/Accounts/{call.account_sid}/Recordings/{recording.sid}"

    async def _process(self, recording: Recording, over: asyncio.Event) -> None:
        try:
            if self._call.ending is not None:
                recording.move("processing")
            await asyncio.sleep(self._call.config.recording_processing_s)
            recording.move("completed" if recording.length_ms > 0 else "absent")
            self._call.ledger.add("recording", self._call.sid, recording_sid=recording.sid, status=recording.status)
            self._tell(recording, recording.status)
        finally:
            over.set()

    def _tell(self, recording: Recording, event: str) -> None:
        url, method = recording.callback
        if url and event in recording.events:
            params = recording.callback_fields(self._call.account_sid, self.url(recording))
            self._call.post_callback(url, method, params, kind="recording")
