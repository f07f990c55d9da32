#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Writes unicode_compose_table.inc from the Unicode Character Database.

    apt-get install unicode-data
    engine/unicode_compose_table.py /usr/share/unicode 15.0 > engine/unicode_compose_table.inc

Two lists: canonical decompositions (one step each) with whether they are put together again, and
combining classes. The table is part of the source, because token ids must not change with a library
of the machine.
"""
import sys


def read(folder):
    """(point, first, second or 0) of every canonical decomposition, and {point: combining class}."""
    parts, classes = [], {}
    for line in open(folder + "/UnicodeData.txt", encoding="ascii"):
        fields = line.split(";")
        point = int(fields[0], 16)
        if fields[3] != "0":
            classes[point] = int(fields[3])
        if fields[5] and not fields[5].startswith("<"):
            codes = [int(code, 16) for code in fields[5].split()] + [0]
            parts.append((point, codes[0], codes[1]))
    return parts, classes


def excluded(folder):
    """Script-specific and post-composition exclusions."""
    lines = open(folder + "/CompositionExclusions.txt", encoding="utf-8")
    return {int(line.split("#")[0], 16) for line in lines if line.split("#")[0].strip()}


def main(folder, version):
    parts, classes = read(folder)
    never = excluded(folder)
    decompositions = []
    for point, first, second in parts:
        # Singletons and what begins with a mark are never composed either.
        composes = second != 0 and point not in never and not classes.get(point) and not classes.get(first)
        decompositions.append("{0x%X, 0x%X, 0x%X, %s}, " % (point, first, second, "true" if composes else "false"))
    ranges = []
    for point in sorted(classes):
        if ranges and ranges[-1][1] + 1 == point and ranges[-1][2] == classes[point]:
            ranges[-1][1] = point
        else:
            ranges.append([point, point, classes[point]])
    print("// SPDX-License-Identifier: MIT")
    print(f"// Written by unicode_compose_table.py from the Unicode Character Database {version}; do not edit.")
    print("// clang-format off")
    for name, items in (("DECOMPOSITION", decompositions),
                        ("COMBINING", ["{0x%X, 0x%X, %d}, " % tuple(r) for r in ranges])):
        print(f"#ifdef BITNETD_{name}_TABLE")
        line = ""
        for item in items:
            if len(line) + len(item) > 101:
                print(line.rstrip())
                line = ""
            line += item
        print(line.rstrip())
        print("#endif")
    print("// clang-format on")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
