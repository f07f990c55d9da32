# SPDX-License-Identifier: MIT
"""Client of bitnetd, written from docs/protocol.md.

    from bitnet_client import Client

    with Client() as client:
        print(client.chat("What is a daemon?").text)

`Client` is for scripts and threads (one client per thread), `AsyncClient` has the same methods for
asyncio. Both need pyzmq and nothing else.
"""
from .aio import AsyncClient, AsyncStream
from .client import Client, Stream
from .errors import (BitnetError, DaemonError, JobFailed, LimitExceeded, ProtocolError,
                     RequestRefused, Unreachable)
from .messages import Accepted, Delta, JobPage, Result, Welcome
from .protocol import VERSION as __version__

__all__ = ["Accepted", "AsyncClient", "AsyncStream", "BitnetError", "Client", "DaemonError",
           "Delta", "JobFailed", "JobPage", "LimitExceeded", "ProtocolError", "RequestRefused",
           "Result", "Stream", "Unreachable", "Welcome", "__version__"]
