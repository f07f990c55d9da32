# SPDX-License-Identifier: MIT
"""A client that is served all along, whatever others do to the daemon."""
import threading
import time

from harness import until

QUESTION = "What is a ternary weight?"
ANEW = {"no-cache": True, "no-store": True}


class Bystander:
    """A well-behaved client that streams the same answer again and again, and checks it."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.right, self.problems, self.ending = 0, [], False
        self.expected = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        try:
            with self.daemon.client() as c:
                while not self.ending:
                    with c.stream(messages=QUESTION, cache=ANEW) as answer:
                        text = "".join(delta.text for delta in answer)
                    if self.expected is None:
                        self.expected = text
                    if text != self.expected or not text:
                        self.problems.append(text)
                    self.right += 1
                    time.sleep(0.05)
        except Exception as error:
            self.problems.append(error)

    def still_served(self):
        """Two more answers, begun after this call, and none was wrong."""
        aim = self.right + 2
        until(lambda: self.right >= aim or self.problems, "the other client is served", 60)
        if self.problems:
            raise AssertionError("the other client got %r" % self.problems[0])

    def close(self):
        self.ending = True
        self.thread.join(60)
