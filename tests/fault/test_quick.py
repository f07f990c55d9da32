#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The short version of the long run (run.py)."""
import unittest

import run


class Quick(unittest.TestCase):
    def test_kill_at_random(self):
        self.assertTrue(run.kills(3))

    def test_power_lost(self):
        self.assertTrue(run.power(3))


if __name__ == "__main__":
    unittest.main(verbosity=2)
