"""The API client against a server that behaves, and several that do not."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from shortwire.demo.client import ApiError, CallApi, settled

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
KEY = "a-key-of-sixteen-characters"


@pytest.fixture
async def serving() -> AsyncIterator[Callable[..., Awaitable[CallApi]]]:
    servers: list[TestServer] = []
    apis: list[CallApi] = []

    async def serve(method: str, path: str, handler: Handler) -> CallApi:
        app = web.Application()
        app.router.add_route(method, path, handler)
        server = TestServer(app)
        await server.start_server()
        servers.append(server)
        apis.append(CallApi(str(server.make_url("/")), KEY))
        return apis[-1]

    yield serve
    for api in apis:
        await api.__aexit__()
    for server in servers:
        await server.close()


def event_stream(text: str) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        assert request.headers["Authorization"] == f"Bearer {KEY}"
        return web.Response(text=text, content_type="text/event-stream")

    return handler


def message(seq: int, kind: str) -> str:
    return f"id: {seq}\nevent: {kind}\ndata: {json.dumps({'seq': seq, 'kind': kind, 'data': {}})}\n\n"


async def test_events_come_in_order_and_comments_are_skipped(serving: Callable[..., Awaitable[CallApi]]) -> None:
    text = "retry: 1000\n\n" + message(1, "call.created") + ": still there\n\n" + message(2, "call.ended")
    api = await serving("GET", "/v1/calls/{id}/events", event_stream(text + message(3, "never")))
    assert [event["seq"] async for event in api.follow("call_1")] == [1, 2]


async def test_a_stream_that_breaks_off_is_an_error(serving: Callable[..., Awaitable[CallApi]]) -> None:
    api = await serving("GET", "/v1/calls/{id}/events", event_stream(message(1, "call.created")))
    with pytest.raises(ApiError, match="ended before the call did"):
        [event async for event in api.follow("call_1")]


async def test_refusals_are_told_in_the_servers_words(serving: Callable[..., Awaitable[CallApi]]) -> None:
    async def refuse(request: web.Request) -> web.Response:
        return web.json_response({"error": {"code": "number_refused"}}, status=422)

    api = await serving("POST", "/v1/calls", refuse)
    with pytest.raises(ApiError, match=r"422.*number_refused"):
        await api.place({"number": "+1"})


async def test_what_is_no_object_is_refused(serving: Callable[..., Awaitable[CallApi]]) -> None:
    async def a_list(request: web.Request) -> web.Response:
        return web.json_response([])

    api = await serving("GET", "/v1/calls/{id}", a_list)
    with pytest.raises(ApiError, match="expected an object"):
        await api.call("call_1")


async def test_nobody_there_is_not_ready_and_an_error_for_everything_else() -> None:
    from shortwire.demo.processes import free_port

    async with CallApi(f"http://127.0.0.1:{free_port()}", KEY) as api:
        assert await api.ready() is False
        with pytest.raises(ApiError, match="GET /v1/calls/call_1"):
            await api.call("call_1")


async def test_a_call_is_settled_once_its_figures_are_stored(serving: Callable[..., Awaitable[CallApi]]) -> None:
    answers = [
        {"state": "ending", "latencies": {}},
        {"state": "ended", "latencies": {}},
        {"state": "ended", "latencies": {"n": 1}},
    ]

    async def call(request: web.Request) -> web.Response:
        return web.json_response(answers.pop(0) if len(answers) > 1 else answers[0])

    api = await serving("GET", "/v1/calls/{id}", call)
    assert (await settled(api, "call_1"))["latencies"] == {"n": 1}
