#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the transcripts anew from a real daemon: run it after a change of the protocol, and read the difference.

A transcript is one JSON file per message type: exchanges of one request (type, body, socket) with all its replies. The daemon's own test
(test_transcripts.py) asks the same and compares the replies' types, fields and kinds of values; the clients' tests get exactly these replies
from a stand-in for the daemon (replay.py). So each side is tested against the same page.
"""
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../system"))

from harness import Daemon  # noqa: E402
from raw import Peer  # noqa: E402

FOLDER = os.path.join(HERE, "transcripts")
GREEDY = {"max_tokens": 4, "temperature": 0, "ignore_eos": True}
JOB = "$job"  # stands for the id of a job that was accepted before, in this file or an earlier exchange
# What a daemon is asked, by the type that the file is for. Exchanges of one file come in order.
ASKED = {
    "hello": [{"body": {"ver": [1], "client": "transcript/1", "want": ["stream", "events"]}}, {"body": {}},
              {"body": {"ver": [2]}}],
    "ping": [{"body": {"t": "a stamp"}}, {"body": {}}],
    "submit": [
        {"name": "sync", "body": {"prompt": "One two three", "mode": "sync", "params": GREEDY, "meta": {"for": "you"}}},
        {"name": "stream", "body": {"messages": [{"role": "user", "content": "Hello"}], "mode": "stream", "params": GREEDY,
                                    "cache": {"no-cache": True}, "trace": True}},
        {"name": "job", "body": {"prompt": "Four five six", "params": GREEDY, "key": "a key"}},
        {"name": "the same key again", "body": {"prompt": "Four five six", "params": GREEDY, "key": "a key"}},
        {"name": "the key for another request", "body": {"prompt": "Seven", "params": GREEDY, "key": "a key"}},
        {"name": "job with its result", "body": {"prompt": "Eight nine", "params": GREEDY, "wait": "result"}},
        {"name": "embedding", "body": {"input": "a text", "mode": "sync"}},
        {"name": "embeddings behind an instruction", "body": {"items": [{"input": "a text"}, {"input": "another"}], "prefix": "Query: ", "mode": "sync"}},
        {"name": "a prefix where there is no input", "body": {"prompt": "x", "prefix": "Query: "}},
        {"name": "batch", "body": {"items": [{"prompt": "a", "custom_id": "first"}, {"prompt": "b"}], "params": GREEDY,
                                   "wait": "result"}},
        {"name": "not cached", "body": {"prompt": "never asked", "mode": "sync", "cache": {"only-if-cached": True}}},
        {"name": "an unknown field", "body": {"prompt": "x", "promt": "y"}},
        {"name": "out of bounds", "body": {"prompt": "x", "params": {"top_p": 2}}},
        {"name": "no such model", "body": {"prompt": "x", "model": "none"}},
        {"name": "too long for the model", "body": {"prompt": "x " * 3000}},
        {"name": "a deadline in the past", "body": {"prompt": "x", "deadline": "2020-01-01T00:00:00Z"}}],
    "result": [{"body": {"job": JOB, "wait_ms": 60000}}, {"body": {"job": "0190163d-8694-739b-aea5-966c26f8ad00"}}],
    "status": [{"body": {"job": JOB}}, {"body": {"jobs": [JOB, "0190163d-8694-739b-aea5-966c26f8ad00"]}}],
    "list": [{"body": {"limit": 2}}, {"body": {"state": ["done"], "limit": 1}}],
    "cancel": [{"body": {"job": JOB, "reason": "it has ended anyway"}}],
    "credit": [{"body": {"job": JOB}}],
    "attach": [{"body": {"job": JOB, "off": 0, "credit": 8}}, {"body": {"job": "0190163d-8694-739b-aea5-966c26f8ad00"}}],
    "detach": [{"body": {"job": JOB}}],
    "dead.list": [{"socket": "admin", "body": {"limit": 3}}],
    "dead.retry": [{"socket": "admin", "body": {"job": JOB}}],
    "dead.purge": [{"socket": "admin", "body": {}}],
    "job.requeue": [{"socket": "admin", "body": {"job": JOB}}],
    "ack": [{"body": {"job": JOB}}, {"body": {"job": JOB}}],
    "tokenize": [{"body": {"text": "One two three"}}, {"body": {"text": "One", "model": "none"}}],
    "detokenize": [{"body": {"tokens": [72, 105]}}, {"body": {"tokens": [2000000000]}}],
    "models": [{"body": {}}],
    "stats": [{"body": {}}],
    "metrics": [{"body": {}}],
    "reload": [{"socket": "admin", "body": {"dry_run": True}}, {"body": {}}],
    "profile": [{"socket": "admin", "body": {}}, {"socket": "admin", "body": {"name": "nosuch"}}],
    "cache": [{"socket": "admin", "body": {"op": "get", "entry": "1"}}, {"socket": "admin", "body": {"op": "flush"}},
              {"socket": "admin", "body": {"op": "flush", "tag": "prices"}}],
    "cache.report": [{"body": {"entry": "1", "verdict": "wrong"}}],
    "drain": [{"socket": "admin", "body": {}}],
    "undrain": [{"socket": "admin", "body": {}}],
}


def ends(exchange, kind, replies):
    """Whether nothing more follows for this request."""
    if kind not in ("submit", "attach") or replies[-1]["type"] in ("error", "result"):
        return True
    if kind == "attach":
        return False
    body = exchange["body"]
    if body.get("mode", "job") == "job" and body.get("wait") != "result":
        return True
    return replies[-1]["type"] == "result"


def perform(daemon, kind, exchange, job):
    """Asks a daemon; all replies."""
    body = json.loads(json.dumps(exchange["body"]).replace(JOB, job or JOB))
    replies = []
    with Peer(daemon.socket(exchange.get("socket", "front"))) as peer:
        got, _, answer = peer.request(kind, body, timeout=60)
        replies.append({"type": got, "body": answer})
        while not ends(exchange, kind, replies):
            got, _, answer = peer.receive(60)
            replies.append({"type": got, "body": answer})
    return replies


def job_of(exchange, replies):
    """The job that later exchanges mean."""
    durable = exchange.get("name") == "job"
    return next((r["body"]["job"] for r in replies if durable and r["type"] == "accepted"), None)


def main():
    os.makedirs(FOLDER, exist_ok=True)
    job = None
    with Daemon() as daemon:
        for kind, exchanges in ASKED.items():
            out = []
            for exchange in exchanges:
                replies = perform(daemon, kind, exchange, job)
                job = job_of(exchange, replies) or job
                out.append({"name": exchange.get("name", kind), "socket": exchange.get("socket", "front"),
                            "body": json.loads(json.dumps(exchange["body"]).replace(JOB, job or JOB)), "replies": replies})
            with open(os.path.join(FOLDER, kind + ".json"), "w", encoding="utf-8") as f:
                json.dump(out, f, indent=1, ensure_ascii=False)
                f.write("\n")
            print("%-8s %d exchanges" % (kind, len(out)))


if __name__ == "__main__":
    main()
