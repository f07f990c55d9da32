# SPDX-License-Identifier: MIT
"""Byte-level BPE as the `llama-bpe` pre-tokenizer of GGUF files defines it: split, look up, merge.

A text is split by the Llama-3 pattern; each piece is written in the GPT-2 byte alphabet; a piece that is a token as a
whole is taken, any other is merged pair by pair, lowest rank first. Nothing is normalised, so every text round-trips.
"""
import collections
import unicodedata

CONTRACTIONS = ("'s", "'t", "'m", "'d", "'re", "'ve", "'ll")
WHITE_SPACE = frozenset("\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000") | {chr(c) for c in range(0x2000, 0x200B)}
SPECIALS = ("<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>")
NORMAL, CONTROL = 1, 3


def byte_alphabet():
    """The 256 printable characters that stand for the bytes 0..255 in token strings."""
    printable = set(range(33, 127)) | set(range(161, 173)) | set(range(174, 256))
    spare = iter(range(256, 512))
    return [chr(b) if b in printable else chr(next(spare)) for b in range(256)]


ALPHABET = byte_alphabet()
BYTE_OF = {c: b for b, c in enumerate(ALPHABET)}


def _letter(c):
    return unicodedata.category(c)[0] == "L"


def _number(c):
    return unicodedata.category(c)[0] == "N"


def _other(c):
    return c not in WHITE_SPACE and not _letter(c) and not _number(c)


def _run(text, i, accept, limit=None):
    """End of the longest run of accepted characters that starts at i."""
    end = len(text) if limit is None else min(len(text), i + limit)
    while i < end and accept(text[i]):
        i += 1
    return i


def _piece_end(text, i):
    """End of the piece that starts at i: the alternatives of the Llama-3 pattern, first match wins."""
    if text[i] == "'":
        for word in CONTRACTIONS:
            if text[i:i + len(word)].lower() == word:
                return i + len(word)
    lead = 0 if _letter(text[i]) else int(text[i] not in "\r\n" and not _number(text[i]))
    end = _run(text, i + lead, _letter)                      # [^\r\n\p{L}\p{N}]?\p{L}+
    if end > i + lead:
        return end
    if _number(text[i]):                                     # \p{N}{1,3}
        return _run(text, i, _number, 3)
    start = i + (text[i] == " ")
    end = _run(text, start, _other)                          # ' ?[^\s\p{L}\p{N}]+[\r\n]*'
    if end > start:
        return _run(text, end, lambda c: c in "\r\n")
    end = _run(text, i, lambda c: c in WHITE_SPACE)
    newline = max(text.rfind("\r", i, end), text.rfind("\n", i, end))
    if newline >= 0:                                         # \s*[\r\n]+
        return newline + 1
    if end < len(text) and end - i > 1:                      # \s+(?!\S): leave one space to the word
        return end - 1
    return end                                               # \s+


def split(text):
    """The pieces of a text, in order; together they are the text."""
    pieces, i = [], 0
    while i < len(text):
        end = _piece_end(text, i)
        pieces.append(text[i:end])
        i = end
    return pieces


def spell(piece):
    """A piece in the byte alphabet."""
    return "".join(ALPHABET[b] for b in piece.encode("utf-8"))


def _merge_pair(word, left, right):
    out, i = [], 0
    while i < len(word):
        if i + 1 < len(word) and word[i] == left and word[i + 1] == right:
            out.append(left + right)
            i += 2
        else:
            out.append(word[i])
            i += 1
    return out


def learn(texts, vocabulary_size):
    """Merges learned from texts: the most frequent pair first, ties by spelling, so a run is reproducible."""
    counts = collections.Counter(spell(p) for text in texts for p in split(text))
    words = {word: list(word) for word in counts}
    merges, known = [], set(ALPHABET)
    while len(known) + len(SPECIALS) < vocabulary_size:
        pairs = collections.Counter()
        for word, parts in words.items():
            for pair in zip(parts, parts[1:]):
                pairs[pair] += counts[word]
        if not pairs:
            raise ValueError("the texts have no pair left to merge at %d tokens" % len(known))
        left, right = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append((left, right))
        known.add(left + right)
        for word, parts in words.items():
            if left + right in word:
                words[word] = _merge_pair(parts, left, right)
    return merges


class Tokenizer:
    """Token ids: the 256 bytes, then the merges in rank order, then the control tokens."""

    def __init__(self, merges):
        self.merges = [tuple(m) for m in merges]
        self.ranks = {pair: rank for rank, pair in enumerate(self.merges)}
        self.tokens = list(dict.fromkeys(ALPHABET + [a + b for a, b in self.merges])) + list(SPECIALS)
        self.ids = {token: i for i, token in enumerate(self.tokens)}
        self.bos, self.eos, self.eot = (self.ids[s] for s in SPECIALS)
        self.types = [CONTROL if t in SPECIALS else NORMAL for t in self.tokens]
        self._memo = {}

    def merge(self, word, skipped=lambda: False):
        """Spelled piece -> tokens, by merges alone, without those that are skipped at the moment they are looked at."""
        parts = list(word)
        while len(parts) > 1:
            rank, pair = min((len(self.ranks) if skipped() else self.ranks.get(p, len(self.ranks)), p)
                             for p in zip(parts, parts[1:]))
            if rank == len(self.ranks):
                break
            parts = _merge_pair(parts, *pair)
        return parts

    def _piece_ids(self, piece):
        if piece not in self._memo:
            word = spell(piece)
            whole = word in self.ids and word not in SPECIALS
            self._memo[piece] = [self.ids[word]] if whole else [self.ids[p] for p in self.merge(word)]
        return self._memo[piece]

    def encode(self, text, parse_special=False):
        """Text -> ids. Control tokens are recognised only when asked for: text of users never makes one."""
        if not parse_special:
            return [i for piece in split(text) for i in self._piece_ids(piece)]
        ids = []
        while text:
            found = [(text.find(s), s) for s in SPECIALS if s in text]
            at, special = min(found) if found else (len(text), "")
            ids += self.encode(text[:at])
            if special:
                ids.append(self.ids[special])
            text = text[at + len(special):]
        return ids

    def decode(self, ids):
        """Ids -> text without control tokens; bytes that are no UTF-8 become U+FFFD."""
        spelled = "".join(self.tokens[i] for i in ids if self.types[i] == NORMAL)
        return bytes(BYTE_OF[c] for c in spelled).decode("utf-8", "replace")

    def encode_roughly(self, text, random, share):
        """Text -> ids of the same text in smaller pieces: each merge is left out with probability `share`. A model that has
        seen words in pieces recognises a misspelt one (BPE dropout, arXiv:1910.13267)."""
        skipped = lambda: random.random() < share
        return [self.ids[p] for piece in split(text) for p in self.merge(spell(piece), skipped)]

    def chat(self, messages):
        """Ids of a conversation that asks for an answer: the template of BitNet b1.58 2B-4T.

        A role and its content are one run of text, as in `User: Hi<|eot_id|>`, so the content's first word keeps the
        space before it; the prompt ends in the token of a lone space.
        """
        return self.turns(messages) + self.encode("Assistant: ")

    def turns(self, messages):
        """Ids of the messages alone, each with its end."""
        ids = [self.bos]
        for role, content in messages:
            ids += self.encode("%s: %s" % (role, content.strip())) + [self.eot]
        return ids
