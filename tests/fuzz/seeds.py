#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes what a fuzzer begins with.   seeds.py wire|conf|gguf|safetensors|tokenizer FOLDER

wire: the transcripts' requests, as frames with their lengths in front. conf: the shipped configuration with each of its profiles, and
keys, divided by bytes of zero. The others: tests/support/small_models.py. All of them also what earlier runs found worth keeping (corpus/).
"""
import glob
import hashlib
import itertools
import json
import os
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
sys.path.insert(0, os.path.join(ROOT, "tests/support"))

import small_models  # noqa: E402  (the path is set above)

KEYS = b"# laptop\nrq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7\n"


def read(path):
    with open(path, "rb") as f:
        return f.read()


def wire():
    for path in glob.glob(os.path.join(ROOT, "tests/protocol/transcripts/*.json")):
        kind = os.path.basename(path)[:-len(".json")].encode()
        bodies = [json.dumps(entry["body"]).encode() for entry in json.loads(read(path))]
        for body in bodies + [b"", b"{}", b'{"a":' * 40]:
            for frames in ((b"BN1", kind, b"1", body), (b"", b"BN1", kind, b"1", body)):
                if len(body) < 60000:
                    yield b"".join(len(f).to_bytes(2, "little") + f for f in frames)


def conf():
    main = read(os.path.join(ROOT, "conf/bitnetd.yaml"))
    uncommented = b"\n".join(line[1:] if line.startswith(b"#-") else line for line in main.split(b"\n"))
    for profile in glob.glob(os.path.join(ROOT, "conf/profiles/*.yaml")):
        for text in (main, uncommented, b"models: [{name: a, path: b}]\nprofile: test\n"):
            yield b"\0".join((text, read(profile), KEYS))


def kept(kind):
    """A row of inputs, each behind its length in four bytes."""
    path = os.path.join(ROOT, "tests/fuzz/corpus", kind)
    row = read(path) if os.path.exists(path) else b""
    while row:
        size = int.from_bytes(row[:4], "little")
        yield row[4:4 + size]
        row = row[4 + size:]


def write(kind, folder):
    made = {"wire": wire, "conf": conf, "gguf": small_models.gguf_files, "safetensors": small_models.folders, "tokenizer": small_models.tokenizers}
    for data in itertools.chain(made[kind](), kept(kind)):
        with open(os.path.join(folder, hashlib.sha1(data).hexdigest()), "wb") as f:
            f.write(data)


if __name__ == "__main__":
    write(*sys.argv[1:])
