"""Error answers: one shape for each audience, chosen by path.

The versioned API has one shape for everything that can go wrong, the seed's route keeps the seed's
shape, and the carrier gets plain text, which it shows in its debugger.
"""

from __future__ import annotations

from http import HTTPStatus

from starlette.responses import JSONResponse, PlainTextResponse, Response

from ..errors import BridgeError, CarrierRefused

__all__ = ["WEBHOOKS", "bridge_error_answer", "error_answer", "is_webhook"]

WEBHOOKS = ("/incoming-call", "/outbound-call-twiml", "/status-callback")


def is_webhook(path: str) -> bool:
    """Whether the carrier calls this path: signed, not keyed."""
    return any(path == hook or path.startswith(hook + "/") for hook in WEBHOOKS)


def error_answer(
    path: str,
    status: int,
    code: str,
    message: str,
    details: str = "",
    *,
    call_id: str = "",
    headers: dict[str, str] | None = None,
) -> Response:
    """An error as whoever asks for `path` expects it."""
    if is_webhook(path):
        return PlainTextResponse(f"{message}: {details}" if details else message, status, headers=headers)
    if path == "/outbound-call":
        body: dict[str, object] = {"success": False, "error": message, "details": details, "code": code}
    else:
        error = {"code": code, "message": message, "details": details}
        body = {"error": {**error, "call_id": call_id} if call_id else error}
    return JSONResponse(body, status, headers=headers)


def bridge_error_answer(path: str, error: BridgeError) -> Response:
    """The answer to one of our own errors; each knows its status."""
    details = error.details
    if isinstance(error, CarrierRefused) and error.carrier_code and str(error.carrier_code) not in details:
        details = f"{details} (carrier error {error.carrier_code})".strip()
    headers = {"Retry-After": "1"} if error.http_status == HTTPStatus.SERVICE_UNAVAILABLE else None
    return error_answer(
        path, error.http_status, error.code, error.message, details, call_id=error.call_id, headers=headers
    )
