#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Writes unicode_class_table.inc from UnicodeData.txt of the Unicode Character Database.

    apt-get install unicode-data
    engine/unicode_class_table.py /usr/share/unicode/UnicodeData.txt 15.0 > engine/unicode_class_table.inc

The table is part of the source, because token ids must not change with a library of the machine.
"""
import sys

GROUPS = {"L": "letter", "N": "number", "P": "punctuation"}


def ranges(path):
    """Yields (first, last, class name) of the three groups, neighbours joined."""
    joined = []
    opened = None
    for line in open(path, encoding="ascii"):
        code, name, category = line.split(";")[:3]
        first = last = int(code, 16)
        if name.endswith(", First>"):
            opened = first
            continue
        if name.endswith(", Last>"):
            first = opened
        kind = GROUPS.get(category[0])
        if kind is None or last < 0x80:  # ASCII is decided in code
            continue
        if joined and joined[-1][1] + 1 == first and joined[-1][2] == kind:
            joined[-1][1] = last
        else:
            joined.append([first, last, kind])
    return joined


def main(path, version):
    print("// SPDX-License-Identifier: MIT")
    print(f"// Written by unicode_class_table.py from UnicodeData.txt {version}; do not edit.")
    print("// clang-format off")
    line = ""
    for first, last, kind in ranges(path):
        item = "{0x%X, 0x%X, char_class::%s}, " % (first, last, kind)
        if len(line) + len(item) > 100:
            print(line.rstrip())
            line = ""
        line += item
    print(line.rstrip())
    print("// clang-format on")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
