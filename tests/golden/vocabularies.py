# SPDX-License-Identifier: MIT
"""Two working tokenizers of a few hundred pieces for the golden models, and texts with their ids."""
import os
import sys

import formats as F

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "models"))
import bpe  # noqa: E402  the trainer's tokenizer; it agrees with llama.cpp on that project's own test texts

TRAINING_TEXT = ["the quick brown fox and the lazy dog", "the cache answers the question", "energy per token in joules",
                 "another thing then there", "counting tokens in the cache"] * 3
TEXTS = ["the quick brown fox", "", " ", "  two  spaces  ", "Hello, World! caf\u00e9 \u4f60\u597d", "123 4567 89012",
         "it's they're WE'LL", "line one\nline two\r\n\r\n  indented\ttab", "a <|eot_id|> b", "<|begin_of_text|>the cache",
         "\U0001f642 and \u00a0 nbsp", "token</s>end", "x=[1,2];\n\n\n  y", "\u202fthin\u2003space"]


class byte_bpe:
    """Byte-level BPE, pre-tokenizer llama-bpe; the last three tokens are control tokens."""

    def __init__(self, size):
        self.tokenizer = bpe.Tokenizer(bpe.learn(TRAINING_TEXT, size))

    def keys(self):
        t = self.tokenizer
        return [("tokenizer.ggml.model", F.STR, "gpt2"), ("tokenizer.ggml.pre", F.STR, "llama-bpe"),
                ("tokenizer.ggml.tokens", F.ARR, (F.STR, t.tokens)),
                ("tokenizer.ggml.token_type", F.ARR, (F.I32, t.types)),
                ("tokenizer.ggml.merges", F.ARR, (F.STR, [" ".join(m) for m in t.merges])),
                ("tokenizer.ggml.bos_token_id", F.U32, t.bos), ("tokenizer.ggml.eos_token_id", F.U32, t.eos),
                ("tokenizer.ggml.eot_token_id", F.U32, t.eot), ("tokenizer.ggml.add_bos_token", F.BOOL, True)]

    def cases(self):
        return [case(t, self.tokenizer.encode(t), [self.tokenizer.bos], self.tokenizer.encode(t, True)) for t in TEXTS]


def case(text, ids, before, parsed):
    return {"text": text, "ids": ids, "ids_add_special": before + ids, "ids_parse_special": parsed}


class sentence_pieces:
    """SentencePiece-style BPE: best score first, ties leftmost, unknown characters fall back to bytes."""

    SPACE = "\u2581"
    WORDS = ["the", "cache", "token", "energy", "quick", "brown", "fox", "lazy"]

    def __init__(self, size):
        letters = [self.SPACE] + list("abcdefghijklmnopqrstuvwxyz")
        pieces = ["th", "he", "the", self.SPACE + "the", "in", "ing", "an", "ca", "che", "cache", "er", "en", "to", "ken"]
        self.tokens = ["<unk>", "<s>", "</s>"] + ["<0x%02X>" % b for b in range(256)] + letters + pieces
        assert len(self.tokens) == size, len(self.tokens)
        self.types = [2, 3, 3] + [6] * 256 + [1] * (len(letters) + len(pieces))
        self.scores = [0.0] * (259 + len(letters)) + [-1.0 - i for i in range(len(pieces))]
        self.ids = {t: i for i, t in enumerate(self.tokens)}

    def keys(self):
        return [("tokenizer.ggml.model", F.STR, "llama"), ("tokenizer.ggml.tokens", F.ARR, (F.STR, self.tokens)),
                ("tokenizer.ggml.scores", F.ARR, (F.F32V, self.scores)),
                ("tokenizer.ggml.token_type", F.ARR, (F.I32, self.types)),
                ("tokenizer.ggml.bos_token_id", F.U32, 1), ("tokenizer.ggml.eos_token_id", F.U32, 2),
                ("tokenizer.ggml.unknown_token_id", F.U32, 0), ("tokenizer.ggml.add_bos_token", F.BOOL, True)]

    def encode(self, text):
        parts = list((" " + text).replace(" ", self.SPACE)) if text else []
        while True:
            best = max(((self.scores[self.ids[a + b]], -i) for i, (a, b) in enumerate(zip(parts, parts[1:]))
                        if a + b in self.ids), default=None)
            if best is None:
                break
            i = -best[1]
            parts[i:i + 2] = [parts[i] + parts[i + 1]]
        return [i for p in parts for i in ([self.ids[p]] if p in self.ids else [3 + b for b in p.encode("utf-8")])]

    def cases(self):
        # A text with a control token's spelling is left out: what precedes and follows it differs between engines.
        return [case(t, self.encode(t), [1], self.encode(t)) for t in TEXTS if "</s>" not in t]
