#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The Python client against a peer that answers as each test wants: framing, errors, retries, credit."""
import asyncio
import json
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import zmq

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "clients" / "python"))
import bitnet_client  # noqa: E402
from bitnet_client import requests  # noqa: E402
from bitnet_client.protocol import endpoint, parse_reply  # noqa: E402

JOB = "01890a5d-ac96-774b-bcce-b302099a8057"
LIMITS = {"body": 4096, "batch_items": 3, "max_tokens": 100, "open_jobs": 1000}


class Peer:
    """A ROUTER that answers hello and ping, and everything else as `script` says: a function of
    (kind, body) that returns a list of (kind, body). Keeps what it was asked."""

    def __init__(self, script):
        self.script = script
        self.epoch = "one"
        self.asked = []
        self.frames = []
        self.mute = False
        self.folder = tempfile.TemporaryDirectory()
        self.address = "ipc://%s/front.sock" % self.folder.name
        self.socket = zmq.Context.instance().socket(zmq.ROUTER)
        self.socket.bind(self.address)
        self.running = True
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self):
        while self.running:
            if self.socket.poll(20):
                frames = self.socket.recv_multipart()
                self.frames.append(frames)
                if not self.mute:
                    self._answer(frames)
        self.socket.close(0)

    def _answer(self, frames):
        peer, protocol, kind, request_id, body = frames
        kind, body = kind.decode(), json.loads(body)
        if kind == "hello":
            replies = [("welcome", {"ver": 1, "server": "peer/1", "epoch": self.epoch, "role": "submit",
                                    "state": "ready", "models": ["tiny"], "limits": LIMITS, "new": 1})]
        elif kind == "ping":
            replies = [("pong", {"epoch": self.epoch, "state": "ready"})]
        else:
            self.asked.append((kind, body))
            replies = self.script(kind, body)
        for reply in replies:
            if isinstance(reply, bytes):
                self.socket.send_multipart([peer, reply])
            else:
                self.socket.send_multipart([peer, b"BN1", reply[0].encode(), request_id,
                                            json.dumps(reply[1]).encode()])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.running = False
        self.thread.join()
        self.folder.cleanup()


def done(text="fine", **more):
    return ("result", {"job": JOB, "state": "done", "text": text, "finish": "stop", **more})


def refused(name, code, retry="no", **more):
    return ("error", {"code": code, "name": name, "msg": "because", "retry": retry, **more})


def accepted(**more):
    return ("accepted", {"job": JOB, "durable": False, "fsync": False, "epoch": "one", **more})


def delta(seq, off, text):
    return ("delta", {"job": JOB, "seq": seq, "off": off, "text": text, "n": 1})


def once_then(first, *rest):
    """A script: the first request gets `first`, the second the next list, the last one all others."""
    answers = [first, *rest]
    return lambda kind, body: answers.pop(0) if len(answers) > 1 else answers[0]


class Sync(unittest.TestCase):
    def client(self, peer, **options):
        client = bitnet_client.Client(peer.address, **options)
        self.addCleanup(client.close)
        return client

    def test_a_request_is_four_frames_and_begins_with_hello(self):
        with Peer(lambda kind, body: [done()]) as peer:
            result = self.client(peer).complete("Hi", max_tokens=5, temperature=0.5, model="tiny")
            self.assertEqual(result.text, "fine")
            self.assertTrue(result.ok)
            first, second = peer.frames
            self.assertEqual(len(first), 5)
            self.assertEqual(first[1:3], [b"BN1", b"hello"])
            self.assertEqual(second[1:3], [b"BN1", b"submit"])
            self.assertEqual(first[0][0], 0)  # no routing id of our own
            _, body = peer.asked[0]
            self.assertTrue(body.pop("key"))
            self.assertEqual(body, {"prompt": "Hi", "mode": "sync", "model": "tiny",
                                    "params": {"max_tokens": 5, "temperature": 0.5}})

    def test_chat_takes_a_text_or_messages(self):
        with Peer(lambda kind, body: [done()]) as peer:
            client = self.client(peer)
            client.chat("Hi", class_="batch", params={"seed": 3}, top_k=4)
            client.chat([{"role": "system", "content": "s"}, {"role": "user", "content": "u"}])
            self.assertEqual(peer.asked[0][1]["messages"], [{"role": "user", "content": "Hi"}])
            self.assertEqual(peer.asked[0][1]["class"], "batch")
            self.assertEqual(peer.asked[0][1]["params"], {"seed": 3, "top_k": 4})
            self.assertEqual(len(peer.asked[1][1]["messages"]), 2)

    def test_a_refusal_is_an_exception_with_its_fields(self):
        answer = refused("E_FIELD", 103, field="params.top_k", limit=7)
        with Peer(lambda kind, body: [answer]) as peer:
            with self.assertRaises(bitnet_client.RequestRefused) as caught:
                self.client(peer).complete("Hi")
            error = caught.exception
            self.assertEqual((error.code, error.name, error.field, error.limit, error.retry),
                             (103, "E_FIELD", "params.top_k", 7, "no"))
            self.assertIn("because (params.top_k)", str(error))
            self.assertEqual(len(peer.asked), 1)

    def test_a_job_that_ends_badly_is_another_exception(self):
        for answer in (refused("E_DEADLINE", 132, job=JOB, state="expired"),
                       ("result", {"job": JOB, "state": "expired",
                                   "error": {"code": 132, "name": "E_DEADLINE", "msg": "late"}})):
            with Peer(lambda kind, body: [answer]) as peer:
                with self.assertRaises(bitnet_client.JobFailed) as caught:
                    self.client(peer).complete("Hi")
                self.assertEqual((caught.exception.job, caught.exception.state,
                                  caught.exception.name), (JOB, "expired", "E_DEADLINE"))

    def test_busy_is_waited_out_and_sent_again_with_the_same_key(self):
        busy = [refused("E_BUSY", 120, "later", retry_after_ms=150)]
        with Peer(once_then(busy, busy, [done()])) as peer:
            start = time.monotonic()
            self.assertEqual(self.client(peer).complete("Hi").text, "fine")
            self.assertGreater(time.monotonic() - start, 0.3)
            keys = {body["key"] for _, body in peer.asked}
            self.assertEqual((len(peer.asked), len(keys)), (3, 1))

    def test_busy_for_too_long_is_an_exception(self):
        with Peer(lambda kind, body: [refused("E_BUSY", 120, "later")]) as peer:
            with self.assertRaises(bitnet_client.RequestRefused):
                self.client(peer, retry_for=0.35).complete("Hi")
            self.assertGreater(len(peer.asked), 1)
            with self.assertRaises(bitnet_client.RequestRefused):
                self.client(peer, retry_for=0).status(JOB)

    def test_a_fault_of_the_daemon_is_tried_twice_more(self):
        with Peer(lambda kind, body: [refused("E_INTERNAL", 150, "same-key")]) as peer:
            with self.assertRaises(bitnet_client.RequestRefused):
                self.client(peer).complete("Hi", key="mine")
            self.assertEqual([body["key"] for _, body in peer.asked], ["mine"] * 3)

    def test_limits_are_checked_before_sending(self):
        with Peer(lambda kind, body: [done()]) as peer:
            client = self.client(peer)
            for field, call in (("body", lambda: client.complete("x" * 5000)),
                                ("params.max_tokens", lambda: client.complete("x", max_tokens=101)),
                                ("items", lambda: client.submit(items=[{"prompt": "x"}] * 4))):
                with self.assertRaises(bitnet_client.LimitExceeded) as caught:
                    call()
                self.assertEqual(caught.exception.field, field)
            self.assertEqual(peer.asked, [])

    def test_a_stream_gives_deltas_and_returns_credit(self):
        deltas = [delta(i, 2 * i, "%02d" % i) for i in range(10)]
        whole = "".join(d[1]["text"] for d in deltas)
        with Peer(lambda kind, body: [accepted(), *deltas, done(whole)]
                  if kind == "submit" else []) as peer:
            stream = self.client(peer).stream("Hi", credit=8)
            self.assertEqual("".join(d.text for d in stream), whole)
            self.assertEqual(stream.accepted.job, JOB)
            self.assertEqual(stream.result.text, whole)
            time.sleep(0.1)
            credits = [body for kind, body in peer.asked if kind == "credit"]
            self.assertEqual(credits, [{"job": JOB, "n": 4}] * 2)

    def test_a_gap_in_a_stream_is_filled_from_the_result(self):
        replies = [accepted(), delta(0, 0, "caf\u00e9"), delta(2, 9, "lost"), done("caf\u00e9 and more")]
        with Peer(lambda kind, body: replies) as peer:
            self.assertEqual([d.text for d in self.client(peer).stream(messages="Hi")],
                             ["caf\u00e9", " and more"])

    def test_leaving_a_stream_early_cancels_its_job(self):
        def script(kind, body):
            return {"submit": [accepted(), delta(0, 0, "a")],
                    "cancel": [("ok", {"job": JOB, "state": "cancelled"})]}[kind]

        with Peer(script) as peer:
            with self.client(peer).stream("Hi") as stream:
                for _ in stream:
                    break
            self.assertEqual(peer.asked[-1][0], "cancel")

    def test_a_refused_stream_is_an_exception_and_cancels_nothing(self):
        with Peer(lambda kind, body: [refused("E_MODEL", 140)]) as peer:
            with self.assertRaises(bitnet_client.RequestRefused):
                with self.client(peer).stream("Hi") as stream:
                    list(stream)
            self.assertEqual([kind for kind, _ in peer.asked], ["submit"])

    def test_two_streams_of_one_client_do_not_mix(self):
        def script(kind, body):
            text = body["prompt"]
            return [accepted(), delta(0, 0, text), delta(1, 1, text), done(text * 2)]

        with Peer(script) as peer:
            client = self.client(peer)
            first, second = client.stream("a"), client.stream("b")
            pairs = [(x.text, y.text) for x, y in zip(first, second)]
            self.assertEqual(pairs, [("a", "b"), ("a", "b")])

    def test_a_batch_is_cut_to_the_limits_and_put_together_in_order(self):
        def script(kind, body):
            items = [{"job": JOB, "state": "done", "text": item["prompt"], "index": i}
                     for i, item in enumerate(body["items"])]
            return [accepted(children=len(items)), ("result", {"job": JOB, "state": "done",
                                                               "items": items})]

        with Peer(script) as peer:
            prompts = ["a", "b" * 2000, "c" * 2500, "d", "e", "f", "g"]
            results = self.client(peer).batch(prompts, key="k")
            self.assertEqual([r.text for r in results], prompts)
            self.assertEqual([len(body["items"]) for _, body in peer.asked], [2, 3, 2])
            self.assertEqual([body["key"] for _, body in peer.asked], ["k/0", "k/1", "k/2"])
            self.assertTrue(all(body["wait"] == "result" and body["mode"] == "job"
                                for _, body in peer.asked))

    def test_a_failed_item_does_not_hide_the_others(self):
        items = [{"job": JOB, "state": "done", "text": "a"},
                 {"job": JOB, "state": "failed", "error": {"code": 142, "name": "E_CTX", "msg": "m"}}]
        whole = ("result", {"job": JOB, "state": "failed", "items": items})
        with Peer(lambda kind, body: [accepted(), whole]) as peer:
            good, bad = self.client(peer).batch(["a", "b"])
            self.assertTrue(good.ok)
            self.assertFalse(bad.ok)
            with self.assertRaises(bitnet_client.JobFailed):
                bad.check()

    def test_embed_gives_a_vector_or_a_list_of_them(self):
        def script(kind, body):
            if "input" in body:
                return [done(None, embedding=[1.0, 0.0])]
            items = [{"job": JOB, "state": "done", "embedding": [float(len(item["input"]))]}
                     for item in body["items"]]
            return [("result", {"job": JOB, "state": "done", "items": items})]

        with Peer(script) as peer:
            client = self.client(peer)
            self.assertEqual(client.embed("x"), [1.0, 0.0])
            self.assertEqual(client.embed(["a", "bb", "ccc", "dddd"]), [[1.0], [2.0], [3.0], [4.0]])
            self.assertEqual(client.embed([]), [])

    def test_jobs_are_asked_for_waited_for_and_listed(self):
        waiting = ("status", {"jobs": [{"job": JOB, "state": "running"}]})

        def script(kind, body):
            if kind == "list":
                return [("list", {"jobs": [{"job": body.get("cursor", "first")}],
                                  **({} if "cursor" in body else {"cursor": "second"})})]
            if kind == "result":
                return [done()] if len(peer.asked) > 2 else [waiting]
            return {"status": [waiting], "cancel": [("ok", {"job": JOB, "state": "cancelled"})],
                    "submit": [accepted(durable=True)], "ack": [("ok", {})],
                    "models": [("models", {"models": [{"name": "tiny"}]})],
                    "stats": [("stats", {"state": "ready"})],
                    "metrics": [("metrics", {"text": "a 1\n"})],
                    "reload": [("ok", {"version": 2})], "profile": [("ok", {"active": "eco"})],
                    "drain": [("ok", {"state": "draining"})], "undrain": [("ok", {})]}[kind]

        with Peer(script) as peer:
            client = self.client(peer)
            self.assertEqual(client.submit(prompt="x").job, JOB)
            self.assertIsNone(client.result(JOB))
            self.assertEqual(client.wait(JOB).text, "fine")
            self.assertEqual(client.status(JOB)["state"], "running")
            self.assertEqual(client.status([JOB]), waiting[1]["jobs"])
            self.assertEqual(client.cancel(JOB, "why"), "cancelled")
            self.assertEqual([job["job"] for job in client.jobs(state=["done"])],
                             ["first", "second"])
            client.ack(JOB)
            self.assertEqual(client.models()[0]["name"], "tiny")
            self.assertEqual(client.stats()["state"], "ready")
            self.assertEqual(client.metrics(), "a 1\n")
            self.assertEqual(client.reload(dry_run=True)["version"], 2)
            self.assertEqual(client.profile()["active"], "eco")
            self.assertEqual(client.drain(5)["state"], "draining")
            self.assertEqual(client.undrain(), {})
            self.assertEqual(client.ping()["epoch"], "one")
            bodies = dict(peer.asked)
            self.assertEqual(bodies["drain"], {"timeout_s": 5})
            self.assertEqual(bodies["profile"], {})
            self.assertEqual(bodies["cancel"], {"job": JOB, "reason": "why"})

    def test_a_silent_daemon_is_unreachable(self):
        with Peer(lambda kind, body: [done()]) as peer:
            client = self.client(peer, timeout=0.4, heartbeat=0.1)
            client.hello()
            peer.mute = True
            for call in (lambda: client.complete("Hi"), lambda: client.stats(),
                         lambda: list(client.stream("Hi"))):
                start = time.monotonic()
                with self.assertRaises(bitnet_client.Unreachable):
                    call()
                self.assertLess(time.monotonic() - start, 30)
        with self.assertRaises(bitnet_client.Unreachable):
            self.client(peer, timeout=0.2).hello()

    def test_a_slow_answer_of_a_living_daemon_is_waited_for(self):
        def script(kind, body):
            time.sleep(0.5)  # pings wait too, but are answered at last
            return [done()]

        with Peer(script) as peer:
            client = self.client(peer, timeout=1.5, heartbeat=0.1)
            self.assertEqual(client.complete("Hi").text, "fine")
            with self.assertRaises(bitnet_client.Unreachable):
                client.complete("Hi", timeout=0.2)

    def test_after_a_restart_the_request_is_sent_again_with_its_key(self):
        def script(kind, body):
            if len(peer.asked) == 1:
                peer.epoch = "two"  # the old process took the request with it
                return []
            return [done()]

        with Peer(script) as peer:
            client = self.client(peer, heartbeat=0.1)
            self.assertEqual(client.complete("Hi").text, "fine")
            first, second = (body for _, body in peer.asked)
            self.assertEqual(first, second)

    def test_a_restart_within_a_stream_ends_it_unless_it_is_durable(self):
        for durable in (False, True):
            def script(kind, body):
                if len(peer.asked) == 1:
                    peer.epoch = "two"
                    return [accepted(durable=durable), delta(0, 0, "begun")]
                return [delta(0, 5, " and"), done("begun and ended")]

            with Peer(script) as peer:
                stream = self.client(peer, heartbeat=0.1).stream("Hi", durable=durable)
                if not durable:
                    self.assertRaises(bitnet_client.Unreachable, list, stream)
                    continue
                self.assertEqual([d.text for d in stream], ["begun", " and", " ended"])
                self.assertEqual(stream.result.text, "begun and ended")
                self.assertEqual(peer.asked[1], ("attach", {"job": JOB, "off": 5, "credit": 64}))

    def test_a_job_is_read_from_an_offset_and_after_a_rewind(self):
        replies = [delta(0, 6, "and "), ("rewound", {"job": JOB, "off": 6}), delta(1, 6, "and so "),
                   done("begun and so on")]
        with Peer(lambda kind, body: replies) as peer:
            stream = self.client(peer).attach(JOB, 6)
            self.assertEqual("".join(d.text for d in stream), "and so on")
            self.assertEqual(peer.asked, [("attach", {"job": JOB, "off": 6, "credit": 64})])

    def test_an_answer_that_changes_while_it_is_read_is_an_error(self):
        replies = [delta(0, 0, "one"), ("rewound", {"job": JOB, "off": 0}), delta(1, 0, "two")]
        with Peer(lambda kind, body: replies) as peer:
            self.assertRaises(bitnet_client.ProtocolError, list, self.client(peer).attach(JOB))

    def test_items_of_a_batch_come_one_by_one_and_go_on_after_a_restart(self):
        def item(off, text):
            return ("item", {"job": JOB, "off": off, "item": {**done(text)[1], "index": off}})

        def script(kind, body):
            if kind == "credit":
                return []
            if len(peer.asked) == 1:
                peer.epoch = "two"
                return [item(0, "a"), item(1, "b")]
            return [item(2, "c"), ("result", {"job": JOB, "state": "done"})]

        with Peer(script) as peer:
            found = list(self.client(peer, heartbeat=0.1).items(JOB, order="input"))
            self.assertEqual([(r.index, r.text) for r in found], [(0, "a"), (1, "b"), (2, "c")])
            self.assertEqual(peer.asked[1], ("attach", {"job": JOB, "off": 2, "credit": 64,
                                                        "order": "input"}))

    def test_what_is_no_reply_is_a_protocol_error(self):
        good = [b"BN1", b"result", b"1", b"{}"]
        self.assertEqual(parse_reply([b""] + good).kind, "result")
        for frames in ([], good[:3], good + [b""], [b"BN2"] + good[1:], good[:3] + [b"[1]"],
                       good[:3] + [b"{"], good[:3] + [b"\xff"], [b"BN1", b"\xff", b"1", b"{}"]):
            with self.assertRaises(bitnet_client.ProtocolError):
                parse_reply(frames)
        with Peer(lambda kind, body: [b"noise"]) as peer:
            with self.assertRaises(bitnet_client.ProtocolError):
                self.client(peer).stats()
        with Peer(lambda kind, body: [("pong", {})]) as peer:
            with self.assertRaises(bitnet_client.ProtocolError):
                self.client(peer).stats()

    def test_wrong_use_is_told_before_anything_is_sent(self):
        with Peer(lambda kind, body: [done()]) as peer:
            client = self.client(peer)
            for call in (lambda: client.submit(), lambda: client.submit(prompt="a", input="b"),
                         lambda: client.submit("stream", prompt="a"),
                         lambda: client.complete("a", temperature=float("nan")),
                         lambda: client.complete("\ud800")):
                with self.assertRaises(ValueError):
                    call()
            self.assertEqual(peer.asked, [])

    def test_addresses_may_be_paths(self):
        self.assertEqual(endpoint("/run/x.sock"), "ipc:///run/x.sock")
        self.assertEqual(endpoint("tcp://127.0.0.1:5"), "tcp://127.0.0.1:5")

    def test_items_are_cut_by_bytes_of_utf8(self):
        texts = ["\u00e9" * 30] * 4  # 60 bytes each
        for room, sizes in ((100, [1, 1, 1, 1]), (160, [2, 2]), (400, [4])):
            limits = {"body": requests.ROOM_FOR_FIELDS + 30 + room}
            parts = list(requests.batches(texts, {}, limits))
            self.assertEqual([len(part) for part in parts], sizes)


class Async(unittest.IsolatedAsyncioTestCase):
    async def test_many_tasks_share_one_client(self):
        def script(kind, body):
            return [done(body["prompt"].upper())]

        with Peer(script) as peer:
            async with bitnet_client.AsyncClient(peer.address) as client:
                texts = ["t%d" % i for i in range(50)]
                results = await asyncio.gather(*(client.complete(t) for t in texts))
                self.assertEqual([r.text for r in results], [t.upper() for t in texts])

    async def test_a_stream_is_iterated_and_credit_returned(self):
        deltas = [delta(i, i, "x") for i in range(6)]
        with Peer(lambda kind, body: [accepted(), *deltas, done("x" * 6)]
                  if kind == "submit" else []) as peer:
            async with bitnet_client.AsyncClient(peer.address) as client:
                stream = client.stream(messages="Hi", credit=4)
                self.assertEqual([d.text async for d in stream], ["x"] * 6)
                self.assertEqual(stream.result.text, "x" * 6)
                await asyncio.sleep(0.1)
                self.assertEqual(sum(kind == "credit" for kind, _ in peer.asked), 3)

    async def test_errors_retries_and_leaving_early_are_as_in_the_blocking_client(self):
        def script(kind, body):
            if kind == "cancel":
                return [("ok", {"state": "cancelled"})]
            if body.get("mode") == "stream":
                return [accepted(), delta(0, 0, "a")]
            if len(peer.asked) == 1:
                return [refused("E_BUSY", 120, "later", retry_after_ms=20)]
            return [refused("E_MODEL", 140)]

        with Peer(script) as peer:
            async with bitnet_client.AsyncClient(peer.address) as client:
                with self.assertRaises(bitnet_client.RequestRefused) as caught:
                    await client.chat("Hi")
                self.assertEqual(caught.exception.name, "E_MODEL")
                async with client.stream("Hi") as stream:
                    async for _ in stream:
                        break
                self.assertEqual([kind for kind, _ in peer.asked],
                                 ["submit", "submit", "submit", "cancel"])

    async def test_two_tasks_both_notice_a_restart(self):
        def script(kind, body):
            if len(peer.asked) <= 2:
                if len(peer.asked) == 2:
                    peer.epoch = "two"
                return []
            return [done()]

        with Peer(script) as peer:
            async with bitnet_client.AsyncClient(peer.address, heartbeat=0.1) as client:
                await client.hello()
                both = asyncio.gather(client.complete("a"), client.complete("b"))
                self.assertEqual([r.text for r in await asyncio.wait_for(both, 5)], ["fine"] * 2)

    async def test_a_cancelled_task_leaves_nothing_behind(self):
        with Peer(lambda kind, body: []) as peer:
            async with bitnet_client.AsyncClient(peer.address) as client:
                with self.assertRaises(asyncio.TimeoutError):
                    await asyncio.wait_for(client.complete("Hi"), 0.2)
                self.assertEqual(client._session.inboxes, {})


class Examples(unittest.TestCase):
    """The scripts as processes."""

    def run_script(self, peer, name, *arguments, text=""):
        script = ROOT / "clients" / "python" / "examples" / name
        return subprocess.run([sys.executable, str(script), "--socket", peer.address, *arguments],
                              input=text, capture_output=True, text=True, timeout=30, check=False)

    def test_stream_chat_prints_the_answer(self):
        with Peer(lambda kind, body: [accepted(), delta(0, 0, "one "), done("one two")]) as peer:
            run = self.run_script(peer, "stream_chat.py", "--system", "s", "question")
            self.assertEqual((run.returncode, run.stdout), (0, "one two\n"), run.stderr)
            self.assertEqual([m["role"] for m in peer.asked[0][1]["messages"]], ["system", "user"])

    def test_push_jobs_writes_answers_in_order(self):
        def script(kind, body):
            items = [{"job": JOB, "state": "done", "text": item["prompt"][::-1],
                      **({"custom_id": item["custom_id"]} if "custom_id" in item else {})}
                     for item in body["items"]]
            items[-1] = {"job": JOB, "state": "failed", "error": {"code": 142, "name": "E_CTX"}}
            return [accepted(), ("result", {"job": JOB, "state": "done", "items": items})]

        with Peer(script) as peer:
            jobs = '{"prompt": "abc", "custom_id": "x"}\n\n{"prompt": "def"}\n{"prompt": "g"}\n'
            run = self.run_script(peer, "push_jobs.py", text=jobs)
            lines = [json.loads(line) for line in run.stdout.splitlines()]
            self.assertEqual(lines[:2], [{"custom_id": "x", "state": "done", "text": "cba"},
                                         {"index": 1, "state": "done", "text": "fed"}])
            self.assertEqual(lines[2]["error"]["name"], "E_CTX")
            self.assertEqual(run.returncode, 1)
            again = self.run_script(peer, "push_jobs.py", text=jobs)
            self.assertEqual(again.stdout, run.stdout)
            self.assertEqual(peer.asked[0][1]["key"], peer.asked[1][1]["key"])
            broken = self.run_script(peer, "push_jobs.py", text="{}\n[1]\n")
            self.assertIn("line 2: expected an object", broken.stderr)

    def test_embed_lines_gives_vectors_or_the_nearest_lines(self):
        def script(kind, body):
            vectors = {"up": [1.0, 0.0], "down": [-1.0, 0.0], "high": [0.8, 0.6]}
            if "input" in body:
                return [done(None, embedding=vectors[body["input"]])]
            items = [{"job": JOB, "state": "done", "embedding": vectors[item["input"]]}
                     for item in body["items"]]
            return [("result", {"job": JOB, "state": "done", "items": items})]

        with Peer(script) as peer:
            run = self.run_script(peer, "embed_lines.py", text="up\ndown\n")
            self.assertEqual([json.loads(line)["embedding"] for line in run.stdout.splitlines()],
                             [[1.0, 0.0], [-1.0, 0.0]], run.stderr)
            run = self.run_script(peer, "embed_lines.py", "--nearest", "up", text="down\nhigh\n")
            self.assertEqual(run.stdout, "0.8000  high\n-1.0000  down\n")

    def test_an_unreachable_daemon_is_one_line(self):
        with Peer(lambda kind, body: [refused("E_MODEL", 140)]) as peer:
            run = self.run_script(peer, "stream_chat.py", "question")
            self.assertEqual(run.returncode, 1)
            self.assertEqual(run.stderr, "stream_chat.py: 140 E_MODEL: because\n")


if __name__ == "__main__":
    unittest.main()
