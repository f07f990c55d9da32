#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The configuration is edited while the daemon works: what each key does, and that no job fails."""
import concurrent.futures
import os
import re
import signal
import threading
import time
import unittest

import hostile_models
from harness import CHAT, Daemon, until

ANEW = {"no-cache": True, "no-store": True}
REFUSED = 3
BOTH_CPUS = "[{cpus: [0, 1]}]" if (os.cpu_count() or 1) > 1 else "[{cpus: [0]}]"
counter = iter(range(1, 1 << 30))


def prompt(words):
    """A prompt of about so many tokens that nobody sent before, from its first token on."""
    return "%d %s" % (next(counter), "which word is next " * (words // 4))


class Reload(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(nodes=BOTH_CPUS)

    @classmethod
    def tearDownClass(cls):
        cls.daemon.close()

    def setUp(self):
        self.client = self.daemon.client()

    def tearDown(self):
        self.client.close()

    def edit(self, text):
        """Saves the profile; returns when it is in effect, by the watcher or by this reload."""
        if "cache:" not in text:
            text += "cache: {mode: exact}\n"
        self.daemon.write_profile(text)
        self.daemon.ctl("reload")

    def stats(self, *path):
        value = self.client.stats()
        for name in path:
            value = value[name]
        return value

    def worker_budget(self, name):
        return self.stats("batcher", "workers")[0][name]

    def steps_of(self, prompts=1):
        """How many forward passes long prompts take that come together, and their tokens."""
        until(lambda: self.stats("batcher", "running") == 0, "nothing else runs")
        before = self.daemon.metrics()["bitnetd_steps_total"]
        results = self.client.batch([prompt(400) for _ in range(prompts)], max_tokens=1, cache=ANEW, durable=False)
        tokens = sum(result.usage["prompt"] for result in results)
        self.assertGreater(tokens, 350 * prompts)
        until(lambda: self.stats("batcher", "running") == 0, "it ended everywhere")
        return self.daemon.metrics()["bitnetd_steps_total"] - before, tokens

    # Step keys: each shows in what the daemon does ------------------------------------------------

    def test_max_sequences_bounds_what_runs_at_once(self):
        self.edit("batch: {max_sequences: 2}\n")
        jobs = [self.client.submit(prompt=prompt(8), max_tokens=1500, ignore_eos=True, cache=ANEW, durable=False).job
                for _ in range(10)]
        until(lambda: self.stats("batcher", "running") == 2, "two run")
        until(lambda: self.stats("batcher", "waiting") >= 6, "the others wait")
        self.assertEqual(self.stats("batcher", "running"), 2)
        self.edit("batch: {max_sequences: 6}\n")
        until(lambda: self.stats("batcher", "running") == 6, "six run")
        self.assertGreaterEqual(self.stats("batcher", "waiting"), 1)
        for job in jobs:
            self.client.cancel(job)
        until(lambda: self.stats("batcher", "running") == 0, "all ended")

    def test_max_tokens_and_prefill_tokens_bound_a_step(self):
        self.edit("targets: {step: 60s}\nchunk: {prefill_tokens: 512}\nbatch: {max_tokens: 1024}\n")
        few, tokens = self.steps_of()
        self.assertLessEqual(few, tokens / 512 + 3)
        self.edit("targets: {step: 60s}\nchunk: {prefill_tokens: 32}\nbatch: {max_tokens: 1024}\n")
        chunked, tokens = self.steps_of()
        self.assertGreaterEqual(chunked, tokens // 32)
        self.assertLessEqual(chunked, tokens / 32 + 4)
        # One sequence's chunks are the same here; four together fill a step of 64 rows, and not one of 1024.
        steps = {}
        for rows in (64, 1024):
            self.edit("targets: {step: 60s}\nchunk: {prefill_tokens: 64}\nbatch: {max_tokens: %d}\n" % rows)
            steps[rows], tokens = self.steps_of(4)
            self.assertGreaterEqual(steps[rows], tokens // rows)
        self.assertLess(steps[1024], 0.6 * steps[64])

    def test_the_time_target_of_a_step_bounds_it_too(self):
        wide = "chunk: {prefill_tokens: 1024}\nbatch: {max_tokens: 1024}\n"
        self.edit(wide + "targets: {step: 60s}\n")
        few, _ = self.steps_of()
        self.edit(wide + "targets: {step: 1ms}\n")
        many, _ = self.steps_of()
        self.assertGreaterEqual(many, 3 * few)

    def test_threads_change_between_two_steps(self):
        if (os.cpu_count() or 1) < 2:
            self.skipTest("one CPU")
        for threads, seen in ((1, 1), (2, 2), (0, 2)):
            self.edit("threads: %d\n" % threads)
            self.assertTrue(self.client.complete(prompt(40), max_tokens=4, cache=ANEW).text is not None)
            until(lambda: self.stats("workers")[0]["threads"] == seen, "%d threads" % seen)

    def finished_first(self, weights):
        """Mean rank at which each class' jobs end, when one runs at a time and all wait together."""
        classes = "".join("  %s: {weight: %d}\n" % item for item in weights.items())
        self.edit("batch: {max_sequences: 1}\ntargets: {first_token: 1h}\nclasses:\n" + classes)
        first = self.client.submit(prompt=prompt(8), max_tokens=1200, ignore_eos=True, cache=ANEW, durable=False).job
        until(lambda: self.stats("batcher", "running") == 1, "one runs")
        ended = []

        def ask(name):
            with self.daemon.client() as c:
                c.complete(prompt(16), max_tokens=24, ignore_eos=True, cache=ANEW, class_=name)
                ended.append(name)
        names = [name for name in weights for _ in range(6)]
        with concurrent.futures.ThreadPoolExecutor(len(names)) as pool:
            work = [pool.submit(ask, name) for name in names]
            until(lambda: self.stats("batcher", "waiting") == len(names), "all wait")
            self.client.cancel(first)
            for one in work:
                one.result()
        return {name: sum(i for i, n in enumerate(ended) if n == name) / 6 for name in weights}

    def test_class_weights_decide_the_order(self):
        ranks = self.finished_first({"normal": 1000, "batch": 1})
        self.assertLess(ranks["normal"] + 3, ranks["batch"])
        ranks = self.finished_first({"normal": 1, "batch": 1000})
        self.assertLess(ranks["batch"] + 3, ranks["normal"])

    def blocked(self, settings):
        """One long job at a time: what is submitted next waits until `blockers` are cancelled."""
        self.edit("batch: {max_sequences: 1}\n" + settings)
        blockers = [self.client.submit(prompt=prompt(8), max_tokens=1900, ignore_eos=True, cache=ANEW, durable=False,
                                       class_="background").job for _ in range(4)]
        until(lambda: self.stats("batcher", "waiting") == 3, "they wait behind the first")
        return blockers

    def waited(self, max_wait, seconds):
        """The decision of the batcher about a job that waited so long."""
        blockers = self.blocked("classes: {background: {max_wait: %s}}\n" % max_wait)
        job = self.client.submit(prompt=prompt(8), max_tokens=4, cache=ANEW, class_="background", trace=True).job
        until(lambda: self.stats("batcher", "waiting") >= 2, "it waits, too")
        began = time.monotonic()
        until(lambda: time.monotonic() - began > seconds, "its time")
        for blocker in blockers:
            self.client.cancel(blocker)
        trace = self.client.wait(job, timeout=300).trace
        return [line["decision"] for line in trace if line["phase"] == "batching"][-1]

    def test_max_wait_lets_a_job_go_first(self):
        self.assertIn("by weight", self.waited("1h", 0))
        self.assertIn("waited longer than its class allows", self.waited("1s", 1.2))

    def test_the_first_tokens_target_orders_a_class(self):
        for target, first in (("1h", "urgent"), ("1ms", "early")):
            blockers = self.blocked("targets: {first_token: %s}\n" % target)
            early = self.client.submit(prompt=prompt(8), max_tokens=4, cache=ANEW, class_="interactive").job
            urgent = self.client.submit(prompt=prompt(8), max_tokens=4, cache=ANEW, class_="interactive", deadline_ms=600_000).job
            until(lambda: self.stats("batcher", "waiting_by_class")["interactive"] == 2, "both wait")
            for blocker in blockers:
                self.client.cancel(blocker)
            self.client.wait(early, timeout=300), self.client.wait(urgent, timeout=300)
            started = {"early": self.client.status(early)["started_us"], "urgent": self.client.status(urgent)["started_us"]}
            self.assertEqual(min(started, key=started.get), first, (target, started))

    def test_the_size_of_the_cache(self):
        size = "bitnetd_cache_bytes"
        self.edit("")
        self.client.batch(["%d" % next(counter) for _ in range(600)], max_tokens=1, durable=False)
        until(lambda: self.daemon.metrics()[size] > 1 << 17, "more than 128 KiB are kept")
        self.daemon.write_config(nodes=BOTH_CPUS, extra="cache: {max_bytes: 128KiB}")
        until(lambda: self.daemon.metrics()[size] <= 1 << 17, "the least useful went")
        self.assertGreater(self.daemon.metrics()[size], 1 << 16)
        self.daemon.write_config(nodes=BOTH_CPUS)
        self.daemon.ctl("reload")

    def test_the_caches_mode_threshold_and_ttl(self):
        asked, alike = "What is a ternary weight?", "Can you explain what ternary weights are?"
        keep_out = {"no-store": True}  # so that the second question never is an exact hit
        self.edit("cache: {trust: threshold, mode: on, threshold: 0.9, ttl: 300s}\n")
        answer = self.client.chat(asked).text
        self.assertEqual(self.client.chat(asked).cache["tier"], "exact")
        self.assertLessEqual(self.client.chat(asked).cache["ttl_s"], 300)
        similar = until(lambda: self.hit(alike, keep_out), "the similarity tier knows it")
        self.assertEqual((similar.cache["tier"], similar.text), ("similarity", answer))
        self.edit("cache: {trust: threshold, mode: on, threshold: 0.9999}\n")
        self.assertNotEqual(self.client.chat(alike, cache=keep_out).cache["status"], "HIT")
        self.edit("cache: {trust: threshold, mode: on, threshold: 0.9}\n")
        self.assertEqual(self.client.chat(alike, cache=keep_out).cache["status"], "HIT")
        self.edit("cache: {trust: threshold, mode: on, threshold: 0.9, min_confidence: 1}\n")
        self.assertNotEqual(self.client.chat(alike, cache=keep_out).cache["status"], "HIT")
        self.edit("cache: {trust: measured, mode: on, threshold: 0.9}\n")  # nothing was measured yet
        self.assertNotEqual(self.client.chat(alike, cache=keep_out).cache["status"], "HIT")
        self.edit("cache: {trust: threshold, mode: shadow, threshold: 0.9}\n")
        before = self.daemon.metrics()["bitnetd_cache_shadow_hits_total"]
        self.assertNotEqual(self.client.chat(alike, cache=keep_out).cache["status"], "HIT")
        self.assertEqual(self.daemon.metrics()["bitnetd_cache_shadow_hits_total"], before + 1)
        self.edit("cache: {mode: exact, threshold: 0.9}\n")
        self.assertNotEqual(self.client.chat(alike, cache=keep_out).cache["status"], "HIT")
        self.assertEqual(self.client.chat(asked).cache["status"], "HIT")
        self.edit("cache: {mode: off}\n")
        self.assertEqual(self.client.chat(asked).cache["status"], "BYPASS")
        # What is kept from now on is kept for a second.
        self.edit("cache: {mode: exact, ttl: 1s}\n")
        short = prompt(8)
        self.client.complete(short, max_tokens=4)
        self.assertEqual(self.client.complete(short, max_tokens=4).cache["status"], "HIT")
        until(lambda: self.client.complete(short, max_tokens=4, cache={"no-store": True}).cache["status"] == "MISS", "it expired")

    def test_a_reported_hit_is_not_given_again(self):
        asked, alike = "How do I cancel a job?", "How can I cancel a job?"
        keep_out = {"no-store": True}
        self.edit("cache: {trust: threshold, mode: on, threshold: 0.8}\n")
        self.client.chat(asked)
        wrong = until(lambda: self.hit(alike, keep_out), "the similarity tier knows it")
        self.daemon.ctl("cache", "report", wrong.cache["entry"])
        self.assertNotEqual(self.client.chat(alike, cache=keep_out).cache["status"], "HIT")
        self.assertNotEqual(self.daemon.ctl("cache", "report", wrong.cache["entry"], check=False).returncode, 0)

    def test_an_expired_answer_is_served_and_renewed_behind_that(self):
        self.edit("cache: {mode: exact, ttl: 1s, stale_while_revalidate: 30m}\n")
        asked = prompt(8)
        first = self.client.complete(asked, max_tokens=4)
        stale = until(lambda: self.stale(asked), "it expired")
        self.assertEqual(stale.text, first.text)
        self.assertLessEqual(stale.cache["ttl_s"], 0)
        until(lambda: self.client.complete(asked, max_tokens=4).cache["entry"] != stale.cache["entry"], "it was renewed")
        until(lambda: self.stats("cache", "renewed_same") >= 1, "and came to the same")

    def stale(self, asked):
        result = self.client.complete(asked, max_tokens=4)
        return result if result.cache["status"] == "STALE" else None

    def hit(self, question, directives):
        result = self.client.chat(question, cache=directives)
        return result if result.cache["status"] == "HIT" else None

    def test_the_log_level_decides_what_is_written(self):
        nodes = dict(nodes=BOTH_CPUS)
        self.daemon.write_config(extra="log: {level: warn}", **nodes)
        self.daemon.ctl("reload")
        version = self.stats("config_version")
        self.edit("targets: {first_token: 11s}\n")
        self.assertGreater(self.stats("config_version"), version)
        self.assertNotIn("targets.first_token: 2s -> 11s", self.daemon.log_text())
        self.daemon.write_config(**nodes)
        self.daemon.ctl("reload")
        self.edit("targets: {first_token: 12s}\n")
        self.assertIn("targets.first_token: 11s -> 12s (step)", self.daemon.log_text())

    # Job keys -------------------------------------------------------------------------------------

    def test_sampling_defaults_hold_for_jobs_that_come_in_later(self):
        def made(**options):
            return self.client.complete(prompt(8), ignore_eos=True, cache=ANEW, **options)
        self.edit("sampling: {max_tokens: 5}\n")
        self.assertEqual(made().usage["completion"], 5)
        self.assertEqual(made(max_tokens=9).usage["completion"], 9)
        first = self.client.submit(prompt=prompt(8), max_tokens=600, ignore_eos=True, cache=ANEW).job
        self.edit("sampling: {max_tokens: 7, temperature: 2}\n")
        self.assertEqual(self.client.wait(first).usage["completion"], 600)  # it keeps what it came with
        self.assertEqual(made().usage["completion"], 7)
        same = prompt(8)
        drawn = {self.client.complete(same, ignore_eos=True, cache=ANEW).text for _ in range(6)}
        self.assertGreater(len(drawn), 1)
        self.edit("sampling: {temperature: 0}\n")
        drawn = {self.client.complete(same, ignore_eos=True, max_tokens=7, cache=ANEW).text for _ in range(3)}
        self.assertEqual(len(drawn), 1)

    def test_each_phase_can_be_off(self):
        def passed(phase):
            return self.daemon.metrics().get('bitnetd_phase_total{phase="%s",skipped="true"}' % phase, 0)
        for switch, phase, seen in [("analysis", "analysis", "analysis is off"), ("cache", "cache", "the cache is off"),
                                    ("batching", "batching", "batching is off: alone"), ("checks", "combination", "checks")]:
            self.edit("phases: {%s: off}\n" % switch)
            before = passed(phase)
            result = self.client.chat("What is bitnetd?" if switch == "cache" else "Question %d?" % next(counter), trace=True)
            self.assertTrue(result.text)
            decisions = " ".join(line["decision"] for line in result.trace if line["phase"] == phase)
            self.assertIn(seen, decisions)
            until(lambda: passed(phase) > before, "the counter of passed phases")
        self.edit("")
        before = {p: passed(p) for p in ("analysis", "cache", "batching", "combination")}
        self.assertEqual([line["phase"] for line in self.client.chat("Question %d?" % next(counter), trace=True).trace],
                         ["analysis", "cache", "batching", "combination"])
        self.assertEqual({p: passed(p) for p in before}, before)

    # What is refused, and who may ask -----------------------------------------------------------

    def test_a_bad_edit_keeps_the_last_good_one_and_says_where(self):
        self.edit("sampling: {max_tokens: 6}\n")
        version = self.stats("config_version")
        refused = self.daemon.metrics().get('bitnetd_config_reloads_total{result="refused"}', 0)
        bad = "sampling:\n  max_tokens: 6\nbatch:\n  max_sequences: 0\n  max_tokenz: 4\n"
        self.daemon.write_profile(bad)
        done = self.daemon.ctl("reload", check=False)
        self.assertEqual(done.returncode, REFUSED, done.stderr)
        file = re.escape(self.daemon.path("profiles", "test.yaml"))
        self.assertRegex(done.stderr, "E_CONFIG")
        self.assertRegex(done.stderr, file + ":4:18: batch.max_sequences")
        self.assertRegex(done.stderr, file + ":5:3: .*max_tokenz")
        self.assertEqual(self.daemon.ctl("reload", "--dry-run", check=False).returncode, REFUSED)
        for text in ("batch: [\n", "a: &x 1\n", "", "batch: {max_sequences: 4\n", "\tbatch: 1\n", "batch: \x01\n", "nodes: 1\n"):
            self.daemon.write_profile(text)
            if text:  # an empty file is a profile without changes, or an error: both leave the daemon alive
                self.assertEqual(self.daemon.ctl("reload", check=False).returncode, REFUSED, repr(text))
        # The watcher refuses it by itself, too.
        self.daemon.write_profile("batch: {max_sequences: none}\n")
        name = 'bitnetd_config_reloads_total{result="refused"}'
        until(lambda: "got none" in self.daemon.log_text() or ":1:24: batch.max_sequences" in self.daemon.log_text(), "a line in the log")
        self.assertGreater(self.daemon.metrics()[name], refused)
        self.assertEqual(self.stats("profile"), "test")
        self.assertEqual(self.client.complete(prompt(8), ignore_eos=True, cache=ANEW).usage["completion"], 6)
        self.assertLessEqual(self.stats("config_version"), version + 1)
        self.edit("")

    def test_saving_is_enough(self):
        self.edit("sampling: {max_tokens: 4}\n")
        self.daemon.write_profile("sampling: {max_tokens: 8}\ncache: {mode: exact}\n")  # and no reload
        until(lambda: self.client.complete(prompt(8), ignore_eos=True, cache=ANEW).usage["completion"] == 8, "8 tokens")

    def test_sighup_reads_again(self):
        count = 'bitnetd_config_reloads_total{result="applied"}'
        before = self.daemon.metrics().get(count, 0)
        self.daemon.process.send_signal(signal.SIGHUP)
        until(lambda: self.daemon.metrics().get(count, 0) > before, "it was read again")
        self.assertIn("SIGHUP: reading the configuration again", self.daemon.log_text())

    def test_a_dry_run_only_tells(self):
        # A key that waits for a restart, so that the watcher cannot apply it before us.
        self.daemon.write_config(nodes=BOTH_CPUS, extra="  kv_bytes: 128MiB")
        version = self.stats("config_version")
        said = self.daemon.ctl("reload", "--dry-run").stdout
        self.assertRegex(said, r"hardware\.kv_bytes +256MiB +128MiB +restart")
        self.assertIn("not applied: version %d" % version, said)
        self.assertEqual(self.stats("config_version"), version)
        self.daemon.write_config(nodes=BOTH_CPUS)
        self.daemon.ctl("reload")

    def test_profile_use_holds_until_the_file_changes(self):
        self.daemon.write_profile("sampling: {max_tokens: 2}\ncache: {mode: exact}\n", "other")
        self.edit("sampling: {max_tokens: 3}\n")
        self.daemon.ctl("profile", "use", "other")
        self.assertEqual(self.client.complete(prompt(8), ignore_eos=True, cache=ANEW).usage["completion"], 2)
        self.daemon.ctl("reload")  # nothing changed: it stays
        self.assertEqual(self.stats("profile"), "other")
        self.daemon.write_config(nodes=BOTH_CPUS, extra="limits: {open_jobs: 9999}")
        until(lambda: self.stats("profile") == "test", "the file wins")
        self.assertEqual(self.client.complete(prompt(8), ignore_eos=True, cache=ANEW).usage["completion"], 3)
        self.daemon.write_config(nodes=BOTH_CPUS)
        self.daemon.ctl("reload")


class Traffic:
    """Clients that stream the same questions over and over and check every answer."""

    def __init__(self, daemon, clients=4):
        self.daemon, self.ending, self.problems = daemon, False, []
        self.answers = [0] * clients
        self.threads = [threading.Thread(target=self._run, args=(i,)) for i in range(clients)]
        for thread in self.threads:
            thread.start()

    def _run(self, number):
        expected = None
        try:
            with self.daemon.client() as c:
                while not self.ending:
                    with c.stream(messages="What is profile number %d?" % number, cache=ANEW, max_tokens=40, ignore_eos=True) as s:
                        text = "".join(delta.text for delta in s)
                    expected = text if expected is None else expected
                    if text != expected or s.result.state != "done":
                        self.problems.append((number, text, expected))
                    self.answers[number] += 1
        except Exception as error:
            self.problems.append(error)

    def goes_on(self, test):
        """Each client gets two more answers."""
        aim = [n + 2 for n in self.answers]
        until(lambda: self.problems or all(n >= a for n, a in zip(self.answers, aim)), "answers for all", 60)
        test.assertEqual(self.problems, [])

    def close(self):
        self.ending = True
        for thread in self.threads:
            thread.join(60)


class UnderLoad(unittest.TestCase):
    def setUp(self):
        self.daemon = Daemon(nodes=BOTH_CPUS)
        self.addCleanup(self.daemon.close)
        self.traffic = Traffic(self.daemon)
        self.addCleanup(self.traffic.close)
        self.traffic.goes_on(self)

    def test_edits_fail_no_job_and_change_no_answer(self):
        for text in ("batch: {max_sequences: 1}\n", "batch: {max_sequences: 8, max_tokens: 32}\nchunk: {prefill_tokens: 16}\n", "threads: 1\n",
                     "targets: {step: 1ms}\n", "phases: {batching: off}\n", "batch: nonsense\n", "phases: {analysis: off, cache: off, checks: off}\n",
                     "classes: {interactive: {weight: 100, max_wait: 1s}}\n", "cache: {mode: on, threshold: 0.5}\n", ""):
            self.daemon.write_profile(text or "cache: {mode: exact}\n")
            self.daemon.ctl("reload", check=False)
            self.traffic.goes_on(self)
        # Half a file, then the rest, the way some editors write.
        with open(self.daemon.path("profiles", "test.yaml"), "w", encoding="utf-8") as f:
            f.write("sampling: {max_to")
            f.flush()
            time.sleep(0.05)
            f.write("kens: 3}\n")
        with self.daemon.client() as c:
            until(lambda: c.complete("Count", ignore_eos=True, cache=ANEW).usage["completion"] == 3, "the whole file")
        self.traffic.goes_on(self)

    def test_models_come_and_go_while_others_serve(self):
        second = ["{name: second, path: %s}" % CHAT]
        with self.daemon.client() as c:
            expected = c.chat("What is bitnetd?", cache=ANEW).text
            for _ in range(2):
                self.daemon.write_config(nodes=BOTH_CPUS, models=second)
                until(lambda: "second" in [m["name"] for m in c.models()], "the model is there")
                result = c.chat("What is bitnetd?", model="second", cache=ANEW)
                self.assertEqual((result.text, result.model), (expected, "second"))
                running = c.submit(prompt="A story", model="second", max_tokens=900, ignore_eos=True, cache=ANEW).job
                until(lambda: c.status(running)["state"] == "running", "it runs")
                self.daemon.write_config(nodes=BOTH_CPUS)
                until(lambda: "second" not in [m["name"] for m in c.models()], "the model is gone")
                with self.assertRaises(Exception) as caught:
                    c.chat("Anybody?", model="second")
                self.assertEqual(caught.exception.name, "E_MODEL")
                self.assertEqual(c.wait(running, timeout=300).usage["completion"], 900)  # it kept its model
            # Added and taken back while it is being loaded: what is served is what the file says last.
            with self.daemon.client("admin") as admin:
                for models in (second, None, second, None, second, None):
                    self.daemon.write_config(nodes=BOTH_CPUS, models=models)
                    admin.reload()
                until(lambda: "second" not in [m["name"] for m in c.models()], "the last edit")
                time.sleep(0.5)  # a load that was on its way must not bring it back
                self.assertNotIn("second", [m["name"] for m in c.models()])
        self.traffic.goes_on(self)

    def test_a_model_is_replaced_under_its_name_while_a_job_runs_on_it(self):
        small = self.daemon.path("small.gguf")
        with open(small, "wb") as f:
            f.write(hostile_models.whole())
        with self.daemon.client() as c:
            def hash_of_second():
                return {m["name"]: m["model_hash"] for m in c.models()}.get("second")
            self.daemon.write_config(nodes=BOTH_CPUS, models=["{name: second, path: %s}" % CHAT])
            old = until(hash_of_second, "the model is there")
            running = c.submit(prompt="A story", model="second", max_tokens=900, ignore_eos=True, cache=ANEW).job
            until(lambda: c.status(running)["state"] == "running", "it runs")
            self.daemon.write_config(nodes=BOTH_CPUS, models=["{name: second, path: %s}" % small])
            new = until(lambda: hash_of_second() != old and hash_of_second(), "the other model is there")
            self.assertEqual(c.complete("ab", model="second", max_tokens=2, cache=ANEW).raw["model_hash"], new)
            ended = c.wait(running, timeout=300)
            self.assertEqual((ended.usage["completion"], ended.raw["model_hash"]), (900, old))  # on the model it began with
            self.daemon.write_config(nodes=BOTH_CPUS)
            until(lambda: hash_of_second() is None, "the model is gone")
        self.traffic.goes_on(self)

    def test_base3_weights_take_less_memory_and_answer_the_same(self):
        def load(weights):
            self.daemon.write_config(nodes=BOTH_CPUS, models=["{name: second, path: %s, weights: %s}" % (CHAT, weights)])
            until(lambda: len(told()) == len(sizes) + 1, "it is loaded")
            sizes.append(told()[-1])
            with self.daemon.client() as c:
                until(lambda: "second" in {m["name"] for m in c.models()}, "it is there")
                return c.complete("A story about base 3", model="second", max_tokens=12, temperature=0, cache=ANEW).text
        def told():
            return [int(kib) for kib in re.findall(r"model second: .* ([0-9]+) KiB of matrices in memory", self.daemon.log_text())]
        sizes = told()
        answers = [load("two_bits"), load("base3")]
        self.assertEqual(*answers)
        self.assertGreater(sizes[-2], sizes[-1])
        self.daemon.write_config(nodes=BOTH_CPUS)
        with self.daemon.client() as c:
            until(lambda: len(c.models()) == 2, "it is gone")

    def test_loading_logs_a_checksum_that_another_layout_changes(self):
        names = {"common": "plain", "lanes16": "lanes"}
        self.daemon.write_config(nodes=BOTH_CPUS, models=["{name: %s, path: %s, i2s_layout: %s}" % (name, CHAT, layout) for layout, name in names.items()])
        with self.daemon.client() as c:
            until(lambda: {m["name"] for m in c.models()} >= set(names.values()), "both are there")
            self.daemon.write_config(nodes=BOTH_CPUS)
            until(lambda: len(c.models()) == 2, "both are gone")
        told = dict(re.findall(re.escape(CHAT) + r": (I2_S.*) read, checksum of its rows ([0-9a-f]{16})", self.daemon.log_text()))
        self.assertEqual(set(told), {"I2_S", "I2_S (lanes16)"})
        self.assertNotEqual(*told.values())


if __name__ == "__main__":
    unittest.main(verbosity=2)
