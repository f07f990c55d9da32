#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs faults against the daemon and prints what the checker found.

    run.py kills|points|power|damage|full|eio|writes|inodes|disk_quota|clock|poison|quota|memory|hang|stopped N [FIRST]
    run.py bugs [NAME…] | all [SCALE]

Each prints one JSON line, `all` one for each part and then the sums; exit status 0 when nothing was found (of `bugs`: when
every bug was). The seeds are fixed, from FIRST on, so that a long run can be done in parts: the same command does the same,
as far as processes do.
"""
import collections
import concurrent.futures
import json
import os
import subprocess
import sys
import time

from broken_disk import damaged, disk_quota, eio, full, inodes, writes
from checker import check_quota
from house import House  # it knows the way to the next two
from harness import until
from raw import Peer
from report import Report, live
from squeeze import hang, memory, stopped

POINTS = ("front.submit", "ledger.admit", "store.before_write", "store.after_write", "ledger.committed",
          "ledger.accepted", "ledger.running", "ledger.output", "ledger.end", "ledger.told", "ledger.cancel",
          "front.reply", "front.configure", "cache.follow", "worker.step")
# A bug and the rule that is there for it.
BUGS = {"ack_before_sync": "lost job", "lost_follower": "stuck", "double_publish": "two ends",
        "stale_offset": "broken stream", "wrong_principal": "wrong principal"}


def kills(n, first=0, clients=6, per_store=10):
    """SIGKILL at a random moment, under load."""
    report = Report("kill -9 at random")
    for seed in range(first, first + n, per_store):
        with House(seed) as house:
            house.start()
            house.admit_clients(clients)
            rounds = min(per_store, first + n - seed)
            for _ in range(rounds):
                live(house, house.draw.uniform(0, 3))
                house.kill()
                house.start()
            live(house, 0.5)
            house.dismiss_clients()
            report.add(house, house.verdict(), kills=rounds)
    return report.tell()


def points(n, first=0, names=POINTS, clients=6):
    """SIGKILL at named places, each n times."""
    report = Report("kill -9 at named points")
    for name in names:
        for i in range(first, first + n):
            with House("%s %d" % (name, i)) as house:
                house.start(BITNETD_FAULT="%s:%d" % (name, house.draw.randrange(1, 12)))
                house.admit_clients(clients)
                end = time.monotonic() + 60
                while house.process.poll() is None and time.monotonic() < end:
                    live(house, 0.5)
                    # What a new configuration passes through is passed at last, too.
                    house.write_profile("cache: {mode: exact}\nbatch: {max_sequences: %d}\n" % house.draw.randrange(2, 17))
                reached = house.process.poll() is not None
                house.kill()
                house.start()
                live(house, 0.5)
                house.dismiss_clients()
                report.add(house, house.verdict(), **{"at " + name: int(reached)})
    report.problems += ["%s was never reached" % name for name in names if report.counts["at " + name] == 0]
    return report.tell()


def power(n, first=0, clients=6, per_store=10):
    """What was written and not synced is gone; every second time some blocks of it got through."""
    report = Report("power lost")
    for seed in range(first, first + n, per_store):
        with House("power %d" % seed, shim=True) as house:
            house.start()
            house.admit_clients(clients)
            lost = 0
            rounds = min(per_store, first + n - seed)
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


def clock(n, first=0):
    """The wall clock jumps by a day or ten years, there and back."""
    report = Report("clock jumps")
    day = 86_400_000_000
    for i in range(first, first + n):
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


def poison(n, first=0):
    """A job that takes the daemon down whenever it runs is tried twice and then left alone; others finish."""
    report = Report("poison job")
    deadly = {"BITNETD_FAULT": "ledger.output:1"}
    for i in range(first, first + n):
        with House("poison %d" % i) as house:
            body = {"prompt": "poison %d" % i, "params": {"ignore_eos": True}, "key": "poison"}
            house.start(**deadly)
            with Peer(house.socket("front")) as peer:
                peer.send("submit", body)  # whether the answer arrives before the end is open
                until(lambda: house.process.poll() is not None, "the job takes the daemon down")
            house.start(**deadly)
            until(lambda: house.process.poll() is not None, "the job takes the daemon down again")
            report.problems += [] if house.start(**deadly) else ["the daemon does not start a third time"]
            with Peer(house.socket("front")) as peer:
                job = peer.request("submit", body)[2].get("job")
                state = peer.request("result", {"job": job})[2].get("state")
            report.problems += [] if state == "dead" else ["after two crashes the job is %s" % state]
            house.kill()
            house.start()
            with Peer(house.socket("front")) as peer:
                kind, _, body = peer.request("submit", {"prompt": "harmless", "mode": "sync"}, timeout=60)
            report.problems += [] if kind == "result" else ["another job got %s" % body]
            report.add(house, house.verdict(), poisons=1)
    return report.tell()


def quota(n, first=0, most=4, asked=60):
    """One connection asks for far more than its principal may have open."""
    report = Report("quota")
    bound = "principals: [{name: anna, open_jobs: %d}]\n" % most
    for i in range(first, first + n):
        with House("quota %d" % i, extra=bound) as house:
            house.start()
            messages, ended = [], 0
            with Peer(house.socket("front")) as peer:
                for j in range(asked):
                    peer.send("submit", {"prompt": "quota %d" % j, "mode": "stream", "params": {"max_tokens": 16}}, tag=str(j))
                while ended < asked:
                    kind, _, body = peer.receive(timeout=60)
                    messages.append((kind, body))
                    ended += kind in ("result", "error")
            busy = sum(body.get("name") == "E_BUSY" for _, body in messages)
            problems = check_quota(messages, most)
            report.problems += problems + ([] if busy else ["nothing was refused"])
            report.add(house, house.verdict(), asked=asked, refused=busy)
    return report.tell()


def found(bug, rounds=10):
    """What the checker says of a daemon with this bug, after as many rounds as it takes."""
    loses_power = bug == "ack_before_sync"
    problems = []
    with House(bug, shim=loses_power, patience=20) as house:
        house.start(BITNETD_BUG=bug)
        for _ in range(rounds):
            house.admit_clients(6)
            live(house, 2)
            if loses_power:
                house.kill()
                house.disk.lose_power(house.draw)
                house.start(BITNETD_BUG=bug)
            house.dismiss_clients()
            problems = house.verdict()
            if any(p.startswith(BUGS[bug]) for p in problems):
                break
    return problems


def bugs(names=tuple(BUGS)):
    """Each seeded bug is found, by the rule that is there for it."""
    report = Report("seeded bugs")
    for bug in names:
        kinds = collections.Counter(p.split(":")[0] for p in found(bug))
        report.counts[bug + " -> " + (", ".join(sorted(kinds)) or "nothing")] += 1
        if BUGS[bug] not in kinds:
            report.problems.append("%s was not found" % bug)
    return report.tell()


# How often `all` runs each kind, and how much of that is one part: parts run side by side.
FULL = {"kills": (500, 100), "points": (10, 2), "power": (300, 60), "damage": (1000, 100), "full": (20, 10), "eio": (50, 25),
        "writes": (200, 50), "inodes": (8, 4), "disk_quota": (20, 10), "clock": (50, 25), "poison": (20, 10), "quota": (20, 20),
        "memory": (100, 25), "hang": (20, 5), "stopped": (20, 10)}

PART_TIMEOUT = 3600  # seconds; ten times what the longest took on two busy cores


def parts_of(scale):
    """The commands that make up `all`."""
    parts = [["bugs"]]
    for kind, (most, size) in FULL.items():
        n = max(1, round(most * scale))
        parts += [[kind, str(min(size, n - first)), str(first)] for first in range(0, n, size)]
    return parts


def everything(scale=1.0, lanes=len(os.sched_getaffinity(0)) + 1):
    """Every kind, in parts that run side by side (most of the time each waits), then the sum of each kind."""
    sums, bad = {}, []

    def run(part):
        command = [sys.executable, os.path.abspath(__file__), *part]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PART_TIMEOUT)
            said, good = (done.stdout + done.stderr).strip(), done.returncode == 0
        except subprocess.TimeoutExpired:
            said, good = "not done after %d s" % PART_TIMEOUT, False
        print("%s: %s" % (" ".join(part), said), flush=True)
        if not good:
            bad.append(" ".join(part))
        try:
            return json.loads(said.splitlines()[0])
        except (IndexError, ValueError):
            return {"run": part[0], "problems": 1}

    with concurrent.futures.ThreadPoolExecutor(lanes) as pool:
        for told in pool.map(run, parts_of(scale)):
            kind = sums.setdefault(told["run"], {"counts": collections.Counter(), "medians": [], "worst": 0.0})
            ready = told.get("ready_s")
            if ready:
                kind["medians"].append(ready["median"])
                kind["worst"] = max(kind["worst"], ready["worst"])
            kind["counts"].update({name: n for name, n in told.items() if isinstance(n, int)})
    for name, kind in sums.items():
        print("sum of %s: %s" % (name, json.dumps({**kind["counts"], "ready_s": {
            "medians of parts": sorted(kind["medians"]), "worst": kind["worst"]}})), flush=True)
    print("all parts are clean" if not bad else "not clean: " + "; ".join(bad), flush=True)
    return not bad


if __name__ == "__main__":
    name, *rest = sys.argv[1:] or ["all"]
    runs = {"kills": kills, "points": points, "power": power, "damage": damaged, "full": full, "eio": eio, "writes": writes,
            "inodes": inodes, "disk_quota": disk_quota, "clock": clock, "poison": poison, "quota": quota, "memory": memory,
            "hang": hang, "stopped": stopped}
    if name == "bugs":
        good = bugs(tuple(rest) or tuple(BUGS))
    elif name == "all":
        good = everything(float(rest[0]) if rest else 1.0)
    else:
        good = runs[name](*map(int, rest))
    sys.exit(0 if good else 1)
