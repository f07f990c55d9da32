#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Machines that have less than the engine likes: no AVX2, one CPU, no huge pages."""
import ctypes
import os
import unittest

from harness import Daemon

CONFIG_REFUSED = 3
PR_SET_THP_DISABLE = 41
QUESTION = "How do I cancel a job?"
AS_IT_IS = {"temperature": 0, "max_tokens": 16, "cache": {"no-cache": True, "no-store": True}}


def answer_of(daemon):
    with daemon.client() as c:
        return c.chat(QUESTION, **AS_IT_IS).text


class Machines(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with Daemon() as daemon:
            cls.expected = answer_of(daemon)

    def answers_with(self, in_child=None, **how):
        """The same answer comes, and this is the log."""
        with Daemon(start=False, **how) as daemon:
            daemon.in_child = in_child
            daemon.start()
            self.assertEqual(answer_of(daemon), self.expected)
            return daemon.log_text()

    def test_without_vector_instructions(self):
        log = self.answers_with(extra="  isa: scalar")
        self.assertIn(" warning kernels: scalar", log)

    def test_instructions_that_the_cpu_lacks_are_refused_with_those_it_has(self):
        foreign = "avx2" if os.uname().machine == "aarch64" else "neon"
        with Daemon(start=False, extra="  isa: " + foreign) as daemon:
            for options in (["--check"], []):
                status, said = daemon.run_to_end(*options)
                self.assertEqual(status, CONFIG_REFUSED, said)
                self.assertRegex(said, r"bitnetd\.yaml:[0-9]+:[0-9]+: hardware\.isa: the CPU of this machine lacks %s; it has auto, scalar" % foreign)

    def test_one_cpu(self):
        log = self.answers_with(lambda: os.sched_setaffinity(0, {max(os.sched_getaffinity(0))}), nodes="[]")
        self.assertIn("ready: 1 workers", log)

    def test_no_huge_pages(self):
        libc = ctypes.CDLL(None, use_errno=True)
        self.answers_with(lambda: libc.prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0))


if __name__ == "__main__":
    unittest.main(verbosity=2)
