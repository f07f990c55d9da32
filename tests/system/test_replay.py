#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What somebody recorded who can read and write the wire, but holds no key, opens nothing when it is sent again."""
import os
import selectors
import socket
import threading
import time
import unittest

from harness import Daemon, until
from keyed import Keyed, free_port
from raw import Peer

GREETING, WELCOME = 64, 2 + 168  # bytes (ZMTP 3.0; CurveZMQ, RFC 26)


class Tap(threading.Thread):
    """Stands between one client and the daemon and keeps what either says."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.said, self.answered, self.done = port, bytearray(), bytearray(), threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "tcp://127.0.0.1:%d" % self.listener.getsockname()[1]

    def run(self):
        near, far = self.listener.accept()[0], socket.create_connection(("127.0.0.1", self.port))
        with near, far, self.listener, selectors.DefaultSelector() as waiting:
            waiting.register(near, selectors.EVENT_READ, far)
            waiting.register(far, selectors.EVENT_READ, near)
            while not self.done.is_set():
                for key, _ in waiting.select(0.05):
                    data = key.fileobj.recv(65536)
                    if not data:
                        return
                    (self.said if key.fileobj is near else self.answered).extend(data)
                    key.data.sendall(data)


def parts_of(said):
    """The greeting, and then frame by frame with its header."""
    out, at = [bytes(said[:GREETING])], GREETING
    while at < len(said):
        long = said[at] & 2
        size = int.from_bytes(said[at + 1:at + 9], "big") + 9 if long else said[at + 1] + 2
        out.append(bytes(said[at:at + size]))
        at += size
    return out


def read_until_end(s, most=1 << 20):
    """What the other side says until it ends the connection; a timeout of the socket is raised."""
    heard = b""
    try:
        while len(heard) < most:
            data = s.recv(65536)
            if not data:
                break
            heard += data
    except ConnectionError:
        pass
    return heard


class Replay(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(start=False)
        cls.port = free_port()
        cls.daemon.write_config(extra="sockets:\n"
                                      '  - {name: front, endpoint: "ipc://front.sock"}\n'
                                      '  - {name: tcp, endpoint: "tcp://127.0.0.1:%d", curve: true}\n' % cls.port)
        cls.keys = Keyed(cls.daemon).add("alice")
        cls.daemon.start()
        cls.tap = Tap(cls.port)
        cls.tap.start()
        cls.recorded = Peer(cls.tap.address, keys=cls.keys)
        for i in range(3):
            kind, _, body = cls.recorded.request("submit", {"prompt": "Recorded %d" % i, "params": {"max_tokens": 2}})
            assert kind == "accepted", body
        cls.parts = parts_of(bytes(cls.tap.said))

    @classmethod
    def tearDownClass(cls):
        cls.recorded.close()
        cls.tap.done.set()
        cls.tap.join(10)
        cls.daemon.close()

    def jobs(self):
        with Peer("tcp://127.0.0.1:%d" % self.port, keys=self.keys) as alice:
            return len(alice.request("list", {"limit": 100})[2]["jobs"])

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def test_what_was_recorded_is_a_handshake_and_messages(self):
        greeting, hello, initiate, *messages = self.parts
        self.assertEqual(greeting[12:17], b"CURVE")
        self.assertEqual((hello[:8], len(hello)), (b"\x04\xc8\x05HELLO", 202))
        self.assertEqual((initiate[0], initiate[9:18]), (6, b"\x08INITIATE"))
        # What the daemon says to whom it lets in, and what is looked for below.
        self.assertIn(b"\x05READY", self.tap.answered[GREETING + WELCOME:])
        self.assertGreaterEqual(len(messages), 3)
        self.assertNotIn(b"Recorded", b"".join(self.parts))  # nothing of it can be read

    def test_a_recorded_handshake_gets_no_access(self):
        greeting, hello, initiate, *messages = self.parts
        messages = b"".join(messages)
        before = self.jobs()
        self.assertEqual(before, 3)
        for what, said in {
            "all of it": [b"".join(self.parts)],
            "all of it, step by step": [greeting, hello, initiate, messages],
            "the proof without the first step": [greeting, initiate, messages],
            "the first step twice": [greeting, hello, hello, initiate, messages],
            "the proof twice": [greeting, hello, initiate + initiate, messages],
            "messages and no handshake": [greeting, messages],
            "with a cookie of zeros": [greeting, hello, initiate[:18] + bytes(96) + initiate[114:], messages],
        }.items():
            with self.subTest(what), self.connect() as s:
                try:
                    for piece in said:
                        s.sendall(piece)
                        time.sleep(0.02 if len(said) > 1 else 0)
                except ConnectionError:
                    pass  # ended before all was said
                heard = read_until_end(s)
                # At most the answer to the first step, which everybody gets: it opens nothing without the client's key.
                self.assertLessEqual(len(heard), GREETING + WELCOME)
                self.assertNotIn(b"\x05READY", heard)
        self.assertEqual(self.jobs(), before)
        # The connection that was recorded is none the worse.
        self.assertEqual(self.recorded.request("ping", {})[0], "pong")

    def test_a_recorded_first_step_by_the_hundred_holds_nothing(self):
        greeting, hello, *_ = self.parts
        with Peer("tcp://127.0.0.1:%d" % self.port, keys=self.keys) as alice:
            self.assertEqual(alice.request("ping", {})[0], "pong")
            files, memory = self.files(), self.resident()
            held = [self.connect() for _ in range(400)]
            for s in held:
                s.sendall(greeting + hello)
            welcomed = 0
            for s in held:
                self.assertEqual(alice.request("ping", {}, timeout=20)[0], "pong")
                welcomed += b"\x04\xa8\x07WELCOME" in read_until_end(s)
                s.close()
            self.assertGreater(welcomed, 300)  # each came as far as a client does that then falls silent
            self.assertLess(self.resident() - memory, 64 << 20)
            until(lambda: self.files() <= files + 5, "the connections are closed", 30)

    def files(self):
        return len(os.listdir("/proc/%d/fd" % self.daemon.process.pid))

    def resident(self):
        with open("/proc/%d/statm" % self.daemon.process.pid, encoding="ascii") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    unittest.main(verbosity=2)
