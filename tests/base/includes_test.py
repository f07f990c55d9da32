#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Proves that dependencies point one way, by the includes of every source file.

daemon -> actors -> {engine, store, conf} -> base; wire and the clients as docs/architecture.md says.
The rules are checked against a made-up offender first: a test that cannot fail proves nothing.
"""
import os
import re
import sys

LIBRARIES = {  # who may include what of the outside world
    "caf/": {"actors", "daemon"},
    "zmq": {"daemon", "clients"},
    "rocksdb/": {"store"},
    "yaml-cpp/": {"conf"},
    "oneapi/": {"engine"},
    "tbb/": {"engine"},
    "hwloc": {"engine", "conf"},
    "systemd/": {"daemon"},
    "simdjson": {"wire"},
}
FOLDERS = {  # who may include which folder of ours
    "base": {"base"},
    "engine": {"engine", "base"},
    "store": {"store", "base"},
    "conf": {"conf", "base"},
    "actors": {"actors", "engine", "store", "conf", "base"},
    "daemon": {"daemon", "wire", "actors", "engine", "store", "conf", "base"},
    "wire": {"wire", "base"},
    "clients/bitnetctl": {"clients/bitnetctl", "wire", "conf", "base"},
    "clients/bitnet_model": {"clients/bitnet_model", "engine", "base"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]', re.M)


def room(path):
    """The room of a file: its folder, wire for daemon/wire*, a client by its own name."""
    parts = path.split("/")
    if parts[0] == "daemon" and parts[-1].startswith("wire"):
        return "wire"
    return "/".join(parts[:2]) if parts[0] == "clients" else parts[0]


def offences(path, text):
    here, out = room(path), []
    for kind, name in INCLUDE.findall(text):
        if kind == '"':
            there = room(name)
            if "/" in name and there not in FOLDERS.get(here, {there}):
                out.append(f"{path}: {here} may not include {name}")
            continue
        for prefix, allowed in LIBRARIES.items():
            if name.startswith(prefix) and here.split("/")[0] not in allowed:
                out.append(f"{path}: {here} may not include <{name}>")
    return out


def main(root):
    assert offences("engine/x.cpp", '#include "store/y.h"\n') and offences("actors/x.cpp", "#include <zmq.hpp>\n")
    assert offences("daemon/wire_x.cpp", '#include "actors/y.h"\n') and not offences("actors/x.cpp", '#include "engine/y.h"\n')
    assert offences("daemon/wire_x.cpp", "#include <caf/all.hpp>\n") and not offences("daemon/wire_x.cpp", "#include <simdjson.h>\n")
    found, files = [], 0
    for top in ("base", "engine", "store", "conf", "actors", "daemon", "clients"):
        for folder, _, names in os.walk(os.path.join(root, top)):
            for name in names:
                if name.endswith((".h", ".cpp")):
                    path = os.path.relpath(os.path.join(folder, name), root)
                    files += 1
                    with open(os.path.join(root, path), encoding="utf-8") as f:
                        found += offences(path, f.read())
    print("\n".join(found) or f"{files} files: dependencies point one way")
    assert files > 50, "the sources were not found"
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "../..")))
