#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Measures the shipped models on the sets of heldout/, from the bytes of the GGUF files.

    /usr/bin/python3 models/evaluate.py [--folder models] [--list] [--engine build/release/clients/bitnet_model/bitnet-model]

--engine lets our own engine compute (fast, needs no torch); without it PyTorch does. --list prints every wrong answer.

Chat: an answer is right when it contains every key fact of its topic and no key fact of another; out of scope the answer
must be the refusal. Embedding: cosines of same-topic pairs against other-topic pairs, beside hashed character n-grams.
"""
import argparse
import collections
import json
import os
import subprocess
import tempfile
import zlib

import numpy as np

import bpe
import questions
from gguf_reader import Reader

LONGEST_ANSWER = 80
NGRAM_BUCKETS = 4096


def open_tokenizer(path):
    return bpe.Tokenizer(m.split(" ") for m in Reader(path).keys["tokenizer.ggml.merges"])


class Torch:
    """Computes with the trainer's forward pass, 64 sequences at a time."""

    def __init__(self, path):
        import bitnet  # only here: the other way of computing does without PyTorch
        self.bitnet, self.model = bitnet, bitnet.load(path)[0]

    def greedy(self, prompts, stop):
        parts = [prompts[i:i + 64] for i in range(0, len(prompts), 64)]
        return [a for part in parts for a in self.bitnet.greedy(self.model, part, LONGEST_ANSWER, stop)]

    def embed(self, sequences):
        parts = [self.bitnet.pad(sequences[i:i + 64]) for i in range(0, len(sequences), 64)]
        return np.concatenate([self.model.embed(*part).detach().numpy() for part in parts])


class Engine:
    """Computes with `bitnet-model`, the engine that serves."""

    def __init__(self, program, path):
        self.program, self.path = program, path

    def _run(self, form, sequences, *more):
        with tempfile.NamedTemporaryFile("w", suffix=".tokens") as file:
            file.writelines(" ".join(map(str, ids)) + "\n" for ids in sequences)
            file.flush()
            return subprocess.run([self.program, form, "--model", self.path, "--tokens", file.name, *more], check=True,
                                  stdout=subprocess.PIPE).stdout

    def greedy(self, prompts, stop):
        found = [one["tokens"] for one in json.loads(self._run("greedy", prompts, "-n", str(LONGEST_ANSWER), "--json"))]
        return [tokens[:tokens.index(stop)] if stop in tokens else tokens for tokens in found]

    def embed(self, sequences):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "x.npy")
            self._run("embed", sequences, "--out", path)
            return np.load(path)


def topic_of(answer, data):
    """The topic whose key facts an answer states; None for the refusal, 'mixed' for anything else."""
    if answer.strip() == data["refusal"]:
        return None
    text = answer.lower()
    touched = [t for t in data["topics"] if any(f.lower() in text for f in t["facts"])]
    complete = [t["id"] for t in touched if all(f.lower() in text for f in t["facts"])]
    return complete[0] if len(touched) == 1 and complete else "mixed"


def evaluate_chat(model, tokenizer, data, heldout, show):
    asked = [(w, t) for t, ws in heldout["topics"].items() for w in ws]
    asked += [(w, None) for w in heldout["out_of_scope"]]
    prompts = [tokenizer.chat([("User", w)]) for w, _ in asked]
    answers = [tokenizer.decode(a) for a in model.greedy(prompts, tokenizer.eot)]
    found = [topic_of(a, data) for a in answers]
    by_topic, confusion = collections.defaultdict(list), collections.Counter()
    for (wording, topic), got, answer in zip(asked, found, answers):
        by_topic[topic].append(got == topic)
        if got != topic:
            confusion[(topic or "out of scope", got or "refusal")] += 1
            if show:
                print("  %-60s %-18s -> %-18s %s" % (wording, topic or "out of scope", got or "refusal", answer))
    refused = by_topic.pop(None)
    right = [r for rs in by_topic.values() for r in rs]
    print("chat: %d topics" % len(by_topic))
    print("  right answers on held-out wordings   %3d of %3d  %.1f %%" % (sum(right), len(right), 100 * np.mean(right)))
    print("  'I do not know' out of scope         %3d of %3d  %.1f %%"
          % (sum(refused), len(refused), 100 * np.mean(refused)))
    print("  topics with every wording right      %3d of %3d" % (sum(map(all, by_topic.values())), len(by_topic)))
    print("  weakest: " + ", ".join("%s %d/%d" % (t, sum(r), len(r)) for t, r in
                                    sorted(by_topic.items(), key=lambda e: np.mean(e[1]))[:6]))
    print("  confusions: " + ", ".join("%s -> %s (%d)" % (*pair, n) for pair, n in confusion.most_common(12)))


def ngram_vectors(wordings):
    """The yardstick without training: hashed character trigrams, counted, unit length."""
    rows = np.zeros((len(wordings), NGRAM_BUCKETS))
    for row, wording in zip(rows, wordings):
        text = "  %s  " % wording.lower()
        for i in range(len(text) - 2):
            row[zlib.crc32(text[i:i + 3].encode()) % NGRAM_BUCKETS] += 1
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def auc(same, other):
    """Probability that a same-topic pair scores above an other-topic pair."""
    order = np.sort(other)
    below, upto = np.searchsorted(order, same, "left"), np.searchsorted(order, same, "right")
    return float(((below + upto) / 2).mean() / len(other))


def pairs(rows, labels, near):
    """Cosines of (same topic, other topic, topics named near each other)."""
    cosine = rows @ rows.T
    same, other, close = [], [], []
    for i in range(len(labels)):
        for j in range(i):
            if labels[i] == labels[j]:
                same.append(cosine[i, j])
                continue
            other.append(cosine[i, j])
            if labels[j] in near.get(labels[i], ()) or labels[i] in near.get(labels[j], ()):
                close.append(cosine[i, j])
    return np.array(same), np.array(other), np.array(close)


def evaluate_embedding(model, tokenizer, data, heldout, show):
    wordings = [w for ws in heldout["topics"].values() for w in ws] + heldout["out_of_scope"]
    labels = [t for t, ws in heldout["topics"].items() for _ in ws] + ["o%d" % i for i in
                                                                      range(len(heldout["out_of_scope"]))]
    near = {t["id"]: t["near"] for t in data["topics"]}
    rows = model.embed([[tokenizer.bos] + tokenizer.encode(w) + [tokenizer.eos] for w in wordings])
    print("embedding: %d held-out questions" % len(wordings))
    for name, found in (("ours", rows), ("hashed trigrams", ngram_vectors(wordings))):
        same, other, close = pairs(found, labels, near)
        print("  %-16s AUC same/other %.4f   same/near topics %.4f   (%d same, %d other, %d near pairs)"
              % (name, auc(same, other), auc(same, close), len(same), len(other), len(close)))
    same, other, _ = pairs(rows, labels, near)
    steps = (0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0)
    print("  quantile    " + "  ".join("%6.3f" % q for q in steps))
    print("  same topic  " + "  ".join("%6.3f" % v for v in np.quantile(same, steps)))
    print("  other topic " + "  ".join("%6.3f" % v for v in np.quantile(other, steps)))
    print("  no other-topic pair reaches %.4f; at that threshold %.1f %% of the same-topic pairs pass"
          % (other.max(), 100 * (same > other.max()).mean()))
    for threshold in (0.80, 0.85, 0.90, 0.92, 0.95, 0.97):
        print("  threshold %.2f: %5.1f %% of same-topic pairs, %d of %d other-topic pairs"
              % (threshold, 100 * (same >= threshold).mean(), (other >= threshold).sum(), len(other)))
    if show:
        cosine = rows @ rows.T
        worst = sorted(((cosine[i, j], i, j) for i in range(len(labels)) for j in range(i) if labels[i] != labels[j]),
                       reverse=True)[:25]
        for value, i, j in worst:
            print("  %.3f  %s | %s" % (value, wordings[i], wordings[j]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", default=questions.FOLDER)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--sets", nargs="+", help="names of files in heldout/; without: all")
    parser.add_argument("--engine", metavar="BITNET_MODEL")
    args = parser.parse_args()
    data, heldout = questions.load_topics(), questions.load_heldout()
    for what, run in (("chat", evaluate_chat), ("embed", evaluate_embedding)):
        path = os.path.join(args.folder, "bitnetd-%s.gguf" % what)
        if not os.path.exists(path):
            continue
        model, tokenizer = Engine(args.engine, path) if args.engine else Torch(path), open_tokenizer(path)
        for name in args.sets or heldout:
            print("%s, %s held-out set" % (path, name))
            run(model, tokenizer, data, heldout[name], args.list)


if __name__ == "__main__":
    main()
