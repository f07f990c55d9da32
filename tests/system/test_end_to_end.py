#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The main job, through real processes: ask, stream, cache, batch, embed, cancel, restart."""
import concurrent.futures
import math
import time
import unittest

from harness import TWO_NODES, Daemon, until

QUESTIONS = ["What is bitnetd?", "What is a ternary weight?", "How do I reload the configuration?", "What are the four phases?",
             "Which profiles are there?", "What is a durable job?", "How do I cancel a job?", "What does E_BUSY mean?"]


def stream(client, question, **options):
    with client.stream(messages=question, **options) as answer:
        text = "".join(delta.text for delta in answer)
    assert text == answer.result.text, (text, answer.result.text)
    return answer.result


class EndToEnd(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(nodes=TWO_NODES)

    @classmethod
    def tearDownClass(cls):
        cls.daemon.close()

    def test_eight_concurrent_streams_equal_each_alone(self):
        fresh = {"no-cache": True, "no-store": True}
        with self.daemon.client() as c:
            alone = [stream(c, q, cache=fresh).text for q in QUESTIONS]
        self.assertTrue(all(alone))

        def ask(question):
            with self.daemon.client() as c:
                return [stream(c, question, cache=fresh).text for _ in range(3)]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            together = list(pool.map(ask, QUESTIONS))
        for question, expected, got in zip(QUESTIONS, alone, together):
            self.assertEqual(got, [expected] * 3, question)

    def test_jobs_spread_over_both_workers(self):
        with self.daemon.client() as c:
            accepted = [c.submit(prompt="Count to a hundred, %d" % i, max_tokens=64, cache={"no-cache": True, "no-store": True},
                                 trace=True) for i in range(8)]
            traces = [str(c.wait(a.job).trace) for a in accepted]
        workers = {w for w in ("worker 0", "worker 1") for t in traces if w in t}
        self.assertEqual(workers, {"worker 0", "worker 1"}, traces[0])

    def test_a_repeated_question_is_answered_from_the_exact_cache_without_the_batcher(self):
        with self.daemon.client() as c:
            first = c.chat("What is group commit?", trace=True)
            before = self.daemon.metrics()
            again = c.chat("What is group commit?", trace=True)
            after = self.daemon.metrics()
        self.assertEqual(first.cache["status"], "MISS")
        self.assertEqual((again.cache["status"], again.cache["tier"]), ("HIT", "exact"))
        self.assertEqual(again.text, first.text)
        self.assertEqual([e["phase"] for e in again.trace], ["analysis", "cache", "combination"])
        batching = 'bitnetd_phase_total{phase="batching",skipped="false"}'
        self.assertEqual(before[batching], after[batching])

    def test_cache_directives(self):
        with self.daemon.client() as c:
            c.chat("What is a KV page?")
            self.assertEqual(c.chat("What is a KV page?", cache={"no-cache": True}).cache["status"], "MISS")
            self.assertEqual(c.chat("What is a KV page?", cache={"namespace": "other"}).cache["status"], "MISS")
            with self.assertRaises(Exception) as caught:
                c.chat("Never asked before?", cache={"only-if-cached": True})
            self.assertEqual(caught.exception.name, "E_NOT_CACHED")
            c.chat("Do not keep this.", cache={"no-store": True})
            self.assertEqual(c.chat("Do not keep this.").cache["status"], "MISS")

    def test_entries_are_shown_pinned_deleted_and_flushed(self):
        with self.daemon.client() as c:
            asked = {"cache": {"tags": ["prices"]}}
            c.chat("Which tiers has the cache?", **asked)
            entry = c.chat("Which tiers has the cache?").cache["entry"]
            self.assertIn("Which tiers has the cache?", self.daemon.ctl("cache", "get", entry).stdout)
            self.daemon.ctl("cache", "pin", entry)
            self.assertNotIn("ttl_s", c.chat("Which tiers has the cache?").cache)
            self.daemon.ctl("cache", "unpin", entry)
            self.assertIn("ttl_s", c.chat("Which tiers has the cache?").cache)
            self.assertIn("HIT", self.daemon.ctl("cache", "explain", "Which tiers has the cache?").stdout)
            self.daemon.ctl("cache", "flush", "--principal", "local", "--tag", "prices")
            self.assertEqual(c.chat("Which tiers has the cache?", **asked).cache["status"], "MISS")
            entry = c.chat("Which tiers has the cache?").cache["entry"]
            self.daemon.ctl("cache", "del", entry)
            self.assertEqual(c.chat("Which tiers has the cache?").cache["status"], "MISS")
            self.assertNotEqual(self.daemon.ctl("cache", "get", entry, check=False).returncode, 0)
            self.assertNotEqual(self.daemon.ctl("cache", "flush", check=False).returncode, 0)  # of what?

    def test_duplicates_in_flight_share_one_computation(self):
        tokens = 'bitnetd_tokens_total{kind="output"}'
        before = self.daemon.metrics().get(tokens, 0)

        def ask(_):
            with self.daemon.client() as c:
                return c.complete("A long story begins", max_tokens=200, ignore_eos=True)
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            results = list(pool.map(ask, range(6)))
        self.assertEqual(len({r.text for r in results}), 1)
        self.assertEqual(self.daemon.metrics()[tokens] - before, 200)
        self.assertEqual(sorted(r.cache["status"] for r in results).count("MISS"), 1)

    def test_a_batch_comes_back_in_order_with_cached_and_computed_items(self):
        with self.daemon.client() as c:
            c.chat("What is absmax?")
            items = [{"messages": [{"role": "user", "content": q}], "custom_id": "i%d" % i}
                     for i, q in enumerate(["What is absmax?", "What is absmean?", "What is absmax?"])]
            results = c.batch(items)
        self.assertEqual([r.custom_id for r in results], ["i0", "i1", "i2"])
        self.assertEqual(results[0].cache["status"], "HIT")
        self.assertEqual(results[0].text, results[2].text)

    def test_embeddings_have_unit_length_and_know_what_is_alike(self):
        with self.daemon.client() as c:
            a, b, other = c.embed(["How do I reload?", "How can I reload the configuration?", "What is a ternary weight?"])
        self.assertAlmostEqual(math.sqrt(sum(x * x for x in a)), 1, places=3)
        def cosine(u, v):
            return sum(x * y for x, y in zip(u, v))
        self.assertGreater(cosine(a, b), cosine(a, other))

    def test_an_instruction_stands_before_every_text_of_an_embedding(self):
        with self.daemon.client() as c:
            whole = c.embed(["Query: a text", "Query: another"])
            self.assertEqual(c.embed(["a text", "another"], prefix="Query: ", cache={"no-cache": True}), whole)
            self.assertEqual(c.embed("a text", prefix="Query: "), whole[0])
            self.assertNotEqual(c.embed("a text"), whole[0])
            job = c.submit(items=[{"input": "a text"}, {"input": "another"}], prefix="Query: ", cache={"no-cache": True}).job
            self.assertEqual([item.embedding for item in c.items(job, order="input")], whole)
            with self.assertRaisesRegex(Exception, "prefix: only with input"):
                c.complete("a text", prefix="Query: ")

    def test_a_cancelled_stream_ends_once_and_frees_its_place(self):
        with self.daemon.client() as c:
            job = c.submit(prompt="Once upon a time", max_tokens=1500, ignore_eos=True, cache={"no-store": True}).job
            until(lambda: c.status(job)["state"] == "running", "running")
            c.cancel(job)
            until(lambda: c.status(job)["state"] == "cancelled", "cancelled")
            until(lambda: c.stats()["batcher"]["running"] == 0, "nothing runs")

    def test_seeds_decide_what_is_drawn(self):
        with self.daemon.client() as c:
            def draw(seed):
                return c.complete("bitnetd is", temperature=1.5, seed=seed, max_tokens=24, cache={"no-store": True, "no-cache": True}).text
            self.assertEqual(draw(1), draw(1))
            self.assertGreater(len({draw(s) for s in range(6)}), 1)


class Durability(unittest.TestCase):
    def test_accepted_jobs_and_kept_answers_survive_a_kill(self):
        with Daemon() as daemon:
            with daemon.client() as c:
                kept = c.chat("What is bitnetd?").text
                jobs = [c.submit(prompt="Tell me about %d" % i, max_tokens=120, ignore_eos=True, key="k%d" % i).job for i in range(12)]
                time.sleep(1)  # the promise: an entry is a hit after a kill a second after its reply
            daemon.kill()
            daemon.start()
            with daemon.client() as c:
                again = c.chat("What is bitnetd?")
                self.assertEqual((again.cache["status"], again.text), ("HIT", kept))
                self.assertEqual(c.submit(prompt="Tell me about 3", max_tokens=120, ignore_eos=True, key="k3").job, jobs[3])
                results = [c.wait(job, timeout=300) for job in jobs]
            self.assertTrue(all(r.state == "done" and r.text for r in results))
            self.assertEqual(daemon.stop(), 0)

    def test_sigterm_drains_and_exits_with_0(self):
        with Daemon() as daemon:
            with daemon.client() as c:
                job = c.submit(prompt="Last words", max_tokens=60, ignore_eos=True).job
                until(lambda: c.status(job)["state"] in ("running", "done"), "started")
            self.assertEqual(daemon.stop(), 0)
            daemon.start()
            with daemon.client() as c:
                self.assertEqual(c.wait(job, timeout=300).state, "done")


if __name__ == "__main__":
    unittest.main(verbosity=2)
