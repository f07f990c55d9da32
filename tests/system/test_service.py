#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""bitnetd as a service: what systemd is told and when, signals, exit status, a second daemon, rest."""
import ctypes
import os
import re
import signal
import time
import unittest

from harness import CHAT, Daemon, until
from manager import Manager

OK, FAILED, USAGE, CONFIG_REFUSED, MODEL_REFUSED, STORE_REFUSED = range(6)


class Service(unittest.TestCase):
    def test_systemd_is_told_the_truth(self):
        daemon = Daemon(start=False, environment={"WATCHDOG_USEC": "900000"})
        manager = Manager(daemon.path("notify"))
        daemon.environment["NOTIFY_SOCKET"] = manager.path
        at_ready = []

        def ask_at_once():
            try:
                with daemon.client(retry_for=0) as c:  # not even one repetition: READY means it answers
                    at_ready.append(c.chat("What is bitnetd?").text)
            except Exception as error:
                at_ready.append(error)
        manager.on_ready = ask_at_once
        with daemon:
            daemon.start()
            until(lambda: at_ready, "READY=1 and an answer")
            self.assertIsInstance(at_ready[0], str, at_ready)
            self.assertEqual(len(manager.said("READY=1")), 1)
            first = [text for at, text in manager.messages if at < manager.said("READY=1")[0]]
            self.assertEqual([text for text in first if not text.startswith("EXTEND_TIMEOUT_USEC=")], [])
            until(lambda: len(manager.said("WATCHDOG=1")) >= 3, "three signs of life")
            self.assertGreater(manager.said("WATCHDOG=1")[0], manager.said("READY=1")[0])
            until(lambda: manager.status() == "STATUS=ready; 0 jobs open; profile test", manager.status())

            daemon.ctl("drain")
            until(lambda: manager.status().startswith("STATUS=draining"), "a status of the drain")
            daemon.ctl("undrain")
            until(lambda: manager.status().startswith("STATUS=ready"), "a status of the end of the drain")

            self.assertEqual(manager.said("STOPPING=1"), [])
            self.assertEqual(daemon.stop(), OK)
            self.assertEqual(len(manager.said("STOPPING=1")), 1)
            self.assertEqual([name for name in os.listdir(daemon.path("run")) if name.endswith(".sock")], [])
            manager.close()

    def test_no_sign_of_life_while_the_pipeline_stands(self):
        daemon = Daemon(start=False, environment={"WATCHDOG_USEC": "600000"})
        manager = Manager(daemon.path("notify"))
        daemon.environment["NOTIFY_SOCKET"] = manager.path
        with daemon:
            daemon.start()
            until(lambda: manager.said("WATCHDOG=1"), "a sign of life")
            # Ledger and workers stand; the thread that would speak for them does not.
            with Frozen(daemon.process.pid, "caf.actor"):
                before = len(manager.said("WATCHDOG=1")) + 1  # one answer may have been on its way
                began = time.monotonic()
                until(lambda: time.monotonic() - began > 1.5, "longer than two intervals")
                self.assertLessEqual(len(manager.said("WATCHDOG=1")), before)
            until(lambda: len(manager.said("WATCHDOG=1")) > before + 1, "signs of life again")
            manager.close()

    def test_sigterm_while_loading_ends_it(self):
        with Daemon(start=False) as daemon:
            daemon.spawn()
            until(lambda: os.path.exists(daemon.path("run", "front.sock")), "its sockets")  # before the models
            began = time.monotonic()
            self.assertEqual(daemon.stop(), OK)
            self.assertLess(time.monotonic() - began, 60)
            self.assertNotIn("ready", [line.split()[-1] for line in daemon.log_text().splitlines()[-1:]])

    def test_a_second_sigterm_ends_it_at_once(self):
        with Daemon() as daemon:
            with daemon.client() as c:
                jobs = [c.submit(prompt="Story %d" % i, max_tokens=1900, ignore_eos=True).job for i in range(16)]
                until(lambda: c.status(jobs[0])["state"] == "running", "running")
            daemon.process.send_signal(signal.SIGTERM)
            until(lambda: "draining, then ending" in daemon.log_text(), "the drain began")
            daemon.process.send_signal(signal.SIGTERM)
            self.assertEqual(daemon.process.wait(30), OK)
            self.assertIn("once more: ending now", daemon.log_text())
            daemon.start()  # accepted jobs go on
            with daemon.client() as c:
                self.assertNotIn(c.status(jobs[-1])["state"], ("failed", "cancelled", "dead"))


class Frozen:
    """Holds the threads of a process that have this name, as a debugger would."""
    SEIZE, INTERRUPT, DETACH, ALL_THREADS = 0x4206, 0x4207, 17, 0x40000000  # ptrace(2), waitpid(2)

    def __init__(self, pid, name):
        self.threads = []
        for thread in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/comm" % (pid, thread), encoding="ascii") as f:
                if f.read().strip() == name:
                    self.threads.append(int(thread))
        self.libc = ctypes.CDLL(None, use_errno=True)

    def ptrace(self, request, thread):
        if self.libc.ptrace(ctypes.c_long(request), ctypes.c_long(thread), None, None) != 0:
            raise unittest.SkipTest("ptrace is not allowed here: " + os.strerror(ctypes.get_errno()))

    def __enter__(self):
        assert self.threads
        for thread in self.threads:
            self.ptrace(self.SEIZE, thread)
            self.ptrace(self.INTERRUPT, thread)
            os.waitpid(thread, self.ALL_THREADS)

    def __exit__(self, *_):
        for thread in self.threads:
            self.ptrace(self.DETACH, thread)


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid, encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Running(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.close()

    def test_at_rest_it_uses_no_cpu_worth_naming(self):
        with self.daemon.client() as c:
            c.chat("What is bitnetd?")
        pid = self.daemon.process.pid

        def share():
            before, began = cpu_seconds(pid), time.monotonic()
            time.sleep(3)
            return (cpu_seconds(pid) - before) / (time.monotonic() - began)
        # What the answer left to do (store, statistics) may fall into the first look.
        self.assertLess(min(share(), share()), 0.01)

    def test_a_second_daemon_on_the_same_directories_is_refused(self):
        status, said = self.daemon.run_to_end()
        self.assertEqual(status, FAILED, said)
        self.assertIn("another bitnetd is running", said)
        self.assertIn("give this one another runtime directory", said)
        with self.daemon.client() as c:
            self.assertTrue(c.chat("Still there?").text)

    def test_a_second_daemon_on_the_same_state_is_refused(self):
        with Daemon(start=False) as other:
            os.rmdir(other.path("state"))
            os.symlink(self.daemon.path("state"), other.path("state"))
            status, said = other.run_to_end()
            self.assertEqual(status, STORE_REFUSED, said)
            self.assertIn(other.path("state"), said)
            self.assertIn("lock", said.lower())
        with self.daemon.client() as c:
            self.assertTrue(c.chat("Still there, too?").text)

    def test_a_second_daemon_takes_no_damaged_journal_from_the_first(self):
        with Daemon() as first, Daemon(start=False) as other:
            database = first.path("state", "jobs", "db")
            for name in os.listdir(database):
                if name.startswith("MANIFEST-"):
                    path = os.path.join(database, name)
                    os.truncate(path, os.path.getsize(path) - 100)
            os.rmdir(other.path("state"))
            os.symlink(first.path("state"), other.path("state"))
            status, said = other.run_to_end()
            self.assertEqual(status, STORE_REFUSED, said)
            self.assertIn("open in another process", said)
            self.assertEqual(os.listdir(first.path("state")), ["jobs"])  # nothing was moved aside
            with first.client() as c:
                self.assertTrue(c.chat("Still there?").text)

    def test_the_command_lines_log_level_outlives_an_edit(self):
        with Daemon(options=["--log-level", "warn"]) as daemon:
            with daemon.client() as client:
                before = client.stats()["config_version"]
                daemon.write_config(extra="log: {level: debug}")
                daemon.ctl("reload")
                daemon.write_profile("targets: {first_token: 12s}\n")
                daemon.ctl("reload")
                self.assertEqual(client.stats()["config_version"], before + 2)
            self.assertNotIn("first_token", daemon.log_text())

    def test_a_drain_refuses_and_an_undrain_accepts(self):
        with self.daemon.client(retry_for=0) as c, self.daemon.client("admin") as admin:
            job = c.submit(prompt="Begun before", max_tokens=200, ignore_eos=True).job
            self.assertEqual(admin.drain()["state"], "draining")
            with self.assertRaises(Exception) as caught:
                c.chat("Too late")
            self.assertEqual((caught.exception.name, caught.exception.retry), ("E_DRAINING", "later"))
            until(lambda: c.ping()["state"] == "draining", "pong says so")
            self.assertEqual(c.wait(job).state, "done")
            self.assertEqual(admin.undrain()["state"], "ready")
            until(lambda: c.ping()["state"] == "ready", "pong says so")
            self.assertTrue(c.chat("In time").text)


class ExitStatus(unittest.TestCase):
    """Each refusal: its status, and a line that names what and where."""

    def test_usage(self):
        with Daemon(start=False) as daemon:
            status, said = daemon.run_to_end("--no-such-option")
            self.assertEqual(status, USAGE, said)
            self.assertEqual(daemon.run_to_end("--version")[0], OK)

    def test_configuration(self):
        with Daemon(start=False) as daemon:
            self.assertEqual(daemon.run_to_end("--check")[0], OK)
            self.assertEqual(os.listdir(daemon.path("run")) + os.listdir(daemon.path("state")), [])  # it only looks
            daemon.write_profile("batch:\n  max_sequences: many\n")
            for options in (["--check"], []):
                status, said = daemon.run_to_end(*options)
                self.assertEqual(status, CONFIG_REFUSED, said)
                self.assertIn(daemon.path("profiles", "test.yaml") + ":2:18: batch.max_sequences", said)
            daemon.config = "/nowhere/bitnetd.yaml"
            status, said = daemon.run_to_end()
            self.assertEqual(status, CONFIG_REFUSED, said)
            self.assertIn("/nowhere/bitnetd.yaml", said)

    def test_model(self):
        with Daemon(start=False) as daemon:
            cut = daemon.path("cut.gguf")
            with open(CHAT, "rb") as whole, open(cut, "wb") as f:
                f.write(whole.read(100_000))
            daemon.write_config(models=["{name: cut, path: %s}" % cut])
            status, said = daemon.run_to_end()
            self.assertEqual(status, MODEL_REFUSED, said)
            self.assertEqual(len(re.findall("model refused: .*" + re.escape(cut), said)), 1, said)

    def test_store(self):
        with Daemon(start=False) as daemon:
            with open(daemon.path("state", "jobs"), "w", encoding="ascii") as f:
                f.write("not a database")
            status, said = daemon.run_to_end()
            self.assertEqual(status, STORE_REFUSED, said)
            self.assertIn(daemon.path("state", "jobs"), said)


if __name__ == "__main__":
    unittest.main(verbosity=2)
