#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Folders that cannot be what they should: the start is refused with a reason, and nothing in them is changed."""
import contextlib
import hashlib
import os
import subprocess
import unittest

from harness import Daemon

FAILED, STORE_REFUSED = 1, 5
NOBODY = 65534


def contents(folder):
    """What lies there, by name: who may what with it, and what is in it."""
    out = {}
    for at, folders, files in os.walk(folder):
        for name in folders + files:
            path = os.path.join(at, name)
            info = os.lstat(path)
            out[os.path.relpath(path, folder)] = (info.st_mode, info.st_uid, info.st_mtime_ns,
                                                  hash_of(path) if name in files and os.path.isfile(path) else None)
    return out


def hash_of(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def a_file_at(path):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="ascii") as f:
        f.write("somebody's file")


@contextlib.contextmanager
def read_only(folder):
    """As a disk is that was mounted so; where mounting is not permitted, by the mode of all that lies in it."""
    if os.geteuid() == 0:
        if subprocess.run(["mount", "--bind", folder, folder], capture_output=True).returncode != 0:
            raise unittest.SkipTest("mounting is not permitted here, and modes do not bind root")
        try:
            subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
            yield
        finally:
            subprocess.run(["umount", folder], check=True)
        return
    subprocess.run(["chmod", "-R", "a-w", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["chmod", "-R", "u+w", folder], check=True)


def run_as(daemon, user):
    done = subprocess.run(daemon.command(), capture_output=True, text=True, timeout=60, check=False,
                          user=user, group=user, extra_groups=[])
    return done.returncode, done.stdout + done.stderr


def with_a_job(daemon):
    """Leaves a journal that holds a job; its id."""
    daemon.start()
    with daemon.client() as c:
        job = c.submit(prompt="kept", params={"max_tokens": 2}).job
    daemon.kill()
    return job


class Places(unittest.TestCase):
    def refused(self, status, ended, says, folder, before):
        """It ended like this, with one line that says so, and the folder is what it was."""
        code, said = ended
        self.assertEqual(code, status, said)
        critical = [line for line in said.splitlines() if " critical " in line]
        self.assertEqual(len(critical), 1, said)
        for part in says:
            self.assertIn(part, critical[0])
        self.assertNotIn("another process", critical[0])
        self.assertEqual(contents(folder), before)

    def test_a_file_where_a_folder_should_be(self):
        for place in (["state"], ["state", "jobs"], ["state", "jobs", "db"]):
            with self.subTest(place), Daemon(start=False) as daemon:
                path = daemon.path(*place)
                if os.path.isdir(path):
                    os.rmdir(path)
                a_file_at(path)
                before = contents(daemon.root)
                code, said = daemon.run_to_end()
                after = {name: what for name, what in contents(daemon.root).items() if not name.startswith("run")}
                self.assertEqual(code, STORE_REFUSED, said)
                self.assertIn("store refused: " + daemon.path("state", "jobs"), said)
                self.assertIn("Not a directory", said)
                self.assertEqual(after, {name: what for name, what in before.items() if not name.startswith("run")})

    def test_a_folder_where_the_lock_should_be(self):
        with Daemon(start=False) as daemon:
            os.makedirs(daemon.path("state", "jobs", "db", "LOCK"))
            before = contents(daemon.path("state"))
            self.refused(STORE_REFUSED, daemon.run_to_end(), ["LOCK", "Is a directory"], daemon.path("state"), before)

    def test_no_folder_for_sockets(self):
        with Daemon(start=False) as daemon:
            os.rmdir(daemon.path("run"))
            a_file_at(daemon.path("run"))
            before = contents(daemon.root)
            self.refused(FAILED, daemon.run_to_end(), [daemon.path("run"), "expected a directory"], daemon.root, before)

    def test_a_cache_that_is_a_file_is_done_without(self):
        with Daemon(start=False) as daemon:
            a_file_at(daemon.path("cache", "answers"))
            before = hash_of(daemon.path("cache", "answers"))
            daemon.start()
            with daemon.client() as c:
                self.assertEqual(c.chat("Is there a cache?", max_tokens=2).cache["status"], "BYPASS")
            self.assertIn(daemon.path("cache", "answers") + ": cannot make the directory: Not a directory; answers are not kept",
                          daemon.log_text())
            daemon.stop()
            self.assertEqual(hash_of(daemon.path("cache", "answers")), before)

    def test_a_state_folder_that_is_read_only(self):
        with Daemon(start=False) as daemon:
            job = with_a_job(daemon)
            for folder, says in ((daemon.path("state"), "state/jobs/witness: cannot open: "),
                                 (daemon.path("state", "jobs", "db"), "state/jobs/db: the database cannot be written; it must belong to")):
                with read_only(folder):
                    before = contents(daemon.path("state"))
                    self.refused(STORE_REFUSED, daemon.run_to_end(), [says], daemon.path("state"), before)
            daemon.start()
            with daemon.client() as c:
                self.assertEqual(c.wait(job, timeout=60).state, "done")

    def test_a_new_state_folder_that_is_read_only(self):
        with Daemon(start=False) as daemon, read_only(daemon.path("state")):
            self.refused(STORE_REFUSED, daemon.run_to_end(), [daemon.path("state", "jobs", "db"), "cannot make the directory"],
                         daemon.path("state"), {})

    def test_a_cache_folder_that_is_read_only_is_done_without(self):
        with Daemon(start=False) as daemon:
            daemon.start()
            daemon.stop()
            with read_only(daemon.path("cache")):
                daemon.start()
                with daemon.client() as c:
                    self.assertEqual(c.chat("Is there a cache?", max_tokens=2).cache["status"], "BYPASS")
                self.assertIn(daemon.path("cache", "answers", "witness") + ": cannot open: Read-only file system; answers are not kept",
                              daemon.log_text())
                daemon.stop()

    def test_a_state_folder_that_belongs_to_somebody_else(self):
        if os.geteuid() != 0:
            self.skipTest("only root can give folders away")
        with Daemon(start=False) as daemon:
            os.chmod(daemon.root, 0o755)
            if subprocess.run([daemon.command()[0], "--version"], user=NOBODY, group=NOBODY, extra_groups=[],
                              capture_output=True).returncode != 0:
                self.skipTest("other users cannot reach the build")
            job = with_a_job(daemon)
            for name in ("run", "cache"):
                subprocess.run(["chown", "-R", str(NOBODY), daemon.path(name)], check=True)
            state = daemon.path("state")
            # The folder with all that is in it, then only what is in it.
            for mode, owner in ((0o700, 0), (0o755, 0), (0o755, NOBODY)):
                os.chmod(state, mode)
                os.chown(state, owner, -1)
                subprocess.run(["chmod", "755", daemon.path("state", "jobs"), daemon.path("state", "jobs", "db")], check=True)
                before = contents(state)
                self.refused(STORE_REFUSED, run_as(daemon, NOBODY), [daemon.path("state", "jobs"), "Permission denied"], state, before)
            for name in ("run", "cache", "state"):
                subprocess.run(["chown", "-R", "0", daemon.path(name)], check=True)
            daemon.start()
            with daemon.client() as c:
                self.assertEqual(c.wait(job, timeout=60).state, "done")


if __name__ == "__main__":
    unittest.main(verbosity=2)
