"""A request's body, read with bounds: the one way in which anything here reads one."""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from ..beside import give_way
from .answers import error_answer

__all__ = ["Refusal", "read_body"]


class Refusal(Exception):
    """A request that gets an error for an answer."""

    def __init__(self, status: int, code: str, message: str, details: str = "", **headers: str) -> None:
        super().__init__(message)
        self._answer = (status, code, message, details)
        self._headers = {name.replace("_", "-"): value for name, value in headers.items()}

    async def send(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and close: part of the body may be unread, and closing is cheaper than reading what nobody wants."""
        await give_way()
        headers = {**self._headers, "Connection": "close"}
        await error_answer(scope["path"], *self._answer, headers=headers)(scope, receive, send)


async def read_body(headers: Headers, receive: Receive, limit: int, deadline_s: float) -> bytes:
    """The body, counted while it is read: a length that was promised is not a length that comes. Raises `Refusal`."""
    too_large = Refusal(413, "body_too_large", "the body is too large", f"at most {limit} bytes")
    promised = headers.get("content-length", "0")
    if promised.isascii() and promised.isdigit() and int(promised) > limit:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(deadline_s):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Refusal(400, "body_incomplete", "the connection ended within the body")
                body += message.get("body", b"")
                if len(body) > limit:
                    raise too_large
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise Refusal(408, "body_too_slow", "the body took too long") from None
