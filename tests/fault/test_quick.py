#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The short version of the long run (run.py): some of every kind of fault."""
import unittest

import run
from disk import SmallDisk


class Quick(unittest.TestCase):
    def test_kill_at_random(self):
        self.assertTrue(run.kills(3))

    def test_power_lost(self):
        self.assertTrue(run.power(3))

    def test_kill_at_named_points(self):
        self.assertTrue(run.points(1, names=("store.before_write", "store.after_write", "ledger.accepted")))

    def test_clock_jumps(self):
        self.assertTrue(run.clock(1))

    def test_disk_full(self):
        self.assertTrue(run.full(2))

    def test_sync_or_read_fails(self):
        self.assertTrue(run.eio(2))

    def test_writing_fails(self):
        self.assertTrue(run.writes(2))  # of a start; of serving:
        self.assertTrue(run.writes(1, 180))

    def test_disk_quota(self):
        self.assertTrue(run.disk_quota(1))

    @unittest.skipUnless(SmallDisk.permitted(), "a small disk cannot be mounted here")
    def test_no_inodes(self):
        self.assertTrue(run.inodes(1))

    def test_poison(self):
        self.assertTrue(run.poison(1))

    def test_quota(self):
        self.assertTrue(run.quota(1))

    def test_memory_is_refused(self):
        self.assertTrue(run.memory(1))

    def test_a_step_that_does_not_end(self):
        self.assertTrue(run.hang(1, watchdog=6.0))

    def test_clients_that_stand_still(self):
        self.assertTrue(run.stopped(1))


if __name__ == "__main__":
    unittest.main(verbosity=2)
