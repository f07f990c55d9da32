# SPDX-License-Identifier: MIT
"""systemd's side of a service, for tests."""
import socket
import threading
import time


class Manager:
    """What systemd would be: the socket of $NOTIFY_SOCKET and every message that came, with its time."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.path = path
        self.messages = []
        self.on_ready = lambda: None
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            try:
                text = self.socket.recv(4096).decode()
            except OSError:
                return
            if not text:
                return
            self.messages.append((time.monotonic(), text))
            if "READY=1" in text.splitlines():
                self.on_ready()

    def said(self, line):
        """When each message with this line came."""
        return [at for at, text in self.messages if line in text.splitlines()]

    def status(self):
        lines = [line for _, text in self.messages for line in text.splitlines() if line.startswith("STATUS=")]
        return lines[-1] if lines else ""

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
