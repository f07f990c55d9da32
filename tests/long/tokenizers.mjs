// SPDX-License-Identifier: MIT
// Ids of npm's Llama-3 tokenizer: one JSON string per line in, one JSON array per line out.
import readline from 'node:readline';
import tokenizer from 'llama3-tokenizer-js';

for await (const line of readline.createInterface({input: process.stdin}))
  console.log(JSON.stringify(tokenizer.encode(JSON.parse(line), {bos: false, eos: false})));
