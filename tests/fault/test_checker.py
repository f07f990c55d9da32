#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The checker finds what each rule is for, and nothing in a good history."""
import copy
import unittest

from checker import check, check_quota

JOB, OTHER = "0190163d-8694-739b-aea5-966c26f8ad01", "0190163d-8694-739b-aea5-966c26f8ad02"


def events(*rows):
    return [dict(row, t=i, client="c", principal=row.get("principal", "a")) for i, row in enumerate(rows)]


def invoke(op, kind="submit", principal="a", **body):
    return {"event": "invoke", "op": op, "kind": kind, "body": body, "principal": principal}


def message(op, kind, principal="a", **body):
    return {"event": "message", "op": op, "kind": kind, "body": body, "principal": principal}


GOOD = [invoke("1", prompt="x", key="k", mode="stream", durable=True),
        message("1", "accepted", job=JOB, durable=True),
        message("1", "delta", job=JOB, seq=0, off=0, text="ä"), message("1", "delta", job=JOB, seq=1, off=2, text="b"),
        message("1", "result", job=JOB, state="done", text="äb"),
        invoke("2", "status", "b", job=JOB), message("2", "error", "b", job=JOB, name="E_NO_JOB"),
        invoke("3", "result", job=JOB), message("3", "result", job=JOB, state="done", text="äb"),
        invoke("4", prompt="x", key="k", mode="stream", durable=True), message("4", "accepted", job=JOB, durable=True)]
FINAL = {JOB: ("result", {"job": JOB, "state": "done", "text": "äb"})}


class Check(unittest.TestCase):
    def found(self, rows, final=None):
        return {p.split(":")[0] for p in check(events(*rows), FINAL if final is None else final)}

    def changed(self, index, **body):
        rows = copy.deepcopy(GOOD)
        rows[index]["body"].update(body)
        return self.found(rows)

    def test_a_good_history_is_clean(self):
        self.assertEqual(self.found(GOOD), set())

    def test_a_lost_job_is_found(self):
        self.assertEqual(self.found(GOOD, {}), {"lost job"})
        self.assertEqual(self.found(GOOD, {JOB: ("error", {"job": JOB, "name": "E_NO_JOB"})}), {"lost job"})
        self.assertEqual(self.found(GOOD, {JOB: ("status", {"jobs": [{"job": JOB, "state": "queued"}]})}), {"lost job"})

    def test_two_ends_are_found(self):
        self.assertEqual(self.found(GOOD + [message("1", "result", job=JOB, state="done", text="äb")]), {"two ends"})

    def test_broken_streams_are_found(self):
        self.assertEqual(self.changed(3, off=1), {"broken stream"})
        self.assertEqual(self.changed(3, seq=2), {"broken stream"})
        self.assertEqual(self.changed(3, text="c"), {"broken stream"})

    def test_a_key_with_two_jobs_is_found(self):
        self.assertIn("key", self.changed(10, job=OTHER))
        self.assertEqual(self.changed(9, prompt="y"), {"key"})  # another request was taken under it

    def test_a_job_told_to_another_principal_is_found(self):
        rows = copy.deepcopy(GOOD)
        rows[6] = message("2", "status", "b", jobs=[{"job": JOB, "state": "done"}])
        self.assertEqual(self.found(rows), {"wrong principal"})

    def test_an_end_that_changes_is_found(self):
        self.assertEqual(self.changed(8, state="cancelled"), {"changed end"})
        self.assertEqual(self.changed(8, text="other"), {"changed end"})
        self.assertEqual(self.found(GOOD, {JOB: ("result", {"state": "expired"})}), {"changed end"})

    def test_deadlines_are_compared_with_ends(self):
        def found(state, late_us):
            rows = {JOB: {"state": state, "deadline_us": 10**15, "ended_us": 10**15 + late_us}}
            return {p.split(":")[0] for p in check(events(*GOOD), FINAL, rows)}
        self.assertEqual(found("done", 1_000_000), set())
        self.assertEqual(found("done", 29_000_000), {"deadline"})
        self.assertEqual(found("expired", 10), set())
        self.assertEqual(found("expired", -10), {"deadline"})

    def test_a_quota_is_counted_in_the_order_of_replies(self):
        accepted = [("accepted", {"job": str(i)}) for i in range(3)]
        ended = [("result", {"job": "0"})]
        self.assertEqual(check_quota(accepted[:2] + ended + accepted[2:], 2), [])
        self.assertEqual(len(check_quota(accepted + ended, 2)), 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
