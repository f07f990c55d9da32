// SPDX-License-Identifier: MIT
// node example.mjs ipc:///run/bitnetd/front.sock "What is a daemon?"
import {Client} from "./bitnet.mjs";

const [endpoint, question] = process.argv.slice(2);
if (!question) {
  console.error("usage: node example.mjs ENDPOINT QUESTION");
  process.exit(2);
}
const client = new Client(endpoint);
try {
  for await (const text of client.stream({messages: [{role: "user", content: question}]}))
    process.stdout.write(text);
  const {job} = await client.submit({prompt: question, params: {max_tokens: 8}});
  const result = await client.result(job);
  process.stdout.write(`\n${job} ${result.state}: ${result.text}\n`);
} finally {
  client.close();
}
