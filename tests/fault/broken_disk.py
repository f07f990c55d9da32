# SPDX-License-Identifier: MIT
"""Faults of the disk: files that are damaged, a disk that is full, without inodes, above its quota, or that fails."""
import errno
import os
import shutil
import time

from disk import SmallDisk, damage
from house import House  # it knows the way to the next two
from harness import until, within
from raw import Peer
from report import Report, live

FAILED, STORE_REFUSED = 1, 5  # exit status
FAULT = "Input/output error"  # what EIO is called in a log
LATER = "IO error: Seen error"  # and by RocksDB, when it comes to a file of which a write had failed before


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
                refused = house.process.returncode == STORE_REFUSED and "store refused" in said
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
            report.add_next_life(house, failures=1)
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
                within(30, lambda: house.disk.state.writes >= k)
            reached = house.disk.state.writes >= k
            # Alone it may hit what no job depends on: the witness, RocksDB's OPTIONS, the copy of its MANIFEST. That is a warning.
            within(30, lambda: not reached or house.process.poll() is not None or (i % 2 == 1 and FAULT in house.log_text()))
            said = house.log_text()
            lived = reached and i % 2 == 1 and house.process.poll() is None and all(
                " warning " in line for line in said.splitlines() if FAULT in line) and FAULT in said
            if reached and not lived:
                live(house, 30)
            status, said = house.process.poll(), house.log_text()
            house.kill()
            told = FAULT in said or LATER in said
            if reached and not lived and (status != (FAILED if started else STORE_REFUSED) or not told):
                report.problems.append("write %d: ended with %s: %s" % (k, status, said[-400:]))
            house.disk.fail_write(0)
            if k % 2:
                house.disk.lose_power(house.draw)
            report.add_next_life(house, failures=int(reached), refused_to_start=int(not started), lived_on=int(lived))
    return report.tell()


def inodes(n, first=0):
    """No new file can be made. In every second life the daemon has a moment to see it: it refuses new durable jobs, and takes them
    again when there is room. In the others its log is about to need a new file: what needs one is refused by name, or the daemon
    ends when there is room again, as such a log cannot be continued, and the next one has every accepted job."""
    report = Report("no inodes left")
    if not SmallDisk.permitted():
        report.counts["skipped: a small disk cannot be mounted here"] = n
        return report.tell()
    for i in range(first, first + n):
        with House("inodes %d" % i) as house, SmallDisk(house.path("state"), inodes=192 + 8 * i) as small:
            house.start()
            house.admit_clients(4)
            live(house, 0.5)
            batches = [] if i % 2 == 0 else fill_the_log(house, 2)[0]
            small.use_up()
            if i % 2 == 0:
                live(house, 1.5)
            more, refused = fill_the_log(house)
            batches += more
            report.problems += [] if refused.get("name") == "E_DISK" else ["nothing was refused: %s" % refused]
            report.problems += ["a batch was taken without inodes"] if i % 2 == 0 and more else []
            with Peer(house.socket("admin")) as admin:
                report.problems += [] if admin.request("list", {})[0] == "list" else ["it does not answer"]
            small.free()
            live(house, 30 if i % 2 else 1.5)
            ended = house.process.poll()
            if ended is None:
                more, refused = fill_the_log(house, 1)
                batches += more
                report.problems += ["with room again: %s" % refused] if refused else []
            if ended not in (None, FAILED) or (i % 2 == 0 and ended is not None):
                report.problems.append("with room again: " + house.log_text()[-300:])
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


def fill_the_log(house, most=10):
    """Submits batches for later, each a third of a log, until one is refused: those it took, and the refusal."""
    taken, text = [], "word " * 500
    with Peer(house.socket("front")) as peer:
        while len(taken) < most:  # of 3 MB each, for a log of 8
            items = [{"prompt": "%d %d %s" % (len(taken), i, text)} for i in range(1200)]
            kind, _, body = peer.request("submit", {"items": items, "not_before": later()})
            if kind == "error":
                return taken, body
            taken.append(body["job"])
    return taken, {}
