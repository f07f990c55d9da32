#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Checks topics.json and heldout.json: what training and evaluation take for granted. Needs Python only; exit 0 or 1."""
import sys

import questions

LEAST_TOPICS, LEAST_WORDINGS, LEAST_HELDOUT, LEAST_STRANGE = 20, 25, 4, 60


def problems(data, heldout):
    topics = {t["id"]: t for t in data["topics"]}
    if len(topics) != len(data["topics"]) or len(topics) < LEAST_TOPICS:
        yield "expected at least %d topics with different ids, got %d" % (LEAST_TOPICS, len(topics))
    for part in questions.heldout_sets(heldout).values():
        if set(topics) != set(part["topics"]):
            yield "topics and held-out wordings name different ids: %s" % sorted(set(topics) ^ set(part["topics"]))
    inside, outside = questions.training_questions(data, heldout)
    for name, topic in topics.items():
        if len(inside[name]) < LEAST_WORDINGS:
            yield "%s: %d training wordings, expected %d" % (name, len(inside[name]), LEAST_WORDINGS)
        if len(heldout["topics"].get(name, ())) < LEAST_HELDOUT:
            yield "%s: expected %d held-out wordings" % (name, LEAST_HELDOUT)
        for fact in topic["facts"]:
            holders = [t["id"] for t in data["topics"] if fact.lower() in t["answer"].lower()]
            if holders != [name]:
                yield "%s: the key fact %r stands in the answers of %s" % (name, fact, holders or "no topic")
        yield from ("%s: near names the unknown topic %s" % (name, n) for n in topic["near"] if n not in topics)
    if len(heldout["out_of_scope"]) < LEAST_STRANGE:
        yield "expected %d held-out questions out of scope" % LEAST_STRANGE
    yield from clashes(inside, outside, heldout)


def clashes(inside, outside, heldout):
    """One question in two places."""
    place = {}
    for group, texts in [(t, [q.text for q in qs]) for t, qs in inside.items()] + [("out of scope", [q.text for q in outside])]:
        for text in texts:
            other = place.setdefault(questions.plain(text), group)
            if other != group:
                yield "%r is a wording of %s and of %s" % (text, other, group)
    for part in questions.heldout_sets(heldout).values():
        texts = questions.heldout_texts(part)
        yield from ("held-out %r is a training wording" % t for t in texts if questions.plain(t) in place)


def main():
    found = list(problems(questions.load("topics.json"), questions.load("heldout.json")))
    print("\n".join(found) or "models: data are consistent")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
