# SPDX-License-Identifier: MIT
"""Keys for a daemon of a test: the server's and its clients', made with bitnetctl as an operator does."""
import random
import socket
import subprocess

from harness import CTL


def free_port():
    """Below those that the kernel gives to connections, so that it stays free until the daemon has it."""
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise RuntimeError("no free port")


class Keyed:
    """Makes the server's pair beside the daemon's configuration."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.run("gen", daemon.path("server.key"))

    def run(self, command, *arguments, check=True):
        options = [] if command == "gen" else ["--config", self.daemon.config]
        done = subprocess.run([CTL, "keys", command, *arguments, *options], capture_output=True, text=True, timeout=60,
                              check=False)
        if check and done.returncode != 0:
            raise RuntimeError(done.stderr)
        return done

    def add(self, principal):
        """A new pair that may connect as this principal: (secret key, the server's public key)."""
        self.run("gen", self.daemon.path(principal))
        self.run("add", principal, self.daemon.path(principal + ".pub"))
        return self.secret(principal), self.server()

    def secret(self, name):
        with open(self.daemon.path(name), encoding="ascii") as f:
            return f.read().split("\n")[1]

    def server(self):
        with open(self.daemon.path("server.key.pub"), encoding="ascii") as f:
            return f.read().strip()
