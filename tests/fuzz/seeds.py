#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes what a fuzzer begins with.   seeds.py wire|conf FOLDER

wire: the transcripts' requests, as frames with their lengths in front. conf: the shipped configuration with each of its profiles, and
keys, divided by bytes of zero.
"""
import glob
import hashlib
import json
import os
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
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


def write(kind, folder):
    for data in {"wire": wire, "conf": conf}[kind]():
        with open(os.path.join(folder, hashlib.sha1(data).hexdigest()), "wb") as f:
            f.write(data)


if __name__ == "__main__":
    write(*sys.argv[1:])
