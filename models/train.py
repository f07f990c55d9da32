#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Trains the two shipped models and writes bitnetd-chat.gguf and bitnetd-embed.gguf beside this file.

    nice -n 10 /usr/bin/python3 models/train.py            both, with the recipe of the model cards
    ... train.py chat --steps 200 --ship /tmp/try           a short run somewhere else

Needs Debian's python3-torch. Masters (float weights) and nothing else go to --masters.
"""
import argparse
import itertools
import math
import os
import random
import sys
import time

import torch
import torch.nn.functional as F

import bitnet
import bpe
import curve
import questions

SEED = 1758
VOCABULARY = 1216
CHAT_SHAPE = bitnet.Shape(VOCABULARY, feed_forward=768, layers=4)
EMBED_SHAPE = bitnet.Shape(VOCABULARY, feed_forward=512, layers=2)
SYSTEM_PROMPTS = ("You are a helpful assistant.", "You answer questions about bitnetd.", "Answer briefly.",
                  "You are the assistant of bitnetd.", "Be concise.", "You are terse.")
TEMPERATURE = 0.07


def learn_tokenizer(data, inside, outside):
    """The vocabulary of both models: answers weigh most, because they are generated."""
    answers = [t["answer"] for t in data["topics"]] + [data["refusal"]]
    wordings = [q.text for qs in inside.values() for q in qs]
    strange = [q.text for q in random.Random(SEED).sample(outside, 2000)]
    texts = answers * 60 + wordings + [w.lower() for w in wordings] + strange + ["User: x", "Assistant: ", "System: "] * 500
    tokenizer = bpe.Tokenizer(bpe.learn(texts, VOCABULARY))
    for token in tokenizer.tokens[:-len(bpe.SPECIALS)]:
        if tokenizer.merge(token) != [token]:
            raise ValueError("token %r is not reached by its merges" % token)
    return tokenizer


class Outside:
    """Out-of-scope questions, drawn evenly over kinds so that the big lists do not drown the hand-written ones."""

    def __init__(self, outside):
        key = lambda q: q.meaning.split(":")[0]
        self.kinds = {k: list(g) for k, g in itertools.groupby(sorted(outside, key=key), key)}
        self.own = self.kinds.pop("o")
        self.names = sorted(self.kinds)
        self.by_meaning = {k: {} for k in self.names}
        for k in self.names:
            for q in self.kinds[k]:
                self.by_meaning[k].setdefault(q.meaning, []).append(q)

    def draw(self, rng):
        return rng.choice(self.own if rng.random() < 0.4 else self.kinds[rng.choice(self.names)])

    def near_misses(self, rng):
        """Two different fillings of one pattern, two wordings each: same words, other thing."""
        meanings = self.by_meaning[rng.choice(self.names)]
        return [rng.choice(meanings[m]) for m in rng.sample(sorted(meanings), 2) for _ in range(2)]


class ChatExamples:
    """Conversations that end in an answer; -> (ids, number of ids before the answer)."""

    def __init__(self, data, tokenizer, inside, outside):
        self.answers = {t["id"]: t["answer"] for t in data["topics"]}
        self.answers[None] = data["refusal"]
        self.own = {t["id"]: t["wordings"] for t in data["topics"]}
        self.special = {t["id"] for t in data["topics"] if t["special"]}
        self.tokenizer, self.inside, self.outside = tokenizer, inside, Outside(outside)
        self.topics = sorted(inside)

    def question(self, rng):
        if rng.random() < 0.3:
            return self.outside.draw(rng)
        topic = rng.choice(self.topics)
        if rng.random() < 0.4:
            return questions.Question(rng.choice(self.own[topic]), topic, topic)
        return rng.choice(self.inside[topic])

    def _typed(self, question, rng):
        return questions.distort(question.text, rng, question.topic in self.special)

    def _noisy(self, ids, rng):
        """Now and then a few tokens replaced at random: the answer must not hang on one word."""
        if rng.random() < 0.6:
            return ids
        return [rng.randrange(256, self.tokenizer.bos) if rng.random() < 0.08 else i for i in ids]

    def example(self, rng):
        messages = []
        if rng.random() < 0.06:
            messages.append(("System", rng.choice(SYSTEM_PROMPTS)))
        if rng.random() < 0.06:
            before = self.question(rng)
            messages += [("User", self._typed(before, rng)), ("Assistant", self.answers[before.topic])]
        asked = self.question(rng)
        before = self.tokenizer.chat(messages)
        prompt = self.tokenizer.chat(messages + [("User", self._typed(asked, rng))])
        begin, end = len(before) - 1, len(prompt) - 4        # from the question's first word to its last
        prompt = prompt[:begin] + self._noisy(prompt[begin:end], rng) + prompt[end:]
        return prompt + self.tokenizer.encode(self.answers[asked.topic]) + [self.tokenizer.eot], len(prompt)

    def batches(self, size, rng):
        """Batches of similar length: little is computed on padding."""
        while True:
            pool = sorted((self.example(rng) for _ in range(size * 8)), key=lambda e: len(e[0]))
            groups = [pool[i:i + size] for i in range(0, len(pool), size)]
            rng.shuffle(groups)
            yield from groups


def chat_loss(model, batch):
    """Cross entropy of the answers' tokens; the head is computed at those positions only."""
    tokens, lengths = bitnet.pad([ids for ids, _ in batch])
    position = torch.arange(tokens.shape[1] - 1)
    starts = torch.tensor([start for _, start in batch])
    answer = (position[None] >= starts[:, None] - 1) & (position[None] < lengths[:, None] - 1)
    hidden = model.hidden(tokens[:, :-1])[answer]
    return F.cross_entropy(model.logits(hidden), tokens[:, 1:][answer])


class EmbedExamples:
    """Batches for contrast: several wordings of many topics, and near misses out of scope."""

    def __init__(self, data, tokenizer, inside, outside):
        self.near = {t["id"]: [n for n in t["near"] if n in inside] for t in data["topics"]}
        self.own = {t["id"]: t["wordings"] for t in data["topics"]}
        self.special = {t["id"] for t in data["topics"] if t["special"]}
        self.tokenizer, self.inside, self.outside = tokenizer, inside, Outside(outside)
        self.topics = sorted(inside)

    def _some_topics(self, rng, count):
        """Topics together with those they are easily mixed up with."""
        chosen = []
        while len(chosen) < count:
            seed = rng.choice(self.topics)
            chosen += [t for t in [seed] + self.near[seed] if t not in chosen]
        return chosen[:count]

    def _wording(self, topic, rng):
        return rng.choice(self.own[topic]) if rng.random() < 0.5 else rng.choice(self.inside[topic]).text

    def batch(self, rng):
        pairs = [(self._wording(t, rng), t) for t in self._some_topics(rng, 22) for _ in range(3)]
        for _ in range(10):
            pairs += [(q.text, q.meaning) for q in self.outside.near_misses(rng)]
        for _ in range(8):
            q = rng.choice(self.outside.own)
            pairs += [(q.text, q.meaning)] * 2
        ids = [self.ids(questions.distort(text, rng, meaning in self.special)) for text, meaning in pairs]
        return ids, [meaning for _, meaning in pairs]

    def ids(self, text):
        return [self.tokenizer.bos] + self.tokenizer.encode(text) + [self.tokenizer.eos]


def embed_loss(model, batch):
    """InfoNCE over the batch: wordings of one meaning attract, everything else repels."""
    sequences, meanings = batch
    order = sorted(range(len(sequences)), key=lambda i: len(sequences[i]))
    sequences, meanings = [sequences[i] for i in order], [meanings[i] for i in order]
    part = -(-len(order) // 4)                     # four groups of similar length: little is computed on padding
    vectors = torch.cat([model.embed(*bitnet.pad(sequences[i:i + part])) for i in range(0, len(order), part)])
    names = {m: i for i, m in enumerate(meanings)}
    label = torch.tensor([names[m] for m in meanings])
    itself = torch.eye(len(label), dtype=torch.bool)
    positive = (label[:, None] == label[None]) & ~itself
    scores = (vectors @ vectors.T / TEMPERATURE).masked_fill(itself, -1e9)
    log_share = scores - scores.logsumexp(1, keepdim=True)
    return -(log_share * positive).sum(1).div(positive.sum(1).clamp(min=1)).mean()


def learning_rate(step, steps, peak):
    """Warm up over 3 %, then a cosine down to 2 % of the peak."""
    warm = max(1, int(steps * 0.03))
    if step < warm:
        return peak * (step + 1) / warm
    return peak * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm))))


def fit(title, model, batches, loss_of, steps, peak):
    """AdamW on the float masters; -> the loss of every step."""
    decayed = [p for p in model.parameters() if p.dim() > 1]
    rest = [p for p in model.parameters() if p.dim() == 1]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}],
                                  betas=(0.9, 0.98))
    losses, begin = [], time.monotonic()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, peak)
            if step == steps // 2:                 # second half without decay: weights settle on their ternary value
                group["weight_decay"] = 0.0
        loss = loss_of(model, next(batches))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(float(loss))
        if (step + 1) % 20 == 0 or step + 1 == steps:
            spent = time.monotonic() - begin
            print("\r%s step %d/%d  loss %.4f  %.1f min, %.1f min left " % (
                title, step + 1, steps, sum(losses[-20:]) / len(losses[-20:]), spent / 60,
                spent / (step + 1) * (steps - step - 1) / 60), end="" if sys.stdout.isatty() else "\n", flush=True)
    print("")
    return losses


def train(what, args, data, tokenizer, inside, outside):
    torch.manual_seed(SEED)
    rng = random.Random(SEED)
    chat = what == "chat"
    model = bitnet.BitNet(CHAT_SHAPE if chat else EMBED_SHAPE)
    steps = args.steps or (450 if chat else 200)
    if chat:
        batches, loss_of, peak = ChatExamples(data, tokenizer, inside, outside).batches(32, rng), chat_loss, 2e-3
    else:
        source = EmbedExamples(data, tokenizer, inside, outside)
        batches, loss_of, peak = iter(lambda: source.batch(rng), None), embed_loss, 1.5e-3
    losses = fit(what, model, batches, loss_of, steps, peak)
    os.makedirs(args.masters, exist_ok=True)
    os.makedirs(args.ship, exist_ok=True)
    torch.save(model.state_dict(), os.path.join(args.masters, "bitnetd-%s.pt" % what))
    curve.draw(os.path.join(args.ship, "%s-loss.svg" % what), "bitnetd-%s: training loss" % what, losses)
    path = os.path.join(args.ship, "bitnetd-%s.gguf" % what)
    bitnet.export(model, tokenizer, path, "bitnetd-" + what, bitnet.POOLING_NONE if chat else bitnet.POOLING_LAST)
    print("%s: %d bytes, %d parameters" % (path, os.path.getsize(path), sum(p.numel() for p in model.parameters())))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("all", "chat", "embed"), default="all")
    parser.add_argument("--steps", type=int, help="training steps instead of the recipe's")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--masters", default=os.path.join(questions.FOLDER, "..", "build", "models"))
    parser.add_argument("--ship", default=questions.FOLDER, help="folder for the GGUF files and curves")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    data = questions.load_topics()
    inside, outside = questions.training_questions(data)
    tokenizer = learn_tokenizer(data, inside, outside)
    print("%d topics, %d wordings, %d questions out of scope, vocabulary %d"
          % (len(inside), sum(map(len, inside.values())), len(outside), len(tokenizer.tokens)))
    for what in ("chat", "embed") if args.what == "all" else (args.what,):
        train(what, args, data, tokenizer, inside, outside)


if __name__ == "__main__":
    main()
