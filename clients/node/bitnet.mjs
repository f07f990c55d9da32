// SPDX-License-Identifier: MIT
// A client of bitnetd for Node, written from docs/protocol.md and nothing else of this project.
import {randomUUID} from "node:crypto";
import {Dealer} from "zeromq";

/** An `error` of the daemon; `body` has code, name, msg, retry, field, … */
export class DaemonError extends Error {
  constructor(body) {
    super(`${body.name}: ${body.msg}`);
    this.body = body;
  }
}

const sleep = ms => new Promise(done => setTimeout(done, ms));

/** A connection. Any number of requests may be under way; replies find theirs by the message id. */
export class Client {
  #socket = new Dealer({linger: 0});
  #waiting = new Map(); // message id -> what takes its replies
  #lastId = 0;
  #closed = false;

  constructor(endpoint, {serverKey, publicKey, secretKey, retryFor = 60_000} = {}) {
    if (serverKey) {
      this.#socket.curveServerKey = serverKey;
      this.#socket.curvePublicKey = publicKey;
      this.#socket.curveSecretKey = secretKey;
    }
    this.retryFor = retryFor;
    this.#socket.connect(endpoint);
    this.#read();
  }

  close() {
    this.#closed = true;
    this.#socket.close();
  }

  async #read() {
    try {
      for await (const frames of this.#socket) {
        const [version, type, id, body] = frames.slice(-4).map(frame => frame.toString());
        if (version !== "BN1") continue;
        const message = {type, body: JSON.parse(body)};
        const takers = type === "goodbye" ? [...this.#waiting.values()] : [this.#waiting.get(id)];
        for (const take of takers) take?.(message);
      }
    } catch (error) {
      if (!this.#closed) throw error;
    }
  }

  /** The replies to one request, until the caller has enough. */
  async *#replies(type, body) {
    const id = String(++this.#lastId);
    const queue = [];
    let wake = () => {};
    this.#waiting.set(id, message => { queue.push(message); wake(); });
    try {
      await this.#socket.send(["BN1", type, id, JSON.stringify(body)]);
      for (;;) {
        while (queue.length === 0) await new Promise(done => { wake = done; });
        yield queue.shift();
      }
    } finally {
      this.#waiting.delete(id);
    }
  }

  /** One request with one reply. Repeated while the daemon says `later`. */
  async ask(type, body = {}) {
    const until = Date.now() + this.retryFor;
    for (let pause = 100;; pause = Math.min(pause * 2, 5000)) {
      for await (const reply of this.#replies(type, body)) {
        if (reply.type === "goodbye") throw new Error("the daemon is shutting down");
        if (reply.type !== "error") return reply.body;
        if (reply.body.retry !== "later" || Date.now() > until) throw new DaemonError(reply.body);
        await sleep(reply.body.retry_after_ms ?? pause);
        break;
      }
    }
  }

  /** A durable job; the key makes a repetition safe. What `accepted` says. */
  submit(request) {
    return this.ask("submit", {key: randomUUID(), ...request, mode: "job"});
  }

  /** The result of a job when it has ended, however long that takes. */
  async result(job) {
    for (;;) {
      const reply = await this.ask("result", {job, wait_ms: 20_000});
      if (reply.jobs) continue; // a status: not ended yet
      if (reply.error) throw new DaemonError(reply.error);
      return reply;
    }
  }

  /** An answer as it is made: yields texts, returns the result. */
  async *stream(request) {
    const credit = 64;
    let used = 0, told = 0;
    for await (const {type, body} of this.#replies("submit", {...request, mode: "stream", credit})) {
      if (type === "delta") {
        if (body.off !== told) throw new Error("a part of the answer is missing");
        told += Buffer.byteLength(body.text);
        yield body.text;
        if (++used >= credit / 2) {
          await this.#socket.send(["BN1", "credit", "c", JSON.stringify({job: body.job, n: used})]);
          used = 0;
        }
      } else if (type === "result") {
        const rest = Buffer.from(body.text).subarray(told); // what no delta covered
        if (rest.length > 0) yield rest.toString();
        return body;
      } else if (type === "error") {
        throw new DaemonError(body);
      } else if (type === "goodbye") {
        throw new Error("the daemon is shutting down");
      }
    }
  }
}
