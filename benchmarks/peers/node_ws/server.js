// A bridge as the system this project grew out of had it: Node and ws, signed URL when the stream has opened,
// a full JSON parse and a trip through a Buffer for each piece of audio. Peer of the benchmark.

import http from "node:http";
import { WebSocket, WebSocketServer } from "ws";

const { ELEVENLABS_API_KEY, ELEVENLABS_AGENT_ID } = process.env;
const BASE_URL = process.env.ELEVENLABS_BASE_URL ?? "https://api.elevenlabs.io";
const PORT = Number(process.env.PORT ?? 8003);

async function signedUrl() {
  const url = `${BASE_URL}/v1/convai/conversation/get-signed-url?agent_id=${ELEVENLABS_AGENT_ID}`;
  const response = await fetch(url, { headers: { "xi-api-key": ELEVENLABS_API_KEY } });
  if (!response.ok) throw new Error(`no signed URL: ${response.status} ${response.statusText}`);
  return (await response.json()).signed_url;
}

const server = http.createServer((request, response) => {
  if (request.method !== "POST" || request.url !== "/incoming-call") {
    response.writeHead(404, { "content-type": "text/plain" }).end("not found");
    return;
  }
  request.resume();
  request.on("end", () => {
    const stream = `wss://${request.headers.host}/media-stream`;
    response
      .writeHead(200, { "content-type": "text/xml" })
      .end(
        `<?xml version="1.0" encoding="UTF-8"?><Response><Connect><Stream url="${stream}"/></Connect></Response>`,
      );
  });
});

const streams = new WebSocketServer({ server, path: "/media-stream" });

streams.on("connection", (phone) => {
  let streamSid = null;
  let agent = null;

  async function connectAgent() {
    agent = new WebSocket(await signedUrl());

    agent.on("open", () => {
      agent.send(JSON.stringify({ type: "conversation_initiation_client_data" }));
    });

    agent.on("message", (data) => {
      const message = JSON.parse(data);
      switch (message.type) {
        case "audio": {
          const audio = Buffer.from(message.audio_event.audio_base_64, "base64");
          phone.send(
            JSON.stringify({ event: "media", streamSid, media: { payload: audio.toString("base64") } }),
          );
          break;
        }
        case "interruption":
          phone.send(JSON.stringify({ event: "clear", streamSid }));
          break;
        case "ping":
          agent.send(JSON.stringify({ type: "pong", event_id: message.ping_event.event_id }));
          break;
      }
    });

    agent.on("error", (error) => console.error("agent:", error.message));
    agent.on("close", () => phone.close());
  }

  phone.on("message", (data) => {
    const message = JSON.parse(data);
    switch (message.event) {
      case "start":
        streamSid = message.start.streamSid;
        connectAgent().catch((error) => {
          console.error("agent:", error.message);
          phone.close();
        });
        break;
      case "media":
        if (agent?.readyState === WebSocket.OPEN) {
          const audio = Buffer.from(message.media.payload, "base64");
          agent.send(JSON.stringify({ user_audio_chunk: audio.toString("base64") }));
        }
        break;
      case "stop":
        agent?.close();
        break;
    }
  });

  phone.on("error", (error) => console.error("phone:", error.message));
  phone.on("close", () => agent?.close());
});

server.listen(PORT, "127.0.0.1");
