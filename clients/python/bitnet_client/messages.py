# SPDX-License-Identifier: MIT
"""Answers of the daemon as values. `raw` has the whole message, with fields that we do not know."""
from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Dict, List, Mapping, Optional, Type, TypeVar

from .errors import JobFailed, ProtocolError

T = TypeVar("T", bound="Message")


@dataclass(frozen=True)
class Message:
    """Base of the others."""

    raw: Dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls: Type[T], body: Mapping[str, Any]) -> T:
        """Takes the fields that we know out of a body."""
        known = {f.name: body[f.name] for f in fields(cls) if f.name != "raw" and f.name in body}
        try:
            return cls(raw=dict(body), **known)
        except TypeError as error:
            raise ProtocolError("%s: %s" % (cls.__name__.lower(), error)) from None


@dataclass(frozen=True)
class Welcome(Message):
    """Answer to `hello`."""

    server: str = ""
    epoch: str = ""
    role: str = ""
    principal: str = ""
    state: str = ""
    models: List[str] = field(default_factory=list)
    limits: Dict[str, int] = field(default_factory=dict)
    events: Optional[str] = None


@dataclass(frozen=True)
class Accepted(Message):
    """A job exists."""

    job: str = ""
    durable: bool = False
    fsync: bool = False
    dup: bool = False
    children: Optional[int] = None
    pos: Optional[int] = None
    eta_ms: Optional[float] = None
    epoch: str = ""


@dataclass(frozen=True)
class Delta(Message):
    """A further part of an answer. `off` counts bytes of UTF-8, `n` tokens."""

    text: str = ""
    off: int = 0
    seq: int = 0
    n: int = 0
    job: str = ""


@dataclass(frozen=True)
class Result(Message):
    """How a job ended. Of a batch the answers stand in `items`, in the order of its items."""

    job: str = ""
    state: str = ""
    text: Optional[str] = None
    embedding: Optional[List[float]] = None
    finish: Optional[str] = None
    usage: Dict[str, int] = field(default_factory=dict)
    timing: Dict[str, float] = field(default_factory=dict)
    cache: Dict[str, Any] = field(default_factory=dict)
    model: Optional[str] = None
    seed: Optional[int] = None
    attempt: int = 1
    failed_checks: List[str] = field(default_factory=list)
    trace: List[Dict[str, Any]] = field(default_factory=list)
    meta: Dict[str, str] = field(default_factory=dict)
    custom_id: Optional[str] = None
    index: Optional[int] = None
    error: Optional[Dict[str, Any]] = None
    items: List["Result"] = field(default_factory=list)

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> "Result":
        result = super().of(body)
        children = [cls.of(item) for item in body.get("items", [])]
        object.__setattr__(result, "items", children)
        return result

    @property
    def ok(self) -> bool:
        """Whether the job ended well."""
        return self.state == "done"

    def check(self) -> "Result":
        """This result, or JobFailed when the job did not end well. A batch is always fine: look at
        its items."""
        if not self.ok and not self.items:
            raise JobFailed({"job": self.job, "state": self.state, **(self.error or {})})
        return self


@dataclass(frozen=True)
class JobPage(Message):
    """A part of a list of jobs. `cursor` leads to the next part; None at the end."""

    jobs: List[Dict[str, Any]] = field(default_factory=list)
    cursor: Optional[str] = None
