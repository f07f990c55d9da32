# SPDX-License-Identifier: MIT
"""Judges a history: what clients asked and heard, and how the jobs stood at the end.

The history is a list of events as client.py writes them:
    invoke {op, kind, body} · message {op, kind, body} · unknown {op} · fail {op}
each with `client`, `principal` and a monotonic stamp `t`. `final` has, for every accepted durable job, what `result`
answered to an administrator after all faults were over: (kind, body); `rows` what `status` did. An operation that is unknown may have happened or not; one that
failed has not. Each rule below is sound: what it reports cannot come from a correct daemon.
"""
import collections

PATIENCE = 20.0  # seconds that a step, or a machine with too much to do, may take beyond a deadline
TERMINAL = ("done", "failed", "cancelled", "expired", "dead")


class Operation:
    def __init__(self, invoke):
        self.op, self.kind, self.body = invoke["op"], invoke["kind"], invoke["body"]
        self.principal, self.began = invoke["principal"], invoke["t"]
        self.messages, self.unknown, self.failed = [], False, False

    def told(self, kind):
        return [m["body"] for m in self.messages if m["kind"] == kind]

    def job(self):
        for message in self.messages:
            if "job" in message["body"]:
                return message["body"]["job"]
        return None


def operations(events):
    out = collections.OrderedDict()
    for event in sorted(events, key=lambda e: e["t"]):
        if event["event"] == "invoke":
            out[event["op"]] = Operation(event)
        elif event["op"] in out:
            op = out[event["op"]]
            if event["event"] == "message":
                op.messages.append(event)
            op.unknown |= event["event"] == "unknown"
            op.failed |= event["event"] == "fail"
    return out


def accepted_durable(events):
    """The jobs that a client was told are on disk: id -> principal."""
    out = {}
    for op in operations(events).values():
        for body in op.told("accepted") if op.kind == "submit" else ():
            if body.get("durable"):
                out[body["job"]] = op.principal
    return out


def ended_state(kind, body):
    """The final state that a message tells, or None."""
    if kind == "result":
        return body.get("state")
    if kind == "error" and "job" in body and body.get("state") in TERMINAL:
        return body["state"]
    return None


def text_of(body):
    """What of a result must never differ between two tellings."""
    return body.get("text"), body.get("embedding")


class Checker:
    def __init__(self, events, final, rows):
        self.ops = operations(events)
        self.final, self.rows = final, rows
        self.accepted = accepted_durable(events)
        self.owner = {}
        self.problems = []

    def run(self):
        for rule in (self.every_accepted_job_ends_once, self.every_ask_has_one_end, self.streams_are_whole,
                     self.one_key_one_job, self.nobody_sees_anothers, self.the_end_stays_the_end,
                     self.deadlines_hold):
            rule()
        return self.problems

    def blame(self, rule, text):
        self.problems.append("%s: %s" % (rule, text))

    def every_accepted_job_ends_once(self):
        for job in self.accepted:
            kind, body = self.final.get(job, (None, {}))
            state = ended_state(kind, body) if kind else None
            if state not in TERMINAL:
                self.blame("lost job", "%s was accepted as durable and is %s %s" % (job, kind, body))

    def every_ask_has_one_end(self):
        for op in self.ops.values():
            ends = [m for m in op.messages if m["kind"] not in ("accepted", "delta", "goodbye")]
            if len(ends) > 1:
                self.blame("two ends", "%s %s got %s" % (op.kind, op.op, [m["kind"] for m in ends]))
            if len(op.told("accepted")) > 1:
                self.blame("two ends", "%s was accepted twice" % op.op)

    def streams_are_whole(self):
        for op in self.ops.values():
            if op.kind != "submit" or op.body.get("mode") != "stream":
                continue
            # Each begins where the last one ended.
            text, seq = b"", None
            for delta in op.told("delta"):
                if seq is not None and delta["seq"] != seq + 1 or seq is None and delta["seq"] != 0:
                    self.blame("broken stream", "%s: seq %d after %s" % (op.op, delta["seq"], seq))
                if delta["off"] != len(text):
                    self.blame("broken stream", "%s: off %d where %d bytes came" % (op.op, delta["off"], len(text)))
                seq, text = delta["seq"], text + delta["text"].encode()
            for result in op.told("result"):
                whole = (result.get("text") or "").encode()
                if not whole.startswith(text):  # what credit did not cover is in the result only
                    self.blame("broken stream", "%s: %r streamed, %r in the result" % (op.op, text, whole))

    def one_key_one_job(self):
        jobs = collections.defaultdict(set)
        for op in self.ops.values():
            if op.kind == "submit" and "key" in op.body:
                asked = tuple(sorted((k, str(v)) for k, v in op.body.items() if k not in ("key", "credit", "wait")))
                for body in op.told("accepted"):
                    jobs[op.principal, op.body["key"]].add((body["job"], asked))
        for (principal, key), seen in jobs.items():
            if len(seen) > 1:
                self.blame("key", "%s's key %s stands for %s" % (principal, key, sorted(j for j, _ in seen)))

    def nobody_sees_anothers(self):
        for op in self.ops.values():
            for body in op.told("accepted"):
                self.owner.setdefault(body["job"], op.principal)
        for op in self.ops.values():
            for message in op.messages:
                body = message["body"]
                if body.get("name") in ("E_NO_JOB", "E_FIELD"):
                    continue
                seen = [body] + [row for row in body.get("jobs", []) if "error" not in row]
                for row in seen:
                    owner = self.owner.get(row.get("job"))
                    if owner is not None and owner != op.principal:
                        self.blame("wrong principal", "%s of %s tells of %s's job %s"
                                   % (op.kind, op.principal, owner, row["job"]))

    def the_end_stays_the_end(self):
        told = collections.defaultdict(list)  # job -> (time, state, words), in order
        for op in self.ops.values():
            for message in op.messages:
                body = message["body"]
                state = ended_state(message["kind"], body) if op.kind != "cancel" else None
                if op.kind in ("cancel",) and message["kind"] == "ok" and body.get("state") in TERMINAL:
                    state = body["state"]
                if state and body.get("job"):
                    words = text_of(body) if message["kind"] == "result" and state == "done" else None
                    told[body["job"]].append((message["t"], state, words))
                if message["kind"] == "status":
                    for row in body.get("jobs", []):
                        told[row.get("job")].append((message["t"], row.get("state"), None))
        for job, (kind, body) in self.final.items():
            words = text_of(body) if kind == "result" and body.get("state") == "done" else None
            told[job].append((float("inf"), ended_state(kind, body), words))
        for job, seen in told.items():
            if job is None:
                continue
            # Sorted by when it was heard: a telling may be older than an end heard before, on another
            # connection, so only two different ends contradict each other.
            ends = {state for _, state, _ in seen if state in TERMINAL}
            words = {w for _, _, w in seen if w is not None}
            if len(ends) > 1:
                self.blame("changed end", "%s ended as %s" % (job, sorted(ends)))
            if len(words) > 1:
                self.blame("changed end", "%s answered %s" % (job, sorted(map(str, words))))


    def deadlines_hold(self):
        for job, row in self.rows.items():
            if "deadline_us" not in row or "ended_us" not in row:
                continue
            late = (row["ended_us"] - row["deadline_us"]) / 1e6
            if row["state"] == "done" and late > PATIENCE:
                self.blame("deadline", "%s is done %.1f s after its deadline" % (job, late))
            if row["state"] == "expired" and late < 0:
                self.blame("deadline", "%s expired %.1f s before its deadline" % (job, -late))


def check(events, final, rows=None):
    """The problems of a history, empty for a clean one."""
    return Checker(events, final, rows or {}).run()


def check_quota(messages, most):
    """Replies of one connection in the order in which the front sent them: never more open than allowed."""
    open_now, worst = set(), 0
    for kind, body in messages:
        if kind == "accepted":
            open_now.add(body["job"])
        elif kind in ("result", "error") and body.get("job") in open_now:
            open_now.discard(body["job"])
        worst = max(worst, len(open_now))
    return ["quota: %d jobs were open where %d are allowed" % (worst, most)] if worst > most else []
