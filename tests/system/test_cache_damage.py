#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What becomes of the cache's directory must not become an answer: torn, flipped, wiped and full, it is computed anew."""
import os
import random
import shutil
import subprocess
import unittest

from harness import Daemon, until

QUESTIONS = ["Which tiers has the cache?", "How do I cancel a job?", "What is a ternary weight?", "Which profiles are there?"]


def ask(daemon, question):
    with daemon.client() as c:
        return c.chat(question, max_tokens=12)


def answers(daemon):
    return [ask(daemon, question).text for question in QUESTIONS]


def files_of(folder):
    return sorted(os.path.join(at, name) for at, _, names in os.walk(folder) for name in names if name not in ("LOCK", "LOG"))


def flip(path, draw, n):
    """Exchanges n bytes of a file for others."""
    with open(path, "r+b") as f:
        size = f.seek(0, os.SEEK_END)
        for _ in range(n if size else 0):
            at = draw.randrange(size)
            f.seek(at)
            was = f.read(1)[0]
            f.seek(at)
            f.write(bytes([was ^ (1 << draw.randrange(8))]))


class CacheDamage(unittest.TestCase):
    def test_flipped_bytes_never_become_an_answer(self):
        draw = random.Random(7)
        with Daemon() as daemon:
            right = answers(daemon)
            for round_ in range(4):
                self.assertEqual(answers(daemon), right)  # whatever was lost is kept again
                if round_ % 2:
                    daemon.stop()  # all of it in tables; a kill leaves it in the log
                else:
                    daemon.kill()
                for path in files_of(daemon.path("cache")):
                    if draw.random() < 0.5:
                        flip(path, draw, 1 + draw.randrange(8))
                daemon.start()
                self.assertEqual(answers(daemon), right)

    def test_torn_files_never_become_an_answer(self):
        draw = random.Random(8)
        with Daemon() as daemon:
            right = answers(daemon)
            for _ in range(2):
                daemon.kill()
                path = draw.choice(files_of(daemon.path("cache")))
                os.truncate(path, draw.randrange(os.path.getsize(path) + 1))
                daemon.start()
                self.assertEqual(answers(daemon), right)
                self.assertEqual(ask(daemon, QUESTIONS[0]).cache["status"], "HIT")  # and it is kept again

    def test_a_wiped_directory_ends_the_cache_and_nothing_else(self):
        with Daemon() as daemon:
            right = answers(daemon)
            shutil.rmtree(daemon.path("cache"))
            self.assertEqual(answers(daemon), right)
            daemon.ctl("cache", "flush", "--all")  # behind it tables are rewritten: there is no place for them
            until(lambda: answers(daemon) == right and "cache: writing answers failed" in daemon.log_text(), "it says so")
            self.assertEqual(answers(daemon), right)
            daemon.kill()
            os.makedirs(daemon.path("cache"), exist_ok=True)
            daemon.start()
            self.assertEqual(answers(daemon), right)
            self.assertEqual(ask(daemon, QUESTIONS[0]).cache["status"], "HIT")

    def test_where_there_is_no_directory_jobs_run_without_a_cache(self):
        daemon = Daemon(start=False)
        try:
            os.rmdir(daemon.path("cache"))
            with open(daemon.path("cache"), "w", encoding="utf-8") as f:
                f.write("a file")
            daemon.start()
            self.assertEqual(ask(daemon, QUESTIONS[0]).cache["status"], "BYPASS")
            self.assertIn("answers are not kept", daemon.log_text())
        finally:
            daemon.close()

    def test_a_full_disk_costs_answers_kept_not_answers_given(self):
        daemon = Daemon(start=False)
        disk = daemon.path("cache")
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "none", disk], capture_output=True).returncode != 0:
            daemon.close()
            self.skipTest("mounting a small disk is not permitted here")
        try:
            daemon.start()
            right = answers(daemon)
            filler = os.path.join(disk, "filler")
            with open(filler, "wb", buffering=0) as f:
                try:
                    while True:
                        f.write(bytes(1 << 16))
                except OSError:
                    pass  # full

            def says_so():  # a flush makes tables; a log has room that was set aside for it
                self.assertEqual(answers(daemon), right)
                daemon.ctl("cache", "flush", "--all", check=False)
                return "cache: writing answers failed" in daemon.log_text()
            until(says_so, "it says so")
            self.assertEqual(answers(daemon), right)
            os.remove(filler)

            def kept():
                return ask(daemon, "Is there room again?").cache["status"] == "HIT"
            until(kept, "answers are kept again")
            self.assertIn("cache: the store works again", daemon.log_text())
        finally:
            if daemon.process and daemon.process.poll() is None:
                daemon.kill()
            subprocess.run(["umount", disk], check=False)
            daemon.close()


if __name__ == "__main__":
    unittest.main(verbosity=2)
