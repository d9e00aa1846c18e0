"""An answer that may be long leaves in pieces, and frames go between them."""

from __future__ import annotations

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..beside import give_way

__all__ = ["LongAnswer"]

_PIECE = 16 * 1024
"""Bytes handed to the kernel at once. A list of 200 calls is ten of them, and takes half a millisecond in one go."""


class LongAnswer(Response):
    """A response whose length is told, and whose body is sent in pieces."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        left = memoryview(self.body)
        while len(left) > _PIECE:
            await send({"type": "http.response.body", "body": bytes(left[:_PIECE]), "more_body": True})
            left = left[_PIECE:]
            await give_way()
        await send({"type": "http.response.body", "body": bytes(left), "more_body": False})
