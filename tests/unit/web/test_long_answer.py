"""An answer that may be long leaves in pieces."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shortwire.web.long_answer import LongAnswer

PIECE = 16 * 1024


async def said(body: bytes) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    messages: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        messages.append({**message, "rounds": rounds})

    async def receive() -> Any:
        raise AssertionError("nothing is to be read")

    rounds = 0

    def count() -> None:
        nonlocal rounds, handle
        rounds += 1
        handle = loop.call_soon(count)

    loop = asyncio.get_running_loop()
    handle = loop.call_soon(count)
    await LongAnswer(body, media_type="application/json")({"type": "http"}, receive, send)
    handle.cancel()
    return messages[0], messages[1:]


@pytest.mark.parametrize("size", [0, 1, PIECE, PIECE + 1, 3 * PIECE, 170_000])
async def test_every_byte_once_and_no_piece_too_long(size: int) -> None:
    body = bytes(i % 251 for i in range(size))
    start, pieces = await said(body)
    assert start["status"] == 200
    assert dict(start["headers"])[b"content-length"] == str(size).encode()
    assert b"".join(piece["body"] for piece in pieces) == body
    assert max(len(piece["body"]) for piece in pieces) <= PIECE
    assert [piece["more_body"] for piece in pieces] == [True] * (len(pieces) - 1) + [False]
    assert len({piece["rounds"] for piece in pieces}) == len(pieces), "two pieces left in one round of the loop"
