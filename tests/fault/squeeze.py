# SPDX-License-Identifier: MIT
"""Faults of what is around the daemon: memory that is refused, a step that does not end, clients that stand still."""
import resource
import signal
import time

from house import House  # it knows the way to the next two
from harness import until
from raw import Peer
from report import Report, live

PAGE = resource.getpagesize()


def memory(n, first=0):
    """No more memory from some moment on (RLIMIT_DATA, with up to 256 KiB left): the daemon serves, refuses, or ends; what it
    accepted stays true."""
    report = Report("memory refused")
    for i in range(first, first + n):
        with House("memory %d" % i) as house:
            house.start()
            house.admit_clients(4)
            live(house, house.draw.uniform(0.3, 1))
            with open("/proc/%d/statm" % house.process.pid, encoding="ascii") as f:
                used = int(f.read().split()[5]) * PAGE
            resource.prlimit(house.process.pid, resource.RLIMIT_DATA, (used + house.draw.randrange(256 << 10),) * 2)
            live(house, 2)
            ended = house.process.poll() is not None
            house.kill()
            report.add_next_life(house, limits=1, ended=int(ended))
    return report.tell()


def hang(n, first=0, watchdog=20.0):
    """A step never ends: no sign of life goes to systemd any more, whose watchdog (20 s in our unit) then ends
    the daemon; here the driver does."""
    report = Report("step that does not end")
    for i in range(first, first + n):
        with House("hang %d" % i) as house:
            signs = house.listen()
            house.start(BITNETD_FAULT="worker.step:%d" % house.draw.randrange(2, 40), BITNETD_FAULT_HANGS="1",
                        NOTIFY_SOCKET=signs.path, WATCHDOG_USEC=str(int(watchdog * 1e6)))
            house.admit_clients(4)
            until(lambda: "this thread hangs" in house.log_text(), "the step is reached", 180)
            hung = time.monotonic()
            # One answer may have been on its way.
            until(lambda: time.monotonic() - max(signs.said("WATCHDOG=1"), default=hung) > watchdog, "systemd would act", 180)
            late = max(signs.said("WATCHDOG=1"), default=hung) - hung
            report.problems += ["a sign of life %.1f s after the last step" % late] if late > watchdog else []
            with Peer(house.socket("front")) as peer:  # the door is another thread
                if peer.request("ping", {}, timeout=60)[0] != "pong":
                    report.problems.append("the front does not answer")
            house.process.send_signal(signal.SIGABRT)
            house.process.wait(60)
            house.start()
            live(house, 0.5)
            house.dismiss_clients()
            report.add(house, house.verdict(), hangs=1)
    return report.tell()


def stopped(n, first=0):
    """Half of the clients stand still amidst their streams (SIGSTOP): the others go on, and nothing is lost for anybody."""
    report = Report("clients that stand still")
    for i in range(first, first + n):
        with House("stopped %d" % i) as house:
            house.start()
            house.admit_clients(8)
            live(house, 1)
            for _ in range(3):
                still = house.draw.sample(house.clients, 4)
                moving = [c for c in house.clients if c not in still]
                for client in still:
                    client.send_signal(signal.SIGSTOP)
                before = house.written(moving)
                live(house, house.draw.uniform(0.5, 3))
                until(lambda seen=before, who=moving: all(now > then for now, then in zip(house.written(who), seen)),
                      "the others go on", 180)
                for client in still:
                    client.send_signal(signal.SIGCONT)
                live(house, 0.5)
            house.dismiss_clients()
            report.add(house, house.verdict(), stops=12)
    return report.tell()
