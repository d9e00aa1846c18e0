"""The versioned API: calls as resources, their events as a stream.

Handlers only translate between HTTP and the desk; who may call them is the guard's business, and
what a call is, the desk's.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request
from pydantic.json_schema import SkipJsonSchema
from starlette.responses import Response, StreamingResponse

from ..beside import give_way
from ..ports import CallDesk
from ..records import CallEvent, CallRecord
from ..telemetry.redaction import mask_number
from ..terms import CallId
from .long_answer import LongAnswer
from .models import CallIdText, CallIn, CallList, CallOut, ErrorOut, IdempotencyKey, ListQuery, call_out
from .options import WebOptions

__all__ = ["ERRORS", "api_routes"]

_TEXTS = {
    400: "The request could not be read.",
    401: "No API key, or a wrong one.",
    404: "No such call.",
    409: "The idempotency key was used for another request.",
    413: "The body is too large.",
    422: "A field is wrong; the details name it and say what to write.",
    500: "A mistake in Shortwire; the details hold the reference in its log.",
    502: "The carrier refused; the details hold its code and words.",
    503: "Draining or overloaded: try another node, or later.",
    504: "The carrier gave no clear answer; the call may have been placed.",
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": ErrorOut, "description": _TEXTS[status]} for status in statuses}


_PORTION = 5
"""Calls of a list that are written out between two looks at the sockets: 0.2 ms when nothing else runs."""
ERRORS = errors(401, 422, 500, 503)
CallIdPath = Annotated[CallIdText, Path(description="The call's id.")]
Reveal = Annotated[bool, Query(description="Show the telephone number in full.")]


def api_routes(desk: CallDesk, options: WebOptions) -> APIRouter:
    """The routes under /v1."""
    router = APIRouter(prefix="/v1", tags=["calls"], responses=ERRORS)

    @router.post("/calls", status_code=201, responses=errors(400, 409, 413, 502, 504), summary="Place a call")
    async def place(
        body: CallIn,
        idempotency_key: Annotated[
            IdempotencyKey | SkipJsonSchema[None],
            Header(description="The same key and body again: the same call, dialled once."),
        ] = None,
        reveal: Reveal = False,
    ) -> CallOut:
        return call_out(await desk.place_call(body.request(), idempotency_key=idempotency_key), reveal=reveal)

    @router.get("/calls", response_model=CallList, summary="List calls, newest first")
    async def listing(query: Annotated[ListQuery, Query()]) -> Response:
        await give_way()
        before = CallId(query.before) if query.before else None
        # One more than asked for tells whether there is another page.
        found = await desk.list(limit=query.limit + 1, before=before, state=query.state.value if query.state else None)
        page = found[: query.limit]
        more = page[-1].id if len(found) > query.limit else None
        return LongAnswer(await _written_out(page, more, reveal=query.reveal), media_type="application/json")

    @router.get("/calls/{call_id}", responses=errors(404), summary="One call")
    async def show(call_id: CallIdPath, reveal: Reveal = False) -> CallOut:
        return call_out(await desk.get(CallId(call_id)), reveal=reveal)

    @router.post("/calls/{call_id}/hangup", responses=errors(404, 502, 504), summary="End a call")
    async def hang_up(call_id: CallIdPath, reveal: Reveal = False) -> CallOut:
        return call_out(await desk.hang_up(CallId(call_id)), reveal=reveal)

    @router.get(
        "/calls/{call_id}/events",
        response_class=StreamingResponse,
        responses={**errors(404), 200: {"description": "Server-sent events.", "content": {"text/event-stream": {}}}},
        summary="Follow a call",
    )
    async def follow(
        call_id: CallIdPath,
        last_event_id: Annotated[
            int, Header(ge=0, le=2**31, description="Go on after this event (sent by browsers on reconnecting).")
        ] = 0,
    ) -> StreamingResponse:
        # Asked first, because an iterator says that a call is unknown only after the headers are gone.
        call = await desk.get(CallId(call_id))
        events = desk.follow(call.id, after=last_event_id)
        stream = _sse(events, options.heartbeat_s, call.number)
        return StreamingResponse(stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    @router.get("/health", tags=["server"], summary="Figures of this server")
    async def health(request: Request) -> dict[str, Any]:
        return dict(options.figures() if options.figures is not None else desk.health())

    return router


async def _written_out(calls: Sequence[CallRecord], more: str | None, *, reveal: bool) -> bytes:
    """A `CallList` as JSON, in portions: two hundred at once keep the frames of all calls waiting for milliseconds, as
    the framework does when it is given the list."""
    parts: list[str] = []
    for number, call in enumerate(calls, 1):
        parts.append(call_out(call, reveal=reveal).model_dump_json())
        if number % _PORTION == 0:
            await give_way()
    before, _, behind = CallList(calls=[], next=more).model_dump_json().partition("[]")
    return f"{before}[{','.join(parts)}]{behind}".encode()


async def _sse(events: AsyncIterator[CallEvent], heartbeat_s: float, number: str) -> AsyncIterator[bytes]:
    """Server-sent events (WHATWG HTML, section 9.2), with comments while nothing happens."""
    yield b"retry: 1000\n\n"
    waiting: asyncio.Task[CallEvent] | None = None
    try:
        while True:
            # A task of its own: giving up a wait for a heartbeat must not cancel the iterator beneath it.
            waiting = waiting or asyncio.ensure_future(_next(events))
            done, _ = await asyncio.wait({waiting}, timeout=heartbeat_s)
            if not done:
                yield b": still there\n\n"
                continue
            try:
                event = waiting.result()
            except StopAsyncIteration:
                return
            finally:
                waiting = None
            yield _sse_message(event, number)
    finally:
        if waiting:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        if close := getattr(events, "aclose", None):
            await close()


async def _next(events: AsyncIterator[CallEvent]) -> CallEvent:
    return await anext(events)


def _sse_message(event: CallEvent, number: str) -> bytes:
    document = {"call_id": event.call_id, "seq": event.seq, "at": event.at, "kind": event.kind, "data": event.data}
    # ASCII escapes keep every line separator that Unicode knows out of the data line.
    text = json.dumps(document, separators=(",", ":"), default=_plain)
    if number:
        text = text.replace(number, mask_number(number))
    return f"id: {event.seq}\nevent: {event.kind}\ndata: {text}\n\n".encode()


def _plain(value: object) -> object:
    return dict(value) if hasattr(value, "keys") else str(value)  # type: ignore[call-overload]
