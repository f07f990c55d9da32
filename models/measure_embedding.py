# SPDX-License-Identifier: MIT
"""How well cosines tell questions of one meaning from others, beside a yardstick that was not trained."""
import zlib

import numpy as np

NGRAM_BUCKETS = 4096
THRESHOLDS = (0.80, 0.85, 0.90, 0.92, 0.95, 0.97)


def ngram_vectors(wordings):
    """The yardstick: hashed character trigrams, counted, unit length."""
    rows = np.zeros((len(wordings), NGRAM_BUCKETS))
    for row, wording in zip(rows, wordings):
        text = "  %s  " % wording.lower()
        for i in range(len(text) - 2):
            row[zlib.crc32(text[i:i + 3].encode()) % NGRAM_BUCKETS] += 1
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def auc(same, other):
    """Probability that a pair of one meaning scores above a pair of two."""
    order = np.sort(other)
    below, upto = np.searchsorted(order, same, "left"), np.searchsorted(order, same, "right")
    return float(((below + upto) / 2).mean() / len(other))


def topic_pairs(rows, labels, near):
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


def pair_cosines(embed, pairs):
    """-> (cosines of the pairs that mean the same, of the near misses)."""
    a, b = embed([p["a"] for p in pairs]), embed([p["b"] for p in pairs])
    cosines, alike = (a * b).sum(1), np.array([p["kind"] == "same" for p in pairs])
    return cosines[alike], cosines[~alike]


class Measured:
    """All cosines of one embedder on one held-out set and the held-out pairs."""

    def __init__(self, embed, data, heldout, pairs):
        strange = heldout["out_of_scope"]
        wordings = [w for ws in heldout["topics"].values() for w in ws] + strange
        labels = [t for t, ws in heldout["topics"].items() for _ in ws] + ["o%d" % i for i in range(len(strange))]
        near = {t["id"]: t["near"] for t in data["topics"]}
        self.same, self.other, self.close = topic_pairs(embed(wordings), labels, near)
        self.alike, self.missed = pair_cosines(embed, pairs)

    def figures(self):
        """AUCs in the order of FIGURES."""
        return (auc(self.same, self.other), auc(self.same, self.close), auc(self.alike, self.missed),
                auc(np.concatenate([self.same, self.alike]), np.concatenate([self.close, self.missed])))


FIGURES = ("AUC, same topic against other topics", "AUC, same topic against easily confused topics",
           "AUC, pairs of one meaning against near misses (number, negation, name)",
           "AUC, same topic and pairs against confused topics and near misses")


def vectors_of(model, tokenizer):
    return lambda texts: model.embed([[tokenizer.bos] + tokenizer.encode(t) + [tokenizer.eos] for t in texts])


def report(found):
    print("  %d same-topic, %d other-topic, %d easily confused pairs; %d pairs of one meaning, %d near misses"
          % (len(found.same), len(found.other), len(found.close), len(found.alike), len(found.missed)))
    steps = (0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0)
    print("  quantile    " + "  ".join("%6.3f" % q for q in steps))
    for name, cosines in (("same topic ", found.same), ("other topic", found.other), ("one meaning", found.alike),
                          ("near miss  ", found.missed)):
        print("  %s " % name + "  ".join("%6.3f" % v for v in np.quantile(cosines, steps)))
    for threshold in THRESHOLDS:
        print("  threshold %.2f: passes %5.1f %% of same-topic pairs, %d of %d other-topic pairs, %d of %d near misses"
              % (threshold, 100 * (found.same >= threshold).mean(), (found.other >= threshold).sum(), len(found.other),
                 (found.missed >= threshold).sum(), len(found.missed)))
