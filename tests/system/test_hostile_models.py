#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Hostile model files: each is refused by the loader, and by a daemon that goes on serving another model. What is odd and harmless is served."""
import os
import resource
import shutil
import subprocess
import tempfile
import unittest

import folder_model
import hostile_models
from bystander import ANEW, QUESTION, Bystander
from harness import CHAT, MODEL_TOOL, Daemon, until
from raw import Peer

REFUSED = 3  # exit status of bitnet-model
SMALL_KV = "  kv_bytes: 1MiB"


def load(path):
    """Loads a model as the daemon does, and draws a token from it."""
    return subprocess.run([MODEL_TOOL, "generate", "-m", path, "-p", "ab", "-n", "1"], capture_output=True, text=True, errors="replace", timeout=300)


def written(folder, number, raw):
    path = os.path.join(folder, "%03d.gguf" % number)
    with open(path, "wb") as f:
        f.write(raw)
    return path


class Loader(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = scratch.name

    def test_every_way_to_damage_a_model_is_refused_with_its_reason(self):
        groups = set()
        for number, (group, what, raw, says) in enumerate(hostile_models.refused()):
            path = written(self.folder, number, raw)
            done = load(path)
            self.assertEqual(done.returncode, REFUSED, (what, done.stdout[-300:], done.stderr[-300:]))
            line = done.stderr.splitlines()[-1]
            self.assertIn(path, line, what)
            self.assertIn(says, line, what)
            groups.add(group)
            os.remove(path)
        self.assertEqual(groups, set(range(1, 18)))

    def test_what_is_odd_and_harmless_is_loaded(self):
        for number, (_, what, raw) in enumerate(hostile_models.odd()):
            done = load(written(self.folder, number, raw))
            self.assertEqual(done.returncode, 0, (what, done.stderr[-300:]))

    def test_places_that_are_no_files(self):
        for path, says in hostile_models.places(self.folder):
            done = load(path)
            self.assertEqual(done.returncode, REFUSED, (path, done.stderr[-300:]))
            self.assertIn(says, done.stderr, path)

    def test_a_vocabulary_of_200_000_entries_loads_in_seconds(self):
        path = written(self.folder, 0, hostile_models.large_vocabulary(200_000))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = load(path)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.assertEqual(done.returncode, 0, done.stderr[-300:])
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print("200,000 entries: %.2f s of CPU" % seconds)
        self.assertLess(seconds, 30)  # under sanitizers, too


class Serving(unittest.TestCase):
    def test_a_daemon_refuses_each_kind_and_goes_on_serving(self):
        with Daemon(extra=SMALL_KV) as daemon, Peer(daemon.socket("admin")) as admin:
            other = Bystander(daemon)
            self.addCleanup(other.close)
            files = [written(daemon.root, number, raw) for number, raw in enumerate(self.some_of_each())]
            files += [path for path, _ in hostile_models.places(daemon.root)]
            files += [folder_model.write(daemon.path("folder-%02d" % number), content) for number, (_, content) in enumerate(folder_model.bad())]
            for path in files:
                daemon.write_config(models=["{name: bad, path: %s}" % path], extra=SMALL_KV)
                self.assertEqual(admin.request("reload", {})[0], "ok", path)
                until(lambda path=path: "models stay as they are: " + path in daemon.log_text(), "the refusal of " + path)
            other.still_served()
            with daemon.client() as c:
                self.assertEqual([m["name"] for m in c.models()], ["chat", "embed"])
            other.close()

    @staticmethod
    def some_of_each(most=4):
        """At most so many files of each group, from all over it."""
        groups = {}
        for group, _, raw, _ in hostile_models.refused():
            groups.setdefault(group, []).append(raw)
        return [raw for all_of in groups.values() for raw in all_of[::-(-len(all_of) // most)]]

    def test_a_daemon_serves_what_is_odd_beside_the_others(self):
        with Daemon(extra=SMALL_KV) as daemon:
            odd = list(hostile_models.odd())
            names = ["odd%d" % number for number in range(len(odd))]
            paths = [written(daemon.root, number, raw) for number, (_, _, raw) in enumerate(odd)]
            os.symlink(paths[0], daemon.path("link.gguf"))
            daemon.write_config(models=["{name: %s, path: %s}" % one for one in zip(names + ["link"], paths + [daemon.path("link.gguf")])], extra=SMALL_KV)
            with daemon.client() as c:
                until(lambda: "link" in [m["name"] for m in c.models()], "the odd models")
                for name, (group, what, _) in zip(names + ["link"], odd + odd[:1]):
                    self.assertEqual(c.complete("ab", model=name, max_tokens=3, cache=ANEW).state, "done", what)
                    if group == 18:  # never run: known by its text, or not
                        with self.assertRaisesRegex(Exception, "no chat template that we know"):
                            c.chat("ab", model=name)
                self.assertTrue(c.chat(QUESTION, cache=ANEW).text)

    def test_a_file_that_changes_after_loading_changes_nothing(self):
        with Daemon(start=False, extra=SMALL_KV) as daemon:
            path = daemon.path("copy.gguf")
            shutil.copy(CHAT, path)
            daemon.write_config(models=["{name: copy, path: %s}" % path], extra=SMALL_KV)
            daemon.start()
            size = os.path.getsize(path)
            with daemon.client() as c:
                def answer():
                    return c.chat(QUESTION, model="copy", cache=ANEW).text
                before = answer()
                with open(path, "r+b") as f:  # in place: a mapped file would change under its reader
                    f.seek(size // 2)
                    f.write(b"\xff" * (size // 2))
                self.assertEqual(answer(), before)
                for length in (size // 2, 100, 0):  # shorter: a mapped file would end its reader with SIGBUS
                    os.truncate(path, length)
                    self.assertEqual(answer(), before)
                os.remove(path)
                self.assertEqual(answer(), before)
                with open(path, "wb") as f:  # another model at the same place: not before it is named anew
                    f.write(hostile_models.whole())
                self.assertEqual(answer(), before)
                daemon.write_config(models=["{name: copy, path: %s}" % path, "{name: anew, path: %s}" % path], extra=SMALL_KV)
                until(lambda: "anew" in [m["name"] for m in c.models()], "the file as it is now")
                self.assertEqual(answer(), before)


if __name__ == "__main__":
    unittest.main(verbosity=2)
