# SPDX-License-Identifier: MIT
"""Model files that lie: the smallest whole model, damaged in every way that is known to have hurt a loader. Numbers are groups of ways."""
import os
import struct
import sys

from harness import SOURCE

sys.path.insert(0, os.path.join(SOURCE, "tests/support"))

from small_models import ARRAY, F32, I32, STRING, U32, gguf, gguf_parts, text  # noqa: E402  (the path is set above)

U8, ARCH, WIDTH = 0, "bitnet-b1.58", 8
LARGE = 1 << 60


def parts(tokens="gpt2", arch=ARCH):
    return gguf_parts(arch, 0, WIDTH, tokens=tokens)


def whole(**head):
    return gguf(*parts(), **head)


def with_key(name, kind, what, tokens="gpt2", arch=ARCH):
    """The model with this key added, or in place of the one of that name."""
    keys, tensors = parts(tokens, arch)
    return gguf([k for k in keys if k[0] != name] + [(name, kind, what)], tensors)


def with_entry(raw):
    """The model with one more entry of these bytes."""
    keys, tensors = parts()
    return gguf(keys + [raw], tensors)


def with_tensor(name, dims=None, kind=None, raw=None, offset=None, more=()):
    """The model with this of one tensor changed, and more tensors."""
    keys, tensors = parts()
    changed = []
    for one in tensors:
        if one[0] == name:
            one = (name, dims or one[1], one[2] if kind is None else kind, one[3] if raw is None else raw) + (() if offset is None else (offset,))
        changed.append(one)
    return gguf(keys, changed + list(more))


def raw_key(name, kind, raw):
    return (name if isinstance(name, bytes) else text(name)) + struct.pack("<I", kind) + raw


def array(element, count, raw=b""):
    return struct.pack("<IQ", element, count) + raw


def number(key, what, kind=U32):
    return with_key(ARCH + "." + key, kind, what)


def q4_0(scale):
    """The model with token_embd as Q4_0, 32 wide, its first scale given as bytes."""
    keys, tensors = gguf_parts("llama", 2, 32, dense=2)
    name, dims, kind, raw = tensors[0]
    return gguf(keys, [(name, dims, kind, scale + raw[2:])] + tensors[1:])


def i2_s(scale):
    """A model of 128 columns, whose first query matrix has this scale."""
    keys, tensors = gguf_parts("llama", 36, 128)
    return gguf(keys, [(n, d, k, raw[:-32] + scale + raw[-28:]) if n == "blk.0.attn_q.weight" else (n, d, k, raw) for n, d, k, raw in tensors])


def words(tokens, of="llama", **lists):
    """The model with these four tokens."""
    keys, tensors = parts(of)
    for name, kind, items in [("tokens", STRING, tokens)] + [(n, *what) for n, what in lists.items()]:
        keys = [k for k in keys if k[0] != "tokenizer.ggml." + name] + [("tokenizer.ggml." + name, ARRAY, (kind, items))]
    return gguf(keys, tensors)


def refused():
    """(group, what, bytes, what the refusal says)."""
    good, q = whole(), "blk.0.attn_q.weight"
    embedding, square = "token_embd.weight", (WIDTH, WIDTH)
    for length in [0, 3, 4, 7, 8, 15, 23, 24, *range(25, len(good), 299), len(good) - 1]:  # every length: tests/engine
        yield 1, "cut at byte %d" % length, good[:length], ""
    yield 2, "another magic", whole(magic=b"GGML"), "not a GGUF file"
    for version in (0, 1, 4, 0xffffffff):
        yield 2, "version %d" % version, whole(version=version), "version"
    yield 2, "bytes swapped", good[:4] + struct.pack(">I", 3) + good[8:], "big-endian"
    yield 2, "magic swapped", b"FUGG" + good[4:], "not a GGUF file"
    for count in (1 << 63, (1 << 64) - 1, 1 << 32, 100_000):
        yield 3, "%d keys" % count, whole(n_keys=count), "entries cannot be"
        yield 3, "%d tensors" % count, whole(n_tensors=count), "tensors cannot be"
    for length in ((1 << 64) - 1, 1 << 63, len(good)):
        yield 4, "a text of %d bytes" % length, with_entry(raw_key("x", STRING, struct.pack("<Q", length))), "truncated" if length == len(good) else "bytes"
        yield 4, "a key of %d bytes" % length, with_entry(raw_key(struct.pack("<Q", length), U32, b"")), ""
        yield 4, "a name of %d bytes" % length, good.replace(text(embedding), struct.pack("<Q", length) + embedding.encode(), 1), ""
    yield 5, "arrays of arrays", with_entry(raw_key("x", ARRAY, array(ARRAY, 1, array(U32, 0)))), "arrays of arrays"
    for element in (U8, U32, F32, STRING, 12):
        yield 5, "an endless array of type %d" % element, with_entry(raw_key("x", ARRAY, array(element, LARGE))), "cannot be"
    for kind in (13, 255, 0xffffffff):
        yield 5, "an array of type %d" % kind, with_entry(raw_key("x", ARRAY, array(kind, 1, b"\0" * 8))), "element type"
        yield 5, "a value of type %d" % kind, with_entry(raw_key("x", kind, b"\0" * 8)), "value type"
    keys, tensors = parts()
    yield 6, "a key twice", gguf(keys + [keys[0]], tensors), "occurs twice"
    yield 6, "a key twice, of another type", gguf(keys + [("general.architecture", U32, 1)], tensors), "occurs twice"
    yield 7, "an empty key", with_key("", U32, 1), "key is empty"
    yield 7, "a key above 64 KiB", with_key("k" * 65537, U32, 1), "65536"
    for alignment in (0, 1, 3, 1 << 31):
        yield 8, "an alignment of %d" % alignment, with_key("general.alignment", U32, alignment), "alignment"
    yield 8, "an alignment of text", with_key("general.alignment", STRING, "32"), "alignment"
    for n in (0, 5, 0xffffffff):
        entry = text(embedding) + struct.pack("<I", 2)
        yield 9, "%d dimensions" % n, good.replace(entry, entry[:-4] + struct.pack("<I", n), 1), "dimensions"
    for dims, says in (((0, 4), "zero"), ((WIDTH, (1 << 64) - 1), "overflow"), ((1 << 32, 1 << 32), "overflow"), ((1 << 62,), "overflow"),
                       ((WIDTH, 1 << 58), ""), ((1 << 63, 2), "overflow")):
        yield 10, "dimensions %s" % (dims,), with_tensor(embedding, dims=dims), says
    data = len(b"".join(t[3] for t in tensors))
    for offset, says in ((8, "alignment"), (33, "alignment"), (data + 32 & ~31, "past the end"), (1 << 62, "past the end"), (0, "overlaps")):
        yield 11, "an offset of %d" % offset, with_tensor(q, offset=offset), says
    for offset in (~31, ~63, -(len(good) & ~31), 1 << 63):
        yield 12, "an offset that wraps to %d" % offset, with_tensor(q, offset=offset & (1 << 64) - 1), "past the end"
    for kind in (3, 99, 36 + (1 << 16), 0xffffffff):
        yield 13, "tensor type %d" % kind, with_tensor(q, kind=kind), "(%d)" % kind
    for kind in (2, 8, 12, 14, 20, 34, 35, 36, 42, 134, 135):
        yield 13, "half a block of type %d" % kind, with_tensor(q, kind=kind), "block of"
    for kind, name, says in ((38, "TL1", "I2_S"), (335, "IQ2_BN_R4", "IQ2_BN"), (39, "MXFP4", "use a file")):
        yield 13, "a tensor of type %s" % name, with_tensor(q, dims=(256, 8), kind=kind, raw=bytes(4096)), says
    for name in (q, embedding, "output_norm.weight", "blk.0.ffn_sub_norm.weight"):
        yield 14, "no %s" % name, gguf(keys, [t for t in tensors if t[0] != name]), name
        yield 14, "%s twice" % name, gguf(keys, tensors + [t for t in tensors if t[0] == name]), "occurs twice"
        yield 14, "%s of another shape" % name, with_tensor(name, dims=(4, 2), raw=bytes(32)), "has 2 rows" if name == embedding else "imply"
    for name in ("blk.1.attn_q.weight", "blk.0.attn_q.bias", "stranger.weight"):
        yield 14, "a tensor %s too many" % name, gguf(keys, tensors + [(name, square, 0, bytes(256))]), name
    for key, values in (("block_count", (0, 10 ** 9, 2)), ("attention.head_count", (0, 3, 1 << 31)), ("attention.head_count_kv", (0, 3, 4)),
                        ("rope.dimension_count", (3, 6, 1 << 20)), ("context_length", (0, 1 << 31)), ("embedding_length", (0, 7, 1 << 31)),
                        ("feed_forward_length", (0, 1 << 31)), ("attention.key_length", (0, 8, 1 << 31))):
        for what in values:
            yield 15, "%s %d" % (key, what), number(key, what), "'blk.1." if (key, what) == ("block_count", 2) else ""
    for key, what in (("rope.freq_base", float("nan")), ("rope.freq_base", 0.0), ("attention.layer_norm_rms_epsilon", -1.0),
                      ("attention.layer_norm_rms_epsilon", float("inf"))):
        yield 15, "%s %s" % (key, what), number(key, what, F32), key.split(".")[-1]
    yield 15, "a count of text", number("block_count", "1", STRING), "block_count"
    for n in (1, 3, 5, 100):
        yield 16, "%d tokens for 4 rows" % n, with_key("tokenizer.ggml.tokens", ARRAY, (STRING, ["t%d" % i for i in range(n)])), ""
    yield 16, "vocab_size that is not the rows", number("vocab_size", 5), "rows"
    for name in ("bos", "eos", "eot", "unknown"):
        for what in (4, 0xffffffff):
            yield 16, "%s %d" % (name, what), with_key("tokenizer.ggml.%s_token_id" % name, U32, what), "%s_token_id" % name
    for byte in ("<0x-1>", "<0xZZ>", "<0x1>", "", "<0x"):
        yield 16, "a byte token %r" % byte, words(["<unk>", "<s>", "</s>", byte], token_type=(I32, [2, 3, 3, 6])), "byte token"
    yield 16, "a score too few", with_key("tokenizer.ggml.scores", ARRAY, (F32, [0.0] * 3), "llama"), "scores"
    yield 16, "a score that is no number", with_key("tokenizer.ggml.scores", ARRAY, (F32, [0.0, 0.0, 0.0, float("nan")]), "llama"), "scores"
    for merge in ("a", "", "ab "):
        yield 16, "a merge %r" % merge, with_key("tokenizer.ggml.merges", ARRAY, (STRING, [merge])), "two tokens"
    yield 16, "a kind of token that is not known", with_key("tokenizer.ggml.token_type", ARRAY, (I32, [1, 1, 1, 99])), "token_type"
    yield 16, "a tokenizer that is not known", with_key("tokenizer.ggml.model", STRING, "x" * 1000), "not known"
    for name, half, single in (("NaN", b"\x00\x7e", struct.pack("<f", float("nan"))), ("infinite", b"\x00\xfc", struct.pack("<f", float("-inf")))):
        yield 17, "a half scale that is %s" % name, q4_0(half), "NaN or infinite"
        yield 17, "a float scale that is %s" % name, i2_s(single), "NaN or infinite"
        yield 17, "a norm that is %s" % name, with_tensor("output_norm.weight", raw=single * WIDTH), "NaN or infinite"
        yield 17, "an embedding that is %s" % name, with_tensor(embedding, raw=bytes(124) + single), "NaN or infinite"
    yield 17, "a code of 3", gguf(*gguf_parts("llama", 36, 128)).replace(b"\x55" * 64, b"\x55" * 63 + b"\xff", 1), "code of 3"


def odd():
    """(group, what, bytes) of models that are odd and harmless: they are served."""
    keys, tensors = parts()
    yield 4, "empty texts", gguf(keys + [("x", STRING, ""), ("y", ARRAY, (STRING, ["", ""]))], tensors)
    yield 7, "a key with a zero byte", with_key("a\0b", U32, 1)
    yield 7, "a key of 64 KiB", with_key("k" * 65536, U32, 1)
    yield 16, "texts that are no UTF-8", gguf(*parts("llama")).replace(text("a"), struct.pack("<Q", 1) + b"\xff", 1)
    yield 16, "merges of tokens that are not there", with_key("tokenizer.ggml.merges", ARRAY, (STRING, ["x y", "a nothing", "a b"]))
    yield 16, "merges in a circle", with_key("tokenizer.ggml.merges", ARRAY, (STRING, ["a b", "ab a", "a ab", "ab ab", "a b"]))
    yield 17, "a scale of zero", i2_s(struct.pack("<f", 0.0))
    yield 17, "a scale that is denormal", i2_s(struct.pack("<f", 1e-42))
    yield 17, "a half scale of zero", q4_0(b"\0\0")
    yield 17, "a half scale that is denormal", q4_0(b"\1\0")
    yield 18, "a template that never ends", with_key("tokenizer.chat_template", STRING, "{% for i in range(10**18) %}{% for j in range(10**18) %}x{% endfor %}{% endfor %}")
    yield 18, "a template that includes", with_key("tokenizer.chat_template", STRING, "{% include '/etc/passwd' %}{{ messages }}")
    yield 18, "a template of 10 MB", with_key("tokenizer.chat_template", STRING, "{{ messages }}" * 750_000)


def places(folder):
    """(path, what the refusal says) of what is no model file at all. Makes them in this folder."""
    loop, pipe, hole = (os.path.join(folder, name) for name in ("loop.gguf", "pipe.gguf", "hole.gguf"))
    os.symlink(loop, loop)
    os.mkfifo(pipe)
    keys, tensors = parts()
    name, _, _, raw = tensors[0]
    with open(hole, "wb") as f:  # a terabyte that takes no room, as large as its table says
        f.write(gguf(keys, tensors[1:] + [(name, (WIDTH, LARGE >> 25), 0, raw)]))
        f.truncate(1 << 40 | 1 << 20)
    yield loop, "cannot be opened"
    yield os.path.join(folder, "nothing.gguf"), "cannot be opened"
    yield pipe, "not a regular file"
    yield "/dev/zero", "not a regular file"
    yield "/dev/null", "not a regular file"
    yield hole, "at most 1000000 are supported"
    if os.geteuid() != 0:  # root reads everything
        closed = os.path.join(folder, "closed.gguf")
        with open(closed, "wb") as f:
            f.write(whole())
        os.chmod(closed, 0)
        yield closed, "cannot be opened"


def large_vocabulary(n):
    """A whole model with so many tokens and merges."""
    keys, tensors = parts()
    tokens = ["a", "b", "ab", "Ġ"] + ["t%d" % i for i in range(n - 4)]
    merges = ["t%d t%d" % (i, i + 1) for i in range(n)]
    lists = {"tokens": (STRING, tokens), "token_type": (I32, [1] * n), "merges": (STRING, merges)}
    keys = [k for k in keys if k[0].split(".")[-1] not in lists] + [("tokenizer.ggml." + key, ARRAY, what) for key, what in lists.items()]
    return gguf(keys, [("token_embd.weight", (WIDTH, n), 0, bytes(4 * WIDTH * n))] + tensors[1:])
