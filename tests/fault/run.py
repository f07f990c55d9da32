#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs faults against the daemon and prints what the checker found.

    run.py kills N | power N | damage N | full N | eio N | clock N | all [SCALE]

Each prints one JSON line; exit status 0 when nothing was found. The seeds are fixed: the same
command does the same, as far as processes do.
"""
import collections
import json
import os
import shutil
import sys
import time

from disk import damage
from house import House, counted  # it knows the way to the next two
from harness import until
from raw import Peer


class Report:
    def __init__(self, name):
        self.name, self.began = name, time.monotonic()
        self.problems, self.counts, self.recoveries = [], collections.Counter(), []

    def add(self, house, problems, **counts):
        self.problems += problems
        self.counts.update(counted(house.history()))
        self.counts.update(counts)
        self.recoveries += house.recoveries

    def tell(self):
        out = {"run": self.name, "problems": len(self.problems), **self.counts,
               "seconds": round(time.monotonic() - self.began)}
        if self.recoveries:
            ordered = sorted(self.recoveries)
            out["ready_s"] = {"median": round(ordered[len(ordered) // 2], 2), "worst": round(ordered[-1], 2)}
        print(json.dumps(out), flush=True)
        for problem in self.problems[:10]:
            print("  " + problem, flush=True)
        return not self.problems


def live(house, seconds):
    """Time for the clients, cut short when the daemon goes by itself."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and house.process.poll() is None:
        time.sleep(0.01)


def kills(n, clients=6, per_store=10):
    """SIGKILL at a random moment, under load."""
    report = Report("kill -9 at random")
    for first in range(0, n, per_store):
        with House(first) as house:
            house.start()
            house.admit_clients(clients)
            rounds = min(per_store, n - first)
            for _ in range(rounds):
                live(house, house.draw.uniform(0, 3))
                house.kill()
                house.start()
            live(house, 0.5)
            house.dismiss_clients()
            report.add(house, house.verdict(), kills=rounds)
    return report.tell()


def power(n, clients=6, per_store=10):
    """What was written and not synced is gone; every second time some blocks of it got through."""
    report = Report("power lost")
    for first in range(0, n, per_store):
        with House("power %d" % first, shim=True) as house:
            house.start()
            house.admit_clients(clients)
            lost = 0
            rounds = min(per_store, n - first)
            for i in range(rounds):
                live(house, house.draw.uniform(0.3, 2))
                house.kill()
                lost += house.disk.lose_power(house.draw, torn=i % 2 == 1)
                if not house.start():
                    report.problems.append("does not start: " + house.log_text()[-300:])
                    break
            live(house, 0.5)
            house.dismiss_clients()
            report.add(house, house.verdict() if house.process.poll() is None else [], losses=rounds, bytes_lost=lost)
    return report.tell()


def stored(house):
    """A stopped daemon's store with a history of ended jobs."""
    house.start()
    house.admit_clients(4)
    live(house, 2)
    house.dismiss_clients()
    problems = house.verdict()
    if house.draw.random() < 0.5:
        house.stop()
    else:
        house.kill()
    return problems


def damaged(n):
    """One damaged place in the journal: what was accepted is there, or the daemon says that it is not."""
    report = Report("damaged store files")
    with House("damage") as house:
        report.add(house, stored(house))
        shutil.copytree(house.path("state"), house.path("good"))
        for seed in range(n):
            shutil.rmtree(house.path("state"))
            shutil.copytree(house.path("good"), house.path("state"))
            os.replace(house.path("log"), house.path("log.old"))
            what = damage(house.path("state"), seed)
            if not house.start():
                said = house.log_text()
                refused = house.process.returncode == 5 and "store refused" in said
                report.counts["refused with a reason"] += refused
                if not refused:
                    report.problems.append("%s: ended with %d: %s" % (what, house.process.returncode, said[-300:]))
                continue
            with Peer(house.socket("admin")) as admin:
                state = admin.request("hello", {})[2]["state"]
            problems = house.verdict()
            told = state == "degraded" or "missing" in house.log_text()
            report.counts["degraded, and says so" if told else "whole"] += 1
            if problems and not told:
                report.problems += ["%s: silently %s" % (what, p) for p in problems[:1]]
            house.kill()
    return report.tell()


def full(n):
    """The disk is full after so many more bytes; then there is room again."""
    report = Report("full disk")
    for level in range(n):
        with House("full %d" % level, shim=True) as house:
            house.start()
            house.admit_clients(4)
            live(house, 1)
            house.disk.state.room = level * level * 2000
            live(house, 2)
            alive = house.process.poll() is None
            report.problems += [] if alive else ["the daemon ended: " + house.log_text()[-300:]]
            with Peer(house.socket("front")) as peer:
                refused = peer.request("submit", {"prompt": "room?", "key": "room"})[2] if alive else {}
            report.counts["refused with E_DISK"] += refused.get("name") == "E_DISK"
            house.disk.state.room = -1

            def takes_jobs():
                with Peer(house.socket("front")) as peer:
                    return peer.request("submit", {"prompt": "again"})[0] == "accepted"
            if alive:
                until(takes_jobs, "jobs are taken again", 30)
            house.dismiss_clients()
            report.add(house, house.verdict() if alive else [], levels=1)
    return report.tell()


def eio(n):
    """fsync fails from some moment on: nothing is acknowledged that is not on the disk."""
    report = Report("EIO from fsync")
    for i in range(n):
        with House("eio %d" % i, shim=True) as house:
            house.start()
            house.admit_clients(4)
            live(house, house.draw.uniform(0.3, 1.5))
            house.disk.state.failing_sync = 1
            live(house, 2)
            house.kill()
            house.disk.lose_power(house.draw)
            house.disk.state.failing_sync = 0
            if not house.start():
                report.problems.append("does not start: " + house.log_text()[-300:])
                continue
            live(house, 0.5)
            house.dismiss_clients()
            report.add(house, house.verdict(), failures=1)
    return report.tell()


def clock(n):
    """The wall clock jumps by a day or ten years, there and back."""
    report = Report("clock jumps")
    day = 86_400_000_000
    for i in range(n):
        with House("clock %d" % i, shim=True) as house:
            house.start()
            house.admit_clients(4)
            for jump in (day, -day, 3650 * day, -3650 * day, 0):
                live(house, 0.5)
                house.disk.state.clock_offset_us = jump
            live(house, 0.5)
            house.dismiss_clients()
            report.add(house, house.verdict(), jumps=5)
    return report.tell()


def everything(scale=1.0):
    def times(n):
        return max(1, round(n * scale))
    runs = [lambda: kills(times(500)), lambda: power(times(300)), lambda: damaged(times(1000)),
            lambda: full(times(20)), lambda: eio(times(50)), lambda: clock(times(50))]
    return all([run() for run in runs])


if __name__ == "__main__":
    name, *rest = sys.argv[1:] or ["all"]
    runs = {"kills": kills, "power": power, "damage": damaged, "full": full, "eio": eio, "clock": clock}
    if name == "all":
        good = everything(float(rest[0]) if rest else 1.0)
    else:
        good = runs[name](int(rest[0]))
    sys.exit(0 if good else 1)
