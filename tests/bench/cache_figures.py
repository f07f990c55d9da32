#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints every figure that docs/cache.md has, with a daemon of its own for those that need one.

    tests/bench/cache_figures.py [--requests 12000] [--long] [--csv FILE] [--plot FILE]

Needs cachebench, hitbench, bitnetd and bitnetctl built; BITNETD_BUILD names the build folder. Exit
status 1 when a promised share of wrong hits was exceeded or a program failed.
"""
import argparse
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../system"))

from harness import BUILD, Daemon  # noqa: E402  (the path is set above)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", default="24000", help="per stream")
    parser.add_argument("--seeds", default="1,2,3", help="one stream each")
    parser.add_argument("--pairs", default="15", help="runs of hits and of the echo")
    parser.add_argument("--long", action="store_true", help="a million entries too")
    parser.add_argument("--csv", help="writes every row of the streams")
    parser.add_argument("--plot", help="writes hits against wrong hits (SVG)")
    asked = parser.parse_args()

    command = [os.path.join(BUILD, "tests/bench/cachebench"), "--all", "--gate",
               "--requests", asked.requests, "--seeds", asked.seeds]
    command += ["--long"] if asked.long else []
    command += ["--csv", asked.csv] if asked.csv else []
    command += ["--plot", asked.plot] if asked.plot else []
    failed = subprocess.run(command, check=False).returncode != 0

    print("\n## Exact hits through the whole pipeline", flush=True)
    daemon = Daemon()
    try:
        failed |= subprocess.run([os.path.join(BUILD, "tests/bench/hitbench"), "--endpoint", daemon.socket(),
                                  "--pairs", asked.pairs, "--echo", "ipc://" + daemon.path("run", "echo")],
                                 check=False).returncode != 0
    finally:
        daemon.close()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
