// @elevenlabs/client with audio both ways. Its voice mode needs a browser, so its WebSocketConnection carries the
// audio and its conversation class does everything else: pongs, tools, interruption, approvals, endings.
import { TextConversation, WebSocketConnection } from "@elevenlabs/client";
import { frames, report, sleep, task, until } from "./common.mjs";

const seen = [];
const note = (kind, value) => seen.push([kind, value]);
let audioBytes = 0;
let stale = 0;
let ended = null;

const options = TextConversation.getFullOptions({
  clientTools: { look_up: async ({ what }) => (note("tool", what), { answer: "nine to ten" }) },
  onMessage: ({ source, message, event_id }) => note(source, message, event_id),
  onInterruption: ({ event_id }) => note("interruption", event_id),
  onAgentResponseCorrection: (event) => note("correction", event),
  onPing: ({ event_id, ping_ms }) => note("ping", [event_id, ping_ms]),
  onVadScore: ({ vadScore }) => note("vad", vadScore),
  onContextUsage: (usage) => note("context", usage),
  onAgentToolRequest: (request) => note("request", request),
  onAgentToolResponse: (response) => note("response", response),
  onAgentChatResponsePart: (part) => note("part", part.type),
  onAsrInitiationMetadata: () => note("asr", null),
  onMCPConnectionStatus: (status) => note("mcp_status", status.integrations),
  onMCPToolCall: (call) => note("mcp", call.state),
  onMCPToolApprovalRequest: async () => task.approve,
  onGuardrailTriggered: () => note("guardrail", null),
  onAgentTyping: (event) => note("typing", event),
  onRichContent: (content) => note("rich", content.component),
  onDebug: (event) => note("debug", event.type),
  onError: (message) => note("error", message),
  onDisconnect: (details) => (ended = details),
});
const connection = await WebSocketConnection.create({ ...options, signedUrl: task.signedUrl });
const conversation = new TextConversation(options, connection);
let lastInterruption = 0;
options.onIncomingEvent = (event) => {
  note("raw", event.type);
  if (event.type === "interruption") lastInterruption = event.interruption_event.event_id;
  if (event.type === "audio" && event.audio_event.event_id < lastInterruption) stale += 1;
};
connection.addListener(({ audio_base_64 }) => (audioBytes += Buffer.from(audio_base_64, "base64").length));
conversation.markConnected();

const answers = () => seen.filter(([kind]) => kind === "ai").length;
for (const { after, waitMs, path } of task.says) {
  await until(() => answers() >= after || ended, `${after} answers`);
  await sleep(waitMs);
  for (const frame of frames(path)) {
    if (ended) break;
    connection.sendMessage({ user_audio_chunk: frame.toString("base64") });
  }
}
await until(() => ended, "the end");
report({ id: conversation.getId(), seen, audioBytes, stale, ended, formats: [connection.inputFormat, connection.outputFormat] });
