#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Predicted and taken memory, and speed, of models of published shapes.   shapes.py BITNET_MODEL SHAPE…

Prints a row of a table for each; status 1 when one of them takes 10 % more or less than predicted.
"""
import os
import re
import subprocess
import sys
import tempfile
import time

NEW_TOKENS = 32
MIB = 1 << 20


def run(*command):
    """Output, the most memory it held, and seconds."""
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(command, stdout=out)
        _, status, used = os.wait4(process.pid, 0)
        out.seek(0)
        text = out.read()
    if status != 0:
        sys.exit("shapes: %s: status %d" % (" ".join(command), status))
    return text, used.ru_maxrss * 1024, time.monotonic() - began


def predicted(inspected):
    """Bytes of all that a run of a few tokens holds: everything but the keys and values of the whole context."""
    line = re.search(r"^memory: .*$", inspected, re.MULTILINE).group(0)
    parts = dict((name, int(n) * MIB) for n, name in re.findall(r"(\d+) MiB (weights|buffers|program and vocabulary)", line))
    per_token = int(re.search(r"^KV cache: +(\d+) bytes per token", inspected, re.MULTILINE).group(1))
    return sum(parts.values()) + 2 * NEW_TOKENS * per_token


def main(program, *shapes):
    good = True
    print("| shape | file | memory predicted | taken | off by | tokens/s predicted (at most) | loading and %d tokens |" % NEW_TOKENS)
    for shape in shapes:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, shape + ".gguf")
            run(program, "synth", "--shape", shape, "--out", path)
            told, _, _ = run(program, "inspect", path)
            _, taken, seconds = run(program, "generate", "-m", path, "-p", "hello", "-n", str(NEW_TOKENS), "--ignore-eos", "--head", "screened", "--kv", "f16")
            expected = predicted(told)
            off = taken / expected - 1
            speed = re.search(r"about ([0-9.]+) tokens/s", told).group(1)
            print("| %s | %d MiB | %d MiB | %d MiB | %+.1f %% | %s | %.1f s |" % (
                shape, os.path.getsize(path) / MIB, expected / MIB, taken / MIB, 100 * off, speed, seconds), flush=True)
            good = good and abs(off) <= 0.10
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
