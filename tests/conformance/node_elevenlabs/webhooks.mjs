// @elevenlabs/elevenlabs-js: its webhook verification, on requests as they arrived.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { report, task } from "./common.mjs";

const require = createRequire(import.meta.url);
const { ElevenLabsClient } = require("@elevenlabs/elevenlabs-js");
const client = new ElevenLabsClient({ apiKey: "k" });

const results = [];
for (const { path, header, secret } of task.requests) {
  try {
    const event = await client.webhooks.constructEvent(readFileSync(path, "utf8"), header, secret);
    results.push([event.type, event.data.conversation_id]);
  } catch (error) {
    results.push(["refused", String(error.message).split("\n")[0]]);
  }
}
report({ results });
