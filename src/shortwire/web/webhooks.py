"""The carrier's routes: what to do with a call, and where it is.

The guard has checked the signature and parsed the form before any of this runs. Every answer is
quick or is an error: Twilio waits 15 s at most (protocols/twilio.md 4.1), and a person listens.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Mapping
from typing import TypeVar, cast

from fastapi import APIRouter, Request
from starlette.responses import Response

from ..beside import give_way
from ..errors import NotFound, Unavailable
from ..ports import CallDesk
from ..terms import CallId
from .options import WebOptions

__all__ = ["webhook_routes"]

T = TypeVar("T")
_CALL_ID = re.compile(r"[A-Za-z0-9_]{1,64}", re.ASCII)
_BOTH = ["GET", "POST"]


def webhook_routes(desk: CallDesk, options: WebOptions) -> APIRouter:
    """The routes that Twilio calls; not part of the published API."""
    router = APIRouter(include_in_schema=False)

    async def in_time(answer: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(options.webhook_deadline_s):
                answered = await answer
        except TimeoutError:
            raise Unavailable("no answer in time", details="the server is overloaded") from None
        await give_way()
        return answered

    @router.api_route("/incoming-call", methods=_BOTH)
    async def incoming_call(request: Request) -> Response:
        return _twiml(await in_time(desk.answer_incoming(_form(request))))

    @router.api_route("/outbound-call-twiml", methods=_BOTH)
    async def outbound_twiml_by_sid(request: Request) -> Response:
        return _twiml(await in_time(desk.answer_outbound(_form(request), CallId(""))))

    @router.api_route("/outbound-call-twiml/{call_id}", methods=_BOTH)
    async def outbound_twiml(call_id: str, request: Request) -> Response:
        return _twiml(await in_time(desk.answer_outbound(_form(request), _call_id(call_id))))

    @router.api_route("/status-callback/{call_id}", methods=_BOTH)
    async def status_callback(call_id: str, request: Request) -> Response:
        await in_time(desk.status_callback(_form(request), _call_id(call_id)))
        return Response(status_code=204)

    return router


def _form(request: Request) -> Mapping[str, str]:
    return cast("Mapping[str, str]", request.state.form)


def _call_id(text: str) -> CallId:
    if not _CALL_ID.fullmatch(text):
        raise NotFound("no such call")
    return CallId(text)


def _twiml(document: str) -> Response:
    return Response(document, media_type="text/xml")
