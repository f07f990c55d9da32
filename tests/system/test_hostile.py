#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Whatever comes in from outside is refused with an error of its own, while another client is served."""
import json
import os
import random
import re
import time
import unittest

import zmq

import folder_model
from bystander import ANEW, QUESTION, Bystander
from harness import CHAT, EMBED, SOURCE, Daemon, until
from raw import Peer, connect, ended_by_peer, shake_hands

MODEL_REFUSED = 4


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon()
        cls.other = Bystander(cls.daemon)

    @classmethod
    def tearDownClass(cls):
        cls.other.close()
        cls.daemon.close()

    def setUp(self):
        self.peer = Peer(self.daemon.socket())

    def tearDown(self):
        self.peer.close()
        self.other.still_served()

    def refused(self, name, kind, body, field=None, says=""):
        """The request is answered with this error, which says something of its own."""
        shown = repr(body)[:200]
        got, tag, error = self.peer.request(kind, body)
        self.assertEqual((got, tag), ("error", b"r"), "%s -> %s" % (shown, error))
        self.assertEqual(error["name"], name, "%s -> %s" % (shown, error))
        if field is not None:
            self.assertEqual(error.get("field"), field, "%s -> %s" % (shown, error))
        self.assertIn(says, error["msg"], shown)
        self.assertGreater(len(error["msg"]), 8, error)
        self.assertLess(len(error["msg"]), 2000)
        return error

    # Frames -----------------------------------------------------------------------------------

    def test_frames_that_are_no_request(self):
        body = b"{}"
        wrong = [
            ([b"x"], "E_VERSION", b""), ([b""], "E_FRAME", b""), ([b"BN1"], "E_FRAME", b""),
            ([b"BN1", b"ping", b"7"], "E_FRAME", b"7"), ([b"BN1", b"ping", b"7", body, b"more"], "E_FRAME", b"7"),
            ([b"BN1", b"ping", b"7", body] + [b"f"] * 5, "E_FRAME", b"7"), ([b"BN2", b"ping", b"7", body], "E_VERSION", b"7"),
            ([b"", b"", b"BN1", b"ping", b"7", body], "E_FRAME", b""),
            ([b"BN1", b"", b"7", body], "E_FRAME", b"7"), ([b"BN1", b"PING", b"7", body], "E_FRAME", b"7"),
            ([b"BN1", b"ping\xff", b"7", body], "E_FRAME", b"7"), ([b"BN1", b"p" * 25, b"7", body], "E_FRAME", b"7"),
            ([b"BN1", b"pnig", b"7", body], "E_FRAME", b"7"), ([b"BN1", b"ping", b"", body], "E_FRAME", b""),
            ([b"BN1", b"ping", b"i" * 65, body], "E_FRAME", b""), ([os.urandom(20)] * 4, "E_VERSION", None)]
        for frames, name, tag in wrong:
            kind, got_tag, error = self.peer.ask(*frames)
            self.assertEqual((kind, error["name"]), ("error", name), (frames, error))
            if tag is not None:
                self.assertEqual(got_tag, tag, frames)
        self.assertIn("did you mean ping?", self.peer.ask(b"BN1", b"pingg", b"7", body)[2]["msg"])
        # The bounds themselves are fine, and the connection outlives every refusal.
        self.assertEqual(self.peer.ask(b"BN1", b"ping", b"\x00" * 64, body)[:2], ("pong", b"\x00" * 64))
        self.assertEqual(self.peer.ask(b"", b"BN1", b"ping", b"7", body)[0], "pong")

    def test_random_frames_never_hurt(self):
        draw = random.Random(7)
        pieces = [b"BN1", b"ping", b"submit", b"", b"{}", b'{"prompt":', b"\x00" * 300, b"status"]
        with Peer(self.daemon.socket()) as noisy:
            for _ in range(400):
                frames = [draw.choice(pieces) if draw.random() < 0.6 else draw.randbytes(draw.randrange(90))
                          for _ in range(draw.randrange(1, 9))]
                noisy.socket.send_multipart(frames)
            kind = None
            while kind != "pong":  # whatever they led to was answered before
                kind, *_ = noisy.ask(b"BN1", b"ping", b"last", b"{}") if kind is None else noisy.receive()

    def test_a_routing_id_of_ones_own_is_refused(self):
        with Peer(self.daemon.socket(), identity=b"somebody else") as thief:
            kind, _, error = thief.request("ping", {})
            self.assertEqual((kind, error["name"]), ("error", "E_FRAME"))
            self.assertIn("routing id", error["msg"])

    def test_bytes_that_are_no_zmtp_end_the_connection(self):
        address = self.daemon.socket()
        with connect(address) as noise:
            noise.sendall(os.urandom(512))
            noise.sendall(b"GET / HTTP/1.1\r\n\r\n")
            self.assertTrue(ended_by_peer(noise))
        with connect(address) as silent:  # says nothing at all
            self.assertTrue(ended_by_peer(silent))
        with connect(address) as liar:  # a frame of 2^40 bytes
            shake_hands(liar)
            liar.sendall(b"\x02" + (1 << 40).to_bytes(8, "big"))
            self.assertTrue(ended_by_peer(liar))

    def test_a_message_that_does_not_end(self):
        before = resident_bytes(self.daemon.process.pid)
        with connect(self.daemon.socket()) as endless:
            shake_hands(endless)
            frame = b"\x03" + (1024).to_bytes(8, "big") + b"x" * 1024  # long, more to come
            for _ in range(4 * 1024):
                endless.sendall(frame)
            self.assertEqual(self.peer.request("ping", {})[0], "pong")
        self.other.still_served()
        self.assertLess(resident_bytes(self.daemon.process.pid) - before, 64 << 20)

    def test_connections_leave_no_descriptors(self):
        def descriptors():
            return len(os.listdir("/proc/%d/fd" % self.daemon.process.pid))
        before = descriptors()
        for _ in range(3):
            peers = [Peer(self.daemon.socket()) for _ in range(20)]
            for peer in peers:
                self.assertEqual(peer.request("nonsense", b"{")[2]["name"], "E_FRAME")
                peer.socket.send_multipart([b"BN1", b"submit", b"1", b'{"prompt":"x","mode":"stream","credit":0}'])
            for peer in peers:
                peer.close()
            for _ in range(10):
                with connect(self.daemon.socket()) as noise:
                    noise.sendall(b"\xff" * 100)
        until(lambda: descriptors() <= before + 2, "the descriptors are closed", 30)

    # Bodies -----------------------------------------------------------------------------------

    def test_bodies_that_are_no_json_object(self):
        deep = b'{"a":' * 33 + b"1" + b"}" * 33
        wrong = [b"", b" ", b"{", b"}", b"[]", b"1", b"null", b'"text"', b"{}{}", b"{} x", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf{}x",
                 b'{"t":1,"t":2}', b'{"t":NaN}', b'{"t":Infinity}', b'{"t":1e999}', b'{"t":01}', b'{"t":+1}', b"{'t':1}",
                 b'{"t":"\xff"}', b'{"t":"\xc0\x80"}', b'{"t":"\xed\xa0\x80"}', b'{"t":"\\ud800"}', b'{"t":"\\udc00\\ud800"}', b'{"t":"a\nb"}',
                 b'{"t":"', b'{"t":1,}', b"{/**/}", deep, b"[" * 100_000, b'{"a":' * 100_000,
                 b"{" + b",".join(b'"k%d":1' % i for i in range(2049)) + b"}", b'{"t":[' + b"1," * 1_000_000 + b"1]}"]
        for body in wrong:
            self.refused("E_JSON", "ping", body)
        nul = self.peer.request("submit", b'{"prompt":"a\\u0000b","mode":"sync","params":{"max_tokens":1}}')
        self.assertIn(nul[0], ("result", "error"))  # either is fine, as long as it is an answer

    def test_each_field_refuses_another_type(self):
        values = {"text": "words", "whole": 3, "fraction": 1.5, "flag": True, "list": [1], "object": {"a": "b"}, "null": None}
        fits = {"prompt": ["text"], "messages": [], "input": ["text"], "items": [], "model": ["text"], "params": [], "mode": [], "wait": [],
                "durable": ["flag"], "key": ["text"], "class": [], "deadline_ms": ["whole"], "deadline": [], "not_before": [],
                "ttl_result_s": ["whole"], "quality_retries": ["whole"], "on_disconnect": [], "cache": [], "credit": ["whole"],
                "meta": ["object"], "trace": ["flag"]}
        for field, good in fits.items():
            for kind, value in values.items():
                if kind in good:
                    continue
                body = {field: value} if field in ("prompt", "messages", "input", "items") else {"prompt": "x", field: value}
                error = self.refused("E_FIELD", "submit", body)
                self.assertTrue(error["field"].startswith(field), (body, error))
        params = {"max_tokens": ["whole"], "temperature": ["whole", "fraction"], "top_k": ["whole"], "top_p": [], "min_p": [],
                  "repetition_penalty": ["whole", "fraction"], "seed": ["whole"], "stop": [], "logit_bias": [], "ignore_eos": ["flag"]}
        for field, good in params.items():
            for kind, value in values.items():
                if kind not in good and not (field in ("top_p", "min_p") and kind in ("whole", "fraction")):
                    error = self.refused("E_FIELD", "submit", {"prompt": "x", "params": {field: value}})
                    self.assertTrue(error["field"].startswith("params." + field), error)
        for kind, body, field in [("status", {"job": 5}, "job"), ("status", {"job": "no id"}, "job"), ("status", {"jobs": []}, "jobs"),
                                  ("result", {"wait_ms": 1}, "job"), ("list", {"limit": "all"}, "limit"), ("list", {"state": ["gone"]}, "state[0]"),
                                  ("cancel", {"job": None}, "job"), ("credit", {"job": "x", "n": 1}, "job"), ("hello", {"ver": []}, "ver"),
                                  ("ping", {"t": {}}, "t"), ("models", {"x": 1}, "x")]:
            self.refused("E_FIELD", kind, body, field)

    def test_values_out_of_bounds(self):
        for field, values in {"max_tokens": [0, -1, 4097, 1 << 63], "temperature": [-0.1, 100.5], "top_k": [-1, 1_000_001], "top_p": [0, 1.1],
                              "min_p": [-0.1, 1], "repetition_penalty": [0, 101], "seed": [-1, 1 << 53],
                              "stop": [[""], ["x" * 257], ["x"] * 17, [5]],
                              "logit_bias": [{"a": 1}, {"-1": 1}, {"5": 101}, {"5": "x"}, {"999999": 1}]}.items():
            for value in values:
                error = self.refused("E_FIELD", "submit", {"prompt": "x", "mode": "sync", "params": {field: value}})
                self.assertTrue(error["field"].startswith("params." + field), error)
        now = time.time()
        at = lambda s: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + s))  # noqa: E731
        for body, field in [({"prompt": ""}, "prompt"), ({}, None), ({"prompt": "a", "input": "b"}, None), ({"messages": []}, "messages"),
                            ({"messages": [{"role": "root", "content": "x"}]}, "messages[0].role"), ({"messages": [{"role": "user"}]}, "messages[0].content"),
                            ({"messages": [{"role": "user", "content": ""}]}, "messages[0].content"), ({"items": []}, "items"),
                            ({"items": [{"prompt": "a"}, {"prompt": 5}]}, "items[1].prompt"), ({"items": [{"prompt": "a"}], "mode": "stream"}, None),
                            ({"prompt": "x", "deadline_ms": 0}, "deadline_ms"), ({"prompt": "x", "deadline": "tomorrow"}, "deadline"),
                            ({"prompt": "x", "deadline": at(31 * 86400)}, "deadline"), ({"prompt": "x", "not_before": at(367 * 86400)}, "not_before"),
                            ({"prompt": "x", "cache": {"no_store": True}}, "cache.no_store"), ({"prompt": "x", "cache": {"max-age": -1}}, "cache.max-age"),
                            ({"prompt": "x", "cache": {"namespace": "a/b"}}, "cache.namespace"), ({"prompt": "x", "meta": {"k": "v" * 513}}, None),
                            ({"prompt": "x", "key": "k" * 129}, "key"), ({"prompt": "x", "grammar": "g"}, "grammar"), ({"promt": "x"}, "promt"),
                            ({"input": "x", "params": {"max_tokens": 3}}, None)]:
            self.refused("E_FIELD", "submit", body, field)
        self.refused("E_DEADLINE", "submit", {"prompt": "x", "deadline": at(-60)})
        self.assertIn("prompt", self.refused("E_FIELD", "submit", {"promt": "x"})["msg"])

    def test_models_context_and_roles(self):
        error = self.refused("E_MODEL", "submit", {"prompt": "x", "model": "gpt"}, says="chat")
        self.assertEqual(error["code"], 140)
        self.refused("E_MODEL", "submit", {"prompt": "x", "model": "embed"})
        self.refused("E_MODEL", "submit", {"input": "x", "model": "chat"})
        self.refused("E_CTX", "submit", {"prompt": "word " * 4000}, says="2048")
        self.refused("E_CTX", "submit", {"prompt": "word", "params": {"max_tokens": 2048}}, says="2048")
        self.refused("E_CTX", "submit", {"input": "word " * 4000})
        for kind in ("reload", "profile", "drain", "undrain"):
            self.refused("E_ROLE", kind, {}, says="admin")
        self.refused("E_ROLE", "drain", b"{", says="admin")  # the role comes before the body
        self.refused("E_NO_JOB", "cancel", {"job": "00000000-0000-7000-8000-000000000000"})

    def test_large_bodies(self):
        error = self.refused("E_TOO_BIG", "submit", {"prompt": "x" * (10 << 20)})
        self.assertEqual(error["limit"], 8 << 20)
        for words in ("word ", "x", "\u00e9"):  # almost as large as allowed, and far above the context
            text = words * ((7 << 20) // len(words.encode()))
            began = time.monotonic()
            # "At least": it was counted, not tokenized.
            self.refused("E_CTX", "submit", json.dumps({"prompt": text}, ensure_ascii=False).encode(), says="at least")
            self.assertLess(time.monotonic() - began, 60)

    def test_a_client_that_reads_nothing(self):
        deaf = Peer(self.daemon.socket())
        deaf.socket.setsockopt(zmq.RCVHWM, 1)
        for _ in range(300):
            deaf.socket.send_multipart([b"BN1", b"metrics", b"1", b"{}"])
        self.other.still_served()
        deaf.close()


def resident_bytes(pid):
    with open("/proc/%d/statm" % pid, encoding="ascii") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def bad_models():
    """Files that no loader may take: the project's own, and more where BITNETD_FIXTURES says."""
    folders = [os.path.join(SOURCE, "tests/golden/bad")]
    if "BITNETD_FIXTURES" in os.environ:
        folders.append(os.path.join(os.environ["BITNETD_FIXTURES"], "bad"))
    for folder in folders:
        if os.path.isdir(folder):
            for name in sorted(os.listdir(folder)):
                if name.endswith(".gguf"):
                    yield os.path.join(folder, name)


class BadModels(unittest.TestCase):
    def setUp(self):
        with open(CHAT, "rb") as f:
            self.whole = f.read()

    def start_with(self, daemon, path):
        daemon.write_config(models=["{name: bad, path: %s}" % path])
        daemon.spawn()

    def check_refusal(self, daemon, path):
        """It ended with status 4 and one line that names the file."""
        said = [line for line in daemon.log_text().splitlines() if "model refused" in line]
        self.assertEqual((daemon.process.returncode, len(said)), (MODEL_REFUSED, 1), (path, daemon.log_text()))
        self.assertIn(path, said[0])
        os.remove(daemon.path("log"))

    def test_broken_files_end_the_start_with_one_line(self):
        with Daemon(start=False) as daemon:
            files = list(bad_models())
            self.assertGreater(len(files), 15)
            for length in (3, 24, 1000, 20_000, len(self.whole) // 2, len(self.whole) - 1):
                files.append(daemon.path("cut-%d.gguf" % length))
                with open(files[-1], "wb") as f:
                    f.write(self.whole[:length])
            for path in files:
                self.start_with(daemon, path)
                daemon.process.wait(60)
                self.check_refusal(daemon, path)

    def test_broken_folders_end_the_start_with_one_line(self):
        with Daemon(start=False) as daemon:
            for number, (what, files) in enumerate(folder_model.bad()):
                path = folder_model.write(daemon.path("%02d %s" % (number, what)), files)
                self.start_with(daemon, json.dumps(path))
                daemon.process.wait(60)
                self.check_refusal(daemon, path)

    def test_a_folder_that_breaks_while_it_serves_goes_on_as_it_was_loaded(self):
        with Daemon(start=False) as daemon:
            path = folder_model.write(daemon.path("small"), folder_model.good())
            daemon.write_config(models=["{name: small, path: %s}" % path])
            daemon.start()
            with daemon.client() as c:
                def answer():
                    return c.complete("caf\u0065\u0301 1234", model="small", params={"max_tokens": 12}, cache=ANEW).text
                before = answer()
                # What was read is not looked at again; read anew, it is refused, and the others stay.
                folder_model.write(path, {"model.safetensors": b"gone", "config.json": b"{}", "tokenizer.json": b"["})
                self.assertEqual(answer(), before)
                daemon.write_config(models=["{name: small, path: %s}" % path, "{name: again, path: %s}" % path])
                until(lambda: "models stay as they are" in daemon.log_text(), "the refusal", 60)
                self.assertEqual(answer(), before)
                self.assertTrue(c.chat(QUESTION, cache=ANEW).text)

    def test_a_model_beyond_the_budget_is_refused_and_a_smaller_one_loaded(self):
        with Daemon(start=False, extra="  model_bytes: 1MiB") as daemon:
            daemon.spawn()
            daemon.process.wait(60)
            self.check_refusal(daemon, CHAT)
        sizes = [os.path.getsize(path) for path in (CHAT, EMBED)]
        budget = "  model_bytes: %d" % (sum(sizes) + sizes[0] // 2)  # the shipped ones, and no second CHAT
        with Daemon(extra=budget) as daemon, daemon.client() as c:
            before = c.chat(QUESTION, cache=ANEW).text
            daemon.write_config(models=["{name: second, path: %s}" % CHAT], extra=budget)
            until(lambda: "left of the budget for models" in daemon.log_text(), "the refusal", 60)
            self.assertEqual([m["name"] for m in c.models()], ["chat", "embed"])
            small = folder_model.write(daemon.path("small"), folder_model.good())
            daemon.write_config(models=["{name: small, path: %s}" % small], extra=budget)
            until(lambda: "small" in [m["name"] for m in c.models()], "the smaller model", 60)
            self.assertEqual(c.chat(QUESTION, cache=ANEW).text, before)

    def test_flipped_bits_are_refused_or_served_but_never_a_crash(self):
        draw = random.Random(11)
        with Daemon(start=False) as daemon:
            path = daemon.path("flipped.gguf")
            for _ in range(12):
                broken = bytearray(self.whole)
                for _ in range(3):
                    broken[draw.randrange(40_000)] ^= 1 << draw.randrange(8)  # metadata and the tensors' table
                with open(path, "wb") as f:
                    f.write(broken)
                self.start_with(daemon, path)
                until(lambda: daemon.process.poll() is not None or is_ready(daemon), "an end or an answer", 60)
                if daemon.process.poll() is not None:
                    self.check_refusal(daemon, path)
                    continue
                with daemon.client() as c:  # a value that means something else is still a model
                    self.assertTrue(c.chat("What is bitnetd?", model="chat").text)
                self.assertEqual(daemon.stop(), 0)
                os.remove(daemon.path("log"))

    def test_a_bad_model_added_while_running_leaves_the_others_serving(self):
        with Daemon() as daemon:
            bad = daemon.path("cut.gguf")
            with open(bad, "wb") as f:
                f.write(self.whole[:-1])
            alerts = zmq.Context.instance().socket(zmq.SUB)
            alerts.connect(daemon.socket("events"))
            alerts.subscribe(b"alert")
            alerts.subscribe(b"metrics")
            self.assertTrue(alerts.poll(20_000))  # subscribed: metrics come every second
            alerts.unsubscribe(b"metrics")
            with daemon.client() as c:
                before = c.chat(QUESTION, cache=ANEW).text
                daemon.write_config(models=["{name: bad, path: %s}" % bad])
                alert = None
                while alert is None:
                    self.assertTrue(alerts.poll(30_000), "an alert")
                    topic, _, body = alerts.recv_multipart()
                    alert = json.loads(body) if topic == b"alert" else None
                self.assertIn(bad, alert["msg"])
                self.assertTrue(re.search("models stay as they are: .*" + re.escape(bad), daemon.log_text()))
                self.assertEqual([m["name"] for m in c.models()], ["chat", "embed"])
                self.assertEqual(c.chat(QUESTION, cache=ANEW).text, before)
                with open(bad, "wb") as f:
                    f.write(self.whole)
                daemon.write_config(models=["{name: good, path: %s}" % bad])  # mended
                until(lambda: "good" in [m["name"] for m in c.models()], "the mended model")
                self.assertEqual(c.chat(QUESTION, model="good", cache=ANEW).text, before)
            alerts.close()


def is_ready(daemon):
    try:
        with daemon.client(timeout=1) as c:
            return c.ping()["state"] == "ready"
    except Exception:  # not yet there
        return False


if __name__ == "__main__":
    unittest.main(verbosity=2)
