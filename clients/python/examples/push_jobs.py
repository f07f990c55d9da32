#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Pushes a file of jobs and writes their answers, in the same order.

    push_jobs.py [--socket PATH] [--model NAME] [--max-tokens N] [JOBS.jsonl [ANSWERS.jsonl]]

Each line of JOBS is an object with "prompt", "messages" or "input", and perhaps "custom_id". Each line of
ANSWERS has "custom_id" or "index" (the number of the line), "state", and "text" or "embedding" or "error".
The jobs are durable and their key is made from the file's content: started again after an interruption, the
script takes up the same jobs instead of running them twice. Exit status 1 when a job did not end well.
"""
import argparse
import hashlib
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from bitnet_client import BitnetError, Client  # noqa: E402


def read_jobs(file):
    """The items, and a key that is the same for the same file."""
    items, digest = [], hashlib.blake2b(digest_size=16)
    for number, line in enumerate(file, 1):
        digest.update(line.encode("utf-8"))
        if not line.strip():
            continue
        try:
            item = json.loads(line)
        except ValueError as error:
            sys.exit("push_jobs.py: line %d: not JSON: %s" % (number, error))
        if not isinstance(item, dict):
            sys.exit("push_jobs.py: line %d: expected an object" % number)
        items.append(item)
    return items, digest.hexdigest()


def answer_line(index, result):
    """One line of the output file."""
    line = {"custom_id": result.custom_id} if result.custom_id else {"index": index}
    line["state"] = result.state
    for name in ("text", "embedding", "finish", "error"):
        value = getattr(result, name)
        if value is not None:
            line[name] = value
    if result.cache.get("status"):
        line["cache"] = result.cache["status"]
    return json.dumps(line, ensure_ascii=False)


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("jobs", nargs="?", type=argparse.FileType("r", encoding="utf-8"),
                         default=sys.stdin)
    options.add_argument("answers", nargs="?", type=argparse.FileType("w", encoding="utf-8"),
                         default=sys.stdout)
    options.add_argument("--socket", help="endpoint or path of the daemon's front socket")
    options.add_argument("--model")
    options.add_argument("--max-tokens", type=int)
    given = options.parse_args()
    items, key = read_jobs(given.jobs)
    if not items:
        return 0
    with Client(given.socket) as client:
        results = client.batch(items, key="push-jobs-" + key, model=given.model,
                               max_tokens=given.max_tokens)
    for index, result in enumerate(results):
        print(answer_line(index, result), file=given.answers)
    good = sum(result.ok for result in results)
    hits = sum(result.cache.get("status") in ("HIT", "COALESCED") for result in results)
    print("%d jobs: %d done, %d not; %d of them cached" % (len(results), good, len(results) - good,
                                                           hits), file=sys.stderr)
    return 0 if good == len(results) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BitnetError as error:
        sys.exit("push_jobs.py: %s" % error)
