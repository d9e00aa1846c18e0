"""The error bodies of the API, in every form it has had, and the answers that faults ask for.

``detail`` with type, code, message, status, request_id, param today; status and message in older answers; a list for
422; sometimes a plain text. Vendor page: "Errors" of the API reference.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

from aiohttp import web

from shortwire.emulators.elevenlabs.faults import Faults

__all__ = ["api_error", "body_error", "faulty", "json_response", "query_error", "unprocessable"]

Json = dict[str, Any]

_KINDS = {
    400: ("invalid_request", "invalid_request", "Invalid request"),
    401: ("authentication_error", "invalid_api_key", "Invalid API key"),
    402: ("payment_required", "insufficient_credits", "Not enough credits."),
    403: ("authorization_error", "forbidden", "Not allowed."),
    404: ("not_found", "agent_not_found", "The agent was not found."),
    409: ("conflict", "conflict", "Conflict"),
    429: ("rate_limit_error", "concurrent_limit_exceeded", "Too many concurrent requests."),
    500: ("internal_error", "internal_error", "Internal error"),
    503: ("service_unavailable", "system_busy", "Our services are experiencing high levels of traffic."),
}


def json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Compact JSON (as the captured error bodies)."""
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    return web.Response(text=text, status=status, headers=headers, content_type="application/json")


def unprocessable(items: list[Json]) -> web.Response:
    """422 in the framework's form."""
    return json_response({"detail": items}, 422)


def query_error(name: str, message: str = "Field required", kind: str = "missing") -> web.Response:
    """422 about one query parameter."""
    return unprocessable([{"loc": ["query", name], "msg": message, "type": kind}])


def body_error(name: str | None, message: str, kind: str) -> web.Response:
    """422 about the body, or one field of it."""
    return unprocessable([{"loc": ["body"] if name is None else ["body", name], "msg": message, "type": kind}])


def api_error(status: int, code: str = "", message: str = "") -> web.Response:
    """An error body as documented; 422 in the framework's form."""
    if status == 422:
        return query_error(code or "agent_id")
    request_id = uuid.uuid4().hex
    kind, usual_code, usual_message = _KINDS.get(status, _KINDS[400])
    code = code or usual_code
    error = {
        "type": kind,
        "code": code,
        "message": message or usual_message,
        "status": code,
        "request_id": request_id,
        "param": None,
    }
    return json_response({"detail": error}, status, {"request-id": request_id})


def faulty(status: int, faults: Faults) -> web.Response:
    """An answer that a fault asks for, in the form it asks for."""
    _, usual_code, message = _KINDS.get(status, _KINDS[400])
    code = faults.error_code or usual_code
    if faults.error_shape == "legacy":
        response = json_response({"detail": {"status": code, "message": message}}, status)
    elif faults.error_shape == "string":
        response = json_response({"detail": message}, status)
    elif faults.error_shape == "list":
        response = json_response({"detail": [{"loc": ["query", "agent_id"], "msg": message, "type": code}]}, status)
    elif faults.error_shape == "html":
        page = f"<html><head><title>{status}</title></head><body><h1>{message}</h1></body></html>"
        response = web.Response(text=page, status=status, content_type="text/html")
    elif faults.error_shape == "empty":
        response = web.Response(status=status)
    else:
        response = api_error(status, faults.error_code)
    if faults.retry_after_s is not None:
        response.headers["Retry-After"] = str(faults.retry_after_s)
    return response
