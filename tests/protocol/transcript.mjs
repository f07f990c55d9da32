// SPDX-License-Identifier: MIT
// Replays transcripts with the Node client: reads {"type", "body"}, writes what came of it.
import {createInterface} from "node:readline";
import {Client, DaemonError} from "./bitnet.mjs";

const client = new Client(process.argv[2], {retryFor: 0});
for await (const line of createInterface({input: process.stdin})) {
  const {type, body} = JSON.parse(line);
  const out = {};
  try {
    if (type === "submit" && body.mode === "stream") {
      const texts = client.stream(body);
      out.streamed = "";
      let step;
      while (!(step = await texts.next()).done) out.streamed += step.value;
      out.ok = step.value;
    } else {
      out.ok = await client.ask(type, body);
    }
  } catch (error) {
    if (!(error instanceof DaemonError)) throw error;
    out.error = error.body;
  }
  console.log(JSON.stringify(out));
}
client.close();
