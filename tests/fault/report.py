# SPDX-License-Identifier: MIT
"""What a kind of fault found, as one JSON line."""
import collections
import json
import time

from house import counted


class Report:
    def __init__(self, name):
        self.name, self.began = name, time.monotonic()
        self.problems, self.counts, self.recoveries = [], collections.Counter(), []

    def add(self, house, problems, **counts):
        self.problems += problems
        self.counts.update(counted(house.history()))
        self.counts.update(counts)
        self.recoveries += house.recoveries

    def add_next_life(self, house, **counts):
        """Starts the daemon again, and adds what the checker says after some more of the clients' work."""
        if not house.start():
            self.problems.append("does not start: " + house.log_text()[-300:])
            return
        live(house, 0.5)
        house.dismiss_clients()
        self.add(house, house.verdict(), **counts)

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
