// @elevenlabs/client in writing: Conversation.startSession, public or by signed URL, and what a chat can send.
import { Conversation, postOverallFeedback } from "@elevenlabs/client";
import { report, task, until } from "./common.mjs";

const messages = [];
const errors = [];
const unhandled = [];
let ended = null;
const conversation = await Conversation.startSession({
  ...(task.signedUrl ? { signedUrl: task.signedUrl } : { agentId: task.agentId, connectionType: "websocket" }),
  origin: task.origin,
  textOnly: true,
  userId: "caller-1",
  overrides: { agent: { firstMessage: "Hi {{name}}, how are you?" }, asr: { keywords: ["Acme"] } },
  dynamicVariables: { name: "Ann", vip: true, n: 3 },
  onMessage: ({ source, message, event_id }) => messages.push([source, message, event_id]),
  onUnhandledClientToolCall: (call) => unhandled.push(call.tool_name),
  onError: (message) => errors.push(message),
  onDisconnect: (details) => (ended = details),
});
const answers = (times) => until(() => messages.length >= times, `${times} messages`);
await answers(1);
conversation.sendContextualUpdate("on hold list", { contextId: "crm" });
conversation.sendContextualUpdate("off hold list", { contextId: "crm" });
conversation.sendUserActivity();
conversation.sendFeedback(true, messages[0][2]);
conversation.sendUserMessage("Are you well?");
await answers(2);
const { fileId } = await conversation.uploadFile(new File(["a menu"], "menu.txt", { type: "text/plain" }));
conversation.sendMultimodalMessage({ text: "See this.", fileId });
await answers(3);
const overall = await postOverallFeedback(conversation.getId(), { rating: 4, comment: "fine" }, task.http);
if (task.hangUp) await conversation.endSession();
await until(() => ended, "the end");
report({ id: conversation.getId(), messages, errors, unhandled, fileId, overall: overall.status, ended });
