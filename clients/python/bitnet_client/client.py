# SPDX-License-Identifier: MIT
"""The blocking client."""
from __future__ import annotations

import time
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Union

import zmq

from . import calls, flows
from .errors import BitnetError, Unreachable
from .flows import Emit, Flow, Receive, Send, Session, Sleep
from .messages import Accepted, Delta, JobPage, Result, Welcome
from .protocol import endpoint, parse_reply, request_frames, use_keys
from .requests import Item, Messages


class Client:
    """A connection to bitnetd. For one thread; any number of streams may be read in turn.

    address    endpoint or path of the front socket; default $BITNETD_SOCKET, else the usual place
    timeout    seconds of silence after which the daemon counts as unreachable
    retry_for  seconds during which a request is repeated while the daemon is busy or starting
    key, server_key  for a daemon that wants keys: the file of this client's secret key and the
               server's public key; default $BITNETD_KEY and $BITNETD_SERVER_KEY

    Options of jobs, for every method that makes one: `model`, `params` or its fields one by one
    (`max_tokens`, `temperature`, `top_k`, `top_p`, `min_p`, `repetition_penalty`, `seed`, `stop`,
    `logit_bias`, `ignore_eos`), `class_`, `key`, `durable`, `deadline_ms`, `deadline`,
    `not_before`, `ttl_result_s`, `quality_retries`, `on_disconnect`, `cache`, `credit`, `meta`,
    `trace`, and of embeddings `prefix`, as docs/protocol.md has them; and `timeout`: seconds to
    wait for an answer (default: as long as the daemon lives). Without a `key` the client makes one
    up, so that what it repeats does not run twice.
    """

    def __init__(self, address: Optional[str] = None, *, timeout: float = 30.0,
                 retry_for: float = 60.0, heartbeat: float = 5.0, key: Optional[str] = None,
                 server_key: Optional[str] = None):
        self.address = endpoint(address)
        self._session = Session(timeout, retry_for, heartbeat)
        self._socket = zmq.Context.instance().socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.SNDTIMEO, max(1, int(timeout * 1000)))
        use_keys(self._socket, key, server_key)
        self._socket.connect(self.address)

    def close(self) -> None:
        """Closes the connection; durable jobs go on."""
        self._socket.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    # Jobs ---------------------------------------------------------------------------------------

    def submit(self, mode: str = "job", **options: Any) -> Union[Accepted, Result]:
        """Submits one of `prompt`, `messages`, `input` or `items`. Mode "job": Accepted, or with
        wait="result" the Result; mode "sync": the Result. For "stream" see `stream`."""
        if mode == "stream":
            raise ValueError("mode stream: use stream()")
        return self._run(calls.submit(self._session, mode, options))

    def stream(self, prompt: Optional[str] = None, *, messages: Optional[Messages] = None,
               **options: Any) -> "Stream":
        """The answer to a prompt or chat as it is made: iterate over its Deltas."""
        options.update(prompt=prompt, messages=messages)
        return Stream(self, calls.submit(self._session, "stream", options))

    def attach(self, job: str, off: int = 0, *, credit: int = 64,
               timeout: Optional[float] = None) -> "Stream":
        """The output of any job of ours, running or ended, from byte `off` on: iterate over its
        Deltas. Leaving it early leaves the job alone."""
        return Stream(self, flows.attach(self._session, job, off, credit, timeout))

    def items(self, job: str, *, order: str = "completion", off: int = 0) -> Iterator[Result]:
        """The items of a durable batch as they end, or with order="input" in their order; `off`
        passes over those that were read before."""
        yield from Stream(self, flows.items(self._session, job, order, off))

    def chat(self, messages: Messages, **options: Any) -> Result:
        """The answer to a chat: a text of the user, or a list of {"role", "content"}."""
        return self._run(calls.submit(self._session, "sync", {**options, "messages": messages}))

    def complete(self, prompt: str, **options: Any) -> Result:
        """The continuation of a text."""
        return self._run(calls.submit(self._session, "sync", {**options, "prompt": prompt}))

    def embed(self, texts: Union[str, Sequence[str]], **options: Any) -> Any:
        """The unit vector of a text, or a list of them for a list of texts. `prefix`: what the model
        wants before queries."""
        return self._run(calls.embed(self._session, texts, options))

    def batch(self, items: Sequence[Item], **options: Any) -> List[Result]:
        """Durable jobs for many items: texts, or {"prompt"｜"messages"｜"input", "custom_id"}.
        Their results in order, each with its own state. With a `key` a repeated call takes up what
        an interrupted one began."""
        return self._run(calls.batch(self._session, items, "job", options))

    def status(self, job: Union[str, Sequence[str]]) -> Any:
        """What is known of a job, or of up to 100 of them."""
        return self._run(calls.status(self._session, job))

    def result(self, job: str, wait_s: float = 0) -> Optional[Result]:
        """How a job ended, waiting up to 60 s for it; None while it has not. `Result.check()`
        raises when that was not well."""
        return self._run(calls.result(self._session, job, wait_s))

    def wait(self, job: str, timeout: Optional[float] = None) -> Optional[Result]:
        """The result of a job when it has ended; None after `timeout` seconds. JobFailed when it
        did not end well."""
        return self._run(calls.wait(self._session, job, timeout))

    def cancel(self, job: str, reason: Optional[str] = None) -> str:
        """Ends a job, or a batch with all its items; returns its state."""
        body = {"job": job, "reason": reason}
        return self._run(calls.plain(self._session, "cancel", "ok", body, "state"))

    def detach(self, job: str) -> None:
        """This connection reads the job no more."""
        self._run(calls.plain(self._session, "detach", "ok", {"job": job}))

    def ack(self, job: str) -> None:
        """The result was received and may be dropped."""
        self._run(calls.plain(self._session, "ack", "ok", {"job": job}))

    def list(self, *, state: Optional[Sequence[str]] = None, batch: Optional[str] = None,
             limit: Optional[int] = None, cursor: Optional[str] = None) -> JobPage:
        """One page of jobs, newest first."""
        return self._run(calls.list_jobs(self._session, state, batch, limit, cursor))

    def jobs(self, *, state: Optional[Sequence[str]] = None,
             batch: Optional[str] = None) -> Iterator[Dict[str, Any]]:
        """All jobs, page by page."""
        cursor: Optional[str] = None
        while True:
            page = self.list(state=state, batch=batch, cursor=cursor)
            yield from page.jobs
            cursor = page.cursor
            if cursor is None:
                return

    # The daemon ---------------------------------------------------------------------------------

    def hello(self) -> Welcome:
        """Limits, role and state. The client says hello by itself before its first request."""
        return self._run(flows.hello(self._session))

    def ping(self) -> Mapping[str, Any]:
        """Its state and epoch, at once."""
        return self._run(calls.plain(self._session, "ping", "pong", {}))

    def ask(self, kind: str, body: Optional[Mapping[str, Any]] = None) -> Mapping[str, Any]:
        """Any request with one reply, as docs/protocol.md has it: the reply's body."""
        return self._run(calls.plain(self._session, kind, None, body or {}))

    def models(self) -> List[Dict[str, Any]]:
        """The loaded models."""
        return self._run(calls.plain(self._session, "models", "models", {}, "models"))

    def tokenize(self, text: str, model: Optional[str] = None) -> List[int]:
        """The ids that a user's text is to a model."""
        return self._run(calls.plain(self._session, "tokenize", "tokens", {"text": text, "model": model}, "tokens"))

    def detokenize(self, tokens: Sequence[int], model: Optional[str] = None) -> str:
        """The text of ids."""
        return self._run(calls.plain(self._session, "detokenize", "tokens", {"tokens": list(tokens), "model": model}, "text"))

    def stats(self) -> Dict[str, Any]:
        """Figures of every part of the pipeline."""
        return self._run(calls.plain(self._session, "stats", "stats", {}))

    def metrics(self) -> str:
        """All metrics in Prometheus' text format."""
        return self._run(calls.plain(self._session, "metrics", "metrics", {}, "text"))

    def reload(self, dry_run: bool = False) -> Dict[str, Any]:
        """Reads the configuration again (role admin, as the rest): what changed."""
        body = {"dry_run": dry_run}
        return self._run(calls.plain(self._session, "reload", "ok", body))

    def profile(self, name: Optional[str] = None) -> Dict[str, Any]:
        """The active and the available profiles; with a name, uses that one."""
        return self._run(calls.plain(self._session, "profile", "ok", {"name": name}))

    def drain(self, timeout_s: Optional[int] = None) -> Dict[str, Any]:
        """Takes no more jobs."""
        return self._run(calls.plain(self._session, "drain", "ok", {"timeout_s": timeout_s}))

    def undrain(self) -> Dict[str, Any]:
        """Takes jobs again."""
        return self._run(calls.plain(self._session, "undrain", "ok", {}))

    # Carrying out flows -------------------------------------------------------------------------

    def _run(self, flow: Flow) -> Any:
        """Carries a flow out to its end."""
        outcome = None
        while True:
            try:
                command = flow.send(outcome)
            except StopIteration as end:
                return end.value
            outcome = self._do(command)

    def _do(self, command: flows.Command) -> Any:
        if isinstance(command, Send):
            try:
                self._socket.send_multipart(request_frames(command.kind, command.id, command.body))
            except zmq.Again:
                raise Unreachable("the daemon takes no messages") from None
        elif isinstance(command, Receive):
            return self._receive(command)
        elif isinstance(command, Sleep):
            time.sleep(command.seconds)
        return None

    def _receive(self, command: Receive) -> Any:
        """Reads the socket until this inbox has something; other inboxes are served meanwhile."""
        end = time.monotonic() + command.timeout
        while not command.inbox.replies:
            left = max(0.0, end - time.monotonic())
            if not self._socket.poll(int(left * 1000) + 1):
                return None
            self._session.deliver(parse_reply(self._socket.recv_multipart()))
        return command.inbox.replies.popleft()


class Stream:
    """An answer in the making: iterate over its Deltas, once. Afterwards `result` has the Result.
    Closing it early (also by leaving a `with` block) cancels the job unless it is durable."""

    def __init__(self, client: Client, flow: Flow):
        self._client = client
        self._flow = flow
        self._ended = False
        self.accepted: Optional[Accepted] = None
        self.result: Optional[Result] = None

    def __iter__(self) -> Iterator[Delta]:
        outcome = None
        while True:
            try:
                command = self._flow.send(outcome)
            except StopIteration as end:
                self._ended = True
                self.result = end.value if isinstance(end.value, Result) else self.result
                return
            except BitnetError:
                self._ended = True
                raise
            outcome = None
            if isinstance(command, Emit) and isinstance(command.item, Accepted):
                self.accepted = command.item
            elif isinstance(command, Emit):
                yield command.item
            else:
                outcome = self._client._do(command)

    def text(self) -> str:
        """Reads to the end; the whole text."""
        for _ in self:
            pass
        return self.result.text if self.result and self.result.text else ""

    def close(self) -> None:
        """Stops reading."""
        self._flow.close()
        unwanted = not self._ended and self.accepted is not None and not self.accepted.durable
        self._ended = True
        if unwanted:
            self._client.cancel(self.accepted.job, "the client stopped reading")

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
