#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Checks topics/, wordings.json and heldout/: what training and evaluation take for granted. Needs Python only; exit 0 or 1."""
import sys

import questions

LEAST_TOPICS, SPECIAL_TOPICS, LEAST_WORDINGS, LONGEST_ANSWER = 124, 20, 20, 40


def problems(data, heldout):
    topics = {t["id"]: t for t in data["topics"]}
    if len(topics) != len(data["topics"]) or len(topics) < LEAST_TOPICS:
        yield "expected at least %d topics with different ids, got %d" % (LEAST_TOPICS, len(topics))
    if sum(t["special"] for t in data["topics"]) != SPECIAL_TOPICS:
        yield "expected %d special topics" % SPECIAL_TOPICS
    yield from ("wordings.json: there is no topic %s" % t for t in questions.load("wordings.json")["topics"] if t not in topics)
    for topic in data["topics"]:
        yield from topic_problems(topic, topics)
    for name, part in heldout.items():
        yield from ("%s: there is no topic %s" % (name, t) for t in part["topics"] if t not in topics)
    inside, outside = questions.training_questions(data, heldout)
    for name, asked in inside.items():
        if len(asked) < LEAST_WORDINGS:
            yield "%s: %d training wordings, expected %d" % (name, len(asked), LEAST_WORDINGS)
    yield from clashes(inside, outside, heldout)


def topic_problems(topic, topics):
    name, words = topic["id"], len(topic["answer"].split())
    if not topic["facts"] or words > LONGEST_ANSWER:
        yield "%s: expected key facts and at most %d words of answer" % (name, LONGEST_ANSWER)
    for fact in topic["facts"]:
        holders = [t["id"] for t in topics.values() if fact.lower() in t["answer"].lower()]
        if holders != [name]:
            yield "%s: the key fact %r stands in the answers of %s" % (name, fact, holders or "no topic")
    yield from ("%s: near names the unknown topic %s" % (name, n) for n in topic["near"] if n not in topics)


def clashes(inside, outside, heldout):
    """One question in two places."""
    place = {}
    for group, texts in [(t, [q.text for q in qs]) for t, qs in inside.items()] + [("out of scope", [q.text for q in outside])]:
        for text in texts:
            other = place.setdefault(questions.plain(text), group)
            if other != group:
                yield "%r is a wording of %s and of %s" % (text, other, group)
    yield from ("held-out %r is a training wording" % t for t in questions.heldout_texts(heldout)
                if questions.plain(t) in place)


def main():
    data = questions.load_topics()
    found = list(problems(data, questions.load_heldout()))
    asked = sum(bool(t["wordings"]) for t in data["topics"])
    print("\n".join(found) or "models: %d topics, %d of them with training wordings; data are consistent"
          % (len(data["topics"]), asked))
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
