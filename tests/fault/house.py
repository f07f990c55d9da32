# SPDX-License-Identifier: MIT
"""A daemon built with fault points, its clients as processes, and what they lived through together."""
import glob
import json
import os
import random
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../system"))

from checker import TERMINAL, accepted_durable, check  # noqa: E402
from disk import Disk  # noqa: E402
from harness import BUILD, Daemon  # noqa: E402
from manager import Manager  # noqa: E402
from raw import Peer  # noqa: E402

FAULTY = os.path.join(BUILD, "tests/fault/bitnetd-faults")
SHIM = os.path.join(BUILD, "tests/fault/libfaultshim.so")
SOCKETS = """\
sockets:
  - {name: front, endpoint: "ipc://front.sock", principal: anna}
  - {name: other, endpoint: "ipc://other.sock", principal: ben}
  - {name: admin, endpoint: "ipc://admin.sock", principal: root, may: admin, mode: 0600}
"""
PRINCIPALS = (("anna", "front"), ("ben", "other"))
READY_TIMEOUT = 180  # the long run goes on beside everything else
QUIET_TIMEOUT = 180


class House(Daemon):
    """One life of a store: daemons come and go, the history goes on."""

    def __init__(self, seed, shim=False, patience=QUIET_TIMEOUT, extra=""):
        super().__init__(profile="cache: {mode: exact}\n", extra=SOCKETS + extra, start=False)
        self.patience = patience  # after which a job counts as stuck
        self.draw = random.Random(seed)
        for name in ("history", "jobs"):
            os.mkdir(self.path(name))
        self.clients, self.n_clients = [], 0
        self.disk = Disk(SHIM, self.path("state"), self.path("disk")) if shim else None
        self.recoveries = []
        self.manager = None

    def command(self, *options):
        return [FAULTY, *super().command(*options)[1:]]

    def start(self, **environment):
        """Starts a daemon and waits until it is ready; notes how long that took. False: it ended by itself."""
        self.environment = {**(self.disk.environment() if self.disk else {}), **environment}
        began = time.monotonic()
        self.spawn()
        while time.monotonic() - began < READY_TIMEOUT:
            if self.process.poll() is not None:
                return False
            if os.path.exists(self.path("run", "admin.sock")):
                try:
                    with Peer(self.socket("admin")) as peer:
                        if peer.request("ping", {}, timeout=0.3)[2].get("state") in ("ready", "degraded"):
                            self.recoveries.append(time.monotonic() - began)
                            return True
                except (AssertionError, RuntimeError):
                    pass
            time.sleep(0.02)
        raise AssertionError("not ready after %d s:\n%s" % (READY_TIMEOUT, self.log_text()[-2000:]))

    def admit_clients(self, n):
        for _ in range(n):
            principal, socket = PRINCIPALS[self.n_clients % 2]
            name = "c%d" % self.n_clients
            self.n_clients += 1
            self.clients.append(subprocess.Popen(
                [sys.executable, os.path.join(HERE, "client.py"), "ipc://" + self.path("run", socket + ".sock"), name,
                 principal, str(self.draw.randrange(1 << 40)), self.path("history", name), self.path("jobs"), str(self.patience)],
                stdin=subprocess.PIPE))
            self.clients[-1].history = self.path("history", name)

    def listen(self):
        """Takes the place of systemd: what this daemon is to tell it, and has told."""
        self.manager = Manager(self.path("notify"))
        return self.manager

    @staticmethod
    def written(clients):
        """Bytes that each has noted so far."""
        return [os.path.getsize(c.history) if os.path.exists(c.history) else 0 for c in clients]

    def dismiss_clients(self):
        """Lets each finish what it is doing."""
        for client in self.clients:
            client.stdin.close()
        for client in self.clients:
            if client.wait(300) != 0:
                raise AssertionError("a client ended with %d" % client.returncode)
        self.clients = []

    def history(self):
        events = []
        for file in sorted(glob.glob(self.path("history", "*"))):
            with open(file, encoding="utf-8") as lines:
                events += [json.loads(line) for line in lines]
        return events

    def quiet(self):
        """Waits until no job is open; those that still are."""
        end = time.monotonic() + self.patience
        with Peer(self.socket("admin")) as admin:
            while True:
                _, _, body = admin.request("list", {"state": ["accepted", "queued", "scheduled", "running"]})
                if not body["jobs"] or time.monotonic() > end:
                    return [row["job"] for row in body["jobs"]]
                time.sleep(0.1)

    def verdict(self, deadlines=True):
        """Everything that is wrong: stuck jobs, and what the checker finds. The daemon runs, the clients are gone.
        `deadlines`: whether ends are compared with them."""
        stuck = self.quiet()
        problems = ["stuck: %s has not ended %d s after the last client went" % (job, self.patience) for job in stuck]
        events, final, rows = self.history(), {}, {}
        with Peer(self.socket("admin")) as admin:
            for job in accepted_durable(events):
                kind, _, body = admin.request("result", {"job": job})
                final[job] = kind, body
                kind, _, body = admin.request("status", {"job": job})
                if kind == "status" and deadlines:
                    rows[job] = body["jobs"][0]
        return problems + check(events, final, rows)

    def kill(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def close(self):
        for client in self.clients:
            client.kill()
            client.wait()
        if self.disk:
            self.disk.close()
        if self.manager:
            self.manager.close()
        super().close()


def counted(events):
    """How much a history holds, for the report."""
    asked = sum(e["event"] == "invoke" for e in events)
    unknown = sum(e["event"] == "unknown" for e in events)
    ended = sum(e["event"] == "message" and e["kind"] in ("result", "error") and e["body"].get("state") in TERMINAL
                for e in events)
    return {"operations": asked, "unknown": unknown, "ends": ended, "durable": len(accepted_durable(events))}
