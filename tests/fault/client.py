#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""One client process of the fault harness: random operations over raw BN1, every one of them logged.

    client.py ENDPOINT NAME PRINCIPAL SEED LOG JOBS PATIENCE

LOG gets one JSON object per line: what was invoked, and every message that came, with a monotonic stamp that is comparable
between processes. JOBS is a folder where clients leave their job ids, so that others can try to get at them. PATIENCE:
seconds after which a job counts as lost while the daemon answers pings. Ends when its standard input does.
"""
import json
import os
import random
import select
import sys
import time

import zmq

SILENCE = 3.0  # seconds without a message until the daemon is asked whether it lives
PROMPTS = ["What is a daemon?", "Once upon a time", "A ternary weight is", "Count with me:", "The answer"]
ENDS = ("result", "error", "ok", "status", "list", "pong", "welcome")


class Process:
    def __init__(self, endpoint, name, principal, seed, log, jobs, patience):
        self.endpoint, self.name, self.principal = endpoint, name, principal
        self.draw = random.Random(seed)
        self.log = open(log, "a", encoding="utf-8", buffering=1)
        self.jobs_folder, self.patience = jobs, patience
        self.number = 0
        self.mine, self.retries = [], []
        self.socket, self.epoch, self.aside = None, None, []
        self.connect()
        self.alive()

    def connect(self):
        if self.socket is not None:
            self.socket.close()
        self.aside = []  # what came while a pong was awaited
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.SNDTIMEO, 200)
        self.socket.setsockopt(zmq.RECONNECT_IVL, 20)
        self.socket.connect(self.endpoint)

    def note(self, **what):
        what.update(t=time.monotonic_ns(), client=self.name, principal=self.principal)
        self.log.write(json.dumps(what) + "\n")

    def operate(self, kind, body, last=ENDS):
        """One operation to its end: (type, body) of the last message, or None when nobody knows."""
        self.number += 1
        op = "%s-%d" % (self.name, self.number)
        self.note(event="invoke", op=op, kind=kind, body=body)
        try:
            self.socket.send_multipart([b"BN1", kind.encode(), op.encode(), json.dumps(body).encode()])
        except zmq.Again:
            self.note(event="fail", op=op)  # never left this process
            self.connect()
            return None
        end = None
        began = heard = time.monotonic()
        while end is None:
            if self.aside or self.socket.poll(200):
                heard = time.monotonic()
                message = self.aside.pop(0) if self.aside else self.receive()
                if message[0] == op:
                    end = message[1:] if message[1] in last else None
                    if message[1] == "delta" and message[2]["seq"] % 8 == 7:
                        self.socket.send_multipart([b"BN1", b"credit", b"c", json.dumps(
                            {"job": message[2]["job"], "n": 8}).encode()])
            elif time.monotonic() - heard > SILENCE and not self.alive():
                break
            if time.monotonic() - began > self.patience:
                break
        if end is None:
            self.note(event="unknown", op=op)
            self.connect()
        return end

    def receive(self):
        *_, kind, tag, body = self.socket.recv_multipart()
        kind, tag, body = kind.decode(), tag.decode(), json.loads(body)
        if tag not in ("c", "alive"):
            self.note(event="message", op=tag, kind=kind, body=body)
        return tag, kind, body

    def alive(self):
        """Whether the same daemon still answers: what it says meanwhile is noted as ever."""
        try:
            self.socket.send_multipart([b"BN1", b"ping", b"alive", b"{}"])
        except zmq.Again:
            return False
        end = time.monotonic() + 1
        while time.monotonic() < end:
            if self.socket.poll(100):
                message = self.receive()
                if message[0] != "alive":
                    self.aside.append(message)
                else:  # another epoch: what was asked of the earlier daemon gets no answer
                    known, self.epoch = self.epoch, message[2].get("epoch")
                    return known in (None, self.epoch)
        return False

    # What it does -----------------------------------------------------------------------------

    def request(self):
        draw = self.draw
        body = {"prompt": draw.choice(PROMPTS), "params": {"max_tokens": draw.choice((2, 8, 24)), "ignore_eos": True}}
        if draw.random() < 0.6:  # else equal ones meet in flight and in the cache
            body["prompt"] += " %d" % draw.randrange(1000)
        if draw.random() < 0.4:
            body["cache"] = {"no-cache": True}
        if draw.random() < 0.1:
            body["deadline_ms"] = draw.choice((1, 30, 60_000))
        return body

    def push(self):
        body = self.request()
        body["key"] = "%s-%d-%d" % (self.name, self.number, self.draw.randrange(1 << 40))
        self.keep(self.operate("submit", body, ("accepted", "error")), body)

    def retry(self):
        """An earlier request with its key again, or the key with another request."""
        if not self.retries:
            return self.push()
        body = dict(self.draw.choice(self.retries))
        if self.draw.random() < 0.2:
            body["prompt"] += " and more"
        return self.keep(self.operate("submit", body, ("accepted", "error")), body)

    def keep(self, end, body):
        self.retries = (self.retries + [body])[-20:]
        if end and end[0] == "accepted":
            self.mine = (self.mine + [end[1]["job"]])[-50:]
            with open(os.path.join(self.jobs_folder, self.principal), "a", encoding="utf-8") as f:
                f.write(end[1]["job"] + "\n")

    def stream(self):
        body = self.request()
        body.update(mode="stream", credit=self.draw.choice((1, 4, 64)), durable=self.draw.random() < 0.5)
        end = self.operate("submit", body, ("result", "error"))
        if end and body["durable"] and "job" in end[1]:
            self.mine = (self.mine + [end[1]["job"]])[-50:]

    def sync(self):
        self.operate("submit", {**self.request(), "mode": "sync"}, ("result", "error"))

    def wait(self):
        body = {**self.request(), "mode": "job", "wait": "result"}
        self.operate("submit", body, ("result", "error"))

    def ask(self):
        if self.mine:
            kind = self.draw.choice(("status", "result", "result"))
            body = {"job": self.draw.choice(self.mine)}
            if kind == "result":
                body["wait_ms"] = self.draw.choice((0, 1000))
            self.operate(kind, body)

    def cancel(self):
        if self.mine:
            self.operate("cancel", {"job": self.draw.choice(self.mine)})

    def pry(self):
        """Another principal's job, by every way there is."""
        others = [name for name in os.listdir(self.jobs_folder) if name != self.principal]
        if not others:
            return
        with open(os.path.join(self.jobs_folder, self.draw.choice(others)), encoding="utf-8") as f:
            jobs = f.read().split()
        if jobs:
            self.operate(self.draw.choice(("status", "result", "cancel", "ack")), {"job": self.draw.choice(jobs[-50:])})

    def list(self):
        self.operate("list", {"limit": 50})

    def run(self):
        steps = (self.push, self.push, self.push, self.stream, self.stream, self.sync, self.wait, self.retry,
                 self.ask, self.cancel, self.pry, self.list)
        while not select.select([sys.stdin], [], [], 0)[0]:
            self.draw.choice(steps)()


if __name__ == "__main__":
    endpoint, name, principal, seed, log, jobs, patience = sys.argv[1:]
    Process(endpoint, name, principal, int(seed), log, jobs, float(patience)).run()
