# SPDX-License-Identifier: MIT
"""Talks to a daemon below the client: single frames over ZeroMQ, and single bytes over the socket."""
import json
import socket
import time

import zmq


class Peer:
    """A DEALER that sends whatever it is given. `keys`: the own secret key and the server's public one."""

    def __init__(self, address, identity=None, keys=None):
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        if keys is not None:
            secret, server = (key.encode() for key in keys)
            self.socket.curve_secretkey, self.socket.curve_publickey = secret, zmq.curve_public(secret)
            self.socket.curve_serverkey = server
        if identity is not None:
            self.socket.setsockopt(zmq.ROUTING_ID, identity)
        self.socket.connect(address)

    def ask(self, *frames, timeout=120):
        """The one reply to these frames: its type, id and body."""
        self.socket.send_multipart(list(frames))
        return self.receive(timeout)

    def request(self, kind, body, timeout=120):
        """The reply to a request; `body` is bytes, or what JSON can say."""
        encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.ask(b"BN1", kind.encode(), b"r", encoded, timeout=timeout)

    def send(self, kind, body, tag="r"):
        """A request whose replies are received later."""
        self.socket.send_multipart([b"BN1", kind.encode(), tag.encode(), json.dumps(body).encode()])

    def receive(self, timeout=120):
        if not self.socket.poll(timeout * 1000):
            raise AssertionError("no answer in %g s" % timeout)
        *_, version, kind, tag, body = self.socket.recv_multipart()
        assert version == b"BN1", version
        return kind.decode(), tag, json.loads(body)

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def connect(address):
    """A plain connection to an ipc endpoint."""
    out = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    out.settimeout(20)
    while True:
        try:
            out.connect(address[len("ipc://"):])
            return out
        except BlockingIOError:  # the listener's backlog is full: it will come to us
            time.sleep(0.01)


def shake_hands(connection):
    """ZMTP 3.0's greeting and NULL handshake as a DEALER (rfc.zeromq.org/spec/23)."""
    connection.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32))
    ready = b"\x05READY" + b"\x0bSocket-Type" + (6).to_bytes(4, "big") + b"DEALER"
    connection.sendall(b"\x04" + bytes([len(ready)]) + ready)
    greeting = b""
    while len(greeting) < 64 + 2:
        greeting += connection.recv(4096)


def ended_by_peer(connection):
    """Whether the other side ends the connection; reads what it says until then."""
    try:
        while connection.recv(65536):
            pass
        return True
    except ConnectionError:
        return True
    except socket.timeout:
        return False
