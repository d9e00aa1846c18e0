"""`create_app`: the FastAPI application over a desk.

Wiring only: routes, error shapes, the guard around them. It starts nothing and owns nothing, so it
can be mounted on the listener that also carries the media, or driven by a test.
"""

from __future__ import annotations

import re
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, Response

from .. import __version__
from ..errors import BridgeError
from ..ports import CallDesk
from ..records import CallRequest
from .answers import bridge_error_answer, error_answer
from .api import api_routes, errors
from .docs_page import docs_page
from .echo import echo_routes
from .guard import Guard
from .models import SeedCallIn, SeedCallOut, SeedErrorOut
from .options import WebOptions
from .webhooks import webhook_routes

__all__ = ["create_app"]

_HTTP_CODES = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 415: "unsupported_media_type"}


def create_app(desk: CallDesk, options: WebOptions) -> FastAPI:
    """Every HTTP route of the server. `desk` answers; the guard has let through whoever reaches it."""
    app = FastAPI(
        title="Shortwire",
        version=__version__,
        summary="An ElevenLabs agent on a Twilio phone line",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.include_router(api_routes(desk, options))
    app.include_router(webhook_routes(desk, options))
    if options.echo is not None:
        app.include_router(echo_routes(options.echo))
    _seed_routes(app, desk)
    _public_routes(app, desk)
    app.add_exception_handler(BridgeError, _on_bridge_error)
    app.add_exception_handler(RequestValidationError, _on_bad_request)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_middleware(Guard, options=options)
    return app


def _seed_routes(app: FastAPI, desk: CallDesk) -> None:
    failures: dict[int | str, dict[str, Any]] = {
        status: {**answer, "model": SeedErrorOut}
        for status, answer in errors(400, 401, 413, 422, 500, 502, 503, 504).items()
    }

    @app.post("/outbound-call", responses=failures, tags=["calls"], summary="Place a call (the seed's route)")
    async def outbound_call(body: SeedCallIn) -> SeedCallOut:
        call = await desk.place_call(CallRequest(body.number, prompt=body.prompt, first_message=body.first_message))
        return SeedCallOut(message="Call initiated", callSid=call.call_sid)


def _public_routes(app: FastAPI, desk: CallDesk) -> None:
    @app.get("/healthz", tags=["server"], summary="Whether the process lives")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get(
        "/readyz", tags=["server"], summary="Whether it takes new calls", responses={503: {"description": "Not now."}}
    )
    async def readyz() -> JSONResponse:
        # Anybody may ask, so it says no more than a load balancer needs.
        health = desk.health()
        ready = bool(health.get("ready")) and not health.get("draining")
        body = {"ready": ready, "draining": bool(health.get("draining"))}
        if not ready and health.get("reason"):
            body["reason"] = health["reason"]
        return JSONResponse(body, 200 if ready else 503)

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> JSONResponse:
        return JSONResponse(openapi_document(app))

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(docs_page(openapi_document(app)))


def openapi_document(app: FastAPI) -> dict[str, Any]:
    """The framework's document, with the credentials that the guard asks for."""
    document = app.openapi()
    components = document.setdefault("components", {})
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    for path, operations in document["paths"].items():
        for operation in operations.values():
            operation["security"] = [] if path in ("/healthz", "/readyz") else [{"bearer": []}, {"header": []}]
    return document


async def _on_bridge_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, BridgeError)
    return bridge_error_answer(request.url.path, error)


async def _on_bad_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    problems = error.errors()
    if any(problem["type"] == "json_invalid" for problem in problems):
        return error_answer(request.url.path, 400, "bad_json", "the body is not JSON", "send one JSON object")
    details = "; ".join(dict.fromkeys(_problem(problem) for problem in problems))
    return error_answer(request.url.path, 422, "invalid_request", "the request has a wrong field", details[:2000])


def _problem(problem: dict[str, Any]) -> str:
    """Field and what to write, without what was written: it may be a number or a secret."""
    where = [str(part) for part in problem["loc"] if part not in ("body", "query", "header", "path")]
    name = ".".join(where).replace("\x00", "") or "the body"
    if problem["type"] == "extra_forbidden":
        return f"{name}: there is no such field; leave it out"
    if problem["type"] == "missing":
        return f"{name}: is needed" if where else "the body: send one JSON object"
    text = str(problem["msg"]).removeprefix("Value error, ")
    return f"{name}: {text[:1].lower()}{text[1:]}"


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path, status = request.url.path, error.status_code
    headers = dict(error.headers or {})
    if status == 405 and (methods := _methods(request.app, path)):
        # The framework answers with the methods of the first route that has this path.
        headers["Allow"] = ", ".join(methods)
    code = _HTTP_CODES.get(status, "http_error")
    text = {404: "there is no such route", 405: "this route does not know that method"}.get(status)
    return error_answer(path, status, code, text or str(error.detail), "see /docs" if text else "", headers=headers)


def _methods(app: FastAPI, path: str) -> list[str]:
    """The methods that the published routes know for a path."""
    for template, operations in openapi_document(app)["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
            return sorted(method.upper() for method in operations)
    return []
