#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs faults against the daemon and prints what the checker found.

    run.py kills|points|power|damage|full|eio|writes|inodes|disk_quota|clock|poison|quota|memory|hang|stopped N [FIRST]
    run.py bugs [NAME…] | all [SCALE]

Each prints one JSON line; exit status 0 when nothing was found (of `bugs`: when every bug was). The seeds are fixed, from
FIRST on, so that a long run can be done in parts: the same command does the same, as far as processes do.
"""
import collections
import errno
import os
import shutil
import sys
import time

from checker import check_quota
from disk import SmallDisk, damage
from house import House  # it knows the way to the next two
from harness import until
from raw import Peer
from report import Report, live
from squeeze import hang, memory, stopped

POINTS = ("front.submit", "ledger.admit", "store.before_write", "store.after_write", "ledger.committed",
          "ledger.accepted", "ledger.running", "ledger.output", "ledger.end", "ledger.told", "ledger.cancel",
          "front.reply", "front.configure", "cache.follow", "worker.step")
FAILED, STORE_REFUSED = 1, 5  # exit status
FAULT = "Input/output error"  # what EIO is called in a log
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


def damaged(n, first=0):
    """One damaged place in the journal: what was accepted is there, or the daemon says that it is not."""
    report = Report("damaged store files")
    with House("damage") as house:
        report.add(house, stored(house))
        shutil.copytree(house.path("state"), house.path("good"))
        for seed in range(first, first + n):
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


def full(n, first=0):
    """The disk is full after so many more bytes; then there is room again."""
    report = Report("full disk")
    for level in range(first, first + n):
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
            # What was computed in time ends when there is room to write it down.
            report.add(house, house.verdict(deadlines=False) if alive else [], levels=1)
    return report.tell()


def eio(n, first=0):
    """fsync, or every second time reading, fails from some moment on: nothing is acknowledged that is not on the disk."""
    report = Report("EIO from fsync and read")
    for i in range(first, first + n):
        with House("eio %d" % i, shim=True) as house:
            house.start()
            house.admit_clients(4)
            live(house, house.draw.uniform(0.3, 1.5))
            house.disk.state.failing_sync, house.disk.state.failing_read = (0, 1) if i % 2 else (1, 0)
            live(house, 2)
            house.kill()
            house.disk.lose_power(house.draw)
            house.disk.state.failing_sync = house.disk.state.failing_read = 0
            if not house.start():
                report.problems.append("does not start: " + house.log_text()[-300:])
                continue
            live(house, 0.5)
            house.dismiss_clients()
            report.add(house, house.verdict(), failures=1)
    return report.tell()


def writes(n, first=0):
    """Writing fails: for each number k from 1 on, from the k-th write of a start on, and then the k-th alone. The start is refused
    or the daemon ends, and says why; afterwards everything accepted is there, after a loss of power every second time."""
    report = Report("EIO from write")
    for i in range(first, first + n):
        with House("writes %d" % i, shim=True) as house:
            house.start()
            house.admit_clients(2)
            live(house, 0.3)
            house.dismiss_clients()
            house.kill()
            k = i // 2 + 1
            house.disk.fail_write(k, once=i % 2 == 1)
            started = house.start()
            if started:
                house.admit_clients(4)
                wait(lambda: house.disk.state.writes >= k, 30)
            reached = house.disk.state.writes >= k
            # Alone it may hit what no job depends on: the witness, RocksDB's OPTIONS, the copy of its MANIFEST. That is a warning.
            wait(lambda: not reached or house.process.poll() is not None or (i % 2 == 1 and FAULT in house.log_text()), 30)
            said = house.log_text()
            lived = reached and i % 2 == 1 and house.process.poll() is None and all(
                " warning " in line for line in said.splitlines() if FAULT in line) and FAULT in said
            if reached and not lived:
                live(house, 30)
            status, said = house.process.poll(), house.log_text()
            house.kill()
            if reached and not lived and (status != (FAILED if started else STORE_REFUSED) or FAULT not in said):
                report.problems.append("write %d: ended with %s: %s" % (k, status, said[-400:]))
            house.disk.fail_write(0)
            if k % 2:
                house.disk.lose_power(house.draw)
            if not house.start():
                report.problems.append("does not start: " + house.log_text()[-300:])
                continue
            house.dismiss_clients()
            report.add(house, house.verdict(), failures=int(reached), refused_to_start=int(not started),
                       lived_on=int(lived))
    return report.tell()


def wait(condition, seconds):
    """Whether it comes true within the time."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return bool(condition())


def inodes(n, first=0):
    """No new file can be made: what needs one is refused by name, and the daemon goes on answering. With room again it ends, as
    its log cannot be continued, and the next one has every accepted job."""
    report = Report("no inodes left")
    if not SmallDisk.permitted():
        report.counts["skipped: a small disk cannot be mounted here"] = n
        return report.tell()
    for i in range(first, first + n):
        with House("inodes %d" % i) as house, SmallDisk(house.path("state"), inodes=64 + 8 * i) as small:
            house.start()
            house.admit_clients(4)
            live(house, 0.5)
            small.use_up()
            batches, refused = fill_the_log(house)
            report.problems += [] if refused.get("name") == "E_DISK" else ["nothing was refused: %s" % refused]
            with Peer(house.socket("admin")) as admin:
                report.problems += [] if admin.request("list", {})[0] == "list" else ["it does not answer"]
            small.free()
            live(house, 30)
            report.problems += [] if house.process.poll() == FAILED else ["with room again: " + house.log_text()[-300:]]
            house.kill()
            small.use_up()
            if house.start() or house.process.returncode != STORE_REFUSED or "the disk is full" not in house.log_text():
                report.problems.append("a start without inodes: " + house.log_text()[-300:])
            small.free()
            house.start()
            with Peer(house.socket("front")) as peer:
                for job in batches:
                    peer.request("cancel", {"job": job})
            house.dismiss_clients()
            report.add(house, house.verdict(), times=1)
    return report.tell()


def disk_quota(n, first=0):
    """Writing is above the disk's quota from some moment on: new jobs are refused by name; with room again the daemon ends, as
    RocksDB takes it for a broken disk, and the next one has every accepted job."""
    report = Report("disk quota exceeded")
    for i in range(first, first + n):
        with House("disk quota %d" % i, shim=True) as house:
            house.start()
            house.admit_clients(4)
            live(house, house.draw.uniform(0.3, 1))
            house.disk.fail_write(1, error=errno.EDQUOT)

            def refused():
                with Peer(house.socket("front")) as peer:
                    try:
                        return peer.request("submit", {"prompt": "room?"}, timeout=1)[2].get("name") == "E_DISK"
                    except AssertionError:  # it is the one that cannot be written: no answer before that is known
                        return False
            until(refused, "a job is refused", 30)
            live(house, 1)
            report.problems += [] if house.process.poll() is None else ["it ended: " + house.log_text()[-300:]]
            house.disk.fail_write(0)
            live(house, 30)
            report.problems += [] if house.process.poll() == FAILED else ["with room again: " + house.log_text()[-300:]]
            house.kill()
            house.disk.lose_power(house.draw)
            house.start()
            house.dismiss_clients()
            report.add(house, house.verdict(deadlines=False), times=1)
    return report.tell()


def later():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))


def fill_the_log(house):
    """Submits batches for later until the journal needs a new file: those it took, and its refusal."""
    taken, text = [], "word " * 500
    with Peer(house.socket("front")) as peer:
        while len(taken) < 10:  # of 3 MB each, for a log of 8
            items = [{"prompt": "%d %d %s" % (len(taken), i, text)} for i in range(1200)]
            kind, _, body = peer.request("submit", {"items": items, "not_before": later()})
            if kind == "error":
                return taken, body
            taken.append(body["job"])
    return taken, {}


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


def everything(scale=1.0):
    def times(n):
        return max(1, round(n * scale))
    runs = [lambda: kills(times(500)), lambda: points(times(10)), lambda: power(times(300)), lambda: damaged(times(1000)),
            lambda: full(times(20)), lambda: eio(times(50)), lambda: writes(times(200)), lambda: inodes(times(8)),
            lambda: disk_quota(times(20)), lambda: clock(times(50)), lambda: poison(times(20)), lambda: quota(times(20)),
            lambda: memory(times(100)), lambda: hang(times(20)), lambda: stopped(times(20)), bugs]
    return all([run() for run in runs])


if __name__ == "__main__":
    name, *rest = sys.argv[1:] or ["all"]
    runs = {"kills": kills, "points": points, "power": power, "damage": damaged, "full": full, "eio": eio, "writes": writes, "inodes": inodes, "disk_quota": disk_quota, "clock": clock,
            "poison": poison, "quota": quota, "memory": memory, "hang": hang, "stopped": stopped}
    if name == "bugs":
        good = bugs(tuple(rest) or tuple(BUGS))
    elif name == "all":
        good = everything(float(rest[0]) if rest else 1.0)
    else:
        good = runs[name](*map(int, rest))
    sys.exit(0 if good else 1)
