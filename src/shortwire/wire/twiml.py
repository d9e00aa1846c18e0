"""TwiML, from a builder only (protocols/twilio.md section 5).

The documents hold nothing that a caller of the API wrote: only our own URL, whose path carries the
ticket. They end in ``<Hangup/>``, so that a dead bridge frees the line.
"""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

__all__ = ["BUSY", "HANGUP", "connect_stream"]

_HEAD = '<?xml version="1.0" encoding="UTF-8"?>'

HANGUP = f"{_HEAD}<Response><Hangup/></Response>"
BUSY = f'{_HEAD}<Response><Reject reason="busy"/></Response>'


def connect_stream(stream_url: str) -> str:
    """Join the call with a bidirectional media stream, then hang up.

    `stream_url` is wss (ws only to loopback) and has no query: Twilio does not support one (31920).
    """
    if "?" in stream_url or "#" in stream_url:
        raise ValueError("a stream URL has no query: put the ticket into the path")
    return f"{_HEAD}<Response><Connect><Stream url={quoteattr(stream_url)}/></Connect><Hangup/></Response>"
