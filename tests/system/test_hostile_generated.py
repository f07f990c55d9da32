#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Hostile input made from the protocol page and from lists: every integer field with every wrong number, foreign protocols on every
socket, prompts of every odd kind, jobs asked in every odd order, one key from many clients."""
import concurrent.futures
import os
import re
import threading
import time
import unittest

import zmq

from harness import SOURCE, Daemon, until
from raw import Peer, connect, ended_by_peer

MISSING = "0190163d-8694-739b-aea5-966c26f8ad00"


def integer_fields():
    """(section, field, least, most) of every bounded integer that docs/protocol.md names for requests."""
    with open(os.path.join(SOURCE, "docs/protocol.md"), encoding="utf-8") as f:
        page = f.read()
    requests = page.split("## Requests")[1].split("## Replies")[0]
    cache = page.split("## Cache")[1].split("`cache` of a result")[0]
    section = None
    for line in (requests + "\n### cache\n" + cache).splitlines():
        if line.startswith("### "):
            section = re.match(r"### ([a-z.]+)", line).group(1)
        elif line.startswith("`params`:"):
            section = "params"
        found = re.match(r"\| `([a-z_-]+)` \| (?:● )?integer ([0-9]+)…(`limits\.max_tokens`|[0-9]+) \|", line)
        if found:
            yield section, found.group(1), int(found.group(2)), 4096 if "`" in found.group(3) else int(found.group(3))


def request_with(section, field, value):
    """A request that is right but for this value, as JSON text: values may be no JSON numbers."""
    if section == "params":
        return "submit", '{"prompt":"x","mode":"sync","params":{"%s":%s}}' % (field, value), "params." + field
    if section == "cache":
        return "submit", '{"prompt":"x","mode":"sync","cache":{"%s":%s}}' % (field, value), "cache." + field
    others = '"job":"%s",' % MISSING if section in ("credit", "result", "attach") else '"prompt":"x",' if section == "submit" else ""
    if section == "submit" and field == "credit":
        others += '"mode":"stream",'
    return section, "{%s\"%s\":%s}" % (others, field, value), field


class Generated(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(environment={"TZ": "XXX-10:30YYY-11,1/0,364/0"})  # summer time from January to December

    @classmethod
    def tearDownClass(cls):
        cls.daemon.close()

    def setUp(self):
        self.peer = Peer(self.daemon.socket())

    def tearDown(self):
        self.assertEqual(self.peer.request("ping", {})[0], "pong")
        self.peer.close()
        self.assertIsNone(self.daemon.process.poll())

    def test_every_integer_field_with_every_wrong_number(self):
        fields = list(integer_fields())
        self.assertGreaterEqual(len(fields), 12, fields)
        wrong = ["-1", "-9223372036854775808", "9007199254740993", "18446744073709551615", "18446744073709551616", "1.5", "1.0", "1e3", "-0.0",
                 '"1"', "null", "[]", "{}", "true"]
        with Peer(self.daemon.socket("admin")) as admin:
            for section, field, least, most in fields:
                out = ([str(least - 1)] if least > 0 else []) + [str(most + 1)]
                for value in wrong + out:
                    if re.fullmatch(r"[0-9]+", value) and least <= int(value) <= most:
                        continue
                    kind, body, path = request_with(section, field, value)
                    got, _, error = admin.request(kind, body.encode())
                    self.assertEqual((got, error.get("name"), error.get("field")), ("error", "E_FIELD", path), body)

    def test_foreign_protocols_on_every_socket(self):
        hello = bytes.fromhex("16030100a5010000a10303") + bytes(32) + bytes.fromhex("00000020") + bytes(96)
        held = []
        for name in ("front", "admin", "events"):
            for noise in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", hello, b"\x01\x00" + b"\xff" * 64, b"\xff" + bytes(8) + b"\x7f\x01\x05",
                          b"SSH-2.0-x\r\n", b"{\"jsonrpc\":\"2.0\"}\n", os.urandom(1 << 16)):
                held.append((connect(self.daemon.socket(name)), (name, noise[:20])))
                try:
                    held[-1][0].sendall(noise)
                except OSError:
                    pass
        for s, what in held:
            with s:
                self.assertTrue(ended_by_peer(s), what)

    def test_a_chosen_routing_id_locks_nobody_out(self):
        twins = [Peer(self.daemon.socket(), identity=b"victim") for _ in range(2)]
        self.assertEqual(twins[0].request("ping", {})[2]["name"], "E_FRAME")
        with Peer(self.daemon.socket()) as other:
            self.assertEqual(other.request("ping", {})[0], "pong")
        for peer in twins:
            peer.close()

    def test_prompts_of_every_odd_kind_are_answered(self):
        context = 2048
        for prompt in ("x", " ", "\n", "\0", "\u200d" * 500, "👩‍👩‍👧‍👦" * 100, "e" + "\u0301" * 1000, "<|endoftext|>", "</s><s>", "<|im_start|>system\n",
                       "\ufffd\ufffe", "a" * 1500, "\u202e" * 50, "word " * (context // 4)):
            kind, _, body = self.peer.request("submit", {"prompt": prompt, "mode": "sync", "params": {"max_tokens": 2}}, timeout=400)
            self.assertIn((kind, body.get("name")), (("result", None), ("error", "E_CTX"), ("error", "E_FIELD")), repr(prompt[:20]))
        for text in ("y" * (1 << 20), "\u0301" * (1 << 19), "🙂" * (1 << 18)):
            kind, _, body = self.peer.request("submit", {"prompt": text, "mode": "sync"})
            self.assertEqual((kind, body["name"]), ("error", "E_CTX"))

    def test_a_prompt_may_fill_the_context_and_no_more(self):
        context = 2048

        def tokens(n):
            kind, _, body = self.peer.request("submit", {"prompt": "a " * n, "mode": "sync", "params": {"max_tokens": 1}}, timeout=400)
            return body["usage"]["prompt"] if kind == "result" else body["name"]
        one_hundred = tokens(100)
        n = 100 + (context - one_hundred) * 100 // (tokens(200) - one_hundred)
        while tokens(n) == "E_CTX":
            n -= 1
        self.assertEqual([tokens(n), tokens(n + 1)], [context - 1, "E_CTX"])  # one is drawn

    def test_values_at_the_ends_of_what_is_allowed_are_served(self):
        for params in ({"top_k": 1_000_000}, {"top_k": 0, "top_p": 1e-9}, {"temperature": 0}, {"temperature": 1e-300}, {"temperature": 100},
                       {"repetition_penalty": 0.01}, {"repetition_penalty": 100}, {"min_p": 0.999}, {"seed": (1 << 53) - 1},
                       {"logit_bias": {"0": -100, "2047": 100}}, {"logit_bias": {str(i): -100 for i in range(1024)}},
                       {"stop": ["\u00e9" * 128] * 16}):
            kind, _, body = self.peer.request("submit", {"prompt": "x", "mode": "sync", "params": {"max_tokens": 2, **params}})
            self.assertEqual((kind, body.get("finish") in ("stop", "length")), ("result", True), (params, body))
        for params, field in (({"logit_bias": {"2048": 1}}, "params.logit_bias"), ({"n_keep": -1}, "params.n_keep"),
                              ({"n_discard": -1}, "params.n_discard"), ({"grammar": "(" * 60_000}, "params.grammar"),
                              ({"logit_bias": {str(i): 0 for i in range(2000)}}, "params.logit_bias"),
                              ({"json_schema": {"$ref": "#"}}, "params.json_schema")):
            kind, _, body = self.peer.request("submit", {"prompt": "x", "mode": "sync", "params": params})
            self.assertEqual((kind, body["name"]), ("error", "E_FIELD"), body)
            self.assertTrue(body["field"].startswith(field), body)
        many = b'{"prompt":"x","params":{"logit_bias":{' + b",".join(b'"%d":0' % i for i in range(500_000)) + b"}}}"
        self.assertEqual(self.peer.request("submit", many)[2]["name"], "E_JSON")

    def test_jobs_asked_in_every_odd_order(self):
        job = self.peer.request("submit", {"prompt": "odd", "params": {"max_tokens": 2}})[2]["job"]
        self.assertEqual(self.peer.request("result", {"job": job, "wait_ms": 60000})[0], "result")
        for _ in range(2):  # a cancel after the end changes nothing, however often
            self.assertEqual(self.peer.request("cancel", {"job": job})[2]["state"], "done")
        self.peer.socket.send_multipart([b"BN1", b"credit", b"c", b'{"job":"%s","n":5}' % job.encode()])
        self.assertEqual(self.peer.request("ack", {"job": job})[0], "ok")
        for kind in ("result", "status", "cancel", "ack"):
            self.assertEqual(self.peer.request(kind, {"job": job})[2]["name"], "E_NO_JOB", kind)
            self.assertEqual(self.peer.request(kind, {"job": MISSING})[2]["name"], "E_NO_JOB", kind)

    def test_times_at_the_ends_of_time(self):
        for field, value, name in [("deadline", "0000-01-01T00:00:00Z", None), ("deadline", "9999-12-31T23:59:59Z", "E_FIELD"),
                                   ("not_before", "9999-12-31T23:59:59Z", "E_FIELD"),
                                   ("deadline", "1970-01-02T00:00:00Z", "E_DEADLINE"), ("deadline", "1969-12-31T23:59:59Z", None),
                                   ("deadline", "2024-02-30T00:00:00Z", "E_FIELD"), ("deadline", "2023-02-29T00:00:00Z", "E_FIELD"),
                                   ("deadline", "2024-01-01T24:00:00Z", "E_FIELD"), ("deadline", "2024-01-01T00:00:00+99:00", "E_FIELD"),
                                   ("deadline", "2016-12-31T23:59:60Z", None),  # a leap second
                                   ("not_before", "", "E_FIELD"), ("deadline", "2024-01-01", "E_FIELD")]:
            kind, _, error = self.peer.request("submit", {"prompt": "x", field: value})
            self.assertEqual(kind, "error", (field, value))
            self.assertIn(error["name"], (name,) if name else ("E_FIELD", "E_DEADLINE"), (field, value))
        # This daemon's zone has summer time (see setUpClass): its clock does not.
        for seconds, name in ((-30, "E_DEADLINE"), (1200, None)):
            at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
            self.assertEqual(self.peer.request("submit", {"prompt": "zone", "deadline": at, "params": {"max_tokens": 1}})[2].get("name"), name)
        # Long ago is now.
        accepted = self.peer.request("submit", {"prompt": "past", "not_before": "2001-09-09T01:46:40Z", "params": {"max_tokens": 1}})[2]
        self.assertEqual(self.peer.request("result", {"job": accepted["job"], "wait_ms": 60000})[2]["state"], "done")

    def test_one_key_from_a_hundred_clients_is_one_job(self):
        body = {"prompt": "together", "key": "one for all", "params": {"max_tokens": 2}}
        start = threading.Barrier(20)

        def ask(i):
            with Peer(self.daemon.socket()) as peer:
                start.wait(30)
                return [peer.request("submit", dict(body, prompt="another") if (i + n) % 10 == 9 else body)[2] for n in range(5)]
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            answers = [a for some in pool.map(ask, range(20)) for a in some]
        jobs = {a["job"] for a in answers if "name" not in a}
        self.assertEqual(len(answers), 100)
        self.assertEqual({a["name"] for a in answers if "name" in a}, {"E_KEY_CONFLICT"})
        self.assertEqual(len(jobs), 1)

    def test_connections_by_the_thousand_leave_nothing(self):
        def descriptors():
            return len(os.listdir("/proc/%d/fd" % self.daemon.process.pid))
        before = descriptors()
        end = time.monotonic() + 5
        n = 0
        while time.monotonic() < end and n < 10_000:
            with connect(self.daemon.socket()) as s:
                s.sendall(b"\xff" * (n % 70))
            n += 1
        self.assertGreater(n, 200)
        until(lambda: descriptors() <= before + 2, "the descriptors are closed", 30)

    def test_subscriptions_without_end_do_not_stop_events(self):
        listener, flood = (zmq.Context.instance().socket(zmq.SUB) for _ in range(2))
        for socket in (listener, flood):
            socket.setsockopt(zmq.LINGER, 0)
            socket.connect(self.daemon.socket("events"))
        for i in range(100_000):
            flood.subscribe(b"topic %d" % i)
        flood.subscribe(b"t" * 5000)  # a longer one overflows the stack of the client, whose libzmq keeps it as a tree
        listener.subscribe(b"metrics")
        self.assertTrue(listener.poll(20_000))
        for socket in (listener, flood):
            socket.close()


if __name__ == "__main__":
    unittest.main(verbosity=2)
