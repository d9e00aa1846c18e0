// @elevenlabs/client at the door: what its start promise says when it may not come in, or is sent away at once.
import { Conversation } from "@elevenlabs/client";
import { report, sleep, task, until } from "./common.mjs";

let ended = null;
const errors = [];
try {
  await Conversation.startSession({
    ...task.options,
    onError: (message, context) => errors.push([message, context?.errorType ?? null]),
    onDisconnect: (details) => (ended = details),
  });
} catch (error) {
  report({ refused: String(error.message), closeCode: error.closeCode ?? null });
}
await until(() => ended, "the end");
await sleep(50);
report({ refused: null, errors, ended });
