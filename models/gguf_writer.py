# SPDX-License-Identifier: MIT
"""Writes GGUF version 3: header, typed keys, tensor table, aligned data. Layouts: docs of GGUF and of bitnet.cpp's I2_S."""
import struct

import numpy as np

U32, I32, F32_VALUE, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
F32, F16, I2_S = 0, 1, 36
ALIGNMENT = 32


def _string(text):
    raw = text.encode("utf-8")
    return struct.pack("<Q", len(raw)) + raw


def _value(kind, value):
    if kind == STRING:
        return _string(value)
    if kind == ARRAY:
        element, items = value
        return struct.pack("<IQ", element, len(items)) + b"".join(_value(element, i) for i in items)
    return struct.pack({U32: "<I", I32: "<i", F32_VALUE: "<f", BOOL: "<?"}[kind], value)


def f32_tensor(name, values):
    values = np.ascontiguousarray(values, "<f4")
    return name, F32, values.shape[::-1], values.tobytes()


def f16_tensor(name, values):
    values = np.ascontiguousarray(values, "<f2")
    return name, F16, values.shape[::-1], values.tobytes()


def i2s_tensor(name, ternary, scale):
    """Ternary matrix [out, in] with one scale: groups of 128 values in 32 bytes, first lane in the high bits."""
    if ternary.size % 128:
        raise ValueError("%s: I2_S needs a multiple of 128 values, got %d" % (name, ternary.size))
    codes = (ternary.reshape(-1, 4, 32) + 1).astype(np.uint8)
    packed = codes[:, 0] << 6 | codes[:, 1] << 4 | codes[:, 2] << 2 | codes[:, 3]
    return name, I2_S, ternary.shape[::-1], packed.tobytes() + struct.pack("<f28x", scale)


def write(path, keys, tensors):
    """keys: (name, kind, value), an array's value is (element kind, items); tensors: what the *_tensor functions give."""
    head = [struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(keys))]
    for name, kind, value in keys:
        head.append(_string(name) + struct.pack("<I", kind) + _value(kind, value))
    offset, blobs = 0, []
    for name, kind, dims, raw in tensors:
        head.append(_string(name) + struct.pack("<I%dQIQ" % len(dims), len(dims), *dims, kind, offset))
        blobs.append(raw + bytes(-len(raw) % ALIGNMENT))
        offset += len(blobs[-1])
    head = b"".join(head)
    with open(path, "wb") as file:
        file.write(head + bytes(-len(head) % ALIGNMENT) + b"".join(blobs))
