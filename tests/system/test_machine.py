#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Machines that have less than the engine likes: no AVX2, one CPU, no huge pages, a limit of memory."""
import ctypes
import os
import subprocess
import unittest

from harness import MODEL_TOOL, Daemon

CONFIG_REFUSED, MODEL_REFUSED = 3, 4
PR_SET_THP_DISABLE = 41
QUESTION = "How do I cancel a job?"
AS_IT_IS = {"temperature": 0, "max_tokens": 16, "cache": {"no-cache": True, "no-store": True}}


def answer_of(daemon):
    with daemon.client() as c:
        return c.chat(QUESTION, **AS_IT_IS).text


class MemoryGroup:
    """A control group whose processes may use so many bytes. Entering raises OSError where that cannot be had."""

    def __init__(self, limit):
        self.limit = limit
        self.top, self.file = ("/sys/fs/cgroup/memory", "memory.limit_in_bytes") if os.path.isdir("/sys/fs/cgroup/memory") else ("/sys/fs/cgroup", "memory.max")
        self.path = os.path.join(self.top, "bitnetd-test-%d" % os.getpid())

    def __enter__(self):
        os.mkdir(self.path)
        try:
            self._write(self.file, self.limit)
            self._check()
        except (OSError, subprocess.SubprocessError) as error:
            os.rmdir(self.path)
            raise OSError(str(error)) from error
        return self

    def join(self):
        """For the child, before it becomes the program."""
        self._write("cgroup.procs", os.getpid())

    def _check(self):
        """Whether a process can join, and finds itself in /proc below the same folder (in some containers it does not)."""
        seen = subprocess.run(["cat", "/proc/self/cgroup"], preexec_fn=self.join, capture_output=True, text=True, check=True).stdout
        paths = [line.split(":", 2)[2] for line in seen.splitlines()]
        if not any(os.path.samefile(self.path, self.top + path) for path in paths if os.path.isdir(self.top + path)):
            raise OSError("its path in /proc is another")

    def _write(self, file, number):
        with open(os.path.join(self.path, file), "w", encoding="ascii") as f:
            f.write(str(number))

    def __exit__(self, *_):
        os.rmdir(self.path)


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

    def test_a_model_that_the_memory_limit_has_no_room_for_is_refused_before_it_is_read(self):
        try:
            group = self.enterContext(MemoryGroup(240 << 20))
        except OSError as error:
            self.skipTest("no control group of our own: %s" % error)
        with Daemon(start=False) as daemon:
            large = daemon.path("large.gguf")
            subprocess.run([MODEL_TOOL, "synth", "--shape", "large", "--out", large], check=True, capture_output=True, timeout=120)
            daemon.write_config(models=["{name: large, path: %s}" % large])
            daemon.in_child = group.join
            status, said = daemon.run_to_end()
            self.assertEqual(status, MODEL_REFUSED, said)
            self.assertRegex(said, r"large\.gguf: its weights take at least [0-9.]+ MiB of memory, and [0-9.]+ MiB can be had here \(machine and control group\)")


if __name__ == "__main__":
    unittest.main(verbosity=2)
