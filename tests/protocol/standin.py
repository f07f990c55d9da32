# SPDX-License-Identifier: MIT
"""Stands for a daemon in the clients' tests: says what the transcripts say, and keeps what it was asked."""
import glob
import json
import os
import threading

import zmq

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "transcripts")


def transcripts():
    """Message type -> exchanges."""
    out = {}
    for path in sorted(glob.glob(os.path.join(FOLDER, "*.json"))):
        with open(path, encoding="utf-8") as f:
            out[os.path.basename(path)[:-len(".json")]] = json.load(f)
    return out


class StandIn:
    """A ROUTER on `endpoint`. `expect` says which exchange comes next; hello, ping and credit are answered unasked."""

    def __init__(self, endpoint):
        self.endpoint, self.next, self.asked, self.problems = endpoint, None, [], []
        self.known = transcripts()
        self.socket = zmq.Context.instance().socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.bind(endpoint)
        self.ending = False
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def expect(self, kind, exchange):
        self.asked = []
        self.next = (kind, exchange)

    def _run(self):
        while not self.ending:
            if self.socket.poll(50):
                self._answer(*self.socket.recv_multipart())

    def _answer(self, peer, *frames):
        if len(frames) != 4 or frames[0] != b"BN1":
            self.problems.append("not a request: %r" % (frames,))
            return
        _, kind, tag, body = frames
        kind, body = kind.decode(), json.loads(body)
        self.asked.append((kind, body))
        replies = []
        if self.next and kind == self.next[0]:
            replies = self.next[1]["replies"]
        elif kind in ("hello", "ping"):
            replies = self.known[kind][0]["replies"]
        elif kind != "credit":
            self.problems.append("unexpected %s %s" % (kind, body))
        for reply in replies:
            self.socket.send_multipart([peer, b"BN1", reply["type"].encode(), tag, json.dumps(reply["body"]).encode()])

    def close(self):
        self.ending = True
        self.thread.join()
        self.socket.close()


def outcome(exchange, waits=True):
    """What a client should make of an exchange: ("ok" or "error", body). One that does not wait on a connection for the
    result of a job in mode job, but asks for it, is content with `accepted`."""
    streamed = exchange["body"].get("mode") == "stream"
    attached = exchange["replies"][0]["type"] == "delta"  # what is asked for comes first
    last = exchange["replies"][-1 if (waits or streamed) and not attached else 0]
    return ("error" if last["type"] == "error" else "ok"), last["body"]
