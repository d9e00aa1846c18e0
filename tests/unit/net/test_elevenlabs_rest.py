"""Signed URLs against a small stub: the request, the warm connection, and every shape of refusal."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from shortwire.errors import AgentError
from shortwire.net.elevenlabs_rest import ElevenLabsPlatform
from shortwire.terms import AgentId, HangupCause

AGENT = AgentId("agent_1")
URL = "wss://api.elevenlabs.io/v1/convai/conversation?agent_id=agent_1&conversation_signature=s"


class Stub:
    def __init__(self) -> None:
        self.url = ""
        self.answer: Any = lambda _: web.json_response({"signed_url": URL})
        self.seen: list[web.Request] = []
        self.ports: set[Any] = set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        self.ports.add(request.transport.get_extra_info("peername"))  # type: ignore[union-attr]
        answer = self.answer(request)
        return await answer if asyncio.iscoroutine(answer) else answer


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    stub = Stub()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", stub.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    stub.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield stub
    await runner.cleanup()


@pytest.fixture
async def platform(stub: Stub) -> AsyncIterator[ElevenLabsPlatform]:
    platform = ElevenLabsPlatform("key", base_url=stub.url + "/")
    yield platform
    await platform.close()


async def test_a_signed_url_is_asked_for_with_our_key(stub: Stub, platform: ElevenLabsPlatform) -> None:
    assert await platform.signed_url(AGENT) == URL
    request = stub.seen[0]
    assert request.path_qs == "/v1/convai/conversation/get-signed-url?agent_id=agent_1"
    assert request.headers["xi-api-key"] == "key"


async def test_the_connection_stays_warm(stub: Stub, platform: ElevenLabsPlatform) -> None:
    for _ in range(3):
        await platform.signed_url(AGENT)
    assert len(stub.seen) == 3 and len(stub.ports) == 1


REFUSALS = [
    (
        401,
        {"detail": {"type": "authentication_error", "code": "invalid_api_key", "message": "Bad"}},
        "agent_unauthorized",
    ),
    (401, {"detail": {"status": "missing_permissions", "message": "No"}}, "agent_unauthorized"),
    (401, {"detail": {"status": "quota_exceeded", "message": "No credits"}}, "agent_quota"),
    (401, {"detail": "Unauthorized"}, "agent_unauthorized"),
    (402, {"detail": {"code": "insufficient_credits", "message": "Pay"}}, "agent_quota"),
    (403, {"detail": {"type": "authorization_error"}}, "agent_unauthorized"),
    (404, {"detail": {"code": "agent_not_found", "message": "No agent"}}, "agent_not_found"),
    (404, {"detail": "Not Found"}, "agent_not_found"),
    (429, {"detail": {"code": "concurrent_limit_exceeded", "message": "x"}}, "agent_busy"),
    (429, {"detail": {"status": "too_many_concurrent_requests"}}, "agent_busy"),
    (422, {"detail": [{"loc": ["query", "agent_id"], "msg": "Field required", "type": "missing"}]}, "agent_error"),
    (500, {"detail": {"type": "internal_error"}}, "agent_error"),
    (503, None, "agent_error"),
    (302, {}, "agent_error"),
]


@pytest.mark.parametrize(("status", "body", "cause"), REFUSALS)
async def test_a_refusal_names_the_cause(
    stub: Stub, platform: ElevenLabsPlatform, status: int, body: object, cause: str
) -> None:
    stub.answer = lambda _: web.json_response(body, status=status, headers={"Location": "/elsewhere"})
    with pytest.raises(AgentError) as caught:
        await platform.signed_url(AGENT)
    assert caught.value.cause == cause
    assert f"HTTP {status}" in caught.value.details
    assert len(stub.seen) == 1


async def test_a_refusal_keeps_the_hosts_words(stub: Stub, platform: ElevenLabsPlatform) -> None:
    body = {"detail": [{"loc": ["query", "agent_id"], "msg": "Field required", "type": "missing"}]}
    stub.answer = lambda _: web.json_response(body, status=422)
    with pytest.raises(AgentError, match=r"HTTP 422 query\.agent_id: Field required"):
        await platform.signed_url(AGENT)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"signed_url": 5}', '{"signed_url": "https://x/"}', '{"signed_url": "wss:x"}']
)
async def test_an_answer_without_a_signed_url_is_an_error(stub: Stub, platform: ElevenLabsPlatform, text: str) -> None:
    stub.answer = lambda _: web.Response(text=text)
    with pytest.raises(AgentError, match="without a signed URL"):
        await platform.signed_url(AGENT)


def test_a_protected_host_may_not_send_us_to_an_unprotected_socket() -> None:
    assert not ElevenLabsPlatform("key")._opens_a_socket("ws://api.elevenlabs.io/x")
    assert ElevenLabsPlatform("key", base_url="http://127.0.0.1:1")._opens_a_socket("ws://127.0.0.1:1/x")


async def test_a_silent_host_is_unreachable(stub: Stub) -> None:
    async def never(_: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    stub.answer = never
    platform = ElevenLabsPlatform("key", base_url=stub.url, deadline_s=0.2)
    with pytest.raises(AgentError, match="ELEVENLABS_BASE_URL") as caught:
        await platform.signed_url(AGENT)
    await platform.close()
    assert caught.value.cause == "agent_unreachable"


async def test_a_host_that_refuses_connections_is_unreachable() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        platform = ElevenLabsPlatform("key", base_url=f"http://127.0.0.1:{closed.getsockname()[1]}")
        with pytest.raises(AgentError) as caught:
            await platform.signed_url(AGENT)
        await platform.close()
    assert caught.value.cause == "agent_unreachable"
    # Where a call's end is told, the cause's own sentence comes first: the details must not say it again.
    assert caught.value.message == HangupCause.AGENT_UNREACHABLE.meaning
    assert "could not be reached" not in caught.value.details
