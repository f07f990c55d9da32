#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs two commands in turn and compares a figure that both print.

    tests/bench/alternate.py --pairs 15 \\
        --ours   'bitnet-model bench -m m.gguf -p 0 -n 64 -t 2 -r 1 -o json' \\
        --theirs 'llama-bench -m m.gguf -p 0 -n 64 -t 2 -r 1 -o json' \\
        [--figure '"(?:median_ts|avg_ts)": *([0-9.]+)'] [--raw rows.tsv] [--markdown]

A machine's memory and clocks change by the minute, the more so when others use it: runs that
alternate see the same changes, and so do their pairs' ratios, of which the median is what counts.
The figure is the first group of the regular expression, where it matches last in the output.
Exit status 1 when a command fails or prints no figure.
"""
import argparse
import re
import shlex
import statistics
import subprocess
import sys


def quartiles(values):
    """First quartile, median, third quartile; of one value, itself."""
    if len(values) == 1:
        return values * 3
    return statistics.quantiles(values, n=4, method="inclusive")


def figure_of(command, pattern, timeout):
    done = subprocess.run(shlex.split(command), capture_output=True, text=True, timeout=timeout,
                          check=False)
    found = re.findall(pattern, done.stdout + done.stderr)
    if done.returncode != 0 or not found:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-5:])
        sys.exit(f"alternate.py: no figure from: {command}\nexit status {done.returncode}; its last "
                 f"lines:\n{tail}")
    return float(found[-1])


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--ours", required=True)
    options.add_argument("--theirs", required=True)
    options.add_argument("--pairs", type=int, default=15)
    options.add_argument("--figure", default=r'"(?:median_ts|avg_ts)": *([0-9.]+)')
    options.add_argument("--timeout", type=float, default=600, help="seconds of one run")
    options.add_argument("--raw", help="file for all rows, tab-separated")
    options.add_argument("--markdown", action="store_true")
    chosen = options.parse_args()
    if chosen.pairs < 1:
        options.error("--pairs: at least 1")

    rows = []
    for pair in range(chosen.pairs):
        # Who goes first changes, too: the second finds warmer caches.
        order = [chosen.ours, chosen.theirs] if pair % 2 == 0 else [chosen.theirs, chosen.ours]
        figures = [figure_of(command, chosen.figure, chosen.timeout) for command in order]
        rows.append(figures if pair % 2 == 0 else figures[::-1])
        print(f"pair {pair + 1}: ours {rows[-1][0]:.2f}, theirs {rows[-1][1]:.2f}", file=sys.stderr)
    if chosen.raw:
        with open(chosen.raw, "w", encoding="utf-8") as out:
            out.write("ours\ttheirs\n" + "".join(f"{a}\t{b}\n" for a, b in rows))

    ours, theirs = zip(*rows)
    lines = [("ours", quartiles(list(ours))), ("theirs", quartiles(list(theirs))),
             ("ratio", quartiles([a / b for a, b in rows]))]
    if chosen.markdown:
        print(f"| {chosen.pairs} pairs | first quartile | median | third quartile |\n|---|---:|---:|---:|")
    for name, (first, median, third) in lines:
        if chosen.markdown:
            print(f"| {name} | {first:.2f} | {median:.2f} | {third:.2f} |")
        else:
            print(f"{name:7} {first:10.2f} {median:10.2f} {third:10.2f}")


if __name__ == "__main__":
    main()
