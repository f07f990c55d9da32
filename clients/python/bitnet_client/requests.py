# SPDX-License-Identifier: MIT
"""Bodies of requests, and the limits that can be checked before anything is sent."""
from __future__ import annotations

from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Union

from .errors import LimitExceeded
from .protocol import encode_body

Messages = Union[str, Sequence[Mapping[str, str]]]
Item = Union[str, Mapping[str, Any]]

# Fields of `params`; what else the caller gives is a field of the submit itself.
PARAMS = frozenset(["max_tokens", "temperature", "top_k", "top_p", "min_p", "repetition_penalty",
                    "seed", "stop", "logit_bias", "ignore_eos"])
ROOM_FOR_FIELDS = 512  # of a submit beside items and options: key, mode, wait and JSON's own signs


def submit_body(kind: str, content: Any, mode: str, options: Mapping[str, Any]) -> Dict[str, Any]:
    """The body of a submit. Options may name `params` as a whole or its fields one by one; those
    that are None are left out."""
    body: Dict[str, Any] = {kind: content, "mode": mode}
    params = dict(options.get("params") or {})
    for name, value in options.items():
        if value is None or name == "params":
            continue
        if name in PARAMS:
            params[name] = value
        else:
            # `class` is a word of Python, so `class_` is taken too.
            body["class" if name == "class_" else name] = value
    if params:
        body["params"] = params
    return body


def as_messages(messages: Messages) -> List[Mapping[str, str]]:
    """A plain text is one message of the user."""
    if isinstance(messages, str):
        return [{"role": "user", "content": messages}]
    return list(messages)


def as_item(item: Item) -> Mapping[str, Any]:
    """A plain text is a prompt."""
    return {"prompt": item} if isinstance(item, str) else item


def check_limits(encoded: bytes, body: Mapping[str, Any], limits: Mapping[str, int]) -> None:
    """Raises LimitExceeded for what the daemon said in its `welcome` that it will not take."""
    def check(what: str, field: str, value: int, limit: Optional[int]) -> None:
        if limit is not None and value > limit:
            raise LimitExceeded("%s: %d, at most %d are allowed" % (what, value, limit), field,
                                limit)

    check("bytes of the request", "body", len(encoded), limits.get("body"))
    check("items of a batch", "items", len(body.get("items", ())), limits.get("batch_items"))
    max_tokens = body.get("params", {}).get("max_tokens")
    if isinstance(max_tokens, int):
        check("tokens to generate", "params.max_tokens", max_tokens, limits.get("max_tokens"))


def batches(items: Iterable[Item], options: Mapping[str, Any],
            limits: Mapping[str, int]) -> Iterator[List[Mapping[str, Any]]]:
    """Cuts items into lists that each fit one submit with these options: by number and by bytes."""
    most_items = max(1, min(limits.get("batch_items", 50000), limits.get("open_jobs", 10000)))
    other_bytes = len(encode_body(submit_body("items", [], "job", options))) + ROOM_FOR_FIELDS
    most_bytes = limits.get("body", 8 << 20) - other_bytes
    part: List[Mapping[str, Any]] = []
    size = 0
    for item in map(as_item, items):
        item_size = len(encode_body(item)) + 1
        if part and (len(part) >= most_items or size + item_size > most_bytes):
            yield part
            part, size = [], 0
        part.append(item)
        size += item_size
    if part:
        yield part
