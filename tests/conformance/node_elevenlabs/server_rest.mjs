// @elevenlabs/elevenlabs-js: agents, conversations, errors.
import { createRequire } from "node:module";
import { report, task } from "./common.mjs";

const require = createRequire(import.meta.url);
const { ElevenLabsClient } = require("@elevenlabs/elevenlabs-js");
const { conversationalAi: api } = new ElevenLabsClient({ apiKey: task.apiKey, baseUrl: task.http });
const stranger = new ElevenLabsClient({ apiKey: "wrong", baseUrl: task.http, maxRetries: 0 });

const failure = async (work) => {
  try {
    await work();
  } catch (error) {
    const detail = error.body?.detail;
    return [error.statusCode, Array.isArray(detail) ? detail[0].type : (detail?.code ?? null)];
  }
  return null;
};
const collected = async (stream) => {
  const parts = [];
  for await (const part of stream) parts.push(Buffer.from(part));
  return Buffer.concat(parts);
};

const { agentId } = await api.agents.create({ conversationConfig: { agent: { firstMessage: "Hello." } }, name: "Second" });
const changed = await api.agents.update(agentId, { conversationConfig: { turn: { turnEagerness: "eager" } } });
const got = await api.agents.get(agentId);
const listed = await api.agents.list({ pageSize: 1, sortBy: "name" });
const second = await api.agents.list({ pageSize: 1, sortBy: "name", cursor: listed.nextCursor });
const wrong = await failure(() => api.agents.update(agentId, { conversationConfig: { tts: { speed: 3 } } }));
await api.agents.delete(agentId);
const gone = await failure(() => api.agents.get(agentId));
const unauthorized = await failure(() => stranger.conversationalAi.agents.list());
const unknown = await failure(() => api.conversations.getSignedUrl({ agentId: "nobody" }));
const signed = await api.conversations.getSignedUrl({ agentId: task.agentId });
const conversations = await api.conversations.list({ agentId: task.agentId, summaryMode: "include" });
const [first] = conversations.conversations;
const detail = await api.conversations.get(first.conversationId);
const audio = await collected(await api.conversations.audio.get(first.conversationId));
await api.conversations.feedback.create(first.conversationId, { feedback: "like" });
await api.conversations.delete(first.conversationId);
const deleted = await failure(() => api.conversations.get(first.conversationId));
const llms = await api.llm.list();
report({
  eagerness: [changed.conversationConfig.turn.turnEagerness, got.conversationConfig.turn.turnEagerness],
  kept: got.conversationConfig.agent.firstMessage,
  names: [listed.agents[0].name, listed.hasMore, second.agents[0].name, second.hasMore],
  wrong,
  gone,
  unauthorized,
  unknown,
  signed: signed.signedUrl,
  status: detail.status,
  transcript: detail.transcript.map((turn) => [turn.role, turn.message, turn.interrupted ?? null]),
  ttfb: detail.transcript[0].conversationTurnMetrics.metrics.convai_tts_service_ttfb.elapsedTime,
  summary: first.transcriptSummary,
  audio: [audio.length, audio[0]],
  deleted,
  llms: llms.llms.some(({ llm }) => llm === "gemini-2.5-flash"),
});
