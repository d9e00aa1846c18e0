// The official SDK for Node as a client: told what to do by one JSON line, tells what it found by one.
"use strict";

const http = require("http");
const twilio = require("twilio");

const plan = JSON.parse(process.argv[2]);
const client = twilio(plan.user, plan.password, { accountSid: plan.account });
client.api.baseUrl = plan.baseUrl;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function until(check) {
  for (let n = 0; n < 1000; n += 1) {
    const found = await check();
    if (found) return found;
    await pause(20);
  }
  throw new Error("waited too long");
}

// A web server that lets the SDK judge every request it is sent, the upgrade of the media socket too.
function judge() {
  const verdicts = [];
  const server = http.createServer((request, response) => {
    const chunks = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
      const url = `http://127.0.0.1:${server.address().port}${request.url}`;
      const params = {};
      for (const [name, value] of new URLSearchParams(Buffer.concat(chunks).toString())) params[name] = value;
      const signature = request.headers["x-twilio-signature"];
      const path = request.url.split("?")[0];
      verdicts.push([path, twilio.validateRequest(plan.token, signature, url, params)]);
      verdicts.push([`${path} wrong token`, twilio.validateRequest("another", signature, url, params)]);
      if (path !== "/voice") {
        response.writeHead(204).end();
        return;
      }
      const answer = new twilio.twiml.VoiceResponse();
      const media = `ws://127.0.0.1:${server.address().port}/media`;
      answer.connect().stream({ url: media }).parameter({ name: "ticket", value: "t-1" });
      answer.hangup();
      response.writeHead(200, { "Content-Type": "text/xml" }).end(answer.toString());
    });
  });
  server.on("upgrade", (request, socket) => {
    const url = `ws://127.0.0.1:${server.address().port}${request.url}`;
    verdicts.push(["/media", twilio.validateRequest(plan.token, request.headers["x-twilio-signature"], url, {})]);
    socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve({ server, verdicts })));
}

async function refused(work) {
  try {
    await work();
  } catch (error) {
    return { code: error.code, status: error.status, message: error.message };
  }
  return null;
}

async function calls(found) {
  const long = "<Response><Pause length='60'/></Response>";
  const made = await client.calls.create({ to: plan.to, from: plan.from, twiml: long, timeLimit: 60 });
  found.made = [made.status, made.direction, made.dateCreated === null];
  await until(async () => (await client.calls(made.sid).fetch()).status === "in-progress");
  const recording = await client.calls(made.sid).recordings.create({ recordingChannels: "dual" });
  found.recording = [recording.status, recording.channels, recording.source];
  await pause(100);
  found.paused = (await client.calls(made.sid).recordings("Twilio.CURRENT").update({ status: "paused" })).status;
  found.stopped = (await client.calls(made.sid).recordings(recording.sid).update({ status: "stopped" })).status;
  const whole = await until(async () => {
    const item = await client.recordings(recording.sid).fetch();
    return item.status === "completed" && item;
  });
  const media = Buffer.from(await (await fetch(`${whole.mediaUrl}.wav`)).arrayBuffer());
  found.media = [media.toString("latin1", 0, 4), media.readUInt16LE(22)];
  found.recordings = (await client.recordings.list({ callSid: made.sid })).length;
  found.removed = await client.recordings(recording.sid).remove();
  found.gone = await refused(() => client.recordings(recording.sid).fetch());
  const done = await client.calls(made.sid).update({ status: "completed" });
  found.done = [done.status, done.endTime instanceof Date];
  found.over = await refused(() => client.calls(made.sid).update({ status: "completed" }));
  for (let n = 0; n < 3; n += 1) await client.calls.create({ to: plan.to, from: plan.from, twiml: long });
  found.listed = (await client.calls.list({ pageSize: 2 })).length;
  found.completed = (await client.calls.list({ status: "completed" })).length;
  const limit = new Date(Date.now() - 3600 * 1000);
  found.recent = (await client.calls.list({ startTimeAfter: limit })).length;
  found.old = (await client.calls.list({ startTimeBefore: limit })).length;
  found.deleted = await client.calls(made.sid).remove();
}

async function errors(found) {
  const good = { to: plan.to, from: plan.from, twiml: "<Response/>" };
  found.notOwned = await refused(() => client.calls.create({ ...good, from: "+15005550099" }));
  found.badTimeout = await refused(() => client.calls.create({ ...good, timeout: 601 }));
  found.unknown = await refused(() => client.calls("CA" + "0".repeat(32)).fetch());
  const stranger = twilio(plan.account, "wrong", { accountSid: plan.account });
  stranger.api.baseUrl = plan.baseUrl;
  found.stranger = await refused(() => stranger.calls.create(good));
}

async function signatures(found) {
  const { server, verdicts } = await judge();
  const base = `http://127.0.0.1:${server.address().port}`;
  const made = await client.calls.create({
    to: plan.to,
    from: plan.from,
    url: `${base}/voice?campaign=a%20b`,
    statusCallback: `${base}/status`,
    statusCallbackEvent: ["initiated", "ringing", "answered", "completed"],
  });
  await until(() => verdicts.filter(([path]) => path === "/status").length === 4);
  found.verdicts = verdicts;
  const notes = await client.calls(made.sid).notifications.list();
  found.notes = notes.map((note) => note.errorCode);
  found.events = (await client.calls(made.sid).events.list()).map((event) => event.request.method);
  server.close();
}

(async () => {
  const found = { version: require("twilio/package.json").version };
  await calls(found);
  await errors(found);
  await signatures(found);
  process.stdout.write(`${JSON.stringify(found)}\n`);
  process.exit(0);
})().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});
