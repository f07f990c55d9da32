#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What strangers can cost on a port that wants keys, while somebody with a key is served all along.

    floods.py [CONNECTIONS] [SECONDS]      default: 100000 connections, 10 seconds of every kind of flood

Loopback only, and bounded by both numbers. Prints one JSON line per kind: how much was sent, how long a good client waited at most,
and what memory and open files became. Exit status 0 when nobody with a key ever went without an answer.
"""
import collections
import json
import os
import random
import selectors
import socket
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../system"))

from harness import Daemon, until  # noqa: E402
from keyed import Keyed, free_port  # noqa: E402
from raw import Peer  # noqa: E402

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00"
NULL = GREETING + b"NULL".ljust(20, b"\0") + bytes(32)
CURVE = GREETING + b"CURVE".ljust(20, b"\0") + bytes(32)
READY = b"\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"
HTTP = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
TLS = bytes.fromhex("16030100c8010000c40303") + bytes(190)
MOST_MEMORY = 64 << 20  # that a flood may add


class Good(threading.Thread):
    """A client with a key that asks again and again, and notes the longest wait."""

    def __init__(self, address, keys):
        super().__init__(daemon=True)
        self.address, self.keys = address, keys
        self.done, self.asked, self.worst, self.problem = threading.Event(), 0, 0.0, None

    def run(self):
        try:
            with Peer(self.address, keys=self.keys) as peer:
                while not self.done.wait(0.01):
                    began = time.monotonic()
                    self.ask(peer)
                    self.worst = max(self.worst, time.monotonic() - began)
                    self.asked += 1
        except (AssertionError, OSError) as error:
            self.problem = repr(error)

    def ask(self, peer):
        if self.asked % 20 == 0:
            kind, _, body = peer.request("submit", {"prompt": "served? %d" % self.asked, "mode": "sync",
                                                    "params": {"max_tokens": 2}}, timeout=60)
            assert kind == "result", body
        else:
            assert peer.request("ping", {}, timeout=60)[0] == "pong"


class Relay(threading.Thread):
    """Stands between clients and the daemon; from `stall` on it forwards nothing and closes nothing."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.stalled, self.closed = port, threading.Event(), threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.address = "tcp://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.other = {}

    def run(self):
        with selectors.DefaultSelector() as waiting:
            waiting.register(self.listener, selectors.EVENT_READ)
            while not self.stalled.is_set():
                for key, _ in waiting.select(0.05):
                    if key.fileobj is self.listener:
                        near, far = self.listener.accept()[0], socket.create_connection(("127.0.0.1", self.port))
                        self.other.update({near: far, far: near})
                        waiting.register(near, selectors.EVENT_READ)
                        waiting.register(far, selectors.EVENT_READ)
                    else:
                        self.forward(key.fileobj)
        self.closed.wait()
        for s in (self.listener, *self.other):
            s.close()

    def forward(self, s):
        data = s.recv(65536)
        if data:
            self.other[s].sendall(data)


class Floods:
    def __init__(self, daemon, port, connections, seconds):
        self.daemon, self.port, self.connections, self.seconds = daemon, port, connections, seconds
        self.draw = random.Random(1)
        self.counts = collections.Counter()

    def connect(self):
        while True:
            try:
                s = socket.create_connection(("127.0.0.1", self.port), timeout=5)
                self.counts["connections"] += 1
                return s
            except OSError as error:  # the backlog is full, or ports have run out: others are served meanwhile
                self.counts["not let in: " + type(error).__name__] += 1
                time.sleep(0.01)

    def pour(self, s, data):
        """Sends until the other side ends it or the time is over."""
        s.settimeout(1)
        end = time.monotonic() + self.seconds
        try:
            while time.monotonic() < end:
                s.sendall(data)
                self.counts["bytes"] += len(data)
        except OSError:
            self.counts["cut off"] += 1

    def come_and_go(self):
        for _ in range(self.connections):
            self.connect().close()

    def garbage(self):
        end = time.monotonic() + self.seconds
        while time.monotonic() < end:
            with self.connect() as s:
                try:
                    for _ in range(self.draw.randrange(1, 4)):
                        data = self.draw.choice((HTTP, TLS, self.draw.randbytes(self.draw.randrange(1, 4000)), CURVE, NULL))
                        s.sendall(data)
                        self.counts["bytes"] += len(data)
                except OSError:
                    self.counts["cut off"] += 1

    def endless_empty_frames(self):
        end = time.monotonic() + self.seconds
        while time.monotonic() < end:
            with self.connect() as s:
                s.sendall(NULL + b"\x04" + bytes([len(READY)]) + READY)
                self.pour(s, b"\x01\x00" * 50_000)

    def endless_handshake(self):
        end = time.monotonic() + self.seconds
        while time.monotonic() < end:
            with self.connect() as s:
                s.sendall(CURVE)
                self.pour(s, b"\x04\xc8\x05HELLO\x01\x00" + self.draw.randbytes(192))

    def silence(self):
        held = [self.connect() for _ in range(1000)]
        for i, s in enumerate(held):
            s.sendall(CURVE[:i % (len(CURVE) + 1)])
        time.sleep(self.seconds)
        for s in held:
            s.close()

    def half_open(self, keys, good, n=100):
        """Peers that fall silent without a word: they are let go in half a minute, and their durable jobs go on."""
        before = open_files(self.daemon)
        relay = Relay(self.port)
        relay.start()
        peers = [Peer(relay.address, keys=keys) for _ in range(n)]
        jobs = [peer.request("submit", {"prompt": "kept %d" % i, "params": {"max_tokens": 8}})[2]["job"]
                for i, peer in enumerate(peers)]
        held = open_files(self.daemon) - before
        relay.stalled.set()
        began = time.monotonic()
        problems = [] if held >= n else ["only %d connections were open" % held]
        try:
            until(lambda: open_files(self.daemon) <= before, "half-open connections are closed", 60)
        except AssertionError:
            problems.append("%d connections stay open" % (open_files(self.daemon) - before))
        gone = time.monotonic() - began
        with Peer(good.address, keys=keys) as peer:
            states = collections.Counter(peer.request("result", {"job": job, "wait_ms": 60_000})[2].get("state") for job in jobs)
        problems += [] if states == {"done": n} else ["their jobs are %s" % dict(states)]
        for peer in peers:
            peer.close()
        relay.closed.set()
        print(json.dumps({"flood": "half_open", "connections": n, "let_go_s": round(gone, 1), "jobs_done": states["done"],
                          "problems": problems}), flush=True)
        return not problems

    def measure(self, flood, good):
        """One flood and what it did to everybody else."""
        self.counts.clear()
        files, memory = open_files(self.daemon), resident(self.daemon)
        peak, good.worst, asked = memory, 0.0, good.asked
        worker = threading.Thread(target=flood)
        began = time.monotonic()
        worker.start()
        while worker.is_alive():
            worker.join(0.1)
            peak = max(peak, resident(self.daemon))
        out = {"flood": flood.__name__, **self.counts, "seconds": round(time.monotonic() - began, 1),
               "good_asked": good.asked - asked, "good_waited_ms": round(1000 * good.worst),
               "memory_added_mib": round((peak - memory) / 2**20, 1)}
        problems = [good.problem] if good.problem else []
        if peak - memory > MOST_MEMORY:
            problems.append("it grew by %d MiB" % ((peak - memory) >> 20))
        try:
            until(lambda: open_files(self.daemon) <= files + 10, "its connections are closed", 60)
        except AssertionError:
            problems.append("%d files stay open" % (open_files(self.daemon) - files))
        print(json.dumps({**out, "problems": problems}), flush=True)
        return not problems


def resident(daemon):
    with open("/proc/%d/statm" % daemon.process.pid, encoding="ascii") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def open_files(daemon):
    return len(os.listdir("/proc/%d/fd" % daemon.process.pid))


def main(connections=100_000, seconds=10):
    port = free_port()
    with Daemon(start=False) as daemon:
        keys = Keyed(daemon)
        daemon.write_config(extra='sockets:\n  - {name: front, endpoint: "ipc://front.sock"}\n'
                                  '  - {name: tcp, endpoint: "tcp://127.0.0.1:%d", curve: true}\n' % port)
        pair = keys.add("alice")
        daemon.start()
        good = Good("tcp://127.0.0.1:%d" % port, pair)
        good.start()
        until(lambda: good.asked > 0 or good.problem, "the good client is served")
        floods = Floods(daemon, port, connections, seconds)
        clean = [floods.measure(flood, good) for flood in (
            floods.come_and_go, floods.garbage, floods.endless_empty_frames, floods.endless_handshake, floods.silence)]
        clean.append(floods.half_open(pair, good))
        good.done.set()
        good.join(60)
    return 0 if all(clean) else 1


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
