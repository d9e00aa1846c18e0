// @elevenlabs/elevenlabs-js: its Conversation on the signed URL that its own client fetched.
import { createRequire } from "node:module";
import { frames, report, sleep, task, until } from "./common.mjs";

const require = createRequire(import.meta.url);
const { ElevenLabsClient } = require("@elevenlabs/elevenlabs-js");
const { Conversation } = require("@elevenlabs/elevenlabs-js/api/resources/conversationalAi/conversation");
const { ClientTools } = require("@elevenlabs/elevenlabs-js/api/resources/conversationalAi/conversation/ClientTools");

const seen = [];
const note = (kind, ...values) => seen.push([kind, ...values]);
let audioBytes = 0;
let over = null;

class Phone {
  start(send) {
    this.playing = this.play(send);
  }
  async play(send) {
    for (const { after, waitMs, path } of task.says) {
      await until(() => seen.filter(([kind]) => kind === "agent").length >= after || over, `${after} answers`);
      await sleep(waitMs);
      for (const frame of frames(path)) if (!over) send(frame);
    }
  }
  output(audio) {
    audioBytes += audio.length;
  }
  interrupt() {
    note("interrupt");
  }
  stop() {}
}

const tools = new ClientTools();
tools.register("look_up", async ({ what }) => (note("tool", what), "nine to ten"));
const client = new ElevenLabsClient({ apiKey: task.apiKey, baseUrl: task.http });
const conversation = new Conversation({
  client,
  agentId: task.agentId,
  requiresAuth: true,
  audioInterface: new Phone(),
  clientTools: tools,
  config: { extraBody: {}, conversationConfigOverride: {}, dynamicVariables: { name: "Ann" }, environment: "production" },
  callbackAgentResponse: (text) => note("agent", text),
  callbackAgentResponseCorrection: (was, now) => note("correction", was, now),
  callbackUserTranscript: (text) => note("user", text),
  callbackLatencyMeasurement: (ms) => note("latency", ms),
});
conversation.on("session_ended", (id, code, reason) => (over = { id, code, reason }));
await conversation.startSession();
await until(() => over, "the end");
report({ seen, audioBytes, over });
