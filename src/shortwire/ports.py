"""The Protocols between the switchboard and everything outside it.

Adapters implement these (`net/`, `store/`, `telemetry/`); the web and the command line use
`CallDesk`. A port says what may be raised and which thread calls it: unless it says otherwise,
every method is called on the event loop's thread and must not block it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Protocol

from .records import CallEvent, CallRecord, CallRequest, CarrierCall, DialOrder, StoreHealth
from .terms import AgentId, CallId, CallSid

__all__ = [
    "AgentDialer",
    "AgentPlatform",
    "CallDesk",
    "CallStore",
    "Carrier",
    "EventSink",
    "MessageSocket",
    "SocketListener",
    "Tunnel",
    "WarmConnection",
]


class CallStore(Protocol):
    """Where calls are kept. Writes are ordered; awaited ones are durable when they return."""

    async def create(
        self, call: CallRecord, *, idempotency_key: str | None = None, fingerprint: str = ""
    ) -> CallRecord:
        """Store a new call durably and return it.

        With an idempotency key seen before and the same fingerprint: return the earlier call instead.
        Raises `Conflict` if the fingerprint differs, `StoreError` if it could not be made durable.
        """
        ...

    def update(self, call_id: CallId, changes: Mapping[str, Any]) -> None:
        """Change fields of `CallRecord` later, in order, in a batch. Never blocks, never raises."""
        ...

    def append(self, event: CallEvent) -> None:
        """Keep an event later, in order, in a batch. Never blocks, never raises; counts what it drops."""
        ...

    async def get(self, call_id: CallId) -> CallRecord | None:
        """The call with everything written before this request applied."""
        ...

    async def by_call_sid(self, call_sid: CallSid) -> CallRecord | None: ...

    async def list(
        self, *, limit: int = 50, before: CallId | None = None, state: str | None = None
    ) -> Sequence[CallRecord]:
        """Newest first; `before` pages on from an id."""
        ...

    async def events(self, call_id: CallId, *, after: int = 0) -> Sequence[CallEvent]: ...

    async def unfinished(self) -> Sequence[CallRecord]:
        """Calls not in state ENDED, oldest first: what a restart has to settle."""
        ...

    async def flush(self) -> None:
        """Return when everything written so far is durable."""
        ...

    def health(self) -> StoreHealth:
        """Costs nothing, asks no database, never raises."""
        ...

    async def close(self) -> None: ...


class Carrier(Protocol):
    """The telephone network's REST side (Twilio Calls resource)."""

    async def create_call(self, order: DialOrder) -> CarrierCall:
        """Raises `CarrierRefused` (clear no) or `CarrierUncertain` (no clear answer). Retries only 429."""
        ...

    async def end_call(self, call_sid: CallSid) -> str:
        """Ask for the end of a call; the status afterwards. A call already over is no error."""
        ...

    async def fetch_call(self, call_sid: CallSid) -> CarrierCall | None: ...

    async def find_calls(self, *, to: str, from_: str, since: float) -> Sequence[CarrierCall]:
        """Calls to a number since an instant, newest first: how an uncertain create is settled."""
        ...

    async def close(self) -> None: ...


class AgentPlatform(Protocol):
    """The agent vendor's REST side."""

    async def signed_url(self, agent_id: AgentId) -> str:
        """A URL that opens one conversation, good for 15 minutes. Raises `AgentError`."""
        ...

    async def agent(self, agent_id: AgentId) -> Mapping[str, Any]:
        """The agent's configuration as the vendor tells it (elevenlabs.md section 4.2). Raises `AgentError`."""
        ...

    async def close(self) -> None: ...


class MessageSocket(Protocol):
    """One side of a WebSocket, as the driver of a call sees it."""

    @property
    def send(self) -> Callable[[bytes], None]:
        """Writes one text message, synchronously, in order. On a closed socket: nothing. Never raises.

        May be taken once and kept: it is the same as long as the socket lives.
        """
        ...

    def close(self, code: int, reason: str) -> None:
        """Begin the closing handshake; idempotent. The listener's `closed` follows within 2 s."""
        ...

    @property
    def ours(self) -> bool:
        """Whether the end was of this side's making: code and reason are then those that it sent."""
        ...


class SocketListener(Protocol):
    """Who is told what arrives on a WebSocket; all methods are synchronous and never raise."""

    def opened(self, socket: MessageSocket) -> None: ...

    def media(self, data: bytes, read_ns: int) -> bool | None:
        """The media path: nothing may stand between the socket and this. For sockets in a hurry, before `message`.

        True: the message, read from the system at `read_ns`, was audio and was relayed; False: it was audio and was
        not; None: it is something else, and nothing was done about it.
        """
        ...

    def message(self, data: bytes, read_ns: int) -> bool:
        """One whole text message of any kind, read from the system at `read_ns`. True if something was relayed."""
        ...

    def other(self, data: bytes, read_ns: int) -> bool:
        """The same, of a message that `media` did not recognise."""
        ...

    def relayed(self, read_ns: int, written_ns: int) -> None:
        """After `media`, `message` or `other` answered True: when it was handed to the other socket."""
        ...

    def binary(self) -> None:
        """A binary message came; its contents are of no use to anybody."""
        ...

    def paused(self, paused: bool) -> None:
        """The socket takes no more data (True), or does again."""
        ...

    def closed(self, code: int, reason: str) -> None:
        """Exactly once, last. 1006 if there was no close frame."""
        ...


class WarmConnection(Protocol):
    """A connection to the agent's host on which nothing has been said yet."""

    @property
    def alive(self) -> bool: ...

    def close(self) -> None: ...


class AgentDialer(Protocol):
    """Opens conversation sockets."""

    async def warm(self, url: str) -> WarmConnection | None:
        """TCP and, for https and wss, TLS to the host of `url`, held idle. None if it cannot be had: no harm."""
        ...

    async def connect(self, url: str, listener: SocketListener, warm: WarmConnection | None = None) -> bool:
        """Open the socket; `listener.opened` is called before this returns. Whether `warm` was used.

        A warm connection that has died meanwhile is replaced by a cold one. Raises `AgentError`.
        """
        ...


class EventSink(Protocol):
    """Somebody who wants to know (console lines, metrics). Must return at once and never raise."""

    def on_event(self, call: CallRecord, event: CallEvent) -> None: ...


class Tunnel(Protocol):
    """A public address for a port on this machine."""

    async def start(self, port: int) -> str:
        """The public https URL. Raises `ConfigError` with one sentence when it cannot be had."""
        ...

    async def stop(self) -> None: ...


class CallDesk(Protocol):
    """What the web and the command line may ask of the switchboard."""

    async def place_call(self, request: CallRequest, *, idempotency_key: str | None = None) -> CallRecord:
        """Check, store, dial. Returns once the carrier accepted (state DIALING).

        Raises `NumberRefused`, `Conflict`, `CarrierRefused`, `CarrierUncertain` (the call is stored in
        state UNKNOWN then), `Unavailable` while draining.
        """
        ...

    async def answer_incoming(self, form: Mapping[str, str]) -> str:
        """TwiML for the carrier's question what to do with an inbound call."""
        ...

    async def answer_outbound(self, form: Mapping[str, str], call_id: CallId) -> str:
        """TwiML for an outbound call that was dialled with a URL instead of inline TwiML.

        Raises `NotFound` for a call we did not place.
        """
        ...

    async def status_callback(self, form: Mapping[str, str], call_id: CallId) -> None:
        """The carrier tells where a call is. Duplicates, regressions and strangers are harmless."""
        ...

    async def get(self, call_id: CallId) -> CallRecord:
        """Raises `NotFound`."""
        ...

    async def list(
        self, *, limit: int = 50, before: CallId | None = None, state: str | None = None
    ) -> Sequence[CallRecord]: ...

    async def hang_up(self, call_id: CallId) -> CallRecord:
        """Ask for the end; idempotent. Raises `NotFound`."""
        ...

    def follow(self, call_id: CallId, *, after: int = 0) -> AsyncIterator[CallEvent]:
        """Events of a call, stored ones first, then live ones, until `EventKind.ENDED`. Raises `NotFound`."""
        ...

    def health(self) -> Mapping[str, Any]:
        """Keys: ready (bool), reason (a sentence while it is not), draining (bool), calls (live), loop_lag_ms,
        loop_lag_own_ms, store (pending, dropped, last_error without secrets), ..."""
        ...
