"""The REST calls about conversations: list, details, audio, delete, feedback, files.

Feedback and files need no API key: the vendor's client SDK sends none. Vendor page: agents API, "List
conversations" to "Upload file".
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from aiohttp import web

from shortwire.emulators.elevenlabs.ledger import ConversationRecord
from shortwire.emulators.elevenlabs.paging import flag, number, one_of, page, whole
from shortwire.emulators.elevenlabs.recording import silent_mp3
from shortwire.emulators.elevenlabs.rest_agents import json_body
from shortwire.emulators.elevenlabs.rest_errors import api_error, body_error, json_response, query_error
from shortwire.emulators.elevenlabs.summary import detail, duration_s, list_item, successful

if TYPE_CHECKING:
    from shortwire.emulators.elevenlabs.server import ElevenLabsEmulator

__all__ = ["RestConversations"]

STATUSES = ("initiated", "in-progress", "processing", "done", "failed")


def _unknown() -> web.Response:
    return api_error(404, "conversation_not_found", "The conversation was not found.")


class RestConversations:
    """The handlers, bound to one emulator."""

    def __init__(self, emulator: ElevenLabsEmulator) -> None:
        self._emulator = emulator

    def _record(self, request: web.Request) -> ConversationRecord | None:
        return self._emulator.ledger.conversations.get(request.match_info["conversation_id"])

    async def list(self, request: web.Request) -> web.Response:
        summaries = one_of(request, "summary_mode", "exclude", "include") == "include"
        direction = one_of(request, "sort_direction", "asc", "desc") or "desc"
        records = list(self._wanted(request))
        if direction == "desc":
            records.reverse()
        shown, cursor = page(request, records)
        listed = [list_item(record, self._emulator.agent_name(record.agent_id), summary=summaries) for record in shown]
        return json_response({"conversations": listed, "next_cursor": cursor, "has_more": cursor is not None})

    def _wanted(self, request: web.Request) -> Iterator[ConversationRecord]:
        query = request.query
        before, after = whole(request, "call_start_before_unix"), whole(request, "call_start_after_unix")
        shortest, longest = number(request, "call_duration_min_secs"), number(request, "call_duration_max_secs")
        success = one_of(request, "call_successful", "success", "failure", "unknown")
        text_only = flag(request, "text_only")
        excluded = set(query.getall("exclude_statuses", []))
        reasons = query.getall("termination_reasons", [])
        search = query.get("search", "").lower()
        for record in self._emulator.ledger.conversations.values():
            item = list_item(record, None)
            words = " ".join(f"{turn.user_text} {turn.agent_text}" for turn in record.turns).lower()
            if (
                query.get("agent_id") in (None, "", record.agent_id)
                and query.get("user_id") in (None, "", (record.client_data or {}).get("user_id"))
                and (before is None or record.started_unix_s < before)
                and (after is None or record.started_unix_s > after)
                and (shortest is None or duration_s(record) >= shortest)
                and (longest is None or duration_s(record) <= longest)
                and success in (None, successful(record))
                and text_only in (None, record.text_only)
                and item["status"] not in excluded
                and (not reasons or item["termination_reason"] in reasons)
                and search in words
            ):
                yield record

    async def get(self, request: web.Request) -> web.Response:
        record = self._record(request)
        if record is None:
            return _unknown()
        if one_of(request, "format", "json", "opentelemetry") == "opentelemetry":
            return api_error(400, "not_emulated", "This emulator does not imitate the OpenTelemetry form.")
        return json_response(detail(record, self._emulator.agent_name(record.agent_id)))

    async def audio(self, request: web.Request) -> web.Response:
        record = self._record(request)
        if record is None:
            return _unknown()
        if record.closed_ns is None or not record.has_audio:
            return api_error(404, "audio_not_found", "This conversation has no audio.")
        recording = self._emulator.recordings.get(record.conversation_id)
        if recording is not None:
            return web.Response(body=recording.wav(), content_type="audio/wav")
        return web.Response(body=silent_mp3(duration_s(record)), content_type="audio/mpeg")

    async def delete(self, request: web.Request) -> web.Response:
        record = self._record(request)
        if record is None:
            return _unknown()
        if record.conversation_id in self._emulator.live:
            return api_error(409, "conversation_in_progress", "The conversation is still going on.")
        del self._emulator.ledger.conversations[record.conversation_id]
        self._emulator.recordings.pop(record.conversation_id, None)
        return json_response({})

    async def feedback(self, request: web.Request) -> web.Response:
        record = self._record(request)
        if record is None:
            return _unknown()
        body = await json_body(request)
        if body is None:
            return body_error(None, "Input should be a valid dictionary", "dict_type")
        rating = body.get("rating")
        if "feedback" in body:
            if body["feedback"] not in ("like", "dislike", None):
                return body_error("feedback", "Input should be 'like' or 'dislike'", "enum")
        elif not (isinstance(rating, int) and not isinstance(rating, bool) and 1 <= rating <= 5):
            return body_error("feedback" if rating is None else "rating", "Field required", "missing")
        record.overall_feedback = {**body, "at_unix_s": int(time.time())}
        return json_response({})

    async def upload(self, request: web.Request) -> web.Response:
        record = self._record(request)
        if record is None:
            return _unknown()
        agent = self._emulator.agents.get(record.agent_id)
        rules: dict[str, Any] = {} if agent is None else agent["conversation_config"]["conversation"]["file_input"]
        if not rules.get("enabled", True):
            return api_error(400, "file_input_disabled", "This agent takes no files.")
        if len(record.files) >= rules.get("max_files_per_conversation", 10):
            return api_error(400, "too_many_files", "The conversation has as many files as it may have.")
        try:
            field = (await request.post()).get("file")
        except ValueError:
            field = None
        if not isinstance(field, web.FileField):
            return body_error("file", "Field required", "missing")
        file_id = f"file_{uuid.uuid4().hex[:28]}"
        size = len(field.file.read())
        record.files[file_id] = {"name": field.filename, "mime_type": field.content_type, "size": size}
        return json_response({"file_id": file_id})

    async def remove_file(self, request: web.Request) -> web.Response:
        record = self._record(request)
        if record is None:
            return _unknown()
        if record.files.pop(request.match_info["file_id"], None) is None:
            return api_error(404, "file_not_found", "The file was not found.")
        return json_response({})

    # -- WebRTC ----------------------------------------------------------------------------------------------------

    async def token(self, request: web.Request) -> web.Response:
        """A LiveKit token leads to the vendor's media hosts, so it is refused unless somebody insists."""
        agent_id = request.query.get("agent_id")
        if not agent_id:
            return query_error("agent_id")
        if self._emulator.agents.get(agent_id) is None:
            return api_error(404)
        if self._emulator.config.webrtc == "refuse":
            message = "This is an emulator: it speaks WebSocket only. Use connectionType 'websocket' or a signed URL."
            return api_error(400, "webrtc_not_emulated", message)
        conversation_id = f"conv_{uuid.uuid4().hex[:28]}"
        return json_response({"token": f"emulated.{uuid.uuid4().hex}", "conversation_id": conversation_id})
