#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""bitnetctl and the Python examples as processes against a running bitnetd: output and exit status."""
import json
import os
import subprocess
import sys
import unittest

import numpy

from harness import CTL, EMBED, MODEL_TOOL, SOURCE, Daemon, json_lines, until

OK, DAEMON_ERROR, USAGE, REFUSED, NO_DAEMON, JOB_FAILED = range(6)
NOBODY = "00000000-0000-7000-8000-000000000000"  # a job id that nobody has
LONG = ["--max-tokens", "1800", "--ignore-eos", "--cache", "no-store,no-cache"]


class Ctl(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.close()

    def ctl(self, *arguments, stdin=None, status=OK):
        done = self.daemon.ctl(*arguments, stdin=stdin, check=False)
        self.assertEqual(done.returncode, status, "%s: %s%s" % (arguments, done.stdout, done.stderr))
        return done

    def json(self, *arguments, **options):
        """The objects that the command printed."""
        return json_lines(self.ctl("--json", *arguments, **options).stdout)

    def one(self, *arguments, **options):
        (only,) = self.json(*arguments, **options)
        return only

    def leave_a_long_job(self):
        job = self.ctl("submit", "--no-wait", *LONG, "A long story").stdout.strip()
        until(lambda: self.one("status", job)["jobs"][0]["state"] == "running", "it runs")
        return job

    # Jobs -------------------------------------------------------------------------------------

    def test_submit_streams_to_people_and_to_programs(self):
        said = self.ctl("submit", "--chat", "What is bitnetd?").stdout
        self.assertGreater(len(said.strip()), 10)
        *deltas, result = self.json("submit", "--chat", "--cache", "no-cache", "What is bitnetd?")
        self.assertEqual("".join(d["text"] for d in deltas), result["text"])
        self.assertEqual(result["text"].strip(), said.strip())
        self.assertEqual(result["state"], "done")

    def test_submit_takes_standard_input_and_files(self):
        given = self.json("submit", "--chat", "What is absmax?")[-1]["text"]
        self.assertEqual(self.json("submit", "--chat", "-f", "-", stdin="What is absmax?")[-1]["text"], given)
        with open(self.daemon.path("question"), "w", encoding="utf-8") as f:
            f.write("What is absmax?")
        self.assertEqual(self.json("submit", "--chat", "-f", self.daemon.path("question"))[-1]["text"], given)
        with open(self.daemon.path("question"), "wb") as f:
            f.write(b"caf\xe9")  # no UTF-8: sent as U+FFFD
        self.assertTrue(self.json("submit", "-n", "2", "-f", self.daemon.path("question"))[-1]["text"])
        self.assertIn("No such file", self.ctl("submit", "-f", "/nowhere", status=REFUSED).stderr)
        self.assertIn("give a text", self.ctl("submit", status=REFUSED).stderr)

    def test_submit_options_arrive(self):
        result = self.json("submit", "Once upon a time", "-n", "7", "--ignore-eos", "--temperature", "1", "--seed", "42",
                           "--meta", "for=test", "--class", "background", "--trace")[-1]
        self.assertEqual((result["usage"]["completion"], result["seed"], result["finish"]), (7, 42, "length"))
        self.assertEqual(result["meta"], {"for": "test"})
        self.assertIn("background", result["trace"][0]["decision"])
        stopped = self.json("submit", "--chat", "What is bitnetd?", "--stop", " ")[-1]
        self.assertNotIn(" ", stopped["text"])
        shown = self.ctl("submit", "--chat", "--trace", "What is bitnetd?").stderr
        for phase in ("analysis", "cache", "combination"):
            self.assertIn(phase, shown)

    def test_submit_embeds(self):
        vector = self.one("submit", "--embed", "some words")["embedding"]
        self.assertAlmostEqual(sum(x * x for x in vector), 1, places=3)

    def test_a_durable_job_is_left_asked_for_and_dropped(self):
        accepted = self.one("submit", "--no-wait", "-n", "5", "--ignore-eos", "--key", "ctl-1", "Leave me")
        self.assertTrue(accepted["durable"])
        job = accepted["job"]
        result = self.one("result", job, "--wait", "30")
        self.assertEqual((result["job"], result["usage"]["completion"]), (job, 5))
        self.assertEqual(self.ctl("result", job).stdout.rstrip("\n"), result["text"].rstrip("\n"))
        again = self.one("submit", "--no-wait", "-n", "5", "--ignore-eos", "--key", "ctl-1", "Leave me")
        self.assertEqual((again["job"], again["dup"]), (job, True))
        conflict = self.ctl("submit", "--no-wait", "--key", "ctl-1", "Another text", status=DAEMON_ERROR)
        self.assertIn("E_KEY_CONFLICT", conflict.stderr)
        self.assertEqual(self.one("status", job)["jobs"][0]["state"], "done")
        self.assertIn(job, [j["job"] for j in self.json("ls", "--state", "done", "--limit", "0")])
        self.ctl("ack", job)
        self.assertIn("E_NO_JOB", self.ctl("result", job, status=DAEMON_ERROR).stderr)

    def test_submit_wait_prints_the_answer_of_a_durable_job(self):
        result = self.one("submit", "--wait", "--chat", "What is a lease?")
        self.assertEqual(result["state"], "done")
        self.assertEqual(self.one("result", result["job"])["text"], result["text"])

    def test_cancel_ends_a_job_and_result_says_so(self):
        job = self.leave_a_long_job()
        self.assertEqual(self.ctl("result", job, status=NO_DAEMON).stdout, "")
        self.assertEqual(self.one("cancel", job)["job"], job)  # answered at once: it may still be ending
        until(lambda: self.one("status", job)["jobs"][0]["state"] == "cancelled", "cancelled")
        self.assertIn("E_CANCELLED", self.ctl("result", job, status=JOB_FAILED).stderr)
        self.assertIn("E_NO_JOB", self.ctl("cancel", NOBODY, status=DAEMON_ERROR).stderr)

    def test_batch_run_writes_results_in_order(self):
        lines = ['{"prompt": "one", "custom_id": "a"}', '{"input": 7}']
        bad = self.ctl("batch", "run", "-", "-o", "-", stdin="\n".join(lines), status=REFUSED)
        self.assertIn("E_FIELD", bad.stderr)
        self.assertIn("items[1].input", bad.stderr)
        questions = ["What is bitnetd?", "What is a KV page?", "What is bitnetd?"]
        with open(self.daemon.path("in.jsonl"), "w", encoding="utf-8") as f:
            f.write("\n".join(json.dumps({"prompt": q, "custom_id": "q%d" % i}) for i, q in enumerate(questions)))
        for _ in range(2):  # the second run takes the first one's jobs up
            self.ctl("batch", "run", self.daemon.path("in.jsonl"), "-o", self.daemon.path("out.jsonl"), "-q", "-n", "12")
            with open(self.daemon.path("out.jsonl"), encoding="utf-8") as f:
                out = json_lines(f.read())
            self.assertEqual([r["custom_id"] for r in out], ["q0", "q1", "q2"])
            self.assertEqual({r["state"] for r in out}, {"done"})
            self.assertEqual(out[0]["text"], out[2]["text"])
        self.ctl("batch", "run", self.daemon.path("in.jsonl"), "-o", "/nowhere/out", status=REFUSED)

    def test_batch_run_tells_which_items_failed(self):
        lines = ['{"prompt": "fine"}', json.dumps({"prompt": "word " * 5000})]
        done = self.ctl("batch", "run", "-", "-o", "-", "-n", "4", stdin="\n".join(lines), status=JOB_FAILED)
        good, bad = json_lines(done.stdout)
        self.assertEqual((good["state"], bad["state"], bad["error"]["name"]), ("done", "failed", "E_CTX"))
        self.assertIn("1 of 2 items failed", done.stderr)

    # What is refused --------------------------------------------------------------------------

    def test_exit_status_tells_whose_fault_it_was(self):
        self.ctl("no-such-command", status=USAGE)
        self.ctl("submit", "--wait", "--stream", "x", status=USAGE)
        self.assertIn("E_FIELD", self.ctl("submit", "-n", "0", "x", status=REFUSED).stderr)
        self.assertIn("E_MODEL", self.ctl("submit", "-m", "nobody", "x", status=REFUSED).stderr)
        self.assertIn("E_NO_JOB", self.ctl("result", NOBODY, status=DAEMON_ERROR).stderr)
        error = self.one("submit", "-m", "nobody", "x", status=REFUSED)
        self.assertEqual((error["name"], error["code"]), ("E_MODEL", 140))
        self.ctl("--version")
        gone = subprocess.run([CTL, "--socket", "/nowhere/front.sock", "--timeout", "1", "ping"], capture_output=True, text=True)
        self.assertEqual(gone.returncode, NO_DAEMON)
        self.assertEqual(len(gone.stderr.splitlines()), 1, gone.stderr)

    # The daemon -------------------------------------------------------------------------------

    def test_what_is_served_and_how_it_goes(self):
        self.assertEqual(self.one("ping")["state"], "ready")
        self.assertEqual([m["name"] for m in self.one("models")["models"]], ["chat", "embed"])
        self.assertIn("bitnet", self.ctl("models").stdout)
        stats = self.one("stats")
        self.assertEqual((stats["state"], stats["profile"]), ("ready", "test"))
        self.assertIn("profile test", self.ctl("stats", "--brief").stdout)
        metrics = self.ctl("metrics").stdout
        self.assertIn("# TYPE bitnetd_steps_total counter", metrics)
        screen = self.ctl("top", "--once").stdout
        self.assertIn("tokens/s" if "now" in screen else "steps", screen)
        self.assertIn("stats", self.one("top", "--once"))

    def test_top_shows_what_runs(self):
        job = self.leave_a_long_job()
        self.assertIn(job, [j["job"] for j in self.one("top", "--once")["jobs"]])
        self.assertIn(job[:8], self.ctl("top", "--once").stdout)
        self.ctl("cancel", job)

    def test_reload_profile_and_drain(self):
        self.assertFalse(self.one("reload", "--dry-run")["applied"])
        self.assertIn("nothing changed", self.ctl("reload").stdout)
        self.daemon.write_profile("cache: {mode: exact}\nsampling: {max_tokens: 3}\n", "short")
        self.assertEqual(self.one("profile")["active"], "test")
        self.assertIn("  short", self.ctl("profile", "list").stdout.splitlines())
        self.assertEqual(self.one("profile", "use", "short")["active"], "short")
        self.assertEqual(self.json("submit", "Count", "--ignore-eos")[-1]["usage"]["completion"], 3)
        self.assertIn("E_CONFIG", self.ctl("profile", "use", "nowhere", status=REFUSED).stderr)
        self.ctl("profile", "use", status=REFUSED)
        self.assertEqual(self.one("profile", "use", "test")["active"], "test")
        self.assertEqual(self.one("drain")["state"], "draining")
        self.assertIn("E_DRAINING", self.ctl("submit", "x", status=DAEMON_ERROR).stderr)
        self.assertEqual(self.one("undrain")["state"], "ready")
        self.ctl("submit", "-n", "1", "x")
        self.ctl("drain", "--wait", "30")
        self.ctl("undrain")

    def test_validate_needs_no_daemon(self):
        good = self.ctl("validate", self.daemon.config).stdout
        self.assertIn("good", good)
        bad = self.daemon.path("bad.yaml")
        with open(bad, "w", encoding="utf-8") as f:
            f.write("models:\n  - {name: a, path: b}\nlimits:\n  open_jobz: 5\n")
        self.assertIn("%s:4:3: " % bad, self.ctl("validate", bad, status=REFUSED).stderr)
        problem = self.json("validate", bad, status=REFUSED)[0]
        self.assertEqual((problem["line"], problem["column"]), (4, 3))
        self.assertIn("batch.max_sequences", self.ctl("validate", "--schema").stdout)
        self.ctl("validate", status=USAGE)

    def test_raw_sends_any_request(self):
        pong = json_lines(self.ctl("raw", "ping", '{"t": "x"}').stdout)[0]
        self.assertEqual((pong["type"], pong["body"]["t"]), ("pong", "x"))
        replies = json_lines(self.ctl("raw", "submit", "-", stdin='{"prompt": "a", "mode": "stream", "params": {"max_tokens": 3}}').stdout)
        self.assertEqual((replies[0]["type"], replies[-1]["type"]), ("accepted", "result"))
        self.assertIn("E_ROLE", self.ctl("raw", "reload", status=DAEMON_ERROR).stderr)
        self.ctl("raw", "--admin", "reload", '{"dry_run": true}')
        self.assertIn("body:", self.ctl("raw", "ping", "{", status=REFUSED).stderr)

    # The examples of the Python client --------------------------------------------------------

    def example(self, name, *arguments, stdin="", status=0):
        script = os.path.join(SOURCE, "clients/python/examples", name)
        done = subprocess.run([sys.executable, script, "--socket", self.daemon.socket(), *arguments], input=stdin,
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done

    def test_example_stream_chat(self):
        said = self.example("stream_chat.py", "What is bitnetd?").stdout
        self.assertEqual(said.strip(), self.json("submit", "--chat", "What is bitnetd?")[-1]["text"].strip())
        talk = self.example("stream_chat.py", stdin="What is bitnetd?\nWhat is absmax?\n\n").stdout
        self.assertIn(said.strip(), talk)

    def test_example_push_jobs(self):
        jobs = '{"prompt": "abc", "custom_id": "x"}\n{"messages": [{"role": "user", "content": "What is absmax?"}]}\n'
        first = self.example("push_jobs.py", "--max-tokens", "8", stdin=jobs)
        lines = json_lines(first.stdout)
        self.assertEqual((lines[0]["custom_id"], lines[1]["index"]), ("x", 1))
        self.assertEqual([line["state"] for line in lines], ["done", "done"])
        again = self.example("push_jobs.py", "--max-tokens", "8", stdin=jobs)
        self.assertEqual([line["text"] for line in json_lines(again.stdout)], [line["text"] for line in lines])
        self.assertIn("E_FIELD", self.example("push_jobs.py", stdin='{"prompt": 5}\n', status=1).stderr)

    def test_lines_are_embedded_behind_a_prefix_as_bitnet_model_does(self):
        source, vectors, answers = (self.daemon.path(name) for name in ("lines.txt", "lines.npy", "lines.jsonl"))
        with open(source, "w", encoding="utf-8") as f:
            f.write("How do I reload the configuration?\n\"What\" is a ternary weight?\n")
        self.ctl("batch", "run", source, "-o", answers, "--embed", "--lines", "--prefix", "Query: ")
        subprocess.run([MODEL_TOOL, "embed", "-m", EMBED, "--text", source, "--prefix", "Query: ", "--out", vectors], check=True, timeout=60)
        with open(answers, encoding="utf-8") as f:
            ours = [line["embedding"] for line in json_lines(f.read())]
        expected = numpy.load(vectors)
        self.assertEqual(expected.shape[0], 2)
        for got, other in zip(ours, expected):  # the daemon keeps keys and values in halves
            self.assertGreater(float(numpy.dot(got, other)), 0.999)

    def test_example_embed_lines(self):
        lines = "How do I reload the configuration?\nWhat is a ternary weight?\n"
        vectors = [line["embedding"] for line in json_lines(self.example("embed_lines.py", stdin=lines).stdout)]
        self.assertEqual(len(vectors), 2)
        self.assertAlmostEqual(sum(x * x for x in vectors[0]), 1, places=3)
        nearest = self.example("embed_lines.py", "--nearest", "How can I reload?", stdin=lines).stdout
        self.assertIn("reload", nearest.splitlines()[0])
        behind = self.example("embed_lines.py", "--prefix", "Query: ", stdin=lines).stdout
        self.assertNotEqual(json_lines(behind)[0]["embedding"], vectors[0])


if __name__ == "__main__":
    unittest.main(verbosity=2)
