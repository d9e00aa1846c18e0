"""REST of a call's one-way streams: start and stop (page "stream-resource"); a bidirectional one cannot be had here."""

from __future__ import annotations

from .asked import Asked, Reply
from .exchange import Exchange
from .fields import check_stream, check_stream_update
from .refusals import Refusal
from .resources import stream_resource
from .rest_calls import Calls
from .twiml import TwimlError

__all__ = ["StreamsApi"]


class StreamsApi:
    """Handlers; each raises `Refusal`."""

    def __init__(self, exchange: Exchange, calls: Calls) -> None:
        self._config = exchange.config
        self._calls = calls

    async def start(self, asked: Asked) -> Reply:
        call = self._calls.in_progress(asked)
        noun = check_stream(asked.form, self._config)
        try:
            item = call.media.start(noun, "")
        except TwimlError as error:
            raise Refusal.bad_field(str(error)) from None
        return Reply(self._config.choices.stream_created_status, stream_resource(call, item))

    async def stop(self, asked: Asked) -> Reply:
        call = self._calls.find(asked)
        item = call.media.find(asked.ids[1])
        if item is None:
            raise Refusal.not_found(asked.path)
        check_stream_update(asked.form, self._config)
        if item.status != "in-progress":
            raise Refusal.not_in_progress()
        await call.media.stop(item)
        return Reply(200, stream_resource(call, item))
