#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A harness that does not find the bugs that were put in for it is broken (run.py, base/fault.h)."""
import unittest

import run


class Bugs(unittest.TestCase):
    def test_every_seeded_bug_is_found(self):
        for bug in run.BUGS:
            with self.subTest(bug):
                self.assertTrue(run.bugs([bug]))


if __name__ == "__main__":
    unittest.main(verbosity=2)
