# SPDX-License-Identifier: MIT
"""What a training step sees: conversations for the chat model, contrasting questions for the embedding model."""
import itertools
import re

import questions

SYSTEM_PROMPTS = ("You are a helpful assistant.", "You answer questions about bitnetd.", "Answer briefly.",
                  "You are the assistant of bitnetd.", "Be concise.", "You are terse.")
JOINTS = (". ", "? ", ", ", " - ", " ", "\n", " or: ", " I mean: ")
OURS = re.compile(r"\b(bitnetd|bitnetctl|bitnet-model|the daemon)\b")
NEGATIONS = (("does", "doesn't"), ("do", "don't"), ("is", "isn't"), ("are", "aren't"), ("can", "can't"), ("will", "won't"),
             ("with", "without"), ("before", "after"), ("more", "less"), ("largest", "smallest"), ("enable", "disable"),
             ("switch on", "switch off"), ("start", "stop"), ("first", "last"), ("longer", "shorter"), ("raise", "lower"),
             ("every", "no"), ("all", "none of the"), ("need", "not need"), ("should", "should not"), ("must", "must not"),
             ("in", "outside"), ("add", "remove"), ("accepted", "refused"), ("kept", "not kept"), ("allow", "forbid"), ("a", "no"))
AUXILIARY = re.compile(r"\b(does|do|did|is|are|was|can|could|will|should|must|may|has|have)\b( (?:the |a |an |my )?[\w.-]+)",
                       re.IGNORECASE)
NUMBERED = ("{text} with {n} threads", "{text} (job {n})", "{text} for {n} seconds", "{text} on {n} machines", "{n} times: {text}",
            "{text} with {n} workers", "{text} in {n} minutes", "{text} for {n} users", "{text} in version {n}", "{text} for {n} jobs")


class Outside:
    """Out-of-scope questions, drawn evenly over kinds so that the big lists do not drown the hand-written ones."""

    def __init__(self, data, inside, outside):
        key = lambda q: q.meaning.split(":")[0]
        self.kinds = {k: list(g) for k, g in itertools.groupby(sorted(outside, key=key), key)}
        self.own = self.kinds.pop("o")
        self.names = sorted(self.kinds)
        self.by_meaning = {k: {} for k in self.names}
        for k in self.names:
            for q in self.kinds[k]:
                self.by_meaning[k].setdefault(q.meaning, []).append(q)
        self.software = data["out_of_scope"]["slots"]["software"]
        self.about_us = sorted({q.text for qs in inside.values() for q in qs if OURS.search(q.text)})

    def draw(self, rng):
        """A question and what it means."""
        chance = rng.random()
        if chance < 0.4:
            return rng.choice(self.own)
        if chance < 0.55:                          # our own question, asked of another program
            software = rng.choice(self.software)
            text = OURS.sub(software, rng.choice(self.about_us))
            return questions.Question(text, None, "o:" + questions.plain(text))
        return rng.choice(self.kinds[rng.choice(self.names)])

    def near_misses(self, rng):
        """Two different fillings of one pattern, two wordings each: same words, other thing."""
        meanings = self.by_meaning[rng.choice(self.names)]
        return [rng.choice(meanings[m]) for m in rng.sample(sorted(meanings), 2) for _ in range(2)]


class Wordings:
    """How topics are asked: in wordings of their own, in their forms, and in patterns with their nouns."""

    def __init__(self, data, inside):
        self.inside = inside
        self.own = {t["id"]: t["wordings"] for t in data["topics"]}
        self.forms = {t["id"]: t["forms"] for t in data["topics"]}

    def draw(self, topic, rng):
        chance = rng.random()
        if chance < 0.3 and self.own[topic]:
            return rng.choice(self.own[topic])
        if chance < 0.9 and self.forms[topic]:
            return rng.choice(rng.choice(self.forms[topic]))
        return rng.choice(self.inside[topic]).text


class ChatExamples:
    """Conversations that end in an answer; an example is (ids, number of ids before the answer)."""

    def __init__(self, data, tokenizer, inside, outside):
        self.answers = {t["id"]: t["answer"] for t in data["topics"]}
        self.answers[None] = data["refusal"]
        self.ids = {topic: tokenizer.encode(text) + [tokenizer.eot] for topic, text in self.answers.items()}
        self.decided = {topic: self._decided(topic) for topic in self.ids}
        self.special = {t["id"] for t in data["topics"] if t["special"]}
        self.tokenizer, self.wordings, self.outside = tokenizer, Wordings(data, inside), Outside(data, inside, outside)
        # Special topics twice as often: only they never come as a slip or in a few words, which must not speak against them.
        self.topics = [t for t in sorted(inside) for _ in range(2 if t in self.special else 1)]

    def _decided(self, topic):
        """How many ids of an answer no other answer begins with, and some more: the rest follows from these alone."""
        ids = self.ids[topic]
        shared = max(next((i for i, (a, b) in enumerate(zip(ids, other)) if a != b), min(len(ids), len(other)))
                     for name, other in self.ids.items() if name != topic)
        return min(len(ids), shared + 3)

    def question(self, rng):
        if rng.random() < 0.28:
            return self.outside.draw(rng)
        topic = rng.choice(self.topics)
        return questions.Question(self._wording(topic, rng), topic, topic)

    def _wording(self, topic, rng):
        if rng.random() < 0.03 and topic not in self.special:
            return self._words_of_answer(topic, rng)
        return self.wordings.draw(topic, rng)

    def _words_of_answer(self, topic, rng):
        """Some neighbouring words of an answer, as somebody asks who half remembers it."""
        words = self.answers[topic].split()
        length = min(len(words), rng.randrange(4, 9))
        begin = rng.randrange(len(words) - length + 1)
        return " ".join(words[begin:begin + length]).strip(".,:;")

    def _typed(self, question, rng):
        if question.topic in self.special:
            return questions.distort(question.text, rng, special=True)
        text = questions.distort(question.text, rng)
        if rng.random() < 0.08:                    # two that have one answer
            other = self._wording(question.topic, rng) if question.topic else self.outside.draw(rng).text
            text += rng.choice(JOINTS) + questions.distort(other, rng)
        return questions.thinned(text, rng) if rng.random() < 0.1 else text

    def _noisy(self, ids, rng):
        """Now and then a few tokens replaced at random: the answer must not hang on one word."""
        if rng.random() < 0.9:
            return ids
        return [rng.randrange(256, self.tokenizer.bos) if rng.random() < 0.08 else i for i in ids]

    def _asked(self, question, rng):
        """Ids of the last turn, from the role to the request for an answer."""
        text = "User: " + self._typed(question, rng).strip()
        rough = rng.random() < 0.15
        ids = self.tokenizer.encode_roughly(text, rng, 0.15) if rough else self.tokenizer.encode(text)
        head = len(self.tokenizer.encode("User:"))
        if question.topic not in self.special:
            ids = ids[:head] + self._noisy(ids[head:], rng)
        return ids + [self.tokenizer.eot] + self.tokenizer.encode("Assistant: ")

    def example(self, rng):
        """Most examples stop where the answer is decided: more questions for the same time."""
        messages = []
        if rng.random() < 0.04:
            messages.append(("System", rng.choice(SYSTEM_PROMPTS)))
        if rng.random() < 0.04:
            before = self.question(rng)
            messages += [("User", self._typed(before, rng)), ("Assistant", self.answers[before.topic])]
        asked = self.question(rng)
        prompt = self.tokenizer.turns(messages) + self._asked(asked, rng)
        whole = rng.random() < 0.05
        return prompt + self.ids[asked.topic][:None if whole else self.decided[asked.topic]], len(prompt)

    def batches(self, size, rng):
        """Batches of similar length: little is computed on padding."""
        while True:
            pool = sorted((self.example(rng) for _ in range(size * 24)), key=lambda e: len(e[0]))
            groups = [pool[i:i + size] for i in range(0, len(pool), size)]
            rng.shuffle(groups)
            yield from groups


def other_number(text, rng):
    """Two texts that differ in a number only."""
    found = re.findall(r"\d+", text)
    pattern = text.replace(found[0], "{n}", 1) if found else rng.choice(NUMBERED).replace("{text}", text.rstrip("?. "))
    return [pattern.replace("{n}", str(n)) for n in rng.sample(range(1, 100), 2)]


def negated(text, rng):
    """The same words with a "not", or with one turned into its opposite; None if neither is possible."""
    if AUXILIARY.search(text) and rng.random() < 0.5:
        return AUXILIARY.sub(r"\1\2 not", text, 1)
    able = [(a, b) for pair in NEGATIONS for a, b in (pair, pair[::-1]) if re.search(r"\b%s\b" % a, text, re.IGNORECASE)]
    if not able:
        return None
    old, new = rng.choice(able)
    return re.sub(r"\b%s\b" % old, new, text, 1, re.IGNORECASE)


class EmbedExamples:
    """Batches for contrast: several wordings of many topics, and near misses in and out of scope."""

    def __init__(self, data, tokenizer, inside, outside):
        self.near = {t["id"]: t["near"] for t in data["topics"]}
        self.special = {t["id"] for t in data["topics"] if t["special"]}
        self.tokenizer, self.wordings, self.outside = tokenizer, Wordings(data, inside), Outside(data, inside, outside)
        self.topics = sorted(inside)
        self.misses, self.secret = data["near_misses"], questions.gists_kept_back()

    def _some_topics(self, rng, count):
        """Topics together with those they are easily mixed up with."""
        chosen = []
        while len(chosen) < count:
            seed = rng.choice(self.topics)
            chosen += [t for t in [seed] + self.near[seed] if t not in chosen]
        return chosen[:count]

    def _twisted(self, rng):
        """Wordings of topics beside what they would mean with a negation or another number, each twice."""
        topic = rng.choice([t for t in self.topics if t not in self.special])
        text, pairs = self.wordings.draw(topic, rng), []
        opposite = negated(text, rng)
        if opposite:
            pairs += [(text, topic), (opposite, "not:" + opposite), (opposite, "not:" + opposite)]
        for other in other_number(text, rng):
            pairs += [(other, "n:" + other)] * 2
        return pairs

    def _misses(self, rng):
        """A group of near misses, two wordings of each meaning."""
        if rng.random() < 0.5:
            forms = rng.choice(self.misses["numbered"])
            group = [[f.replace("{n}", str(n)) for f in forms] for n in rng.sample(range(1, 100), 2)]
        else:
            group = rng.choice(self.misses["groups"])
        return [(rng.choice(texts), "m:" + texts[0]) for texts in rng.sample(group, min(3, len(group))) for _ in range(2)]

    def batch(self, rng):
        """-> (ids of each text, its meaning)."""
        pairs = [(self.wordings.draw(t, rng), t) for t in self._some_topics(rng, 26) for _ in range(3)]
        for _ in range(4):
            pairs += self._twisted(rng) + self._misses(rng)
        for _ in range(5):
            pairs += [(q.text, q.meaning) for q in self.outside.near_misses(rng)]
        for _ in range(5):
            q = self.outside.draw(rng)
            pairs += [(q.text, q.meaning)] * 2
        pairs = [p for p in pairs if questions.gist(p[0]) not in self.secret]
        ids = [self._ids(questions.distort(text, rng, meaning in self.special), rng) for text, meaning in pairs]
        return ids, [meaning for _, meaning in pairs]

    def _ids(self, text, rng):
        rough = rng.random() < 0.15
        ids = self.tokenizer.encode_roughly(text, rng, 0.15) if rough else self.tokenizer.encode(text)
        return [self.tokenizer.bos] + ids + [self.tokenizer.eos]
