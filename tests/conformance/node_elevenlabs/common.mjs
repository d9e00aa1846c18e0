// What the programs here share: their arguments, waiting, audio in frames, and how they report.
import { readFileSync } from "node:fs";
import WS from "ws";

globalThis.WebSocket ??= WS; // Node 20 has none of its own

export const task = JSON.parse(process.argv[2]);

export const report = (result) => {
  process.stdout.write(`\nRESULT ${JSON.stringify(result)}\n`);
  process.exit(0);
};

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export const until = async (condition, what, timeoutMs = 30000) => {
  const end = Date.now() + timeoutMs;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`never: ${what}`);
    await sleep(10);
  }
};

// Speech as the telephone would deliver it: 20 ms of mu-law at a time (not paced: audio is the agent's clock).
export const frames = function* (path) {
  const sound = readFileSync(path);
  for (let at = 0; at < sound.length; at += 160) yield sound.subarray(at, at + 160);
};

process.on("unhandledRejection", (error) => {
  process.stderr.write(`${error?.stack ?? error}\n`);
  process.exit(1);
});
