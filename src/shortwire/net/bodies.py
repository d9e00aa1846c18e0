"""The body of an answer, read with a bound."""

from __future__ import annotations

from aiohttp import StreamReader

__all__ = ["read_up_to"]


async def read_up_to(content: StreamReader, most: int) -> bytes:
    """Up to so many bytes of a body: one read of the reader's gives no more than what has arrived."""
    pieces, left = [], most
    while left and (piece := await content.read(left)):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)
