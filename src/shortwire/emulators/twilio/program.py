"""Runs TwiML documents on one call, top to bottom (pages "voice/twiml", "twiml/connect", "twiml/stream").

Cancelled from outside when the call ends or is given another document. Fetches documents and hands each verb to
whoever plays it; decides nothing about the call's status.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from . import prompts, twiml, verbs
from .callbacks import voice_request
from .dialing import dial
from .webhooks import Answer, Unanswered

if TYPE_CHECKING:
    from .call import Call

__all__ = ["Document", "Program", "Source"]

_TWIML_TYPES = {"text/xml", "application/xml", "text/html", "text/plain"}
Following = tuple["Source", Mapping[str, str] | None]
"""The next document and the fields its request carries beyond the standard ones."""


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
    verbs: Sequence[verbs.Verb]
    base_url: str


class Program:
    """`load` then `run`."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._fallback = Source()

    async def load(self, source: Source, extra: Mapping[str, str] | None = None) -> Document | None:
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
                if isinstance(verb, verbs.Hangup):
                    return "hangup"
                if isinstance(verb, verbs.Reject):
                    return "reject"
                try:
                    source = await self._perform(verb, document.base_url)
                except twiml.TwimlError as error:
                    self._call.notify(error.code, str(error))
                    return "application-error"
                if source is not None:
                    following = await self.load(*source)
                    if following is None:
                        return "application-error"
                    break
            if following is None:
                return "document-end"
            document = following
        return "application-error"

    def next_source(self, url: str, method: str, base_url: str) -> Source:
        """A relative URL counts from the document; an empty one is the document itself. Raises `TwimlError`."""
        try:
            target = urljoin(base_url, url)
            scheme = urlsplit(target).scheme
        except ValueError:
            raise twiml.TwimlError(f"malformed URL: {url}", 11200) from None
        if scheme not in {"http", "https"}:
            raise twiml.TwimlError(f"not an absolute http URL, in a document that came without one: {url!r}", 11200)
        return replace(self._fallback, url=target, method=method, text=None)

    async def _load(self, source: Source, extra: Mapping[str, str] | None) -> Document:
        if source.text is not None:
            return self._parse(source.text.encode(), "")
        answer = await self._call.webhooks.fetch_document(source.url, source.method, voice_request(self._call, extra))
        if answer.content_type.startswith("audio/"):
            return Document([verbs.Play(answer.url)], answer.url)
        if answer.content_type not in _TWIML_TYPES:
            raise twiml.TwimlError(f"content type {answer.content_type} of {answer.url} is not TwiML")
        return self._parse_answer(answer)

    def _parse_answer(self, answer: Answer) -> Document:
        if answer.content_type == "text/plain":
            try:
                return self._parse(answer.body, answer.url)
            except twiml.TwimlError:
                return Document([verbs.Say(answer.body.decode("utf-8", "replace"))], answer.url)
        return self._parse(answer.body, answer.url)

    def _parse(self, text: bytes, base_url: str) -> Document:
        found, warnings = twiml.parse(text)
        for warning in warnings:
            self._call.notify(12200, warning, warning=True)
        return Document(found, base_url)

    async def _perform(self, verb: verbs.Verb, base_url: str) -> Following | None:
        """Play one verb; gives the next document's source when it leads to one."""
        call = self._call
        if isinstance(verb, verbs.Redirect):
            return self.next_source(verb.url, verb.method, base_url), None
        if isinstance(verb, verbs.Connect):
            await call.media.connect(verb.stream, base_url)
            return self._action(verb.action, verb.method, base_url, None)
        if isinstance(verb, verbs.Dial):
            return self._action(verb.action, verb.method, base_url, await dial(call, verb, base_url))
        if isinstance(verb, verbs.Gather):
            gathered = await prompts.gather(call, verb, base_url)
            # Without an action the document itself is asked again, with what was gathered.
            return None if gathered is None else self._own_action(verb.action, verb.method, base_url, gathered)
        if isinstance(verb, verbs.Record):
            return self._own_action(verb.action, verb.method, base_url, await prompts.record(call, verb))
        if isinstance(verb, verbs.Say | verbs.Play | verbs.Pause):
            await prompts.prompt(call, verb, base_url)
        else:
            await self._start_or_stop(verb, base_url)
        return None

    async def _start_or_stop(self, verb: verbs.Verb, base_url: str) -> None:
        call = self._call
        if isinstance(verb, verbs.Start):
            try:
                call.media.start(verb.stream, base_url)
            except twiml.TwimlError as error:
                call.notify(error.code, str(error))  # the call goes on without this stream
        elif isinstance(verb, verbs.Stop):
            item = call.media.find(verb.name)
            if item is None:
                call.notify(12200, f"<Stop>: no stream named {verb.name!r}", warning=True)
            else:
                await call.media.stop(item)

    def _action(self, action: str, method: str, base_url: str, fields: Mapping[str, str] | None) -> Following | None:
        return (self.next_source(action, method, base_url), fields) if action else None

    def _own_action(self, action: str, method: str, base_url: str, fields: Mapping[str, str]) -> Following | None:
        if not action and not base_url:
            return None  # inline TwiML has no URL of its own: the next verb runs
        return self.next_source(action, method, base_url), fields
