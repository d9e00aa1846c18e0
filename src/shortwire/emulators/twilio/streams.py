"""The media streams of one call: the bidirectional one, up to four one-way tracks, their callbacks and their limits.

Pages "twiml/stream", "stream-resource". Opens and ends them; what travels on one is `media_stream`'s.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from .callbacks import stream_event
from .media_stream import MediaStream
from .stamps import mint
from .twiml import TwimlError
from .verbs import Stream

if TYPE_CHECKING:
    from .call import Call

__all__ = ["OneWay", "Streams", "tracks_of"]

MAX_TRACKS = 4
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def tracks_of(track: str) -> tuple[str, ...]:
    """`both_tracks` and so on to the names on the wire."""
    return ("inbound", "outbound") if track == "both_tracks" else (track.removesuffix("_track"),)


@dataclass(slots=True)
class OneWay:
    """A unidirectional stream, as REST shows it."""

    sid: str
    noun: Stream
    status: str = "in-progress"
    stream: MediaStream | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)


class Streams:
    """`current` is the bidirectional stream that is open, if any."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self.current: MediaStream | None = None
        self.one_way: dict[str, OneWay] = {}
        """By sid, those of the past too."""

    async def connect(self, noun: Stream, base_url: str) -> None:
        """Open, and stay until somebody ends it. A stream that cannot be opened is over at once."""
        noun = replace(noun, url=_absolute(noun.url, base_url))
        sid = mint("MZ")
        if self._faulty(noun, sid):
            return
        stream = self.current = self._call.open_stream(noun, sid, bidirectional=True)
        try:
            await self._run(stream, noun, sid)
        finally:
            self.current = None

    def start(self, noun: Stream, base_url: str) -> OneWay:
        """Open a one-way stream and go on. Raises `TwimlError` when the call has no room for it."""
        noun = replace(noun, url=_absolute(noun.url, base_url))
        live = [item for item in self.one_way.values() if item.status == "in-progress"]
        if noun.name and any(item.noun.name == noun.name for item in live):
            raise TwimlError(f"a stream named {noun.name!r} is running: names are unique in a call")
        if sum(len(tracks_of(item.noun.track)) for item in live) + len(tracks_of(noun.track)) > MAX_TRACKS:
            raise TwimlError(f"a call has room for {MAX_TRACKS} one-way tracks")
        item = OneWay(mint("MZ"), noun)
        self.one_way[item.sid] = item
        if self._faulty(noun, item.sid):
            item.status = "stopped"
            item.over.set()
            return item
        item.stream = self._call.open_stream(noun, item.sid, bidirectional=False)
        self._call.spawn(self._live(item), f"stream {item.sid}")
        return item

    def find(self, name: str) -> OneWay | None:
        """The newest with this sid or name."""
        if name in self.one_way:
            return self.one_way[name]
        return next((item for item in reversed(self.one_way.values()) if item.noun.name == name), None)

    async def stop(self, item: OneWay) -> None:
        if item.stream is not None and item.status == "in-progress":
            item.status = "stopped"
            await item.stream.stop()

    async def stop_all(self, *, one_way: bool) -> None:
        """`stop` to whoever listens; the one-way ones too when the call is over."""
        ending = [self.current.stop()] if self.current is not None else []
        if one_way:
            ending += [self.stop(item) for item in self.one_way.values()]
        await asyncio.gather(*ending)

    async def _live(self, item: OneWay) -> None:
        assert item.stream is not None
        try:
            await self._run(item.stream, item.noun, item.sid)
        finally:
            item.status = "stopped"
            item.over.set()

    async def _run(self, stream: MediaStream, noun: Stream, sid: str) -> None:
        try:
            outcome, error = await stream.run(lambda: self._tell(noun, sid, "stream-started"))
            if outcome == "server-closed":
                self._tell(noun, sid, self._call.config.choices.stream_event_on_server_close)
            elif outcome == "failed":
                self._tell(noun, sid, "stream-error", error)
        finally:
            if stream.record.closed_by == "carrier":
                self._tell(noun, sid, "stream-stopped")

    def _tell(self, noun: Stream, sid: str, event: str, error: str = "") -> None:
        call = self._call
        call.ledger.add("stream", call.sid, stream_sid=sid, event=event, error=error)
        if noun.status_callback:
            params = stream_event(call, sid, noun.name, event, error)
            call.post_callback(noun.status_callback, noun.status_callback_method, params, kind="stream")

    def _faulty(self, noun: Stream, sid: str) -> bool:
        fault = _url_fault(noun.url)
        if fault is None:
            return False
        self._call.notify(*fault)
        self._tell(noun, sid, "stream-error", f"Stream error, code: {fault[0]}")
        return True


def _absolute(url: str, base_url: str) -> str:
    if "://" in url or not base_url:
        return url
    try:
        joined = urljoin(base_url, url)
    except ValueError:
        return url  # malformed: said by the check that follows
    return joined.replace("http", "ws", 1) if joined.startswith("http") else joined


def _url_fault(url: str) -> tuple[int, str] | None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return 31923, f"malformed URL: {url}"
    if not parts.scheme or not host:
        return 31923, f"malformed URL: {url}"
    if parts.scheme != "wss" and not (parts.scheme == "ws" and host in _LOOPBACK):
        return 31922, f"the URL of a stream must be wss: {url}"
    if parts.query or parts.fragment:
        return 31920, f"the URL of a stream must not have a query string: {url}"
    return None
