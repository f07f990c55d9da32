# SPDX-License-Identifier: MIT
"""Right answers of the chat model on held-out questions.

An answer is right when it contains every key fact of its topic and no key fact of another; out of scope it must be the refusal.
"""
import collections

import numpy as np

MEASURED_ANSWERS = 150


def topic_of(answer, data):
    """The topic whose key facts an answer states; None for the refusal, 'mixed' for anything else."""
    if answer.strip() == data["refusal"]:
        return None
    text = answer.lower()
    touched = [t for t in data["topics"] if any(f.lower() in text for f in t["facts"])]
    complete = [t["id"] for t in touched if all(f.lower() in text for f in t["facts"])]
    return complete[0] if len(touched) == 1 and complete else "mixed"


class Result:
    """What came out of one held-out set."""

    def __init__(self, data, asked, answers):
        self.special = {t["id"] for t in data["topics"] if t["special"]}
        self.rows = [(wording, topic, topic_of(answer, data), answer) for (wording, topic), answer in zip(asked, answers)]

    def _right(self, chosen):
        return [topic == got for _, topic, got, _ in self.rows if chosen(topic)]

    def ordinary(self):
        return self._right(lambda t: t is not None and t not in self.special)

    def unusual(self):
        """The special topics, which training asks in other kinds of wording only."""
        return self._right(lambda t: t in self.special)

    def inside(self):
        return self._right(lambda t: t is not None)

    def refused(self):
        return self._right(lambda t: t is None)

    def confusions(self):
        return collections.Counter((topic or "out of scope", got or "refusal") for _, topic, got, _ in self.rows if topic != got)

    def by_topic(self):
        found = collections.defaultdict(list)
        for _, topic, got, _ in self.rows:
            if topic:
                found[topic].append(topic == got)
        return found


def ask(model, tokenizer, data, heldout):
    asked = [(w, t) for t, ws in heldout["topics"].items() for w in ws] + [(w, None) for w in heldout["out_of_scope"]]
    answers = model.greedy([tokenizer.chat([("User", w)]) for w, _ in asked], tokenizer.eot)
    return Result(data, asked, [tokenizer.decode(a) for a in answers])


def perplexity(model, tokenizer, data, heldout):
    """exp of the mean surprise per token of the right answers, given held-out questions evenly chosen."""
    answers = {t["id"]: tokenizer.encode(t["answer"]) + [tokenizer.eot] for t in data["topics"]}
    asked = [(tokenizer.chat([("User", w)]), answers[t]) for t, ws in heldout["topics"].items() for w in ws]
    asked = asked[::max(1, len(asked) // MEASURED_ANSWERS)]
    logits = model.logits([prompt + answer for prompt, answer in asked]).astype(np.float64)
    at, surprise = 0, []
    for prompt, answer in asked:
        rows = logits[at + len(prompt) - 1:at + len(prompt) + len(answer) - 1]
        at += len(prompt) + len(answer)
        top = rows.max(1, keepdims=True)
        log_sum = top[:, 0] + np.log(np.exp(rows - top).sum(1))
        surprise += list(log_sum - rows[np.arange(len(answer)), answer])
    return float(np.exp(np.mean(surprise)))


def share(right):
    return "%d of %d, %.1f %%" % (sum(right), len(right), 100 * np.mean(right)) if right else "-"


def report(result, show):
    """The details that the table of figures leaves out."""
    by_topic = result.by_topic()
    weakest = sorted(by_topic.items(), key=lambda e: np.mean(e[1]))
    print("  topics with every wording right: %d of %d" % (sum(map(all, by_topic.values())), len(by_topic)))
    print("  weakest: " + ", ".join("%s %d/%d" % (t, sum(r), len(r)) for t, r in weakest[:8]))
    print("  confusions: " + ", ".join("%s -> %s (%d)" % (*pair, n) for pair, n in result.confusions().most_common(40)))
    for wording, topic, got, answer in result.rows if show else ():
        if topic != got:
            print("  %-60s %-18s -> %-18s %s" % (wording, topic or "out of scope", got or "refusal", answer))
