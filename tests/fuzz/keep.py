#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Keeps a few inputs of a fuzzer's corpus for every build to replay.   keep.py gguf|safetensors|tokenizer FOLDER

The folder is build/fuzz/TARGET/corpus after a run: each input in it reached something new. The smallest come first, as far as 96 KiB go.
"""
import os
import sys

MOST_BYTES = 96 << 10


def main(target, folder):
    inputs = []
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), "rb") as f:
            inputs.append(f.read())
    row, n = b"", 0
    for data in sorted(inputs, key=len):
        if data and len(row) + len(data) <= MOST_BYTES:
            row += len(data).to_bytes(4, "little") + data
            n += 1
    os.makedirs(os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus"), exist_ok=True)
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus", target), "wb") as f:
        f.write(row)
    print("%d of %d inputs, %d bytes" % (n, len(inputs), len(row)))


if __name__ == "__main__":
    main(*sys.argv[1:])
