"""A bridge as a Python developer writes it in an afternoon: FastAPI, the websockets client, two tasks a call.

Peer of the benchmark. Signed URL when the stream has opened, every message parsed and written as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os

import aiohttp
import uvicorn
import websockets
from fastapi import FastAPI, Request, Response, WebSocket, WebSocketDisconnect

BASE_URL = os.environ.get("ELEVENLABS_BASE_URL", "https://api.elevenlabs.io")
API_KEY = os.environ["ELEVENLABS_API_KEY"]
AGENT_ID = os.environ["ELEVENLABS_AGENT_ID"]

app = FastAPI()


@app.post("/incoming-call")
async def incoming_call(request: Request) -> Response:
    host = request.headers["host"]
    twiml = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<Response><Connect><Stream url="wss://{host}/media-stream"/></Connect></Response>'
    )
    return Response(twiml, media_type="text/xml")


async def signed_url() -> str:
    url = f"{BASE_URL}/v1/convai/conversation/get-signed-url"
    async with (
        aiohttp.ClientSession() as session,
        session.get(url, params={"agent_id": AGENT_ID}, headers={"xi-api-key": API_KEY}) as response,
    ):
        response.raise_for_status()
        return str((await response.json())["signed_url"])


@app.websocket("/media-stream")
async def media_stream(phone: WebSocket) -> None:
    await phone.accept()
    stream_sid = ""
    async for message in phone.iter_json():
        if message["event"] == "start":
            stream_sid = message["start"]["streamSid"]
            break
    async with websockets.connect(await signed_url(), max_size=16 * 1024 * 1024) as agent:
        await agent.send(json.dumps({"type": "conversation_initiation_client_data"}))
        tasks = [
            asyncio.create_task(phone_to_agent(phone, agent)),
            asyncio.create_task(agent_to_phone(agent, phone, stream_sid)),
        ]
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*done, *pending, return_exceptions=True)


async def phone_to_agent(phone: WebSocket, agent: websockets.ClientConnection) -> None:
    try:
        while True:
            message = json.loads(await phone.receive_text())
            if message["event"] == "media":
                await agent.send(json.dumps({"user_audio_chunk": message["media"]["payload"]}))
            elif message["event"] == "stop":
                return
    except (WebSocketDisconnect, websockets.ConnectionClosed):
        return


async def agent_to_phone(agent: websockets.ClientConnection, phone: WebSocket, stream_sid: str) -> None:
    async for text in agent:
        message = json.loads(text)
        kind = message["type"]
        if kind == "audio":
            payload = message["audio_event"]["audio_base_64"]
            await phone.send_json({"event": "media", "streamSid": stream_sid, "media": {"payload": payload}})
        elif kind == "interruption":
            await phone.send_json({"event": "clear", "streamSid": stream_sid})
        elif kind == "ping":
            event_id = message["ping_event"]["event_id"]
            await agent.send(json.dumps({"type": "pong", "event_id": event_id}))


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ.get("PORT", "8002")), log_level="warning")
