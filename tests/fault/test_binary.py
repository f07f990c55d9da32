#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fault points and seeded bugs are in the harness' daemon, and not in the one that is installed."""
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../system"))

from harness import DAEMON  # noqa: E402
from house import FAULTY  # noqa: E402
from run import BUGS, POINTS  # noqa: E402


def missing(path, words):
    with open(path, "rb") as f:
        content = f.read()
    return [w for w in words if w.encode() + b"\0" not in content]


class Binary(unittest.TestCase):
    WORDS = ["BITNETD_FAULT", "BITNETD_BUG", *POINTS, *BUGS]

    def test_the_harness_daemon_has_them_all(self):
        self.assertEqual(missing(FAULTY, self.WORDS), [])

    def test_the_installed_daemon_has_none(self):
        self.assertEqual(missing(DAEMON, self.WORDS), self.WORDS)


if __name__ == "__main__":
    unittest.main(verbosity=2)
