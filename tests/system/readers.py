# SPDX-License-Identifier: MIT
"""CPU time per token with and without 64 attached clients that never read: with no credit, when
all they cost is their cursor, and with the usual credit, which the daemon first spends on them. Run
by tests/long/readers.sh."""
import json
import os
import statistics
import sys
import time

import zmq

from harness import Daemon, until

READERS = 64
PARAMS = {"max_tokens": 400, "temperature": 0.8, "seed": 5, "ignore_eos": True}


def cpu_seconds(daemon):
    with open("/proc/%d/stat" % daemon.process.pid, encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def one_job(daemon, client, readers, credit=0):
    """CPU milliseconds per token of one job, with so many clients attached to it before it starts."""
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2))
    job = client.submit(prompt="Once upon a time", params=PARAMS, not_before=soon).job
    sockets = []
    for _ in range(readers):
        socket = zmq.Context.instance().socket(zmq.DEALER)
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(daemon.socket())
        body = json.dumps({"job": job, "credit": credit}).encode()
        socket.send_multipart([b"BN1", b"attach", b"1", body])
        sockets.append(socket)  # and nobody reads it
    time.sleep(0.7)
    before = cpu_seconds(daemon)
    result = client.wait(job, timeout=120)
    took = cpu_seconds(daemon) - before
    for socket in sockets:
        socket.close(0)
    return took * 1e3 / result.usage["completion"]


def main():
    pairs = int(sys.argv[1])
    with Daemon(profile="cache: {mode: off}\n") as daemon, daemon.client() as client:
        one_job(daemon, client, 0)
        kinds = {"no reader": (0, 0), "%d without credit" % READERS: (READERS, 0),
                 "%d with credit 64" % READERS: (READERS, 64)}
        found = {name: [] for name in kinds}
        for _ in range(pairs):
            for name, (readers, credit) in kinds.items():
                found[name].append(one_job(daemon, client, readers, credit))
            until(lambda: client.stats()["batcher"]["running"] == 0, "nothing runs")
        for name, values in found.items():
            low, middle, high = statistics.quantiles(values, n=4)
            print("%-22s %.3f ms of CPU per token (%.3f … %.3f)" % (name, middle, low, high))


if __name__ == "__main__":
    main()
