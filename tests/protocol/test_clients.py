#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every client replays the transcripts: it sends what they ask, and makes of the replies what they say."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../clients/python"))

from bitnet_client import Client, DaemonError  # noqa: E402
from standin import StandIn, outcome, transcripts  # noqa: E402

BUILD = os.environ.get("BITNETD_BUILD", os.path.join(HERE, "../../build/release"))
CPP = os.path.join(BUILD, "tests/protocol/transcript_client")
NODE_MODULES = os.path.join(BUILD, "tests/protocol/node")


def part_of(asked, sent):
    """Whether a request has everything that a transcript asks."""
    if isinstance(asked, dict):
        return isinstance(sent, dict) and all(k in sent and part_of(v, sent[k]) for k, v in asked.items())
    return asked == sent


class PythonDriver:
    """Does with the Python package what a line asks for."""
    waits = True

    def __init__(self, endpoint):
        self.client = Client(endpoint, retry_for=0)

    def do(self, kind, body):
        body = dict(body)
        try:
            if kind == "submit":
                return self.submit(body)
            return {"ok": self.client.ask(kind, body)}
        except DaemonError as error:
            return {"error": error.body}

    def submit(self, body):
        options = {**body, **body.pop("params", {})}
        options.pop("params", None)
        mode = options.pop("mode", "job")
        if mode != "stream":
            return {"ok": self.client.submit(mode, **options).raw}
        with self.client.stream(options.pop("prompt", None), **options) as answer:
            text = "".join(delta.text for delta in answer)
        return {"ok": answer.result.raw, "streamed": text}

    def close(self):
        self.client.close()


class LineDriver:
    """A program that reads {"type", "body"} and writes {"ok"} or {"error"}, and "streamed"."""
    waits = False

    def __init__(self, *command, environment=None):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, **(environment or {})})

    def do(self, kind, body):
        self.process.stdin.write(json.dumps({"type": kind, "body": body}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError("the client ended with %s" % self.process.wait(10))
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()


class Replay(unittest.TestCase):
    def replay(self, driver_for):
        with tempfile.TemporaryDirectory(prefix="bitnetd-standin-") as folder:
            standin = StandIn("ipc://" + os.path.join(folder, "front.sock"))
            driver = driver_for(standin.endpoint)
            try:
                count = 0
                for kind, exchanges in transcripts().items():
                    for exchange in exchanges:
                        with self.subTest(type=kind, name=exchange["name"]):
                            self.one(standin, driver, kind, exchange)
                            count += 1
                self.assertEqual(standin.problems, [])
                self.assertGreater(count, 30)
            finally:
                driver.close()
                standin.close()

    def one(self, standin, driver, kind, exchange):
        standin.expect(kind, exchange)
        got = driver.do(kind, exchange["body"])
        how, body = outcome(exchange, driver.waits)
        self.assertEqual(got.get(how), body)
        if "streamed" in got:
            self.assertEqual(got["streamed"], body["text"])
        sent = [b for k, b in standin.asked if k == kind]
        self.assertTrue(any(part_of(exchange["body"], b) for b in sent), (exchange["body"], sent))

    def test_the_python_client(self):
        self.replay(PythonDriver)

    def test_the_cpp_client(self):
        self.assertTrue(os.path.exists(CPP), CPP)
        self.replay(lambda endpoint: LineDriver(CPP, endpoint))

    def test_the_node_client(self):
        if not node_ready():
            self.skipTest("node, or its package zeromq, is not here")
        script = os.path.join(NODE_MODULES, "transcript.mjs")
        self.replay(lambda endpoint: LineDriver("node", script, endpoint))


def node_ready():
    """The Node client beside the package it needs, which npm brings once."""
    if not shutil.which("node") or not shutil.which("npm"):
        return False
    os.makedirs(NODE_MODULES, exist_ok=True)
    for name in ("bitnet.mjs", "example.mjs", "package.json"):
        shutil.copy(os.path.join(HERE, "../../clients/node", name), NODE_MODULES)
    shutil.copy(os.path.join(HERE, "transcript.mjs"), NODE_MODULES)
    if not os.path.isdir(os.path.join(NODE_MODULES, "node_modules", "zeromq")):
        # The package brings its library compiled: nothing of it is run to install it.
        try:
            done = subprocess.run(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=NODE_MODULES,
                                  capture_output=True, text=True, timeout=120, check=False)
        except subprocess.TimeoutExpired:  # no network
            return False
        return done.returncode == 0
    return True


if __name__ == "__main__":
    unittest.main(verbosity=2)
