#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""One figure of the engine beside other engines', run in turn on one machine.

    tests/bench/engine_figures.py decode --model 2b.gguf --head screened \\
        --peer 'ik q8_0=/opt/ik/bin 2b-q8_0.gguf -rtr 1' --peer 'ik f16=/opt/ik/bin 2b-f16.gguf'

A peer is a label, the folder with its llama-bench and llama-batched-bench, its model file of the
same shape, and options of its own. Each round runs every engine once, who begins changes; a ratio
is taken within a round, and its median and quartiles are printed, with our share of the limit that
`bitnet-model bench` measured in the same run. Peers may be left out: ours and the limit stay.

    prefill    a prompt of 512 tokens                    tokens per second
    decode     one sequence                              tokens per second
    batch      --sequences at once, behind 16 tokens     tokens per second, all together
    neighbour  one sequence with one busy process on the machine: --threads against one thread
    load       start of the process to its first token   seconds
"""
import argparse
import csv
import json
import os
import re
import shlex
import statistics
import subprocess
import sys
import time

from alternate import quartiles

HERE = os.path.dirname(os.path.abspath(__file__))
TOOL = os.path.join(HERE, "../../build/release/clients/bitnet_model/bitnet-model")


def run(command, timeout=1200):
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode != 0:
        sys.exit(f"engine_figures.py: exit status {done.returncode} of: {shlex.join(command)}\n{done.stderr[-500:]}")
    return done


class Ours:
    label = "bitnetd"

    def __init__(self, chosen, threads=None):
        self.threads = threads or chosen.threads
        self.chosen = chosen
        self.shares, self.limits = [], []

    def bench(self, *what):
        chosen = self.chosen
        found = json.loads(run([chosen.tool, "bench", "-m", chosen.model, "-t", str(self.threads), "-r", "1", "-o", "json",
                                "--head", chosen.head, "--isa", chosen.isa, *shlex.split(chosen.options), *what]).stdout)[-1]
        memory, integer = found["gb_per_s"] / found["limit_gb_per_s"], found["top_per_s"] / found["limit_top_per_s"]
        self.shares.append(max(memory, integer))
        self.limits.append("%.1f GB/s" % found["limit_gb_per_s"] if memory > integer else "%.2f Top/s" % found["limit_top_per_s"])
        return found["median_ts"]

    def prefill(self):
        return self.bench("-p", "512", "-n", "0")

    def decode(self):
        return self.bench("-p", "0", "-n", str(self.chosen.tokens))

    def batch(self):
        return self.bench("-p", "0", "-n", "24", "-d", "16", "-s", str(self.chosen.sequences))

    def load(self):
        began = time.monotonic()
        run([self.chosen.tool, "generate", "-m", self.chosen.model, "-t", str(self.threads), "--head", self.chosen.head, "-n", "1", "-p", "a"])
        return time.monotonic() - began


class Peer:
    """llama-bench and llama-batched-bench, as llama.cpp and what grew from it have them."""

    def __init__(self, text, chosen):
        self.label, _, rest = text.partition("=")
        self.folder, self.model, *self.options = shlex.split(rest)
        self.chosen = chosen
        self.threads = chosen.threads

    def bench(self, *what):
        out = run([self.folder + "/llama-bench", "-m", self.model, "-t", str(self.threads), "-r", "1", "-o", "json", *self.options, *what]).stdout
        return float(re.findall(r'"avg_ts": *([0-9.]+)', out)[-1])

    def prefill(self):
        return self.bench("-p", "512", "-n", "0")

    def decode(self):
        return self.bench("-p", "0", "-n", str(self.chosen.tokens))

    def batch(self):
        n = str(self.chosen.sequences)
        # llama-bench takes a value where this one takes a flag
        flags = [o for o in self.options if o not in ("0", "1")]
        done = run([self.folder + "/llama-batched-bench", "-m", self.model, "-t", str(self.threads), "-c", "8192", "-b", "2048", "-ub", "512",
                    "-npp", "16", "-ntg", "24", "-npl", n, *flags])
        lines = (done.stdout + done.stderr).splitlines()  # which of them has the table depends on the engine
        row = [line.split("|") for line in lines if re.match(r"\|\s*16 \|", line)][-1]
        return float(row[8])

    def load(self):
        began = time.monotonic()
        self.bench("-p", "1", "-n", "0", "-w", "0")
        return time.monotonic() - began


class BusyProcess:
    """Something else that wants one core, of our own priority, free to move."""

    def __enter__(self):
        self.process = subprocess.Popen([sys.executable, "-c", "while True: pass"])

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def rounds_of(engines, figure, n):
    """[round][engine]: the engines in turn, another first in each round."""
    rows = []
    for i in range(n):
        row = [None] * len(engines)
        for at in range(len(engines)):
            k = (at + i) % len(engines)
            row[k] = getattr(engines[k], figure)()
        rows.append(row)
        print("round %d: %s" % (i + 1, ", ".join("%s %.2f" % (e.label, v) for e, v in zip(engines, row))), file=sys.stderr)
    return rows


def table(engines, rows, smaller_is_better):
    print("| engine | first quartile | median | third quartile | ours against it (quartiles) |\n|---|---:|---:|---:|---:|")
    for k, engine in enumerate(engines):
        ratios = [row[k] / row[0] if smaller_is_better else row[0] / row[k] for row in rows]
        low, middle, high = quartiles(ratios)
        print("| %s | %.2f | **%.2f** | %.2f | %s |" % (engine.label, *quartiles([row[k] for row in rows]),
                                                        "" if k == 0 else "%.2f (%.2f - %.2f)" % (middle, low, high)))
    ours = engines[0]
    if ours.shares:
        limits = sorted(ours.limits, key=lambda text: float(text.split()[0]))
        print("ours: %.0f %% of the limit (quartiles %.0f - %.0f %%), which was %s in the median run" %
              (100 * statistics.median(ours.shares), *(100 * q for q in quartiles(ours.shares)[::2]), limits[len(limits) // 2]))


def keep(engines, rows, chosen):
    """Every value of every round, appended as CSV: name of the figure, engine, round, value."""
    with open(chosen.rows, "a", encoding="utf-8", newline="") as f:
        out = csv.writer(f)
        for i, row in enumerate(rows):
            for engine, value in zip(engines, row):
                out.writerow([chosen.name or chosen.figure, engine.label, i + 1, "%.2f" % value])


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("figure", choices=["prefill", "decode", "batch", "neighbour", "load"])
    options.add_argument("--model", required=True, help="for bitnet-model")
    options.add_argument("--tool", default=TOOL, help="bitnet-model")
    options.add_argument("--threads", type=int, default=os.cpu_count())
    options.add_argument("--sequences", type=int, default=8)
    options.add_argument("--tokens", type=int, default=64, help="of decode and neighbour")
    options.add_argument("--head", default="screened")
    options.add_argument("--isa", default="auto")
    options.add_argument("--options", default="", help="more for bitnet-model bench")
    options.add_argument("--peer", action="append", default=[])
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("--rows", help="a CSV file that every value is appended to")
    options.add_argument("--name", help="of the figure in that file")
    chosen = options.parse_args()

    if chosen.figure == "neighbour":
        alone = Ours(chosen, 1)
        alone.label = "bitnetd, one thread"
        engines = [Ours(chosen), alone] + [Peer(text, chosen) for text in chosen.peer]
        with BusyProcess():
            rows = rounds_of(engines, "decode", chosen.rounds)
    else:
        engines = [Ours(chosen)] + [Peer(text, chosen) for text in chosen.peer]
        rows = rounds_of(engines, chosen.figure, chosen.rounds)
    table(engines, rows, chosen.figure == "load")
    if chosen.rows:
        keep(engines, rows, chosen)


if __name__ == "__main__":
    main()
