# SPDX-License-Identifier: MIT
"""Frames of BN1, where the daemon is, and the keys it may want."""
from __future__ import annotations

import json
import os
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

import zmq

from .errors import ProtocolError

VERSION = "0.1.0"
PROTOCOL = b"BN1"
KEY_LENGTH = 40  # of a CURVE key as text


class Reply(NamedTuple):
    """One message of the daemon."""

    kind: str
    id: bytes
    body: Dict[str, Any]


def encode_body(body: Mapping[str, Any]) -> bytes:
    """JSON as the daemon wants it: UTF-8, no NaN. ValueError for what JSON cannot say."""
    return json.dumps(body, ensure_ascii=False, allow_nan=False,
                      separators=(",", ":")).encode("utf-8")


def request_frames(kind: str, request_id: bytes, body: bytes) -> List[bytes]:
    """The four frames of a request."""
    return [PROTOCOL, kind.encode("ascii"), request_id, body]


def parse_reply(frames: Sequence[bytes]) -> Reply:
    """A message of the daemon; ProtocolError when it is none."""
    frames = list(frames)
    if frames and frames[0] == b"":
        frames = frames[1:]
    if len(frames) != 4:
        raise ProtocolError("expected 4 frames, got %d" % len(frames))
    protocol, kind, request_id, body = frames
    if protocol != PROTOCOL:
        raise ProtocolError("expected a BN1 message, got %r" % protocol[:16])
    try:
        parsed = json.loads(body)
        name = kind.decode("ascii")
    except ValueError as error:
        raise ProtocolError("a message of type %r is not valid: %s" % (kind[:24], error)) from None
    if not isinstance(parsed, dict):
        raise ProtocolError("the body of a %s is not an object" % name)
    return Reply(name, request_id, parsed)


def endpoint(address: Optional[str]) -> str:
    """Where to connect: the address given, else $BITNETD_SOCKET, else the daemon's usual place.
    A bare path means a Unix socket."""
    address = address or os.environ.get("BITNETD_SOCKET") or _usual_place()
    return address if "://" in address else "ipc://" + address


def use_keys(socket: Any, key: Optional[str], server_key: Optional[str]) -> None:
    """Prepares a socket for a daemon that wants a key: `key` is the file of this client's secret
    key (default $BITNETD_KEY), `server_key` the server's public key or a file with it (default
    $BITNETD_SERVER_KEY). Without either the socket stays as it is."""
    key = key or os.environ.get("BITNETD_KEY")
    server_key = server_key or os.environ.get("BITNETD_SERVER_KEY")
    if not key and not server_key:
        return
    if not key or not server_key:
        raise ValueError("a daemon that wants keys needs both key and server_key")
    secret = _key_in(key)
    server = server_key if len(server_key) == KEY_LENGTH else _key_in(server_key)
    socket.curve_secretkey = secret.encode("ascii")
    socket.curve_publickey = zmq.curve_public(secret.encode("ascii"))
    socket.curve_serverkey = server.encode("ascii")


def _key_in(path: str) -> str:
    """The one key in a file of keys and comments."""
    with open(path, encoding="utf-8") as lines:
        keys = [text for text in map(str.strip, lines) if len(text) == KEY_LENGTH and " " not in text]
    if len(keys) != 1:
        raise ValueError("%s: expected one key of %d characters" % (path, KEY_LENGTH))
    return keys[0]


def _usual_place() -> str:
    """A service's runtime directory if there is one, else the user's."""
    user = os.environ.get("XDG_RUNTIME_DIR")
    for folder in (os.environ.get("RUNTIME_DIRECTORY"), user and os.path.join(user, "bitnetd")):
        if folder and os.path.exists(os.path.join(folder, "front.sock")):
            return os.path.join(folder, "front.sock")
    return "/run/bitnetd/front.sock"
