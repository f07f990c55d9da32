# SPDX-License-Identifier: MIT
"""Small GGUF files that a safe loader refuses, each for one reason; `refuse_because` null means: accept."""
import os
import struct

import formats as F

KEYS = [("general.architecture", F.STR, "bitnet-b1.58"), ("general.name", F.STR, "bad")]
DATA = [("a.weight", "f32", (2, 8), bytes(64)), ("b.weight", "f32", (8,), bytes(32))]


def replaced(raw, old, new, count=1):
    assert old in raw
    return raw.replace(old, new, count)


def entry(name, dims, kind, offset):
    return F.string(name) + struct.pack("<I%dQIQ" % len(dims), len(dims), *dims, kind, offset)


def make(folder):
    """Writes the files -> the index."""
    good, a = F.gguf(KEYS, DATA), entry("a.weight", (8, 2), 0, 0)
    b = entry("b.weight", (8,), 0, 64)
    files = {
        "good": (good, None),
        "magic": (b"GGUX" + good[4:], "wrong magic"),
        "version1": (good[:4] + struct.pack("<I", 1) + good[8:], "unknown version"),
        "big_endian": (good[:4] + struct.pack(">I", 3) + good[8:], "big-endian file"),
        "empty": (b"", "truncated in the header"),
        "cut_header": (good[:20], "truncated in the header"),
        "cut_data": (good[:-40], "tensor data runs past the end"),
        "huge_tensor_count": (good[:8] + struct.pack("<Q", 1 << 60) + good[16:], "tensor count cannot fit in the file"),
        "huge_key_count": (good[:16] + struct.pack("<Q", 1 << 60) + good[24:], "key count cannot fit in the file"),
        "huge_string": (good[:24] + struct.pack("<Q", (1 << 64) - 1) + good[32:], "key length past the end"),
        "huge_array": (F.gguf(KEYS + [("x", F.ARR, (F.U32, []))], DATA).replace(
            struct.pack("<IQ", F.U32, 0), struct.pack("<IQ", F.U32, 1 << 61), 1), "array length past the end"),
        "dup_key": (F.gguf(KEYS + KEYS[:1], DATA), "duplicate key"),
        "dup_tensor": (F.gguf(KEYS, DATA + [("a.weight", "f32", (8,), bytes(32))]), "duplicate tensor name"),
        "zero_dim": (replaced(good, a, entry("a.weight", (8, 0), 0, 0)), "a dimension is zero"),
        "overlap": (replaced(good, b, entry("b.weight", (8,), 0, 32)), "tensors overlap"),
        "misaligned": (replaced(good, b, entry("b.weight", (8,), 0, 33)), "offset is not a multiple of the alignment"),
        "offset_overflow": (replaced(good, b, entry("b.weight", (8,), 0, (1 << 64) - 32)), "offset + size overflows"),
        "element_overflow": (replaced(good, a, entry("a.weight", (1 << 40, 1 << 40), 0, 0)), "element count overflows"),
        "unknown_type": (replaced(good, b, entry("b.weight", (8,), 77, 64)), "unknown tensor type"),
        "partial_block": (replaced(good, a, entry("a.weight", (8, 2), 35, 0)), "rows are not whole blocks of the type"),
        "alignment0": (F.gguf(KEYS + [("general.alignment", F.U32, 0)], DATA), "alignment not a power of two"),
        "bool2": (F.gguf(KEYS + [("flag", F.BOOL, True)], DATA).replace(
            F.string("flag") + struct.pack("<IB", F.BOOL, 1), F.string("flag") + struct.pack("<IB", F.BOOL, 2)),
                  "bool byte is neither 0 nor 1"),
    }
    os.makedirs(folder, exist_ok=True)
    for name, (raw, _) in files.items():
        with open(os.path.join(folder, name + ".gguf"), "wb") as file:
            file.write(raw)
    return [{"file": name + ".gguf", "refuse_because": reason} for name, (_, reason) in files.items()]
