# SPDX-License-Identifier: MIT
"""GGUF 3 files and tensor codecs in plain NumPy: slow, short, and independent of the C++ engine it is compared with.

Every encoder returns (bytes, decoded float64 values), so that a golden value is what the stored bytes mean.
"""
import struct

import numpy as np

U32, I32, F32V, BOOL, STR, ARR = 4, 5, 6, 7, 8, 9
TYPE_ID = {"f32": 0, "f16": 1, "q4_0": 2, "q8_0": 8, "q4_k": 12, "q6_k": 14, "bf16": 30, "tq1_0": 34, "tq2_0": 35,
           "i2_s": 36}
SCALAR = {U32: "<I", I32: "<i", F32V: "<f", BOOL: "<?"}
ALIGNMENT = 32


# ---- codecs: matrix [rows, cols] -> bytes, values
def f32(x):
    x = x.astype("<f4")
    return x.tobytes(), x.astype(np.float64)


def f16(x):
    x = x.astype("<f2")
    return x.tobytes(), x.astype(np.float64)


def bf16(x):
    bits = np.ascontiguousarray(x, "<f4").view("<u4")
    upper = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2")           # nearest, ties to even
    return upper.tobytes(), (upper.astype("<u4") << 16).view("<f4").astype(np.float64)


def _half(d):
    """Scales per block -> (their two bytes, their value as stored)."""
    d = d.astype("<f2")
    return d.reshape(-1, 1).view(np.uint8), d.astype(np.float64).reshape(-1, 1)


def q8_0(x):
    blocks = x.reshape(-1, 32)
    raw, d = _half(np.abs(blocks).max(1) / 127)
    q = np.clip(np.rint(blocks / np.where(d == 0, 1, d)), -127, 127)
    return np.concatenate([raw, q.astype(np.int8).view(np.uint8)], 1).tobytes(), (q * d).reshape(x.shape)


def q4_0(x):
    blocks = x.reshape(-1, 32)
    extreme = np.take_along_axis(blocks, np.abs(blocks).argmax(1)[:, None], 1)[:, 0]
    raw, d = _half(extreme / -8)
    q = np.clip(np.rint(blocks / np.where(d == 0, 1, d)) + 8, 0, 15).astype(np.uint8)
    packed = q[:, :16] | q[:, 16:] << 4
    return np.concatenate([raw, packed], 1).tobytes(), ((q.astype(np.float64) - 8) * d).reshape(x.shape)


def q4_k_random(rows, cols, rng):
    """Random legal blocks: the meaning of the bytes is what is tested, not how well they approximate something."""
    n = rows * cols // 256
    raw_d, d = _half(rng.uniform(1e-4, 1e-3, n))
    raw_m, low = _half(rng.uniform(1e-4, 1e-3, n))
    s, qs = rng.integers(0, 256, (n, 12), np.uint8), rng.integers(0, 256, (n, 128), np.uint8)
    values = np.empty((n, 256))
    for j in range(8):                                                          # eight sub-blocks of 32
        if j < 4:
            scale, minimum = s[:, j] & 63, s[:, j + 4] & 63
        else:
            scale = s[:, j + 4] & 15 | s[:, j - 4] >> 6 << 4
            minimum = s[:, j + 4] >> 4 | s[:, j] >> 6 << 4
        part = qs[:, 32 * (j // 2):32 * (j // 2) + 32] >> (4 * (j % 2)) & 15
        values[:, 32 * j:32 * j + 32] = d * scale[:, None] * part - low * minimum[:, None]
    return np.concatenate([raw_d, raw_m, s, qs], 1).tobytes(), values.reshape(rows, cols)


def q6_k_random(rows, cols, rng):
    n = rows * cols // 256
    raw_d, d = _half(rng.uniform(1e-4, 1e-3, n))
    ql, qh = rng.integers(0, 256, (n, 128), np.uint8), rng.integers(0, 256, (n, 64), np.uint8)
    scales = rng.integers(-128, 128, (n, 16)).astype(np.int8)
    values = np.empty((n, 256))
    for half in range(2):
        for quarter in range(4):                                                # 32 values each
            at = 64 * half + 32 * (quarter % 2)
            low = ql[:, at:at + 32] >> (4 * (quarter // 2)) & 15
            high = qh[:, 32 * half:32 * half + 32] >> (2 * quarter) & 3
            s = np.repeat(scales[:, 8 * half + 2 * quarter:8 * half + 2 * quarter + 2].astype(np.float64), 16, 1)
            start = 128 * half + 32 * quarter
            values[:, start:start + 32] = d * s * ((low | high << 4).astype(np.float64) - 32)
    return np.concatenate([ql, qh, scales.view(np.uint8), raw_d], 1).tobytes(), values.reshape(rows, cols)


def i2_s(t, scale):
    """t: int8 ternary. Groups of 128 in 32 bytes, first lane in the high bits; one f32 scale after all codes."""
    q = (t.reshape(-1, 4, 32) + 1).astype(np.uint8)
    packed = q[:, 0] << 6 | q[:, 1] << 4 | q[:, 2] << 2 | q[:, 3]
    return packed.tobytes() + struct.pack("<f28x", scale), t * np.float64(np.float32(scale))


def tq2_0(t, scale):
    """Blocks of 256 in 64 bytes, first lane in the low bits, f16 scale behind."""
    q = (t.reshape(-1, 2, 4, 32) + 1).astype(np.uint8)
    packed = (q[:, :, 0] | q[:, :, 1] << 2 | q[:, :, 2] << 4 | q[:, :, 3] << 6).reshape(-1, 64)
    raw, d = _half(np.full(len(packed), scale))
    return np.concatenate([packed, raw], 1).tobytes(), t * d[0, 0]


def _digits(q):
    """[..., digits] of base 3, most significant first (always five places) -> one byte holding ceil(256 v / 243)."""
    weight = 3 ** np.arange(4, 4 - q.shape[-1], -1)
    return ((q.astype(np.int64) @ weight * 256 + 242) // 243).astype(np.uint8)


def tq1_0(t, scale):
    """Blocks of 256 in 52 bytes, five ternary digits per byte, f16 scale behind."""
    q = t.reshape(-1, 256) + 1
    first = _digits(q[:, :160].reshape(-1, 5, 32).swapaxes(1, 2))
    second = _digits(q[:, 160:240].reshape(-1, 5, 16).swapaxes(1, 2))
    last = _digits(q[:, 240:].reshape(-1, 4, 4).swapaxes(1, 2))
    raw, d = _half(np.full(len(q), scale))
    return np.concatenate([first, second, last, raw], 1).tobytes(), t * d[0, 0]


# ---- container
def string(text):
    raw = text if isinstance(text, bytes) else text.encode("utf-8")
    return struct.pack("<Q", len(raw)) + raw


def value(kind, item):
    if kind == STR:
        return string(item)
    if kind == ARR:
        element, items = item
        return struct.pack("<IQ", element, len(items)) + b"".join(value(element, i) for i in items)
    return struct.pack(SCALAR[kind], item)


def gguf(keys, tensors):
    """keys: (name, kind, value); tensors: (name, type name, shape [rows, cols] or [n], bytes) -> the file's bytes."""
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(keys))
    for name, kind, item in keys:
        head += string(name) + struct.pack("<I", kind) + value(kind, item)
    offset, data = 0, b""
    for name, kind, shape, raw in tensors:
        head += string(name) + struct.pack("<I%dQIQ" % len(shape), len(shape), *shape[::-1], TYPE_ID[kind], offset)
        data += raw + bytes(-len(raw) % ALIGNMENT)
        offset = len(data)
    return head + bytes(-len(head) % ALIGNMENT) + data
