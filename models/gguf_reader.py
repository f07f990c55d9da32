# SPDX-License-Identifier: MIT
"""Reads back what gguf_writer.py writes, so that evaluation runs on the shipped bytes and not on the trainer's memory."""
import struct

import numpy as np

from gguf_writer import ALIGNMENT, ARRAY, BOOL, F16, F32, F32_VALUE, I2_S, I32, STRING, U32

SCALARS = {U32: "<I", I32: "<i", F32_VALUE: "<f", BOOL: "<?"}


class Reader:
    """keys: name -> value; tensors: name -> float32 array, ternary matrices as (ternary, scale)."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.raw = file.read()
        self.at = 0
        magic, version, n_tensors, n_keys = self._take("<4sIQQ")
        if magic != b"GGUF" or version != 3:
            raise ValueError("%s: not a GGUF 3 file" % path)
        self.keys = {}
        for _ in range(n_keys):
            name = self._string()
            self.keys[name] = self._value(self._take("<I")[0])
        table = [self._entry() for _ in range(n_tensors)]
        base = -(-self.at // ALIGNMENT) * ALIGNMENT
        self.tensors = {name: self._tensor(kind, dims, base + offset) for name, kind, dims, offset in table}

    def _take(self, form):
        values = struct.unpack_from(form, self.raw, self.at)
        self.at += struct.calcsize(form)
        return values

    def _string(self):
        length, = self._take("<Q")
        self.at += length
        return self.raw[self.at - length:self.at].decode("utf-8")

    def _value(self, kind):
        if kind == STRING:
            return self._string()
        if kind == ARRAY:
            element, count = self._take("<IQ")
            return [self._value(element) for _ in range(count)]
        return self._take(SCALARS[kind])[0]

    def _entry(self):
        name = self._string()
        n_dims, = self._take("<I")
        dims = self._take("<%dQ" % n_dims)
        kind, offset = self._take("<IQ")
        return name, kind, dims, offset

    def _tensor(self, kind, dims, at):
        shape, count = dims[::-1], int(np.prod(dims))
        if kind in (F32, F16):
            return np.frombuffer(self.raw, "<f4" if kind == F32 else "<f2", count, at).astype(np.float32).reshape(shape)
        if kind != I2_S:
            raise ValueError("tensor type %d is not one of ours" % kind)
        packed = np.frombuffer(self.raw, np.uint8, count // 4, at).reshape(-1, 1, 32)
        codes = packed >> np.array([6, 4, 2, 0], np.uint8).reshape(1, 4, 1) & 3
        scale, = struct.unpack_from("<f", self.raw, at + count // 4)
        return codes.reshape(shape).astype(np.int8) - 1, np.float32(scale)
