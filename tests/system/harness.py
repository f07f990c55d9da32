# SPDX-License-Identifier: MIT
"""Runs a real bitnetd in a folder of its own, on the shipped models, for tests that talk to it."""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

BUILD = os.path.abspath(os.environ.get("BITNETD_BUILD", os.path.join(os.path.dirname(__file__), "../../build/release")))
SOURCE = os.path.abspath(os.environ.get("BITNETD_SOURCE", os.path.join(os.path.dirname(__file__), "../..")))
sys.path.insert(0, os.path.join(SOURCE, "clients/python"))

from bitnet_client import Client  # noqa: E402  (the path is set above)

DAEMON = os.path.join(BUILD, "daemon/bitnetd")
CTL = os.path.join(BUILD, "clients/bitnetctl/bitnetctl")
MODEL_TOOL = os.path.join(BUILD, "clients/bitnet_model/bitnet-model")
CHAT = os.path.join(SOURCE, "models/bitnetd-chat.gguf")
EMBED = os.path.join(SOURCE, "models/bitnetd-embed.gguf")

CONFIG = """\
models:
  - name: chat
    path: {chat}
  - name: embed
    path: {embed}
    embedding: true
hardware:
  nodes: {nodes}
{extra}
profile: test
"""
ONE_NODE = "[{cpus: [0]}]"
TWO_NODES = "[{cpus: [0]}, {cpus: [1]}]"


class Daemon:
    """A bitnetd of its own. `profile` and `extra` are YAML, `options` of the command line; folders live until close()."""

    def __init__(self, profile="cache: {mode: exact}\n", nodes=ONE_NODE, extra="", environment=None, options=(), start=True):
        if nodes == TWO_NODES and os.cpu_count() < 2:
            nodes = ONE_NODE
        self.folder = tempfile.TemporaryDirectory(prefix="bitnetd-test-")
        self.root = self.folder.name
        self.environment = environment or {}
        self.in_child = None  # called in the daemon's process before it begins
        self.options = options
        for name in ("profiles", "state", "cache", "run"):
            os.mkdir(os.path.join(self.root, name))
        self.config = os.path.join(self.root, "bitnetd.yaml")
        self.write_profile(profile)
        self.write_config(nodes=nodes, extra=extra)
        self.process = None
        if start:
            self.start()

    def path(self, *parts):
        return os.path.join(self.root, *parts)

    def write_profile(self, text, name="test"):
        """Replaces a profile the way editors do: a new file renamed over the old one."""
        target = self.path("profiles", name + ".yaml")
        with open(target + ".new", "w", encoding="utf-8") as f:
            f.write(text)
        os.rename(target + ".new", target)

    def write_config(self, models=None, nodes=ONE_NODE, extra="", profile="test"):
        """Replaces bitnetd.yaml; `models` are further entries as YAML flow mappings."""
        text = CONFIG.format(chat=CHAT, embed=EMBED, nodes=nodes, extra=extra)
        text = text.replace("hardware:", "".join("  - %s\n" % m for m in models or []) + "hardware:")
        text = text.replace("profile: test", "profile: " + profile)
        with open(self.config + ".new", "w", encoding="utf-8") as f:
            f.write(text)
        os.rename(self.config + ".new", self.config)

    def command(self, *options):
        """The command line of this daemon."""
        return [DAEMON, "--config", self.config, "--state-directory", self.path("state"),
                "--cache-directory", self.path("cache"), "--runtime-directory", self.path("run"), *options]

    def run_to_end(self, *options, timeout=60):
        """Runs it where it is expected to end by itself: status and what it wrote."""
        done = subprocess.run(self.command(*options), capture_output=True, text=True, timeout=timeout, preexec_fn=self.in_child,
                              env={**os.environ, **self.environment}, check=False)
        return done.returncode, done.stdout + done.stderr

    def spawn(self):
        """Starts the process and waits for nothing."""
        with open(self.path("log"), "ab") as log:
            self.process = subprocess.Popen(self.command(*self.options), stderr=log, stdout=log, preexec_fn=self.in_child,
                                            env={**os.environ, **self.environment})

    def start(self):
        self.spawn()
        done = subprocess.run([CTL, "--socket", self.path("run"), "--wait-ready", "60", "ping"],
                              capture_output=True, text=True, timeout=90)
        if done.returncode != 0:
            raise RuntimeError("bitnetd did not come up: %s\n%s" % (done.stderr, self.log_text()))

    def log_text(self):
        with open(self.path("log"), encoding="utf-8", errors="replace") as f:
            return f.read()

    def socket(self, name="front"):
        """The endpoint of one of the default sockets."""
        for candidate in (name + ".sock", name):
            if os.path.exists(self.path("run", candidate)):
                return "ipc://" + self.path("run", candidate)
        raise RuntimeError("no socket %s in %s" % (name, os.listdir(self.path("run"))))

    def client(self, socket="front", **options):
        return Client(self.socket(socket), **options)

    def ctl(self, *arguments, stdin=None, check=True, timeout=60):
        done = subprocess.run([CTL, "--socket", self.path("run"), *arguments], input=stdin,
                              capture_output=True, text=True, timeout=timeout)
        if check and done.returncode != 0:
            raise RuntimeError("bitnetctl %s: exit %d: %s%s" % (" ".join(arguments), done.returncode, done.stdout, done.stderr))
        return done

    def metrics(self):
        """Counters and gauges by name with labels."""
        with self.client() as c:
            out = {}
            for line in c.metrics().splitlines():
                if line and not line.startswith("#"):
                    name, value = line.rsplit(" ", 1)
                    out[name] = float(value)
            return out

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def stop(self, timeout=60):
        """SIGTERM; returns the exit status."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout) if self.process else 0

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait(30)
        self.folder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def within(timeout, condition):
    """Waits until condition() is true, but not longer; its last value."""
    end = time.monotonic() + timeout
    value = condition()
    while not value and time.monotonic() < end:
        time.sleep(0.02)
        value = condition()
    return value


def until(condition, what, timeout=120.0):
    """Waits until condition() is true and returns its value; a test that waits for an event."""
    value = within(timeout, condition)
    if not value:
        raise AssertionError("still not after %g s: %s" % (timeout, what))
    return value


def json_lines(text):
    return [json.loads(line) for line in text.splitlines() if line.strip()]
