#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""bitnetd as systemd sees it: start, READY, reload, drain, exit status. Real processes, real models.

service_test.py BITNETD BITNETCTL SOURCE_FOLDER
"""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

BITNETD, BITNETCTL, SOURCE = (pathlib.Path(arg).resolve() for arg in sys.argv[1:4])

CONFIG = """
models:
  - {{name: chat, path: {models}/bitnetd-chat.gguf}}
hardware: {{nodes: [{{cpus: [0]}}], kv_bytes: 32MiB}}
limits: {{drain_timeout: 120s}}
log: {{level: {level}}}
"""


class House:
    """A configuration and the three directories of one daemon, and the daemon."""

    def __init__(self, config=None):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="bitnetd-test-", dir="/tmp"))
        self.file = self.path / "bitnetd.yaml"
        self.write(config or CONFIG.format(models=SOURCE / "models", level="info"))
        self.process = None
        self.notify = None

    def write(self, text):
        self.file.write_text(text)

    def command(self, *more):
        return [BITNETD, "--config", self.file, "--state-directory", self.path / "state",
                "--cache-directory", self.path / "cache", "--runtime-directory", self.path / "run",
                *more]

    def start(self, *more, notify=False, watchdog_s=None):
        env = dict(os.environ)
        if notify:
            self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self.notify.bind(str(self.path / "notify"))
            self.notify.settimeout(20)
            env["NOTIFY_SOCKET"] = str(self.path / "notify")
        if watchdog_s:
            env["WATCHDOG_USEC"] = str(watchdog_s * 1_000_000)
        with open(self.path / "log", "ab") as log:
            self.process = subprocess.Popen(self.command(*more), stderr=log, env=env)
        return self

    def ready(self):
        self.ctl("--wait-ready", "60", "ping")
        return self

    def ctl(self, *arguments, status=0):
        done = subprocess.run([BITNETCTL, "--socket", self.path / "run", *arguments],
                              capture_output=True, text=True, timeout=120)
        if status is not None and done.returncode != status:
            raise AssertionError(f"bitnetctl {arguments}: {done.returncode}\n{done.stderr}"
                                 f"{(self.path / 'log').read_text()}")
        return done

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        return self.process.wait(timeout=60)

    def run(self):
        """Until it ends by itself: exit status and what it said."""
        done = subprocess.run(self.command(), capture_output=True, text=True, timeout=60)
        return done.returncode, done.stderr

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.notify:
            self.notify.close()
        shutil.rmtree(self.path, ignore_errors=True)


class ServiceTest(unittest.TestCase):
    def house(self, *args):
        house = House(*args)
        self.addCleanup(house.close)
        return house

    def test_systemd_is_told_everything_in_its_order(self):
        house = self.house().start(notify=True, watchdog_s=3)
        messages = []
        while not messages or not messages[-1].startswith("READY=1"):
            messages.append(house.notify.recv(4096).decode())
        for message in messages[:-1]:
            self.assertTrue(message.startswith("EXTEND_TIMEOUT_USEC="), message)
        # READY is true: an answer comes without waiting.
        self.assertIn("ready", house.ctl("ping").stdout)
        house.ctl("submit", "-n", "3", "What is a job?")
        seen = [house.notify.recv(4096).decode() for _ in range(4)]
        self.assertIn("WATCHDOG=1", seen)
        self.assertTrue(any(m.startswith("STATUS=ready; ") for m in seen), seen)
        house.process.send_signal(signal.SIGTERM)
        rest = []
        while "STOPPING=1" not in "".join(rest):
            rest.append(house.notify.recv(4096).decode())
        self.assertEqual(house.process.wait(timeout=30), 0)
        self.assertEqual(list((house.path / "run").glob("*.sock")), [])

    def test_each_refusal_has_its_exit_status_and_says_why(self):
        house = self.house("models: []\nlimits: {max_tokens: many}\n")
        status, said = house.run()
        self.assertEqual(status, 3)
        self.assertIn(f"{house.file}:2:", said)

        bad = subprocess.run([BITNETD, "--frobnicate"], capture_output=True, timeout=10)
        self.assertEqual(bad.returncode, 2)

        garbage = house.path / "garbage.gguf"
        garbage.write_bytes(b"GGUF" + b"\xff" * 4096)
        house.write(f"models: [{{name: x, path: {garbage}}}]\n")
        status, said = house.run()
        self.assertEqual(status, 4, said)
        self.assertIn("garbage.gguf", said)
        self.assertEqual(list((house.path / "run").glob("*.sock")), [])

        house.write(CONFIG.format(models=SOURCE / "models", level="info"))
        (house.path / "state" / "jobs").mkdir(parents=True, exist_ok=True)
        shutil.rmtree(house.path / "state")
        (house.path / "state").mkdir()
        (house.path / "state" / "jobs").write_text("a file where the journal should be")
        status, said = house.run()
        self.assertEqual(status, 5, said)

    def test_check_looks_and_does_nothing_else(self):
        house = self.house()
        good = subprocess.run(house.command("--check"), capture_output=True, text=True, timeout=20)
        self.assertEqual((good.returncode, good.stderr), (0, ""))
        self.assertFalse((house.path / "run").exists())
        house.write("modells: []\n")
        bad = subprocess.run(house.command("--check"), capture_output=True, text=True, timeout=20)
        self.assertEqual(bad.returncode, 3)
        self.assertIn("did you mean models?", bad.stderr)

    def test_a_second_daemon_is_refused_and_the_first_goes_on(self):
        house = self.house().start().ready()
        status, said = house.run()
        self.assertEqual(status, 1)
        self.assertIn("another bitnetd is running", said)
        house.ctl("submit", "-n", "2", "Hi")
        self.assertEqual(house.end(), 0)

    def test_after_kill_9_it_starts_again_and_runs_what_was_accepted(self):
        house = self.house().start().ready()
        jobs = [house.ctl("submit", "--chat", "--no-wait", f"What is a job? {i}").stdout.strip()
                for i in range(3)]
        self.assertEqual(house.end(signal.SIGKILL), -signal.SIGKILL)
        self.assertNotEqual(list((house.path / "run").glob("*.sock")), [])  # left behind
        house.start().ready()
        for job in jobs:
            result = json.loads(house.ctl("--json", "result", "--wait", "60", job).stdout)
            self.assertEqual(result["state"], "done")
        self.assertEqual(house.end(), 0)

    def test_sigterm_while_loading_ends_at_once(self):
        house = self.house().start()
        while not (house.path / "run" / "front.sock").exists():
            self.assertIsNone(house.process.poll())
            time.sleep(0.002)
        began = time.monotonic()
        self.assertEqual(house.end(), 0)
        self.assertLess(time.monotonic() - began, 10)

    def test_sigterm_lets_running_jobs_finish_and_refuses_new_ones(self):
        house = self.house().start().ready()
        running = subprocess.Popen(
            [BITNETCTL, "--socket", house.path / "run", "--json", "submit", "--ignore-eos",
             "--cache", "no-store,no-cache", "-n", "1500", "count"],
            stdout=subprocess.PIPE, text=True)
        running.stdout.readline()  # it streams
        house.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        late = house.ctl("submit", "Hi", status=None)
        self.assertIn(late.returncode, (1, 4), late.stderr)  # draining, or gone already
        if late.returncode == 1:
            self.assertIn("E_DRAINING", late.stderr)
        out, _ = running.communicate(timeout=150)
        result = json.loads(out.splitlines()[-1])
        self.assertEqual((running.returncode, result["state"]), (0, "done"))
        self.assertEqual(house.process.wait(timeout=30), 0)

    def test_a_second_sigterm_does_not_wait(self):
        house = self.house().start().ready()
        running = subprocess.Popen(
            [BITNETCTL, "--socket", house.path / "run", "submit", "--ignore-eos", "--cache",
             "no-store,no-cache", "-n", "1900", "count"], stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL)
        running.stdout.read(1)
        house.process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        self.assertEqual(house.end(), 0)
        running.communicate(timeout=20)

    def test_a_saved_file_and_sighup_are_applied_while_it_runs(self):
        house = self.house().start().ready()
        version = json.loads(house.ctl("--json", "stats").stdout)["config_version"]

        def wait_for(number):
            for _ in range(100):
                if json.loads(house.ctl("--json", "stats").stdout)["config_version"] == number:
                    return
                time.sleep(0.1)
            self.fail((house.path / "log").read_text())

        house.write(CONFIG.format(models=SOURCE / "models", level="debug"))
        wait_for(version + 1)
        house.write("limits: [broken\n")
        time.sleep(1)
        house.ctl("reload", status=3)
        wait_for(version + 1)  # the last good one goes on
        house.ctl("submit", "-n", "2", "Hi")
        house.write(CONFIG.format(models=SOURCE / "models", level="warn"))
        house.process.send_signal(signal.SIGHUP)
        wait_for(version + 2)
        self.assertEqual(house.end(signal.SIGINT), 0)

    def test_hostile_input_is_refused_while_others_are_served(self):
        house = self.house().start().ready()
        stop = threading.Event()
        failures = []

        def other():
            while not stop.is_set():
                try:
                    house.ctl("submit", "-n", "2", "What is a job?")
                except AssertionError as why:
                    failures.append(why)
                    return

        thread = threading.Thread(target=other)
        thread.start()
        big = house.path / "big"
        big.write_text("word " * 2_000_000)  # ten megabytes
        refused = house.ctl("submit", "-f", big, status=3)
        self.assertIn("E_TOO_BIG", refused.stderr)
        long = house.path / "long"
        long.write_text("word " * 20_000)
        self.assertIn("E_CTX", house.ctl("submit", "-f", long, status=3).stderr)
        latin = house.path / "latin"
        latin.write_bytes(b"caf\xe9")
        house.ctl("submit", "-n", "2", "-f", latin)  # bitnetctl sends U+FFFD
        self.assertIn("E_MODEL", house.ctl("submit", "-m", "gpt", "Hi", status=3).stderr)
        self.assertIn("params.max_tokens",
                      house.ctl("submit", "-n", "1000000", "Hi", status=3).stderr)
        self.assertIn("E_ROLE", house.ctl("raw", "reload", "{}", status=1).stderr)
        stop.set()
        thread.join()
        self.assertEqual(failures, [])
        self.assertEqual(house.end(), 0)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[4:]], verbosity=2)
