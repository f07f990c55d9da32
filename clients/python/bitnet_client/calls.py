# SPDX-License-Identifier: MIT
"""The calls of the API as flows; `Client` and `AsyncClient` give them a socket."""
from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

from . import flows
from .flows import Flow, Session
from .messages import JobPage, Result
from .requests import Item, as_messages, batches, submit_body

LONGEST_WAIT_S = 60.0  # `wait_ms` of one `result` request


def submit(session: Session, mode: str, options: Dict[str, Any]) -> Flow:
    """Exactly one of prompt, messages, input and items is in the options."""
    timeout = options.pop("timeout", None)
    kinds = [k for k in ("prompt", "messages", "input", "items") if options.get(k) is not None]
    if len(kinds) != 1:
        raise ValueError("expected one of prompt, messages, input or items, got %s"
                         % (", ".join(kinds) or "none"))
    content = options.pop(kinds[0])
    if kinds[0] == "messages":
        content = as_messages(content)
    body = submit_body(kinds[0], content, mode, options)
    return (flows.stream if mode == "stream" else flows.submit)(session, body, timeout)


def embed(session: Session, texts: Union[str, Sequence[str]], options: Dict[str, Any]) -> Flow:
    """One unit vector for a text, a list of them for a list."""
    if isinstance(texts, str):
        result = yield from submit(session, "sync", {**options, "input": texts})
        return result.embedding
    results = yield from batch(session, [{"input": text} for text in texts], "sync", options)
    return [result.check().embedding for result in results]


def batch(session: Session, items: Sequence[Item], mode: str, options: Dict[str, Any]) -> Flow:
    """Results in the order of the items, however many submits that takes."""
    yield from flows.welcomed(session)
    key = options.pop("key", None)
    wait = {"wait": "result"} if mode == "job" else {}
    results: List[Result] = []
    for number, part in enumerate(batches(items, options, session.welcome.limits)):
        part_key = {"key": "%s/%d" % (key, number)} if key is not None else {}
        whole = yield from submit(session, mode, {**options, **wait, **part_key, "items": part})
        results += whole.items
    return results


def result(session: Session, job: str, wait_s: float = 0) -> Flow:
    """The Result of a job that has ended, else None."""
    wait_s = min(max(wait_s, 0.0), LONGEST_WAIT_S)
    reply = yield from flows.ask(session, "result", {"job": job, "wait_ms": int(wait_s * 1000)},
                                 "result", also="status", patience_s=wait_s)
    return Result.of(reply.body) if reply.kind == "result" else None


def wait(session: Session, job: str, timeout: Optional[float]) -> Flow:
    """The Result of a job, when it has ended; None after `timeout` seconds."""
    left = timeout
    while True:
        pause = LONGEST_WAIT_S if left is None else min(left, LONGEST_WAIT_S)
        ended = yield from result(session, job, pause)
        if ended is not None:
            return ended.check()
        if left is not None:
            left -= pause
            if left <= 0:
                return None


def status(session: Session, jobs: Union[str, Sequence[str]]) -> Flow:
    """What is known of a job (a dict) or of up to 100 (a list of them)."""
    one = isinstance(jobs, str)
    body = {"job": jobs} if one else {"jobs": list(jobs)}
    reply = yield from flows.ask(session, "status", body, "status")
    found = reply.body["jobs"]
    return found[0] if one else found


def list_jobs(session: Session, state: Optional[Sequence[str]], batch_id: Optional[str],
              limit: Optional[int], cursor: Optional[str]) -> Flow:
    body: Dict[str, Any] = {}
    for name, value in (("state", state), ("batch", batch_id), ("limit", limit),
                        ("cursor", cursor)):
        if value is not None:
            body[name] = list(value) if name == "state" else value
    reply = yield from flows.ask(session, "list", body, "list")
    return JobPage.of(reply.body)


def plain(session: Session, kind: str, answer: Optional[str], body: Mapping[str, Any],
          part: Optional[str] = None) -> Flow:
    """A request whose answer is given as it is, or one field of it."""
    given = {name: value for name, value in body.items() if value is not None}
    reply = yield from flows.ask(session, kind, given, answer)
    return reply.body if part is None else reply.body[part]
