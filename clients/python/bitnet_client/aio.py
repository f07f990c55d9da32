# SPDX-License-Identifier: MIT
"""The client for asyncio."""
from __future__ import annotations

import asyncio
from typing import Any, AsyncIterator, Dict, List, Mapping, Optional, Sequence, Union

import zmq
import zmq.asyncio

from . import calls, flows
from .errors import BitnetError, ProtocolError, Unreachable
from .flows import Emit, Flow, Receive, Send, Session, Sleep
from .messages import Accepted, Delta, JobPage, Result, Welcome
from .protocol import endpoint, parse_reply, request_frames, use_keys
from .requests import Item, Messages


class AsyncClient:
    """As `Client`, with the same arguments and options, for any number of tasks of one event loop.

        async with AsyncClient() as client:
            answers = await asyncio.gather(*(client.chat(q) for q in questions))
    """

    def __init__(self, address: Optional[str] = None, *, timeout: float = 30.0,
                 retry_for: float = 60.0, heartbeat: float = 5.0, key: Optional[str] = None,
                 server_key: Optional[str] = None):
        self.address = endpoint(address)
        self._session = Session(timeout, retry_for, heartbeat)
        self._socket = zmq.asyncio.Context.instance().socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.SNDTIMEO, max(1, int(timeout * 1000)))
        use_keys(self._socket, key, server_key)
        self._socket.connect(self.address)
        self._reader: Optional["asyncio.Task[None]"] = None

    async def close(self) -> None:
        """Closes the connection; durable jobs go on."""
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        self._socket.close()

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.close()

    # Jobs ---------------------------------------------------------------------------------------

    async def submit(self, mode: str = "job", **options: Any) -> Union[Accepted, Result]:
        """As `Client.submit`."""
        if mode == "stream":
            raise ValueError("mode stream: use stream()")
        return await self._run(calls.submit(self._session, mode, options))

    def stream(self, prompt: Optional[str] = None, *, messages: Optional[Messages] = None,
               **options: Any) -> "AsyncStream":
        """As `Client.stream`; iterate with `async for`."""
        options.update(prompt=prompt, messages=messages)
        return AsyncStream(self, calls.submit(self._session, "stream", options))

    def attach(self, job: str, off: int = 0, *, credit: int = 64,
               timeout: Optional[float] = None) -> "AsyncStream":
        """As `Client.attach`."""
        return AsyncStream(self, flows.attach(self._session, job, off, credit, timeout))

    async def items(self, job: str, *, order: str = "completion",
                    off: int = 0) -> AsyncIterator[Result]:
        """As `Client.items`."""
        async for item in AsyncStream(self, flows.items(self._session, job, order, off)):
            yield item

    async def chat(self, messages: Messages, **options: Any) -> Result:
        """The answer to a chat."""
        options["messages"] = messages
        return await self._run(calls.submit(self._session, "sync", options))

    async def complete(self, prompt: str, **options: Any) -> Result:
        """The continuation of a text."""
        options["prompt"] = prompt
        return await self._run(calls.submit(self._session, "sync", options))

    async def embed(self, texts: Union[str, Sequence[str]], **options: Any) -> Any:
        """The unit vector of a text, or a list of them for a list of texts."""
        return await self._run(calls.embed(self._session, texts, options))

    async def batch(self, items: Sequence[Item], **options: Any) -> List[Result]:
        """As `Client.batch`."""
        return await self._run(calls.batch(self._session, items, "job", options))

    async def status(self, job: Union[str, Sequence[str]]) -> Any:
        """What is known of a job, or of up to 100 of them."""
        return await self._run(calls.status(self._session, job))

    async def result(self, job: str, wait_s: float = 0) -> Optional[Result]:
        """As `Client.result`."""
        return await self._run(calls.result(self._session, job, wait_s))

    async def wait(self, job: str, timeout: Optional[float] = None) -> Optional[Result]:
        """As `Client.wait`."""
        return await self._run(calls.wait(self._session, job, timeout))

    async def cancel(self, job: str, reason: Optional[str] = None) -> str:
        """Ends a job, or a batch with all its items; returns its state."""
        body = {"job": job, "reason": reason}
        return await self._run(calls.plain(self._session, "cancel", "ok", body, "state"))

    async def detach(self, job: str) -> None:
        """As `Client.detach`."""
        await self._run(calls.plain(self._session, "detach", "ok", {"job": job}))

    async def ack(self, job: str) -> None:
        """The result was received and may be dropped."""
        await self._run(calls.plain(self._session, "ack", "ok", {"job": job}))

    async def list(self, *, state: Optional[Sequence[str]] = None, batch: Optional[str] = None,
                   limit: Optional[int] = None, cursor: Optional[str] = None) -> JobPage:
        """One page of jobs, newest first."""
        return await self._run(calls.list_jobs(self._session, state, batch, limit, cursor))

    async def jobs(self, *, state: Optional[Sequence[str]] = None,
                   batch: Optional[str] = None) -> AsyncIterator[Dict[str, Any]]:
        """All jobs, page by page."""
        cursor: Optional[str] = None
        while True:
            page = await self.list(state=state, batch=batch, cursor=cursor)
            for job in page.jobs:
                yield job
            cursor = page.cursor
            if cursor is None:
                return

    # The daemon ---------------------------------------------------------------------------------

    async def hello(self) -> Welcome:
        """Limits, role and state."""
        return await self._run(flows.hello(self._session))

    async def ping(self) -> Mapping[str, Any]:
        """Its state and epoch, at once."""
        return await self._run(calls.plain(self._session, "ping", "pong", {}))

    async def models(self) -> List[Dict[str, Any]]:
        """The loaded models."""
        return await self._run(calls.plain(self._session, "models", "models", {}, "models"))

    async def tokenize(self, text: str, model: Optional[str] = None) -> List[int]:
        """The ids that a user's text is to a model."""
        return await self._run(calls.plain(self._session, "tokenize", "tokens", {"text": text, "model": model}, "tokens"))

    async def detokenize(self, tokens: Sequence[int], model: Optional[str] = None) -> str:
        """The text of ids."""
        return await self._run(calls.plain(self._session, "detokenize", "tokens", {"tokens": list(tokens), "model": model}, "text"))

    async def stats(self) -> Dict[str, Any]:
        """Figures of every part of the pipeline."""
        return await self._run(calls.plain(self._session, "stats", "stats", {}))

    async def metrics(self) -> str:
        """All metrics in Prometheus' text format."""
        return await self._run(calls.plain(self._session, "metrics", "metrics", {}, "text"))

    async def reload(self, dry_run: bool = False) -> Dict[str, Any]:
        """Reads the configuration again (role admin, as the rest): what changed."""
        body = {"dry_run": dry_run}
        return await self._run(calls.plain(self._session, "reload", "ok", body))

    async def profile(self, name: Optional[str] = None) -> Dict[str, Any]:
        """The active and the available profiles; with a name, uses that one."""
        return await self._run(calls.plain(self._session, "profile", "ok", {"name": name}))

    async def drain(self, timeout_s: Optional[int] = None) -> Dict[str, Any]:
        """Takes no more jobs."""
        body = {"timeout_s": timeout_s}
        return await self._run(calls.plain(self._session, "drain", "ok", body))

    async def undrain(self) -> Dict[str, Any]:
        """Takes jobs again."""
        return await self._run(calls.plain(self._session, "undrain", "ok", {}))

    # Carrying out flows -------------------------------------------------------------------------

    async def _run(self, flow: Flow) -> Any:
        """Carries a flow out to its end."""
        outcome = None
        try:
            while True:
                command = flow.send(outcome)
                outcome = await self._do(command)
        except StopIteration as end:
            return end.value
        finally:
            flow.close()  # a cancelled task waits for nothing any more

    async def _do(self, command: flows.Command) -> Any:
        if self._reader is None:
            self._reader = asyncio.create_task(self._read())
        if isinstance(command, Send):
            try:
                await self._socket.send_multipart(
                    request_frames(command.kind, command.id, command.body))
            except zmq.Again:
                raise Unreachable("the daemon takes no messages") from None
        elif isinstance(command, Receive):
            return await self._receive(command)
        elif isinstance(command, Sleep):
            await asyncio.sleep(command.seconds)
        return None

    async def _read(self) -> None:
        """Delivers whatever arrives."""
        while True:
            frames = await self._socket.recv_multipart()
            try:
                self._session.deliver(parse_reply(frames))
            except ProtocolError:
                pass  # who waits for it runs into a timeout

    async def _receive(self, command: Receive) -> Any:
        arrived = asyncio.Event()
        command.inbox.wake = arrived.set
        if not command.inbox.replies:
            try:
                await asyncio.wait_for(arrived.wait(), command.timeout)
            except asyncio.TimeoutError:
                return None
        return command.inbox.replies.popleft()


class AsyncStream:
    """As `Stream`, for `async for` and `async with`."""

    def __init__(self, client: AsyncClient, flow: Flow):
        self._client = client
        self._flow = flow
        self._ended = False
        self.accepted: Optional[Accepted] = None
        self.result: Optional[Result] = None

    async def __aiter__(self) -> AsyncIterator[Delta]:
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
                outcome = await self._client._do(command)

    async def text(self) -> str:
        """Reads to the end; the whole text."""
        async for _ in self:
            pass
        return self.result.text if self.result and self.result.text else ""

    async def close(self) -> None:
        """Stops reading."""
        self._flow.close()
        unwanted = not self._ended and self.accepted is not None and not self.accepted.durable
        self._ended = True
        if unwanted:
            await self._client.cancel(self.accepted.job, "the client stopped reading")

    async def __aenter__(self) -> "AsyncStream":
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.close()
