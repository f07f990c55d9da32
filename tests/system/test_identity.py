#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Clients with keys over TCP: who they are, what they may, and what happens when a key is taken back."""
import os
import socket
import subprocess
import unittest

from harness import CTL, Client, Daemon, until
from keyed import Keyed, free_port
from raw import Peer, ended_by_peer


SOCKETS = """\
sockets:
  - {{name: front, endpoint: "ipc://front.sock"}}
  - {{name: admin, endpoint: "ipc://admin.sock", may: admin, mode: 0600}}
  - {{name: tcp, endpoint: "tcp://127.0.0.1:{port}", may: admin, curve: true}}
  - {{name: open, endpoint: "tcp://127.0.0.1:{open}", may: read, insecure: true}}
principals:
  - {{name: chief, may: admin}}
  - {{name: bob, open_jobs: 2}}
  - {{name: ann, cache_namespace: team}}
  - {{name: amy, cache_namespace: team}}
"""


class Identity(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(start=False)
        cls.port, cls.open = free_port(), free_port()
        cls.daemon.write_config(extra=SOCKETS.format(port=cls.port, open=cls.open))
        cls.keyed = Keyed(cls.daemon)
        for name in ("alice", "bob", "ann", "amy", "chief"):
            cls.keyed.add(name)
        cls.daemon.start()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.close()

    def as_(self, name, **options):
        address = "tcp://127.0.0.1:%d" % self.port
        return Client(address, key=self.daemon.path(name), server_key=self.daemon.path("server.key.pub"), **options)

    def test_a_client_is_who_its_key_says_and_jobs_are_its_own(self):
        with self.as_("alice") as alice, self.as_("bob") as bob, self.as_("chief") as chief:
            self.assertEqual((alice.hello().principal, alice.hello().role), ("alice", "submit"))
            job = alice.submit(prompt="Mine", max_tokens=4, key="same key").job
            self.assertEqual(alice.wait(job).state, "done")
            missing = "0190163d-8694-739b-aea5-966c26f8ad00"
            for ask in (bob.status, bob.result, bob.cancel, bob.ack):  # looks like no job at all
                answers = []
                for one in (job, missing):
                    with self.assertRaises(Exception) as caught:
                        ask(one)
                    answers.append((caught.exception.name, caught.exception.msg.replace(one, "JOB")))
                self.assertEqual(answers[0], answers[1])
                self.assertEqual(answers[0][0], "E_NO_JOB")
            self.assertNotIn(job, [j["job"] for j in bob.jobs()])
            self.assertNotEqual(bob.submit(prompt="Mine", max_tokens=4, key="same key").job, job)
            self.assertEqual(chief.result(job).state, "done")  # the role admin sees all
            self.assertIn(job, [j["job"] for j in chief.jobs()])

    def test_roles_hold_before_the_body_is_read(self):
        with self.as_("alice") as alice:
            with self.assertRaises(Exception) as caught:
                alice.reload()
            self.assertEqual(caught.exception.name, "E_ROLE")
        with self.as_("chief") as chief:
            self.assertIn("version", chief.reload(dry_run=True))
        with Peer("tcp://127.0.0.1:%d" % self.open) as reader:  # insecure, loopback, role read
            self.assertEqual(reader.request("ping", {})[0], "pong")
            self.assertEqual(reader.request("submit", b"no JSON")[2]["name"], "E_ROLE")

    def test_answers_are_shared_only_within_a_cache_namespace(self):
        question = "What is a principal?"
        with self.as_("ann") as ann, self.as_("amy") as amy, self.as_("alice") as alice:
            self.assertEqual(ann.chat(question).cache["status"], "MISS")
            self.assertEqual(amy.chat(question).cache["status"], "HIT")
            self.assertEqual(alice.chat(question).cache["status"], "MISS")

    def test_a_principals_own_quota_is_enforced_and_told(self):
        with self.as_("bob", retry_for=0) as bob:
            self.assertEqual(bob.hello().limits["open_jobs"], 2)
            with self.assertRaises(Exception) as caught:
                bob.ask("submit", {"items": [{"prompt": "a"}, {"prompt": "b"}, {"prompt": "c"}]})
            self.assertEqual((caught.exception.name, caught.exception.limit), ("E_TOO_BIG", 2))

    def test_keys_come_and_go_while_the_daemon_runs(self):
        def known():
            return [line.split()[0] for line in self.keyed.run("ls").stdout.splitlines()]
        self.keyed.run("gen", self.daemon.path("eve"))
        with self.as_("eve", timeout=1.5, heartbeat=0.5) as eve:
            with self.assertRaises(Exception):
                eve.ping()
        self.keyed.run("add", "eve", self.daemon.path("eve.pub"))
        until(lambda: "clients.eve" in self.daemon.log_text(), "the key is known")
        with self.as_("eve") as eve:
            self.assertEqual(eve.hello().principal, "eve")
            self.assertEqual(self.keyed.run("add", "mallory", self.daemon.path("eve.pub"), check=False).returncode, 3)
            self.assertIn("eve", known())
            self.keyed.run("revoke", "eve")
            with self.assertRaises(Exception) as caught:  # the connection stands, and is refused
                until(lambda: not eve.ping(), "the key is taken back")
            self.assertEqual(caught.exception.name, "E_AUTH")
        self.assertNotIn("eve", known())
        self.assertEqual(self.keyed.run("revoke", "eve", check=False).returncode, 3)

    def test_bitnetctl_speaks_with_keys(self):
        command = [CTL, "--socket", "tcp://127.0.0.1:%d" % self.port, "--server-key", self.daemon.path("server.key.pub")]
        done = subprocess.run([*command, "--key", self.daemon.path("alice"), "submit", "-n", "4", "Hello"],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        without = subprocess.run([*command, "ping"], capture_output=True, text=True, timeout=20)
        self.assertEqual(without.returncode, 3, without.stderr)

    def test_handshakes_that_stall_at_every_step_are_ended_and_others_served(self):
        greeting = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"CURVE".ljust(20, b"\0") + bytes(32)
        hello = b"\x04\xc8\x05HELLO\x01\x00" + bytes(72) + os.urandom(32 + 8 + 80)  # 200 bytes, wrong box
        held = []
        for sent in (b"", greeting[:1], greeting[:10], greeting[:40], greeting, greeting + hello[:50], greeting + hello):
            for _ in range(100):
                s = socket.create_connection(("127.0.0.1", self.port))
                s.settimeout(60)
                s.sendall(sent)
                held.append(s)
        with self.as_("alice") as alice:
            self.assertEqual(alice.ping()["state"], "ready")
            for s in held:
                try:
                    while s.recv(4096):
                        pass
                except ConnectionError:
                    pass
                s.close()  # a timeout would have been raised: the daemon ended it
            self.assertEqual(alice.ping()["state"], "ready")

    def test_a_frame_above_the_limit_ends_its_connection_and_no_other(self):
        address = "tcp://127.0.0.1:%d" % self.port
        keys = self.keyed.secret("alice"), self.keyed.server()
        with Peer(address, keys=keys) as large, self.as_("bob") as other:
            most = large.request("hello", {})[2]["limits"]["frame"]
            self.assertEqual(large.request("ping", b" " * most, timeout=20)[2]["name"], "E_TOO_BIG")
            large.socket.send_multipart([b"BN1", b"ping", b"lost", b" " * (most + 1)])
            self.assertFalse(large.socket.poll(1000))
            self.assertEqual(other.ping()["state"], "ready")
            kind, tag, _ = large.request("ping", {})  # libzmq has connected again; what was too large is gone
            self.assertEqual((kind, tag), ("pong", b"r"))

    def test_foreign_protocols_on_every_port(self):
        tls = bytes.fromhex("16030100a5010000a10303") + bytes(32) + bytes.fromhex("00000020") + bytes(96)
        held = []
        for port in (self.port, self.open):
            for noise in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", tls, b"\x01\x00" + b"\xff" * 64, b"\xff" + bytes(8) + b"\x7f\x01\x05",
                          b"SSH-2.0-x\r\n", os.urandom(1 << 16)):
                held.append((socket.create_connection(("127.0.0.1", port), timeout=20), (port, noise[:20])))
                try:
                    held[-1][0].sendall(noise)
                except ConnectionError:
                    pass
        with self.as_("alice") as alice:
            self.assertEqual(alice.ping()["state"], "ready")
            for s, what in held:
                with s:
                    self.assertTrue(ended_by_peer(s), what)
            self.assertEqual(alice.ping()["state"], "ready")

    def test_endless_frames_do_not_pass_a_port_with_keys(self):
        before = resident(self.daemon.process.pid)
        ready = b"\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"
        sent = 0
        with socket.create_connection(("127.0.0.1", self.port)) as flood:
            flood.settimeout(5)
            flood.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32))
            try:
                flood.sendall(b"\x04" + bytes([len(ready)]) + ready)
                while sent < 50_000_000:
                    flood.sendall(b"\x01\x00" * 50_000)
                    sent += 100_000
            except OSError:
                pass
        self.assertLess(sent, 50_000_000)  # it was cut off
        self.assertLess(resident(self.daemon.process.pid) - before, 32 << 20)


def resident(pid):
    with open("/proc/%d/statm" % pid, encoding="ascii") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    unittest.main(verbosity=2)
