#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A client whose clock is wrong by a day is served like any other; only a time of day that it names itself is taken at its word."""
import os
import subprocess
import sys
import unittest

from disk import Disk
from house import SHIM, Daemon
from harness import CTL, SOURCE

DAY_US = 86_400_000_000
PROGRAM = """
import datetime, sys
sys.path.insert(0, %r)
from bitnet_client import Client
with Client(sys.argv[1]) as c:
    print(datetime.datetime.now(datetime.timezone.utc).date())
    print(c.chat("What is a daemon?", max_tokens=4).finish)
    job = c.submit(prompt="Once", max_tokens=4, key="clock", deadline_ms=60_000).job
    print(c.submit(prompt="Once", max_tokens=4, key="clock", deadline_ms=60_000).job == job)
    print(c.wait(job).state)
    with c.stream(prompt="Once upon", max_tokens=4) as answer:
        print(bool("".join(delta.text for delta in answer)))
    at = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)).strftime("%%Y-%%m-%%dT%%H:%%M:%%SZ")
    try:
        print(c.wait(c.submit(prompt="By my clock", max_tokens=2, deadline=at).job).state)
    except Exception as error:
        print(error.name)
""" % os.path.join(SOURCE, "clients/python")


class ClientClock(unittest.TestCase):
    def test_a_client_that_is_a_day_ahead_or_behind(self):
        with Daemon() as daemon:
            os.mkdir(daemon.path("client"))
            disk = Disk(SHIM, daemon.path("client"), daemon.path("clock"))
            environment = {**os.environ, **disk.environment()}
            try:
                seen = set()
                for jump, last in ((DAY_US, "done"), (-DAY_US, "E_DEADLINE")):
                    disk.state.clock_offset_us = jump
                    done = subprocess.run([sys.executable, "-c", PROGRAM, daemon.socket()], env=environment, capture_output=True,
                                          text=True, timeout=120, check=False)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    date, *rest = done.stdout.split()
                    seen.add(date)
                    self.assertIn(rest.pop(0), ("stop", "length"))
                    self.assertEqual(rest, ["True", "done", "True", last])
                    ctl = subprocess.run([CTL, "--socket", daemon.path("run"), "submit", "-n", "4", "Hello"], env=environment,
                                         capture_output=True, text=True, timeout=120, check=False)
                    self.assertEqual(ctl.returncode, 0, ctl.stderr)
                self.assertEqual(len(seen), 2)  # the clocks did differ
            finally:
                disk.close()


if __name__ == "__main__":
    unittest.main(verbosity=2)
