# SPDX-License-Identifier: MIT
"""Durable jobs through the real daemon: killed, started again, read from anywhere."""
import json
import os
import subprocess
import threading
import time
import unittest

from harness import CTL, Daemon, until

LONG = {"max_tokens": 400, "temperature": 0.8, "seed": 11, "ignore_eos": True}
NO_CACHE = "cache: {mode: off}\n"


def stored_tokens(client, job):
    """Tokens of a job that are stored, by an attach that asks for progress only."""
    seen = {}
    with client._session.inbox() as inbox:
        from bitnet_client.flows import Receive, Send, encode_body
        client._do(Send("attach", inbox.id, encode_body({"job": job, "credit": 0, "progress": True})))
        reply = client._do(Receive(inbox, 5))
        seen = reply.body if reply else {}
    client.detach(job)
    return seen.get("tokens", 0)


def lines_of(path):
    """How many lines a file has; none when it is not there."""
    if not os.path.exists(path):
        return 0
    with open(path, encoding="utf-8") as f:
        return sum(1 for _ in f)


class Durable(unittest.TestCase):
    def test_a_killed_job_goes_on_and_draws_what_it_would_have_drawn(self):
        self.killed_job_goes_on("f16")

    def test_a_killed_job_goes_on_with_keys_and_values_of_8_bits(self):
        self.killed_job_goes_on("q8")

    def killed_job_goes_on(self, kv_type):
        with Daemon(profile=NO_CACHE, extra="  kv_type: " + kv_type) as daemon:
            with daemon.client() as client:
                whole = client.complete("Once upon a time", params=LONG, cache={"no-store": True})
                job = client.submit(prompt="Once upon a time", params=LONG, key="k").job
                until(lambda: stored_tokens(client, job) >= 40, "40 tokens are stored")
            daemon.kill()
            daemon.start()
            with daemon.client() as client:
                again = client.submit(prompt="Once upon a time", params=LONG, key="k")
                self.assertTrue(again.dup)
                self.assertEqual(again.job, job)
                result = client.wait(job, timeout=120)
                self.assertEqual(result.text, whole.text)
                self.assertEqual(result.attempt, 2)
                self.assertEqual(result.usage["completion"], whole.usage["completion"])
                self.assertEqual(result.cache["status"], "BYPASS")
                # Read from offsets, from another connection, after the end.
                half = len(whole.text.encode()) // 2
                self.assertEqual(client.attach(job, 0).text(), whole.text)
                rest = b"".join(d.text.encode() for d in client.attach(job, half))
                self.assertEqual(whole.text.encode()[half:][-len(rest):], rest)

    def test_a_reader_follows_a_job_through_a_crash(self):
        with Daemon(profile=NO_CACHE) as daemon:
            with daemon.client() as client:
                job = client.submit(prompt="The sea", params=LONG).job
            deltas, failures = [], []

            def read():
                try:
                    with daemon.client(heartbeat=0.5) as reader:
                        stream = reader.attach(job)
                        for delta in stream:
                            deltas.append(delta)
                        deltas.append(stream.result)
                except Exception as error:  # the test shows it
                    failures.append(error)

            thread = threading.Thread(target=read)
            thread.start()
            # Where the job was faster than its reader, all of it came in a few.
            until(lambda: len(deltas) >= 20 or not thread.is_alive(), "20 deltas came")
            daemon.kill()
            daemon.start()
            thread.join(120)
            self.assertFalse(failures, failures)
            result = deltas.pop()
            offset = 0
            for delta in deltas:
                self.assertEqual(delta.off, offset)
                offset += len(delta.text.encode())
            self.assertEqual("".join(d.text for d in deltas), result.text)

    def test_a_batch_in_parts_survives_a_crash_and_is_read_in_both_orders(self):
        params = {"max_tokens": 4, "temperature": 0}
        with Daemon(profile=NO_CACHE) as daemon:
            def raw(kind, body):
                return json.loads(daemon.ctl("raw", kind, json.dumps(body)).stdout)["body"]

            items = [{"prompt": "Item %d is" % i, "custom_id": "c%d" % i} for i in range(30)]
            first = raw("submit", {"items": items[:10], "more": True, "key": "b", "params": params})
            job = first["job"]
            self.assertEqual(first["part"], 0)
            second = {"job": job, "items": items[10:20], "more": True, "part": 1, "params": params}
            self.assertFalse(raw("submit", second)["dup"])
            daemon.kill()
            daemon.start()
            self.assertTrue(raw("submit", second)["dup"])
            raw("submit", {"job": job, "items": items[20:], "part": 2, "params": params})
            with daemon.client() as client:
                ordered = list(client.items(job, order="input"))
                self.assertEqual([r.custom_id for r in ordered], ["c%d" % i for i in range(30)])
                ended = list(client.items(job))
                self.assertEqual(sorted(r.index for r in ended), list(range(30)))
                self.assertEqual([r.job for r in client.items(job, off=25)], [r.job for r in ended[25:]])
                result = client.wait(job, timeout=60)
                self.assertEqual([i.custom_id for i in result.items], ["c%d" % i for i in range(30)])

    def test_the_batch_command_goes_on_where_it_was(self):
        with Daemon(profile=NO_CACHE) as daemon:
            lines, out = daemon.path("in.jsonl"), daemon.path("out.jsonl")
            with open(lines, "w", encoding="utf-8") as f:
                for i in range(120):
                    f.write(json.dumps({"prompt": "Line %d of the file" % i}) + "\n")
            command = [CTL, "--socket", daemon.path("run"), "batch", "run", lines, "-o", out,
                       "--max-tokens", "24", "--silence", "120"]
            with open(daemon.path("first.err"), "w", encoding="utf-8") as err:
                first = subprocess.Popen(command, stderr=err)
                until(lambda: lines_of(out) >= 10, "10 results")
                first.kill()  # the client dies
                first.wait()
            daemon.kill()  # and so does the daemon
            daemon.start()
            done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("by an earlier run", done.stderr)
            with open(out, encoding="utf-8") as f:
                results = [json.loads(line) for line in f]
            self.assertEqual([r["index"] for r in results], list(range(120)))
            with daemon.client() as client:
                jobs = [j for j in client.jobs() if "children" in j]
                self.assertEqual(len(jobs), 1)
                items = list(client.jobs(batch=jobs[0]["job"]))
                self.assertEqual(len(items), 120)  # nothing was computed twice

    def test_a_drain_with_a_limit_puts_back_what_runs(self):
        with Daemon(profile=NO_CACHE) as daemon:
            with daemon.client() as client, daemon.client("admin") as admin:
                params = dict(LONG, max_tokens=1800)  # many and long: they must not end before the limit is looked at
                job, *others = [client.submit(prompt="Once", params=params).job for _ in range(12)]
                until(lambda: stored_tokens(client, job) >= 10, "it runs")
                admin.drain(timeout_s=0)
                self.assertEqual(client.ping()["state"], "draining")  # at once
                until(lambda: client.status(job)["state"] == "queued", "it was put back")
                before = stored_tokens(client, job)
                time.sleep(0.5)
                self.assertEqual(stored_tokens(client, job), before)
                admin.undrain()
                self.assertEqual(client.ping()["state"], "ready")
                for other in others:
                    client.cancel(other)
                result = client.wait(job, timeout=400)
                self.assertEqual(result.attempt, 1)
                whole = client.complete("Once", params=params, cache={"no-store": True})
                self.assertEqual(result.text, whole.text)

    def test_a_damaged_journal_makes_the_daemon_degraded_and_keeps_the_rest(self):
        with Daemon(profile=NO_CACHE) as daemon:
            with daemon.client() as client:
                jobs = [client.submit(prompt="Job %d" % i, params={"max_tokens": 2}).job for i in range(20)]
                texts = {job: client.wait(job, timeout=60).text for job in jobs}
            daemon.kill()
            folder = daemon.path("state", "jobs", "db")
            logs = sorted(f for f in os.listdir(folder) if f.endswith(".log"))
            with open(os.path.join(folder, logs[-1]), "r+b") as f:
                f.seek(os.path.getsize(f.name) // 2)
                f.write(b"\xff" * 64)
            daemon.start()
            with daemon.client() as client:
                self.assertEqual(client.ping()["state"], "degraded")
                self.assertIn("journal", client.stats()["lost"])
                found = [job for job in client.jobs()]
                self.assertGreater(len(found), 0)
                for job in found:
                    if job["state"] == "done":
                        result = client.result(job["job"])
                        if result is not None and result.text is not None:
                            self.assertEqual(result.text, texts[job["job"]])
                again = client.submit(prompt="New", params={"max_tokens": 2}).job
                self.assertEqual(client.wait(again, timeout=60).state, "done")
            kept = [f for f in os.listdir(daemon.path("state")) if f.startswith("jobs.damaged-")]
            self.assertEqual(len(kept), 2, kept)  # the files, and the list


if __name__ == "__main__":
    unittest.main()
