"""REST of recordings, of a call and of the account, and their media (pages "recording-resource")."""

from __future__ import annotations

from .asked import Asked, Reply, in_time, paged, query_of
from .exchange import Exchange
from .fields import check_recording, check_recording_update
from .recording import Recording
from .recordings import recording_of
from .refusals import Refusal
from .resources import account_recording_resource, recording_resource
from .rest_calls import Calls

__all__ = ["RecordingsApi"]

_OF_CALL = {"DateCreated", "DateCreated<", "DateCreated>"}
_OF_ACCOUNT = _OF_CALL | {"CallSid", "ConferenceSid", "IncludeSoftDeleted"}
CURRENT = "Twilio.CURRENT"


class RecordingsApi:
    """Handlers; each raises `Refusal`."""

    def __init__(self, exchange: Exchange, calls: Calls) -> None:
        self._exchange = exchange
        self._calls = calls
        self._account = exchange.config.account_sid

    async def start(self, asked: Asked) -> Reply:
        call = self._calls.in_progress(asked, self._exchange.config.choices.not_recordable_code)
        fields = check_recording(asked.form, self._exchange.config)
        events = [event for event in asked.form.get("RecordingStatusCallbackEvent", []) if event]
        recording = recording_of(call, fields, events, source="StartCallRecordingAPI", trim="do-not-trim")
        call.add_recording(recording)
        return Reply(201, recording_resource(self._account, recording))

    async def update(self, asked: Asked) -> Reply:
        call = self._calls.find(asked)
        if asked.ids[1] == CURRENT:
            recording = call.recordings.current
            if recording is None:
                raise Refusal.not_found(asked.path)
        else:
            recording = self._of_call(asked)
        fields = check_recording_update(asked.form, self._exchange.config)
        if not recording.live:
            raise Refusal.not_in_progress(self._exchange.config.choices.not_recordable_code)
        if fields["Status"] == "paused":
            recording.pause(silence=fields.get("PauseBehavior", "silence") == "silence")
        elif fields["Status"] == "in-progress":
            recording.resume()
        else:
            call.recordings.finish(recording)
        return Reply(200, recording_resource(self._account, recording))

    async def list_of_call(self, asked: Asked) -> Reply:
        call = self._calls.find(asked)
        query = query_of(asked, _OF_CALL)
        rows = [
            recording_resource(self._account, item)
            for item in reversed(call.recordings.all)
            if not item.deleted and in_time(item.created_s, query, "DateCreated")
        ]
        return paged("recordings", rows, asked, query)

    async def fetch_of_call(self, asked: Asked) -> Reply:
        return Reply(200, recording_resource(self._account, self._of_call(asked)))

    async def delete_of_call(self, asked: Asked) -> Reply:
        return self._delete(self._of_call(asked))

    async def list(self, asked: Asked) -> Reply:
        query = query_of(asked, _OF_ACCOUNT)
        deleted_too = query.get("IncludeSoftDeleted") == "true"
        rows = [
            account_recording_resource(self._account, item, self._exchange.base_url)
            for item in reversed(self._exchange.recordings.values())
            if (deleted_too or not item.deleted)
            and query.get("CallSid", item.call_sid) == item.call_sid
            and not query.get("ConferenceSid")
            and in_time(item.created_s, query, "DateCreated")
        ]
        return paged("recordings", rows, asked, query)

    async def fetch(self, asked: Asked) -> Reply:
        found = self._find(asked.ids[0], asked.path)
        return Reply(200, account_recording_resource(self._account, found, self._exchange.base_url))

    async def delete(self, asked: Asked) -> Reply:
        return self._delete(self._find(asked.ids[0], asked.path))

    async def media(self, asked: Asked) -> Reply:
        """The sound itself; `RequestedChannels` 1 or 2. Nothing is encoded to MP3 here."""
        recording = self._find(asked.ids[0], asked.path)
        if asked.path.endswith(".mp3"):
            raise Refusal.bad_field("this emulator keeps recordings as WAV: ask for .wav")
        if recording.status != "completed":
            raise Refusal.not_found(asked.path)
        wanted = asked.query.get("RequestedChannels", [str(recording.channels)])[-1]
        if wanted not in {"1", "2"}:
            raise Refusal.bad_field(f"RequestedChannels must be 1 or 2: {wanted}")
        try:
            return Reply(200, media=recording.wav(int(wanted)), media_type="audio/x-wav")
        except ValueError:
            raise Refusal.bad_field("RequestedChannels is 2 and this recording has one channel") from None

    def _find(self, sid: str, path: str) -> Recording:
        recording = self._exchange.recordings.get(sid)
        if recording is None or recording.deleted:
            raise Refusal.not_found(path)
        return recording

    def _of_call(self, asked: Asked) -> Recording:
        call = self._calls.find(asked)
        recording = self._find(asked.ids[1], asked.path)
        if recording.call_sid != call.sid:
            raise Refusal.not_found(asked.path)
        return recording

    def _delete(self, recording: Recording) -> Reply:
        if recording.live:
            raise Refusal.not_in_progress(self._exchange.config.choices.not_recordable_code)
        recording.deleted = True
        recording.move("absent")
        return Reply(204)
