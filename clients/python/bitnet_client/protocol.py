# SPDX-License-Identifier: MIT
"""Frames of BN1, and where the daemon is. No socket here."""
from __future__ import annotations

import json
import os
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

from .errors import ProtocolError

VERSION = "0.1.0"
PROTOCOL = b"BN1"


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


def _usual_place() -> str:
    """A service's runtime directory if there is one, else the user's."""
    user = os.environ.get("XDG_RUNTIME_DIR")
    for folder in (os.environ.get("RUNTIME_DIRECTORY"), user and os.path.join(user, "bitnetd")):
        if folder and os.path.exists(os.path.join(folder, "front.sock")):
            return os.path.join(folder, "front.sock")
    return "/run/bitnetd/front.sock"
