#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A real daemon answers the transcripts' requests with the transcripts' replies: the same types, the same fields with values of the same
kind, and the same errors. docs/protocol.md names every type, field and error that occurs in them."""
import os
import re
import unittest

from record import ASKED, JOB, job_of, perform
from standin import transcripts

from harness import SOURCE, Daemon  # the path was set by record

UNPREDICTABLE = {"eta_ms", "pos", "cursor", "retry_after_ms"}  # there or not, as it comes
OPEN = {"metrics", "stats"}  # what stands in these differs from machine to machine


def kinds(value, path=""):
    """The fields of a value with the kinds of what they hold: {"usage.prompt": "number", …}."""
    if isinstance(value, dict):
        out = {}
        for key, one in value.items():
            if key not in UNPREDICTABLE:
                out.update(kinds(one, path + "." + key))
        return out or {path: "object"}
    if isinstance(value, list):
        return kinds(value[0], path + "[]") if value else {path: "list"}
    return {path: "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__}


class Transcripts(unittest.TestCase):
    def test_a_daemon_answers_as_they_say(self):
        known, job = transcripts(), None
        self.assertEqual(sorted(known), sorted(ASKED))
        with Daemon() as daemon:
            for kind, exchanges in ASKED.items():  # in the order in which they were recorded
                for asked, recorded in zip(exchanges, known[kind]):
                    with self.subTest(type=kind, name=recorded["name"]):
                        replies = perform(daemon, kind, asked, job)
                        job = job_of(asked, replies) or job
                        self.compare(kind, recorded["replies"], replies)

    def compare(self, kind, expected, got):
        def shape(replies):  # how many deltas there are is the daemon's business
            types = [r["type"] for r in replies]
            return [t for i, t in enumerate(types) if t != "delta" or types[i - 1] != "delta"]
        self.assertEqual(shape(got), shape(expected), got)
        for reply in expected:
            real = next(r for r in got if r["type"] == reply["type"])
            if kind not in OPEN:
                self.assertEqual(kinds(real["body"]), kinds(reply["body"]))
            for field in ("code", "name", "field", "state", "dup", "durable"):
                self.assertEqual(real["body"].get(field), reply["body"].get(field), field)

    def test_the_protocol_page_names_everything(self):
        with open(os.path.join(SOURCE, "docs/protocol.md"), encoding="utf-8") as f:
            words = set(re.findall(r"[A-Za-z_][A-Za-z0-9_.-]*", f.read()))
        for kind, exchanges in transcripts().items():
            for exchange in exchanges:
                for reply in exchange["replies"]:
                    self.assertIn(reply["type"], words)
                    for field in reply["body"] if kind not in OPEN else ():
                        self.assertIn(field, words, "%s: %s" % (reply["type"], field))
                    if reply["type"] == "error":
                        self.assertIn(reply["body"]["name"], words)

    def test_every_request_of_the_page_has_a_transcript(self):
        with open(os.path.join(SOURCE, "docs/protocol.md"), encoding="utf-8") as f:
            page = f.read().split("## Requests")[1].split("## Replies")[0]
        named = set()
        for line in re.findall(r"^### (.*)$", page, re.M):
            named |= set(re.findall(r"[a-z.]+", line.split(" (")[0])) - {"and"}
        self.assertEqual(sorted(named - set(ASKED)), [])
        self.assertNotIn(JOB, named)


if __name__ == "__main__":
    unittest.main(verbosity=2)
