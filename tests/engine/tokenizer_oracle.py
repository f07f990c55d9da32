#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Tokenizes the slow and obvious way and compares with what the engine gave.

    tokenizer_oracle.py ids FILE       vocabulary, texts and the engine's ids, as JSON (see below)
    tokenizer_oracle.py classes FILE   one byte per code point: i s l n p o
    tokenizer_oracle.py nfc FILE       lines of two texts in hex: any, and the engine's composition of it

Exit status 0: all equal; 1: differences, on standard error. Needs only the standard library. Split
patterns are the published regular expressions, with Python's own Unicode data; merging searches the
whole list for the best pair each time.

FILE of `ids`: {"model", "pre", "tokens": [hex], "kinds": [n], "scores": [x], "merges": [hex],
"unknown": id or null, "space_prefix": bool, "composes": bool, "cases": [{"text": hex, "special": bool, "ids": [n]}]}
"""
import json
import re
import sys
import unicodedata

SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
INVALID = "\udc80-\udcff"  # what errors="surrogateescape" makes of invalid bytes
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
TRUSTED_ONLY, ANYWHERE = (CONTROL, UNKNOWN), (USER_DEFINED,)  # special tokens by who may write them


def ranges(initial):
    """The inside of a regular expression's [...] with all characters of a general category."""
    out, start = [], None
    for point in range(0x110001):
        inside = point < 0x110000 and unicodedata.category(chr(point))[0] == initial
        if inside and start is None:
            start = point
        elif not inside and start is not None:
            out.append("\\U%08x-\\U%08x" % (start, point - 1))
            start = None
    return "".join(out)


def patterns(pre):
    """The stages of a pre-tokenizer."""
    letter, number, punctuation = ranges("L"), ranges("N"), ranges("P")
    gpt2 = (f"'s|'t|'re|'ve|'m|'ll|'d| ?[{letter}]+| ?[{number}]+"
            f"| ?[^{SPACES}{letter}{number}{INVALID}]+"
            f"|[{SPACES}]+(?![^{SPACES}])|[{SPACES}]+|[{INVALID}]")
    if pre in ("gpt-2", "olmo"):
        return [gpt2]
    if pre.startswith("falcon") and pre != "falcon3":
        stages = [f"[{punctuation}$+<=>^~|`]+", gpt2]
        if pre.endswith("-runs"):
            stages.append("bytes:[0-9\xb2\xb3\xb9\xbc\xbd\xbe]+")
        if pre == "falcon-digits":
            return stages + ["bytes:[0-9\xb2\xb3\xb9\xbc\xbd\xbe]"]
        return stages + ["[0-9]" if pre.startswith("falcon_e") else "[0-9][0-9][0-9]"]
    digits = "" if pre == "qwen2" else "{1,3}"
    return ["'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])"
            f"|[^\r\n{letter}{number}{INVALID}]?[{letter}]+|[{number}]{digits}"
            f"| ?[^{SPACES}{letter}{number}{INVALID}]+[\r\n]*|[{SPACES}]*[\r\n]+"
            f"|[{SPACES}]+(?![^{SPACES}])|[{SPACES}]+|[{INVALID}]"]


def split(stages, text):
    """Pieces of a text: every match of a stage, and what lies between matches.

    From a stage "bytes:…" on, pieces are bytes, and its pattern sees each byte as its Latin-1 letter
    (which is what the letters of the byte alphabet are for the bytes that matter here)."""
    pieces = [text]
    for stage in stages:
        if stage.pattern.startswith("bytes:"):
            stage = re.compile(stage.pattern[6:])
            pieces = [piece.encode("utf-8", "surrogateescape").decode("latin-1") for piece in pieces]
            text = None
        cut = []
        for piece in pieces:
            at = 0
            for match in stage.finditer(piece):
                cut += [piece[at:match.start()], match.group()]
                at = match.end()
            cut.append(piece[at:])
        pieces = [piece for piece in cut if piece]
    return [piece.encode("utf-8", "surrogateescape") if text is not None else piece.encode("latin-1")
            for piece in pieces]


def byte_letters():
    """GPT-2's letter for each byte."""
    letters, stand_in = [], 0x100
    for byte in range(256):
        if 33 <= byte <= 126 or 161 <= byte <= 172 or byte >= 174:
            letters.append(chr(byte))
        else:
            letters.append(chr(stand_in))
            stand_in += 1
    return letters


def merge(parts, cost):
    """Joins the cheapest pair, the leftmost of equals, until none has a cost."""
    while True:
        costs = [(cost(parts[i], parts[i + 1]), i) for i in range(len(parts) - 1)]
        costs = [(c, i) for c, i in costs if c is not None]
        if not costs:
            return parts
        _, i = min(costs)
        parts[i:i + 2] = [parts[i] + parts[i + 1]]


class Oracle:
    """One vocabulary."""

    def __init__(self, data):
        self.data = data
        self.tokens = [bytes.fromhex(t).decode() for t in data["tokens"]]
        self.ids = {}
        for i, text in enumerate(self.tokens):
            self.ids.setdefault(text, i)
        self.kinds = data["kinds"]
        self.specials = {kinds: [t for t, i in self.ids.items() if t and self.kinds[i] in kinds]
                         for kinds in (TRUSTED_ONLY, ANYWHERE)}
        self.bytes = {self.tokens[i]: i for i, k in enumerate(self.kinds) if k == BYTE}
        self.letters = byte_letters()
        if data["model"] == "gpt2":
            self.stages = [re.compile(p) for p in patterns(data["pre"])]
            self.ranks = {}
            for rank, line in enumerate(data["merges"]):
                self.ranks.setdefault(tuple(bytes.fromhex(line).decode().split(" ")), rank)
            self.whole_words = data["pre"] in ("llama-bpe", "falcon3")

    def plain(self, text):
        """Id of a token that plain text may become, or None."""
        found = self.ids.get(text)
        return found if found is not None and self.kinds[found] in (NORMAL, USER_DEFINED) else None

    def fallback(self):
        unknown = self.data["unknown"]
        return [] if unknown is None else [unknown]

    def bpe(self, text):
        out = []
        for piece in split(self.stages, text):
            spelled = "".join(self.letters[b] for b in piece)
            if self.whole_words and self.plain(spelled) is not None:
                out.append(self.plain(spelled))
                continue
            for part in merge(list(spelled), lambda a, b: self.ranks.get((a, b))):
                found = self.plain(part)
                out += self.fallback() if found is None else [found]
        return out

    def spm(self, text):
        if self.data["space_prefix"]:
            text = " " + text
        scores = self.data["scores"]

        def cost(a, b):
            found = self.plain(a + b)
            return None if found is None else -scores[found]

        out = []
        for part in merge(list(text.replace(" ", "\u2581")), cost):
            found = self.plain(part)
            if found is not None:
                out.append(found)
                continue
            names = ["<0x%02X>" % b for b in part.encode("utf-8", "surrogateescape")]
            known = all(name in self.bytes for name in names)
            out += [self.bytes[name] for name in names] if known else self.fallback()
        return out

    def encode(self, text, kinds_left):
        """Cuts special tokens out, one list of kinds after the other; then plain text."""
        if not text:
            return []
        if not kinds_left:
            if self.data["composes"]:
                text = unicodedata.normalize("NFC", text)
            return self.bpe(text) if self.data["model"] == "gpt2" else self.spm(text)
        for at in range(len(text)):
            here = [t for t in self.specials[kinds_left[0]] if text.startswith(t, at)]
            if here:
                longest = max(here, key=len)
                return (self.encode(text[:at], kinds_left[1:]) + [self.ids[longest]] +
                        self.encode(text[at + len(longest):], kinds_left))
        return self.encode(text, kinds_left[1:])

    def check(self, case):
        text = bytes.fromhex(case["text"]).decode("utf-8", "surrogateescape")
        kinds = [TRUSTED_ONLY, ANYWHERE] if case["special"] else [ANYWHERE]
        wanted = self.encode(text, kinds)
        if wanted != case["ids"]:
            print("text %r\n  oracle %s\n  engine %s" % (text, wanted, case["ids"]), file=sys.stderr)
        return wanted == case["ids"]


def check_ids(path):
    with open(path, encoding="ascii") as file:
        data = json.load(file)
    oracle = Oracle(data)
    return all([oracle.check(case) for case in data["cases"]]) and bool(data["cases"])


def check_classes(path):
    """Code points that Python's Unicode data does not know yet are left out."""
    with open(path, "rb") as file:
        classes = file.read()
    spaces = re.compile(f"[{SPACES}]")
    good = len(classes) == 0x110000
    for point, given in enumerate(classes.decode("ascii")):
        category = unicodedata.category(chr(point))
        if category == "Cn":
            continue
        wanted = {"L": "l", "N": "n", "P": "p"}.get(category[0], "o")
        if spaces.match(chr(point)):
            wanted = "s"
        if given != wanted:
            print("U+%04X: oracle %s, engine %s" % (point, wanted, given), file=sys.stderr)
            good = False
    return good


def check_nfc(path):
    """Texts with characters that Python's Unicode data does not know yet are left out."""
    good, compared = True, 0
    with open(path, encoding="ascii") as file:
        for line in file:
            text, given = (bytes.fromhex(part).decode("utf-8", "surrogateescape")
                           for part in line.rstrip("\n").split(" "))
            if any(unicodedata.category(c) == "Cn" for c in text):
                continue
            compared += 1
            if unicodedata.normalize("NFC", text) != given:
                print("text %a: oracle %a, engine %a" % (text, unicodedata.normalize("NFC", text), given),
                      file=sys.stderr)
                good = False
    return good and compared > 0


if __name__ == "__main__":
    CHECKS = {"ids": check_ids, "classes": check_classes, "nfc": check_nfc}
    sys.exit(0 if CHECKS[sys.argv[1]](sys.argv[2]) else 1)
