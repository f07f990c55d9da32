# SPDX-License-Identifier: MIT
"""What can go wrong, as exceptions."""
from __future__ import annotations

from typing import Any, Mapping, Optional


class BitnetError(Exception):
    """Everything that this package raises."""


class Unreachable(BitnetError, TimeoutError):
    """The daemon did not answer in time, or was restarted and took what we waited for with it."""


class ProtocolError(BitnetError):
    """What came back is not the protocol that we speak."""


class LimitExceeded(BitnetError, ValueError):
    """Not sent: the daemon would have refused it. `field` says what, `limit` how much is allowed."""

    def __init__(self, message: str, field: str, limit: int):
        super().__init__(message)
        self.field = field
        self.limit = limit


class DaemonError(BitnetError):
    """An answer of type `error`. The attributes are those of the protocol, None where absent."""

    def __init__(self, body: Mapping[str, Any]):
        self.body = dict(body)
        self.code: int = body.get("code", 0)
        self.name: str = body.get("name", "E_UNKNOWN")
        self.msg: str = body.get("msg", "")
        self.retry: str = body.get("retry", "no")
        self.retry_after_ms: Optional[float] = body.get("retry_after_ms")
        self.field: Optional[str] = body.get("field")
        self.limit: Optional[int] = body.get("limit")
        self.job: Optional[str] = body.get("job")
        self.state: Optional[str] = body.get("state")
        where = " (%s)" % self.field if self.field and self.field not in self.msg else ""
        super().__init__("%s %s: %s%s" % (self.code, self.name, self.msg, where))


class RequestRefused(DaemonError):
    """The request was not carried out; no job came of it."""


class JobFailed(DaemonError):
    """A job was accepted and did not end well; `job` and `state` say which and how."""


def error_of(body: Mapping[str, Any]) -> DaemonError:
    """The exception for the body of an `error`."""
    ended = "job" in body and "state" in body
    return JobFailed(body) if ended else RequestRefused(body)
