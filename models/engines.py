# SPDX-License-Identifier: MIT
"""Two ways of computing with a model file: the trainer's forward pass, and `bitnet-model`, the engine that serves.

`full_precision` is for the twin: nothing is rounded to int8.
"""
import json
import os
import subprocess
import tempfile

import numpy as np

import bpe
from gguf_reader import Reader

LONGEST_ANSWER = 80
PART = 64


def open_tokenizer(path):
    return bpe.Tokenizer(m.split(" ") for m in Reader(path).keys["tokenizer.ggml.merges"])


class Torch:
    """Computes with the trainer's forward pass, 64 sequences at a time."""

    def __init__(self, path, full_precision=False):
        import bitnet  # only here: the other way of computing does without PyTorch
        self.bitnet, self.model = bitnet, bitnet.load(path)[0]
        if full_precision:
            self.model.in_full_precision()

    def _parts(self, sequences):
        return [sequences[i:i + PART] for i in range(0, len(sequences), PART)]

    def greedy(self, prompts, stop):
        return [a for part in self._parts(prompts) for a in self.bitnet.greedy(self.model, part, LONGEST_ANSWER, stop)]

    def embed(self, sequences):
        return np.concatenate([self.model.embed(*self.bitnet.pad(p)).detach().numpy() for p in self._parts(sequences)])

    def logits(self, sequences):
        """[tokens of all sequences, vocabulary]."""
        rows = []
        for ids in sequences:
            hidden = self.model.hidden(self.bitnet.pad([ids])[0])[0]
            rows.append(self.model.logits(hidden).detach().numpy())
        return np.concatenate(rows)


class Engine:
    """Computes with `bitnet-model`."""

    def __init__(self, program, path, full_precision=False):
        self.program, self.path = program, path
        self.act = ["--act", "none"] if full_precision else []

    def _tool(self, *words):
        return subprocess.run([self.program, *words, "--model", self.path, *self.act], check=True, stdout=subprocess.PIPE).stdout

    def run(self, form, sequences, *more):
        with tempfile.NamedTemporaryFile("w", suffix=".tokens") as file:
            file.writelines(" ".join(map(str, ids)) + "\n" for ids in sequences)
            file.flush()
            return self._tool(form, "--tokens", file.name, *more)

    def _array(self, form, sequences):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "x.npy")
            self.run(form, sequences, "--out", path)
            return np.load(path)

    def greedy(self, prompts, stop):
        found = [one["tokens"] for one in json.loads(self.run("greedy", prompts, "-n", str(LONGEST_ANSWER), "--json"))]
        return [tokens[:tokens.index(stop)] if stop in tokens else tokens for tokens in found]

    def embed(self, sequences):
        return self._array("embed", sequences)

    def logits(self, sequences):
        """[tokens of all sequences, vocabulary]."""
        return self._array("logits", sequences)

    def speed(self, n_prompt, n_generate):
        """Median tokens per second of one thread."""
        found = json.loads(self._tool("bench", "-p", str(n_prompt), "-n", str(n_generate), "-t", "1", "-r", "15", "-o", "json"))
        return found[0]["median_ts"]

    def joules_per_token(self):
        """Estimated from counted operations and bytes moved, one token at a time."""
        for one in json.loads(self._tool("layers", "-p", "0", "-n", "32", "--json")):
            if one["layer"] == "all" and one["operation"] == "total":
                return one["joules_with_memory_estimate"] / 32
        raise ValueError("bitnet-model layers gave no total")
