"""What the API takes and gives, as models: the OpenAPI page is made from these.

Unknown fields are refused, because a misspelt `first_mesage` that is ignored is a call that says
the wrong thing to a customer. Bounds are those of the wires and the store, not of taste.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic.json_schema import SkipJsonSchema

from ..records import CallRecord, CallRequest
from ..telemetry.redaction import mask_number
from ..terms import AgentId, CallState

__all__ = [
    "CallIdText",
    "CallIn",
    "CallList",
    "CallOut",
    "CauseOut",
    "ErrorOut",
    "IdempotencyKey",
    "ListQuery",
    "SeedCallIn",
    "SeedCallOut",
    "SeedErrorOut",
    "call_out",
]

_DEEPEST = 8


def _storable_text(text: str) -> str:
    """PostgreSQL cannot hold NUL, and UTF-8 cannot hold half of a surrogate pair."""
    if "\x00" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError("holds a character that no text may hold (NUL or half of a surrogate pair)")
    return text


def _storable(value: Any, depth: int = 0) -> Any:
    """Any JSON value that every store can keep and give back."""
    if depth > _DEEPEST:
        raise ValueError(f"is nested deeper than {_DEEPEST} levels")
    if isinstance(value, str):
        _storable_text(value)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("holds a number that is not finite")
    elif isinstance(value, int) and abs(value) > 2**53:
        raise ValueError("holds a whole number beyond 2 to the 53rd, which JSON does not carry exactly")
    elif isinstance(value, dict):
        for key, inner in value.items():
            _storable_text(key)
            _storable(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _storable(inner, depth + 1)
    return value


Text = Annotated[str, AfterValidator(_storable_text)]
Label = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(_storable_text)]
Value = Annotated[
    str | int | float | bool, BeforeValidator(_storable), Field(description="text, number, true or false")
]
VendorId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,128}$")]
CallIdText = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]{1,64}$")]
IdempotencyKey = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,200}$")]
# The pattern is described but judged by the desk, whose refusal says what to write instead.
Number = Annotated[
    Text,
    Field(
        min_length=1,
        max_length=40,
        description="Whom to call, E.164.",
        examples=["+14155550123"],
        json_schema_extra={"pattern": r"^\+[1-9][0-9]{6,14}$"},
    ),
]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class CallIn(_In):
    """One outbound call. Only the number reaches the carrier."""

    number: Number
    agent_id: Annotated[VendorId | None, Field(description="Default: ELEVENLABS_AGENT_ID.")] = None
    prompt: Annotated[Text | None, Field(max_length=50_000, description="Overrides the agent's prompt.")] = None
    first_message: Annotated[
        Text | None, Field(max_length=5_000, description="Overrides what the agent says first.")
    ] = None
    language: Annotated[str | None, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})?$", examples=["en"])] = None
    voice_id: VendorId | None = None
    dynamic_variables: Annotated[
        dict[Label, Value], Field(max_length=200, description="Values for the agent's {{placeholders}}.")
    ] = Field(default_factory=dict)
    metadata: Annotated[
        dict[str, Any],
        BeforeValidator(_storable),
        Field(description="Your own labels; stored, never sent to a vendor."),
    ] = Field(default_factory=dict)

    def request(self) -> CallRequest:
        agent_id = AgentId(self.agent_id) if self.agent_id is not None else None
        return CallRequest(**{**self.model_dump(), "agent_id": agent_id})


class SeedCallIn(_In):
    """The seed's outbound call."""

    number: Number
    prompt: Annotated[Text | None, Field(max_length=50_000)] = None
    first_message: Annotated[Text | None, Field(max_length=5_000)] = None


class SeedCallOut(BaseModel):
    success: bool = True
    message: str
    callSid: str | None  # noqa: N815 - the seed's spelling


class SeedErrorOut(BaseModel):
    success: bool = False
    error: str
    details: str
    code: str


class CauseOut(BaseModel):
    """Why a call ended."""

    slug: str
    fault: str = Field(description="none, party, agent, carrier, config (a setting has to be changed) or us")
    meaning: str
    detail: str = Field(description="the vendor's words, and what to change where that is known")


class CallOut(BaseModel):
    """One call. Times are seconds since the Unix epoch."""

    id: str
    direction: str
    state: str
    profile: str
    number: str = Field(description="masked, unless asked for with reveal=true")
    our_number: str
    agent_id: str
    cause: CauseOut | None
    disposition: str | None
    call_sid: str | None
    stream_sid: str | None
    conversation_id: str | None
    created_at: float
    dialed_at: float | None
    ringing_at: float | None
    answered_at: float | None
    connected_at: float | None
    ended_at: float | None
    request: dict[str, Any]
    metadata: dict[str, Any]
    turns: list[dict[str, Any]]
    latencies: dict[str, Any]
    node: str


class CallList(BaseModel):
    calls: list[CallOut]
    next: str | None = Field(description="pass as `before` for the page after this one; null: no more")


class ErrorBody(BaseModel):
    code: str = Field(description="stable, for programs")
    message: str = Field(description="what happened, one sentence")
    details: str = Field(description="what to change, or the vendor's own words")


class ErrorOut(BaseModel):
    """Every error of the versioned API."""

    error: ErrorBody


class ListQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    before: Annotated[CallIdText | SkipJsonSchema[None], Field(description="An id; older calls follow.")] = None
    state: CallState | SkipJsonSchema[None] = None
    reveal: Annotated[bool, Field(description="Show telephone numbers in full.")] = False


def call_out(call: CallRecord, *, reveal: bool) -> CallOut:
    """A stored call as the API shows it."""
    fields: dict[str, Any] = {name: getattr(call, name) for name in CallRecord.__dataclass_fields__}
    detail: str = fields.pop("cause_detail")
    if not reveal:
        masked = mask_number(call.number)
        # Vendors repeat the number in their texts.
        detail = detail.replace(call.number, masked) if call.number else detail
        fields["number"] = masked
    cause = call.cause
    fields["cause"] = (
        CauseOut(slug=cause.value, fault=cause.fault.value, meaning=cause.meaning, detail=detail) if cause else None
    )
    fields["turns"] = [dict(turn) for turn in call.turns]
    for name in ("request", "metadata", "latencies"):
        value: Mapping[str, Any] = fields[name]
        fields[name] = dict(value)
    return CallOut(**fields)
