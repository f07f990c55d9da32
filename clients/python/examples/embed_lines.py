#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Embeds each line of standard input.

    embed_lines.py [--socket PATH] [--model NAME] [--nearest TEXT] [--prefix PREFIX] < LINES

Writes one line of JSON per line, {"text", "embedding"}. With --nearest instead the lines themselves, those
closest to TEXT first, with their similarity. PREFIX is the model's instruction for queries: it stands before
TEXT, or without --nearest before every line. Lines go out 256 at a time, several requests at once (asyncio).
"""
import argparse
import asyncio
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from bitnet_client import AsyncClient, BitnetError  # noqa: E402

LINES_AT_ONCE = 256


async def embed_all(client, lines, **options):
    """The vectors of all lines, in their order."""
    parts = [lines[i:i + LINES_AT_ONCE] for i in range(0, len(lines), LINES_AT_ONCE)]
    vectors = await asyncio.gather(*(client.embed(part, **options) for part in parts))
    return [vector for part in vectors for vector in part]


async def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--socket", help="endpoint or path of the daemon's front socket")
    options.add_argument("--model")
    options.add_argument("--nearest", metavar="TEXT")
    options.add_argument("--prefix")
    given = options.parse_args()
    lines = [line.rstrip("\n") for line in sys.stdin if line.strip()]
    async with AsyncClient(given.socket) as client:
        asked = {"model": given.model, "prefix": given.prefix}
        vectors = await embed_all(client, lines, **(asked if given.nearest is None else {"model": given.model}))
        if given.nearest is None:
            for line, vector in zip(lines, vectors):
                print(json.dumps({"text": line, "embedding": vector}, ensure_ascii=False))
            return
        wanted = await client.embed(given.nearest, **asked)
    # Unit vectors: their product is the cosine.
    scored = [(sum(a * b for a, b in zip(wanted, v)), line) for line, v in zip(lines, vectors)]
    for similarity, line in sorted(scored, reverse=True):
        print("%.4f  %s" % (similarity, line))


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except BitnetError as error:
        sys.exit("embed_lines.py: %s" % error)
