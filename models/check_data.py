#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Checks topics/, wordings/, forms/ and heldout/: what training and evaluation take for granted. Needs Python only; exit 0 or 1."""
import re
import sys

import questions

LEAST_TOPICS, SPECIAL_TOPICS, LEAST_WORDINGS, LONGEST_ANSWER = 124, 20, 20, 40
LEAST_HELDOUT, LEAST_STRANGE = 3, 200


def problems(data, heldout):
    topics = {t["id"]: t for t in data["topics"]}
    if len(topics) != len(data["topics"]) or len(topics) < LEAST_TOPICS:
        yield "expected at least %d topics with different ids, got %d" % (LEAST_TOPICS, len(topics))
    if sum(t["special"] for t in data["topics"]) != SPECIAL_TOPICS:
        yield "expected %d special topics" % SPECIAL_TOPICS
    yield from ("wordings/: there is no topic %s" % t for t in questions.load_wordings()["topics"] if t not in topics)
    forms = questions.load_forms()
    yield from ("forms/: there is no topic %s" % t for t in forms if t not in topics)
    yield from ("validation.json: there is no topic %s" % t for t in questions.load_validation()["topics"] if t not in topics)
    for topic in data["topics"]:
        yield from topic_problems(topic, topics)
        yield from form_problems(topic, forms.get(topic["id"], ()))
    yield from heldout_problems(topics, heldout)
    inside, outside = questions.training_questions(data)
    for name, asked in inside.items():
        if len(asked) < LEAST_WORDINGS:
            yield "%s: %d training wordings, expected %d" % (name, len(asked), LEAST_WORDINGS)
    yield from clashes(inside, outside)


def topic_problems(topic, topics):
    name, words = topic["id"], len(topic["answer"].split())
    if not topic["facts"] or words > LONGEST_ANSWER:
        yield "%s: expected key facts and at most %d words of answer" % (name, LONGEST_ANSWER)
    for fact in topic["facts"]:
        holders = [t["id"] for t in topics.values() if fact.lower() in t["answer"].lower()]
        if holders != [name]:
            yield "%s: the key fact %r stands in the answers of %s" % (name, fact, holders or "no topic")
    yield from ("%s: near names the unknown topic %s" % (name, n) for n in topic["near"] if n not in topics)


def form_problems(topic, forms):
    for form in forms:
        if not re.fullmatch(r"([^][|]|\[[^][]*\|[^][]*\])+", form):
            yield "%s: the form %r has a bracket without its partner or nothing to choose" % (topic["id"], form)
        elif topic["special"] and not any(map(questions.is_direct, questions.expand(form))):
            yield "%s: the form %r says nothing direct" % (topic["id"], form)


def heldout_problems(topics, heldout):
    for name, part in heldout.items():
        yield from ("%s: there is no topic %s" % (name, t) for t in part["topics"] if t not in topics)
    third = heldout["third"]
    yield from ("%s: expected %d held-out questions" % (t, LEAST_HELDOUT) for t in topics
                if len(third["topics"].get(t, ())) < LEAST_HELDOUT)
    if len(third["out_of_scope"]) < LEAST_STRANGE:
        yield "expected %d held-out questions out of scope" % LEAST_STRANGE
    texts = [questions.plain(w) for w in questions.heldout_texts({"third": third})]
    yield from ("held out twice: %r" % t for t in sorted(set(texts)) if texts.count(t) > 1)
    for name in (t for t in topics if topics[t]["special"]):
        yield from special_problems(name, heldout)


def special_problems(name, heldout):
    """A special topic is held out in kinds of its own only; of a slip of the finger no rule can tell."""
    third = heldout["third"]
    asked = dict(zip(third["special_kinds"], third["topics"].get(name, ())))
    if len(asked) != len(third["special_kinds"]) or any(name in p["topics"] for n, p in heldout.items() if n != "third"):
        yield "%s: expected one held-out question of each kind, in the third set only" % name
    yield from ("%s: %r (%s) is a direct question" % (name, w, kind) for kind, w in asked.items()
                if kind != "typo" and questions.is_direct(w))


def clashes(inside, outside):
    """One question in two places."""
    place = {}
    for group, texts in [(t, [q.text for q in qs]) for t, qs in inside.items()] + [("out of scope", [q.text for q in outside])]:
        for text in texts:
            other = place.setdefault(questions.plain(text), group)
            if other != group:
                yield "%r is a wording of %s and of %s" % (text, other, group)
    gists, kept_back = {questions.gist(t) for t in place}, questions.gists_kept_back()
    yield from ("held-out %r is nearly a training wording" % g for g in sorted(gists & kept_back))


def main():
    data = questions.load_topics()
    found = list(problems(data, questions.load_heldout()))
    asked = sum(bool(t["wordings"] or t["forms"]) for t in data["topics"])
    print("\n".join(found) or "models: %d topics, %d of them with training wordings; data are consistent"
          % (len(data["topics"]), asked))
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
