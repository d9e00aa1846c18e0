"""Runs TwiML documents on one call, top to bottom (pages "voice/twiml", "twiml/connect", "twiml/stream").

Cancelled from outside when the call ends or is given another document. Fetches, plays, connects;
decides nothing about the call's status.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from . import twiml
from .callbacks import stream_event, voice_request
from .media_stream import MediaStream
from .stamps import mint
from .webhooks import Answer, Unanswered

if TYPE_CHECKING:
    from .call import Call

__all__ = ["Document", "Program", "Source"]

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_TWIML_TYPES = {"text/xml", "application/xml", "text/html", "text/plain"}


@dataclass(frozen=True, slots=True)
class Source:
    """Where a document comes from: a URL, or the text itself."""

    url: str = ""
    method: str = "POST"
    text: str | None = None
    fallback_url: str = ""
    fallback_method: str = "POST"


@dataclass(frozen=True, slots=True)
class Document:
    verbs: Sequence[twiml.Verb]
    base_url: str


class Program:
    """`load` then `run`; `stream` is the one that is open, if any."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._fallback = Source()
        self.stream: MediaStream | None = None

    async def load(self, source: Source, extra: dict[str, str] | None = None) -> Document | None:
        """The document, the fallback's, or None: then the call ends with an application error."""
        self._fallback = replace(source, url=source.fallback_url, method=source.fallback_method, fallback_url="")
        try:
            return await self._load(source, extra)
        except (Unanswered, twiml.TwimlError) as error:
            self._call.notify(error.code, str(error))
            failed_url = error.url if isinstance(error, Unanswered) else source.url
            code = error.code
        if not self._fallback.url:
            return None
        fields = {"ErrorCode": str(code), "ErrorUrl": failed_url}
        try:
            return await self._load(self._fallback, fields if self._call.config.choices.fallback_error_fields else None)
        except (Unanswered, twiml.TwimlError) as error:
            self._call.notify(error.code, str(error))
            return None

    async def run(self, document: Document | None) -> str:
        """Gives why it ended: "document-end", "hangup", "reject" or "application-error"."""
        while document is not None:
            following: Document | None = None
            for verb in document.verbs:
                if isinstance(verb, twiml.Hangup):
                    return "hangup"
                if isinstance(verb, twiml.Reject):
                    return "reject"
                try:
                    source = await self._perform(verb, document)
                except twiml.TwimlError as error:
                    self._call.notify(error.code, str(error))
                    return "application-error"
                if source is not None:
                    following = await self.load(source[0], source[1])
                    if following is None:
                        return "application-error"
                    break
            if following is None:
                return "document-end"
            document = following
        return "application-error"

    async def _load(self, source: Source, extra: dict[str, str] | None) -> Document:
        if source.text is not None:
            return self._parse(source.text.encode(), "")
        answer = await self._call.webhooks.fetch_document(source.url, source.method, voice_request(self._call, extra))
        if answer.content_type.startswith("audio/"):
            return Document([twiml.Play(answer.url)], answer.url)
        if answer.content_type not in _TWIML_TYPES:
            raise twiml.TwimlError(f"content type {answer.content_type} of {answer.url} is not TwiML")
        return self._parse_answer(answer)

    def _parse_answer(self, answer: Answer) -> Document:
        if answer.content_type == "text/plain":
            try:
                return self._parse(answer.body, answer.url)
            except twiml.TwimlError:
                return Document([twiml.Say(answer.body.decode("utf-8", "replace"))], answer.url)
        return self._parse(answer.body, answer.url)

    def _parse(self, text: bytes, base_url: str) -> Document:
        verbs, warnings = twiml.parse(text)
        for warning in warnings:
            self._call.notify(12200, warning, warning=True)
        return Document(verbs, base_url)

    async def _perform(self, verb: twiml.Verb, document: Document) -> tuple[Source, dict[str, str] | None] | None:
        """Play one verb; gives the next document's source when it leads to one."""
        choices = self._call.config.choices
        if isinstance(verb, twiml.Connect):
            await self._connect(verb, document)
            return (self._next(verb.action, verb.method, document), None) if verb.action else None
        if isinstance(verb, twiml.Redirect):
            return self._next(verb.url, verb.method, document), None
        if isinstance(verb, twiml.Dial):
            return await self._dial(verb, document)
        if isinstance(verb, twiml.Say):
            await asyncio.sleep(len(verb.text) * choices.say_ms_per_character * (verb.loop or 1000) / 1000)
        elif isinstance(verb, twiml.Play):
            await asyncio.sleep(choices.play_ms * (verb.loop or 1000) / 1000)
        elif isinstance(verb, twiml.Pause):
            await asyncio.sleep(verb.length_s)
        return None

    def _next(self, url: str, method: str, document: Document) -> Source:
        """A relative URL counts from the document; an empty one is the document itself."""
        try:
            target = urljoin(document.base_url, url)
            scheme = urlsplit(target).scheme
        except ValueError:
            raise twiml.TwimlError(f"malformed URL: {url}", 11200) from None
        if scheme not in {"http", "https"}:
            raise twiml.TwimlError(f"not an absolute http URL, in a document that came without one: {url!r}", 11200)
        return replace(self._fallback, url=target, method=method, text=None)

    async def _dial(self, verb: twiml.Dial, document: Document) -> tuple[Source, dict[str, str] | None] | None:
        config = self._call.config
        self._call.ledger.add("not_imitated", self._call.sid, what="the leg of a Dial", number=verb.number)
        await asyncio.sleep(config.dialed_leg_s)
        if not verb.action:
            return None
        answered = config.dialed_leg_status == "completed"
        fields = {
            "DialCallStatus": config.dialed_leg_status,
            "DialCallSid": mint("CA"),
            "DialCallDuration": str(round(config.dialed_leg_s) if answered else 0),
            "DialBridged": "true" if answered else "false",
        }
        return self._next(verb.action, verb.method, document), fields

    async def _connect(self, verb: twiml.Connect, document: Document) -> None:
        call = self._call
        noun = replace(verb.stream, url=_stream_url(verb.stream.url, document.base_url))
        stream_sid = mint("MZ")

        def tell(event: str, error: str = "") -> None:
            call.ledger.add("stream", call.sid, stream_sid=stream_sid, event=event, error=error)
            if noun.status_callback:
                params = stream_event(call, stream_sid, noun.name, event, error)
                call.post_callback(noun.status_callback, noun.status_callback_method, params)

        if (fault := _stream_url_fault(noun.url)) is not None:
            call.notify(*fault)
            tell("stream-error", f"Stream error, code: {fault[0]}")
            return
        stream = self.stream = call.open_stream(noun, stream_sid)
        try:
            outcome, error = await stream.run(lambda: tell("stream-started"))
            if outcome == "server-closed":
                tell(call.config.choices.stream_event_on_server_close)
            elif outcome == "failed":
                tell("stream-error", error)
        finally:
            self.stream = None
            if stream.record.closed_by == "carrier":
                tell("stream-stopped")


def _stream_url(url: str, base_url: str) -> str:
    if "://" in url or not base_url:
        return url
    try:
        joined = urljoin(base_url, url)
    except ValueError:
        return url  # malformed: said by the check that follows
    return joined.replace("http", "ws", 1) if joined.startswith("http") else joined


def _stream_url_fault(url: str) -> tuple[int, str] | None:
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
