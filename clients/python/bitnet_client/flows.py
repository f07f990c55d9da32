# SPDX-License-Identifier: MIT
"""What the client does, step by step, without doing it.

A flow is a generator. It yields commands (send this, wait for an answer, sleep) and is sent their
outcome; `Client` carries them out with a blocking socket, `AsyncClient` with asyncio. So retries,
credit and restarts of the daemon are written, and tested, once.
"""
from __future__ import annotations

import itertools
import random
import uuid
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Deque, Dict, Generator, Mapping, Optional, Union

from .errors import DaemonError, ProtocolError, Unreachable, error_of
from .messages import Accepted, Delta, Result, Welcome
from .protocol import VERSION, Reply, encode_body
from .requests import check_limits


UNHEARD = b"-"  # id of requests whose answer, if there is one, nobody waits for


@dataclass
class Send:
    """Send one request. Outcome: None."""
    kind: str
    id: bytes
    body: bytes


@dataclass
class Receive:
    """Wait for the next reply to a request. Outcome: Reply, or None after `timeout` seconds."""
    inbox: "Inbox"
    timeout: float


@dataclass
class Sleep:
    """Outcome: None, `seconds` later."""
    seconds: float


@dataclass
class Emit:
    """Hand this to the caller of a stream. Outcome: None."""
    item: Union[Accepted, Delta, Result]


Command = Union[Send, Receive, Sleep, Emit]
Flow = Generator[Command, Any, Any]


class Inbox:
    """Replies to one request that were not read yet."""

    def __init__(self, session: "Session", request_id: bytes):
        self.session = session
        self.id = request_id
        self.epoch = session.welcome.epoch if session.welcome else None
        self.replies: Deque[Reply] = deque()
        self.wake: Any = None  # set by AsyncClient: called when a reply was put

    def put(self, reply: Reply) -> None:
        self.replies.append(reply)
        if self.wake is not None:
            self.wake()

    def __enter__(self) -> "Inbox":
        self.session.inboxes[self.id] = self
        return self

    def __exit__(self, *_: Any) -> None:
        del self.session.inboxes[self.id]


@dataclass
class Session:
    """What a connection knows. Times in seconds.

    timeout    how long the daemon may be silent before it counts as unreachable
    retry_for  how long a request is repeated while the daemon is busy or starting
    heartbeat  silence after which a waiting client asks whether the daemon still lives
    """
    timeout: float = 30.0
    retry_for: float = 60.0
    heartbeat: float = 5.0
    welcome: Optional[Welcome] = None
    inboxes: Dict[bytes, Inbox] = field(default_factory=dict)
    counter: Any = field(default_factory=lambda: itertools.count(1))

    def inbox(self) -> Inbox:
        """For the replies of one request; a context manager."""
        return Inbox(self, b"%d" % next(self.counter))

    def deliver(self, reply: Reply) -> None:
        """Puts a reply where it is waited for. Late replies are dropped; so is `goodbye`, since the
        restart that it announces shows by the next heartbeat."""
        inbox = self.inboxes.get(reply.id)
        if inbox is not None:
            inbox.put(reply)


class Restarted(Exception):
    """The daemon is another process than the one that got our request."""


class Patience:
    """Decides whether and when a refused request is sent again."""

    def __init__(self, session: Session, has_key: bool):
        self.left = session.retry_for
        self.next = 0.1
        self.same_key_left = 2 if has_key else 0

    def delay_after(self, error: DaemonError) -> float:
        """Seconds to wait; raises the error when it is final."""
        if error.job is not None:
            raise error  # the job ended so; the same key would only tell it again
        if error.retry == "same-key" and self.same_key_left > 0:
            self.same_key_left -= 1
        elif error.retry != "later":
            raise error
        delay = self.next
        if error.retry_after_ms is not None:
            delay = max(0.01, error.retry_after_ms / 1000)
        # Spread, so that clients that were refused together do not come back together.
        delay *= random.uniform(1.0, 1.25)
        if delay > self.left:
            raise error
        self.left -= delay
        self.next = min(5.0, self.next * 2)
        return delay


def hello(session: Session) -> Flow:
    """Learns limits, role and epoch; every other flow begins with it, once."""
    body = {"ver": [1], "client": "bitnet_client/" + VERSION, "want": ["stream", "events"]}
    with session.inbox() as inbox:
        yield Send("hello", inbox.id, encode_body(body))
        reply = yield Receive(inbox, session.timeout)
    if reply is None:
        raise Unreachable("no answer from the daemon for %g s; is it running?" % session.timeout)
    session.welcome = Welcome.of(expect(reply, "welcome").body)
    return session.welcome


def ask(session: Session, kind: str, body: Mapping[str, Any], answer: Optional[str],
        also: Optional[str] = None, patience_s: float = 0) -> Flow:
    """A request with exactly one reply, of type `answer` (or `also`; None: of whatever type). `patience_s`: time that the
    daemon may take on purpose."""
    yield from welcomed(session)
    encoded = encode_body(body)
    check_limits(encoded, {}, session.welcome.limits)
    patience = Patience(session, has_key=False)
    while True:
        with session.inbox() as inbox:
            yield Send(kind, inbox.id, encoded)
            try:
                reply = yield from _next_reply(session, inbox, patience_s + session.timeout)
            except Restarted:
                continue
        if reply.kind != "error":
            any_will_do = answer is None or reply.kind == also
            return reply if any_will_do else expect(reply, answer)
        yield Sleep(patience.delay_after(error_of(reply.body)))


def submit(session: Session, body: Dict[str, Any], timeout: Optional[float] = None) -> Flow:
    """A submit in mode sync or job: its Result, or Accepted when only that was asked for."""
    return (yield from _submit(session, body, timeout, streamed=False))


def stream(session: Session, body: Dict[str, Any], timeout: Optional[float] = None) -> Flow:
    """A submit in mode stream: emits Accepted and Deltas whose texts, one after the other, are the
    text of the Result that is returned."""
    return (yield from _submit(session, body, timeout, streamed=True))


def _submit(session: Session, body: Dict[str, Any], timeout: Optional[float],
            streamed: bool) -> Flow:
    yield from welcomed(session)
    # With a key of our own a repeated request cannot run twice.
    body = {"key": str(uuid.uuid4()), **body}
    encoded = encode_body(body)
    check_limits(encoded, body, session.welcome.limits)
    patience = Patience(session, has_key=True)
    text = StreamedText(body)
    while True:
        with session.inbox() as inbox:
            yield Send("submit", inbox.id, encoded)
            try:
                return (yield from _follow(session, inbox, body, timeout, text if streamed else None))
            except Restarted:
                text.check_resumable()
                if not (streamed and text.accepted and text.accepted.durable):
                    continue
            except DaemonError as error:
                delay = patience.delay_after(error)
                yield Sleep(delay)
                continue
        # The job is in the journal, and goes on where it was.
        return (yield from _attach(session, text.accepted.job, text, timeout))


def attach(session: Session, job: str, off: int = 0, credit: int = 64,
           timeout: Optional[float] = None) -> Flow:
    """The output of a job from an offset on: emits Deltas, returns the Result. Takes up the stream
    where it was when the daemon is restarted."""
    yield from welcomed(session)
    text = StreamedText({"credit": credit}, off)
    return (yield from _attach(session, job, text, timeout))


def _attach(session: Session, job: str, text: "StreamedText", timeout: Optional[float]) -> Flow:
    patience = Patience(session, has_key=False)
    while True:
        body = {"job": job, "off": text.size, "credit": text.window}
        text.used = 0
        with session.inbox() as inbox:
            yield Send("attach", inbox.id, encode_body(body))
            try:
                return (yield from _follow(session, inbox, {"mode": "stream"}, timeout, text))
            except Restarted:
                continue
            except DaemonError as error:
                delay = patience.delay_after(error)
        yield Sleep(delay)


def items(session: Session, job: str, order: str, off: int, credit: int = 64) -> Flow:
    """The items of a durable batch as they end, or in their order: emits Results; returns how many
    there were. Goes on where it was when the daemon is restarted."""
    yield from welcomed(session)
    patience = Patience(session, has_key=False)
    while True:
        used = 0
        body = {"job": job, "off": off, "credit": credit, "order": order}
        with session.inbox() as inbox:
            yield Send("attach", inbox.id, encode_body(body))
            try:
                while True:
                    reply = yield from _next_reply(session, inbox, None)
                    if reply.kind == "item":
                        off = reply.body["off"] + 1
                        yield Emit(Result.of(reply.body["item"]))
                        used += 1
                        if used * 2 >= credit:
                            yield Send("credit", UNHEARD, encode_body({"job": job, "n": used}))
                            used = 0
                    elif reply.kind not in ("progress", "rewound"):
                        expect(reply, "result")
                        return off
            except Restarted:
                continue
            except DaemonError as error:
                delay = patience.delay_after(error)
        yield Sleep(delay)


def _follow(session: Session, inbox: Inbox, body: Mapping[str, Any], timeout: Optional[float],
            text: Optional["StreamedText"]) -> Flow:
    """Reads the replies of a submit up to the one that ends it."""
    while True:
        reply = yield from _next_reply(session, inbox, timeout)
        if reply.kind == "error":
            raise error_of(reply.body)
        if reply.kind == "accepted":
            accepted = Accepted.of(reply.body)
            if text is not None and text.begin(accepted):
                yield Emit(accepted)
            if body["mode"] == "job" and body.get("wait") != "result":
                return accepted
        elif reply.kind == "delta" and text is not None:
            delta = Delta.of(reply.body)
            news = text.add(delta)
            if news is not None:
                yield Emit(news)
            used = text.credit_to_return()
            if used > 0:
                yield Send("credit", UNHEARD, encode_body({"job": delta.job, "n": used}))
        elif reply.kind in ("rewound", "progress"):
            pass  # the next delta says where it begins
        else:
            result = Result.of(expect(reply, "result").body).check()
            rest = text.rest_of(result) if text is not None else None
            if rest is not None:
                yield Emit(rest)
            return result


class StreamedText:
    """The text of a stream so far, from `start` on. What is emitted is always a beginning of the
    answer: after a gap nothing, until the result fills it; what comes again (the daemon lost the
    end of what it had sent) only if it is other than it was, and then as an error."""

    def __init__(self, body: Mapping[str, Any], start: int = 0):
        self.window = body.get("credit", 64)
        self.used = 0
        self.accepted: Optional[Accepted] = None
        self.start = start
        self.bytes = bytearray()

    @property
    def size(self) -> int:
        """Where the text ends, in bytes of the answer."""
        return self.start + len(self.bytes)

    def begin(self, accepted: Accepted) -> bool:
        """Whether this is news; after a restart the same job is accepted again."""
        first = self.accepted is None
        self.accepted = accepted
        return first

    def add(self, delta: Delta) -> Optional[Delta]:
        """The part of the delta that continues the text."""
        self.used += 1
        if delta.off > self.size:
            return None
        data = delta.text.encode("utf-8")
        before = self.bytes[max(0, delta.off - self.start):]
        known = data[max(0, self.start - delta.off):]
        n = min(len(before), len(known))
        if before[:n] != known[:n]:
            raise ProtocolError("the answer is drawn anew: what came before byte %d no longer holds"
                                % (delta.off + n))
        news = data[max(0, self.size - delta.off):]
        if not news:
            return None
        off = self.size
        self.bytes += news
        return delta if off == delta.off else Delta(text=news.decode("utf-8"), off=off,
                                                    seq=delta.seq, n=delta.n, job=delta.job)

    def credit_to_return(self) -> int:
        """Deltas that were read since credit was last returned, once they are half the window."""
        if self.used == 0 or self.used * 2 < self.window:
            return 0
        used, self.used = self.used, 0
        return used

    def rest_of(self, result: Result) -> Optional[Delta]:
        """What the deltas left out."""
        whole = (result.text or "").encode("utf-8")
        if len(whole) <= self.size or whole[self.start:self.size] != self.bytes:
            return None
        return Delta(text=whole[self.size:].decode("utf-8"), off=self.size, job=result.job)

    def check_resumable(self) -> None:
        """Only a durable job has the same text after a restart."""
        if self.size > 0 and not (self.accepted and self.accepted.durable):
            raise Unreachable("the daemon was restarted in the middle of the answer; submit again")


def welcomed(session: Session) -> Flow:
    """Says hello if nobody did yet."""
    if session.welcome is None:
        yield from hello(session)


def _next_reply(session: Session, inbox: Inbox, timeout: Optional[float]) -> Flow:
    """The next reply to a request. `timeout` bounds the whole wait, None does not; in both cases a
    daemon that is silent for `session.timeout` is Unreachable, and a new one is Restarted."""
    silent = waited = 0.0
    while True:
        pause = session.heartbeat if timeout is None else min(session.heartbeat, timeout - waited)
        reply = yield Receive(inbox, max(0.0, pause))
        if reply is not None:
            return reply
        waited += pause
        if timeout is not None and waited >= timeout:
            raise Unreachable("no answer within %g s" % timeout)
        if (yield from _lives(session, inbox.epoch)):
            silent = 0.0
        else:
            silent += 2 * session.heartbeat
            waited += session.heartbeat
        if silent >= session.timeout:
            raise Unreachable("no sign of life from the daemon for %g s" % silent)


def _lives(session: Session, epoch: Optional[str]) -> Flow:
    """Whether the daemon answers a ping; Restarted when it is not the process of `epoch`."""
    with session.inbox() as inbox:
        yield Send("ping", inbox.id, b"{}")
        reply = yield Receive(inbox, session.heartbeat)
    if reply is None:
        return False
    now = expect(reply, "pong").body.get("epoch")
    if now == epoch:
        return True
    if session.welcome is None or now != session.welcome.epoch:
        yield from hello(session)
    raise Restarted


def expect(reply: Reply, kind: str) -> Reply:
    """The reply, when it is of this type; an `error` is raised."""
    if reply.kind == "error":
        raise error_of(reply.body)
    if reply.kind != kind:
        raise ProtocolError("expected %s, got %s" % (kind, reply.kind))
    return reply
