# SPDX-License-Identifier: MIT
"""Fills the journal with waiting jobs and measures what they cost. Run by tests/long/backlog.sh."""
import json
import sys
import time

import zmq

from harness import Daemon

PART = 5000  # items of one submit
PARTS = 10  # submits of one batch


def resident_mib(daemon):
    with open("/proc/%d/status" % daemon.process.pid, encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS")) / 1024


def ask(socket, kind, body):
    socket.send_multipart([b"BN1", kind.encode(), b"1", json.dumps(body).encode()])
    _, answer, _, text = socket.recv_multipart()
    if answer == b"error":
        raise SystemExit(text.decode())
    return json.loads(text)


def fill(daemon, n):
    """Jobs that start tomorrow, in batches of several parts."""
    tomorrow = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 86400))
    socket = zmq.Context.instance().socket(zmq.DEALER)
    socket.connect(daemon.socket())
    made = 0
    while made < n:
        job = None
        for part in range(PARTS):
            items = [{"prompt": "Question %d?" % (made + i)} for i in range(min(PART, n - made))]
            made += len(items)
            last = part == PARTS - 1 or made == n
            body = {"items": items, "not_before": tomorrow, "params": {"max_tokens": 8}, "more": not last}
            if job:
                body.update(job=job, part=part)
            job = ask(socket, "submit", body)["job"]
            if last:
                break
    socket.close(0)


def main():
    n = int(sys.argv[1])
    with Daemon(profile="cache: {mode: off}\n", extra="limits: {result_bytes: 64GiB}") as daemon:
        with daemon.client() as client:
            client.complete("Hello", max_tokens=4)  # everything that is made once is made
        before = resident_mib(daemon)
        began = time.monotonic()
        fill(daemon, n)
        took = time.monotonic() - began
        print("%d waiting jobs in %.0f s (%.0f jobs/s)" % (n, took, n / took))
        print("resident: %.0f MiB before, %.0f MiB with them" % (before, resident_mib(daemon)))
        with daemon.client() as client:
            began = time.monotonic()
            client.complete("Is anybody there", max_tokens=4)
            print("an answer beside them: %.0f ms" % ((time.monotonic() - began) * 1e3))
        for how in ("kill -9", "stop"):
            daemon.kill() if how == "kill -9" else daemon.stop()
            began = time.monotonic()
            daemon.start()
            took = time.monotonic() - began
            with daemon.client() as client:
                client.complete("Hello", max_tokens=4)
                print("restart after %s: %.1f s until ready, %.1f s until the first answer; resident: %.0f MiB"
                      % (how, took, time.monotonic() - began, resident_mib(daemon)))
                assert client.status(client.list(limit=1).jobs[0]["job"])["state"] in ("queued", "done")


if __name__ == "__main__":
    main()
