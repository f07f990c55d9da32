#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Measures the shipped models on heldout.json, from the bytes of the GGUF files.

    /usr/bin/python3 models/evaluate.py [--folder models] [--list]      --list prints every wrong answer

Chat: an answer is right when it contains every key fact of its topic and no key fact of another; out of scope the answer
must be the refusal. Embedding: cosines of same-topic pairs against other-topic pairs, beside hashed character n-grams.
"""
import argparse
import collections
import os
import zlib

import numpy as np
import torch

import bitnet
import bpe
import questions

LONGEST_ANSWER = 80
NGRAM_BUCKETS = 4096


def open_model(path):
    model, keys = bitnet.load(path)
    return model, bpe.Tokenizer(m.split(" ") for m in keys["tokenizer.ggml.merges"])


def topic_of(answer, data):
    """The topic whose key facts an answer states; None for the refusal, 'mixed' for anything else."""
    if answer.strip() == data["refusal"]:
        return None
    text = answer.lower()
    touched = [t for t in data["topics"] if any(f.lower() in text for f in t["facts"])]
    complete = [t["id"] for t in touched if all(f.lower() in text for f in t["facts"])]
    return complete[0] if len(touched) == 1 and complete else "mixed"


def ask(model, tokenizer, wordings):
    prompts = [tokenizer.chat([("User", w)]) for w in wordings]
    answers = []
    for i in range(0, len(prompts), 64):
        answers += bitnet.greedy(model, prompts[i:i + 64], LONGEST_ANSWER, tokenizer.eot)
    return [tokenizer.decode(a) for a in answers]


def evaluate_chat(path, data, heldout, show):
    model, tokenizer = open_model(path)
    asked = [(w, t) for t, ws in heldout["topics"].items() for w in ws]
    asked += [(w, None) for w in heldout["out_of_scope"]]
    answers = ask(model, tokenizer, [w for w, _ in asked])
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


def vectors(model, tokenizer, wordings):
    """Unit vectors [wordings, width] as the daemon asks for them: BOS, text, EOS."""
    rows = []
    with torch.no_grad():
        for i in range(0, len(wordings), 64):
            ids = [[tokenizer.bos] + tokenizer.encode(w) + [tokenizer.eos] for w in wordings[i:i + 64]]
            rows.append(model.embed(*bitnet.pad(ids)).numpy())
    return np.concatenate(rows)


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


def evaluate_embedding(path, data, heldout, show):
    model, tokenizer = open_model(path)
    wordings = [w for ws in heldout["topics"].values() for w in ws] + heldout["out_of_scope"]
    labels = [t for t, ws in heldout["topics"].items() for _ in ws] + ["o%d" % i for i in
                                                                      range(len(heldout["out_of_scope"]))]
    near = {t["id"]: t["near"] for t in data["topics"]}
    rows = vectors(model, tokenizer, wordings)
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
    parser.add_argument("--sets", nargs="+", choices=("first", "second"), default=["first", "second"])
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    data, heldout = questions.load("topics.json"), questions.load("heldout.json")
    for what, run in (("chat", evaluate_chat), ("embed", evaluate_embedding)):
        path = os.path.join(args.folder, "bitnetd-%s.gguf" % what)
        for name in args.sets if os.path.exists(path) else ():
            print("%s, %s held-out set" % (path, name))
            run(path, data, questions.heldout_sets(heldout)[name], args.list)


if __name__ == "__main__":
    main()
