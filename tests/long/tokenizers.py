#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Compares bitnet-model's token ids with those of independent tokenizers.

    tokenizers.py BITNET_MODEL VOCABULARIES SCRATCH N

VOCABULARIES holds ggml-vocab-*.gguf; SCRATCH an installed llama3-tokenizer-js and tokenizers.mjs. N
strings are generated per comparison, of which there are five.
"""
import functools
import json
import random
import struct
import subprocess
import sys
import unicodedata

import regex
import sentencepiece

WORDS = ("the daemon runs jobs we'd I'm DON'T they'LL it's naïve café Straße привет мир 你好 世界 "
         "नमस्ते مرحبا שלום 안녕 ありがとう x=1 a_b ++i != <div> {} [] () `` ... — “q” ’s 'RE 'tis "
         "0 7 42 007 123456789 ½ Ⅳ ٣٤ https://a.b/c?d=e&f #include \\n %d $5 €9 👨‍👩‍👧 🇩🇪 e\u0301").split()
SPACES = (" ", " ", " ", "  ", "   ", "\n", "\n\n", "\t", " \n", "\r\n", "\u00a0", "\u3000", "")


def strings(n, seed):
    """Words of many scripts, white space of every kind, and single characters from all of Unicode."""
    draw = random.Random(seed)

    def character():
        while True:
            point = draw.choice((draw.randrange(0x20, 0x7f), draw.randrange(0xa0, 0x3000),
                                 draw.randrange(0x3000, 0xffff), draw.randrange(0x10000, 0x1fbff)))
            # Characters that are not assigned yet become letters or digits with later Unicode versions.
            if unicodedata.category(chr(point)) not in ("Cn", "Cs"):
                return chr(point)

    for _ in range(n):
        out = []
        for _ in range(draw.randrange(1, 14)):
            kind = draw.random()
            out.append(draw.choice(WORDS) if kind < 0.6 else
                       "".join(character() for _ in range(draw.randrange(1, 5))) if kind < 0.75 else
                       "".join(draw.choice("abcdefgh XYZ019'-") for _ in range(draw.randrange(9))))
            out.append(draw.choice(SPACES))
        yield "".join(out)


def read_gguf(path):
    """The metadata of a GGUF file."""
    data = open(path, "rb").read()
    at = 0

    def take(form):
        nonlocal at
        values = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return values[0]

    def text():
        nonlocal at
        size = take("Q")
        at += size
        return data[at - size:at].decode("utf-8", "surrogateescape")

    def value(kind):
        if kind == 8:
            return text()
        if kind == 9:
            element, n = take("I"), take("Q")
            return [value(element) for _ in range(n)]
        return take("BbHhIif?__Qqd"[kind])

    take("4s"), take("I"), take("Q")
    return {text(): value(take("I")) for _ in range(take("Q"))}


class Bpe:
    """Byte-level BPE: split by regular expressions, then the lowest merge first."""

    LLAMA3 = [r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
              r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"]
    GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    STAGES = {"llama-bpe": LLAMA3, "olmo": [GPT2],
              "falcon": [r"[\p{P}\$\+<=>\^~\|`]+", GPT2, r"[0-9][0-9][0-9]"]}

    def __init__(self, keys):
        get = lambda name: keys["tokenizer.ggml." + name]
        self.ids = {}
        for i, (token, kind) in enumerate(zip(get("tokens"), get("token_type"))):
            if kind in (1, 4):
                self.ids.setdefault(token, i)
        # Runs of spaces and their like, which are cut out of a text before it is split: longest first.
        special = sorted((t for t, k in zip(get("tokens"), get("token_type")) if k == 4), key=len)
        self.special = regex.compile("|".join(map(regex.escape, reversed(special))) or "(?!)")
        self.ranks = {tuple(m.split(" ")): i for i, m in reversed(list(enumerate(get("merges"))))}
        self.stages = [regex.compile(p) for p in self.STAGES[get("pre")]]
        self.whole = get("pre") == "llama-bpe"
        kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
        self.letters = {b: chr(b) for b in kept}
        self.letters.update((b, chr(256 + i)) for i, b in
                            enumerate(b for b in range(256) if b not in kept))

    @functools.lru_cache(maxsize=1 << 18)
    def word(self, word):
        parts = [self.letters[b] for b in word.encode()]
        if self.whole and "".join(parts) in self.ids:
            return [self.ids["".join(parts)]]
        while len(parts) > 1:
            rank, i = min((self.ranks.get(pair, 1 << 30), i)
                          for i, pair in enumerate(zip(parts, parts[1:])))
            if rank == 1 << 30:
                break
            parts[i:i + 2] = [parts[i] + parts[i + 1]]
        return [self.ids[p] for p in parts if p in self.ids]

    def __call__(self, text):
        out, at = [], 0
        for match in self.special.finditer(text):
            out += self.plain(text[at:match.start()]) + [self.ids[match.group()]]
            at = match.end()
        return out + self.plain(text[at:])

    def plain(self, text):
        pieces = [text]
        for stage in self.stages:
            cut = []
            for piece in pieces:
                at = 0
                for match in stage.finditer(piece):
                    cut += [piece[at:match.start()], match.group()]
                    at = match.end()
                cut.append(piece[at:])
            pieces = [piece for piece in cut if piece]
        return [i for piece in pieces for i in self.word(piece)]


def sentencepiece_of(keys):
    """The vocabulary as a SentencePiece model, written field by field, run by SentencePiece."""
    def varint(n):
        out = b""
        while n > 127:
            out, n = out + bytes([n & 127 | 128]), n >> 7
        return out + bytes([n])

    def field(number, content):
        return varint(number << 3 | 2) + varint(len(content)) + content

    def flag(number, n):
        return varint(number << 3) + varint(n)

    get = lambda name: keys["tokenizer.ggml." + name]
    model = b""
    for token, score, kind in zip(get("tokens"), get("scores"), get("token_type")):
        model += field(1, field(1, token.encode("utf-8", "surrogateescape")) +
                       b"\x15" + struct.pack("<f", score) + flag(3, kind))
    model += field(2, flag(3, 2) + flag(35, 1))  # BPE, byte fallback
    model += field(3, field(1, b"identity") + flag(3, 1) + flag(4, 0) + flag(5, 1))
    processor = sentencepiece.SentencePieceProcessor()
    processor.LoadFromSerializedProto(model)
    return processor.EncodeAsIds


def npm(scratch, texts):
    lines = "".join(json.dumps(t) + "\n" for t in texts)
    done = subprocess.run(["node", scratch + "/tokenizers.mjs"], input=lines, text=True,
                          capture_output=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def ours(program, vocabulary, texts):
    lines = "".join(json.dumps(t) + "\n" for t in texts)
    done = subprocess.run([program, "tokenize", "-m", vocabulary, "--lines", "--json"], input=lines,
                          text=True, stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def compare(what, texts, got, expected):
    wrong = [i for i, (a, b) in enumerate(zip(got, expected)) if a != b]
    for i in wrong[:5]:
        print("  %r\n    ours   %s\n    theirs %s" % (texts[i], got[i], expected[i]))
    good = not wrong and len(got) == len(expected) == len(texts)
    print("%-44s %6d strings, %d differ" % (what, len(texts), len(wrong)), flush=True)
    return good


def main(program, folder, scratch, n):
    good = True
    for seed, (name, what) in enumerate((("llama-spm", "SentencePiece"), ("llama-bpe", "regex BPE"),
                                         ("llama-bpe", "npm llama3-tokenizer-js"),
                                         ("gpt-neox-olmo", "regex BPE"), ("falcon", "regex BPE"))):
        path = "%s/ggml-vocab-%s.gguf" % (folder, name)
        keys, texts = read_gguf(path), list(strings(int(n), seed))
        if what == "npm llama3-tokenizer-js":
            expected = npm(scratch, texts)
        else:
            encode = sentencepiece_of(keys) if what == "SentencePiece" else Bpe(keys)
            expected = [encode(t) for t in texts]
        good = compare(name + " against " + what, texts, ours(program, path, texts), expected) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
