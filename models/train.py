#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Trains the two shipped models and writes bitnetd-chat.gguf and bitnetd-embed.gguf beside this file.

    nice -n 10 /usr/bin/python3 models/train.py             both, with the recipe of the model cards
    ... train.py twin                                       the chat model without quantizers, to compare with; not shipped
    ... train.py chat --steps 200 --ship /tmp/try           a short run somewhere else
    ... train.py chat --resume                              goes on from the last checkpoint of a run that was stopped
    ... train.py chat --start models/bitnetd-chat.gguf      begins with what a shipped model knows
    ... train.py chat --workers 2                           on two cores: each sees questions of its own, their masters are averaged

Needs Debian's python3-torch. Masters (float weights), checkpoints and the twin go to --masters.
"""
import argparse
import json
import os
import random
import sys
import time

# A core per worker; OpenBLAS would take all of them for one product and wait wherever another program has the core.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
if "avx512f" in open("/proc/cpuinfo", encoding="ascii").read():
    # OpenBLAS 0.3.21 takes a CPU with AVX-512 but without AMX, as virtual machines show it, for one of 1999.
    os.environ.setdefault("OPENBLAS_CORETYPE", "SkylakeX")

import torch
import torch.distributed
import torch.multiprocessing
import torch.nn.functional as F

import bitnet
import bpe
import curve
import questions
from examples import ChatExamples, EmbedExamples

SEED = 1758
VOCABULARY = 2048
CHAT_SHAPE = bitnet.Shape(VOCABULARY, feed_forward=1024, layers=4)
EMBED_SHAPE = bitnet.Shape(VOCABULARY, feed_forward=768, layers=2)
STEPS = {"chat": 12000, "twin": 12000, "embed": 1600}
PEAK = {"chat": 1e-3, "twin": 1e-3, "embed": 1.5e-3}
CHAT_BATCH = 48
TEMPERATURE = 0.07
CHECKPOINT_EVERY = 50
AVERAGE_EVERY = 10


def open_tokenizer(data, inside, outside):
    """The vocabulary of both models is learned once and kept in vocabulary.json, so that wordings can be added to a trained
    model; without that file it is learned anew."""
    path = os.path.join(questions.FOLDER, "vocabulary.json")
    if not os.path.exists(path):
        merges = learn_merges(data, inside, outside)
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"merges": [" ".join(m) for m in merges]}, file, ensure_ascii=False, indent=0)
    tokenizer = bpe.Tokenizer(m.split(" ") for m in questions.load("vocabulary.json")["merges"])
    for token in tokenizer.tokens[:-len(bpe.SPECIALS)]:
        if tokenizer.merge(token) != [token]:
            raise ValueError("token %r is not reached by its merges" % token)
    return tokenizer


def learn_merges(data, inside, outside):
    """Answers weigh most, because they are generated."""
    answers = [t["answer"] for t in data["topics"]] + [data["refusal"]]
    wordings = [q.text for qs in inside.values() for q in qs]
    strange = [q.text for q in random.Random(SEED).sample(outside, 2000)]
    texts = answers * 60 + wordings + [w.lower() for w in wordings] + strange + ["User: x", "Assistant: ", "System: "] * 500
    return bpe.learn(texts, VOCABULARY)


def chat_loss(model, batch):
    """Cross entropy of the answers' tokens; the head is computed at those positions only."""
    tokens, lengths = bitnet.pad([ids for ids, _ in batch])
    position = torch.arange(tokens.shape[1] - 1)
    starts = torch.tensor([start for _, start in batch])
    answer = (position[None] >= starts[:, None] - 1) & (position[None] < lengths[:, None] - 1)
    return F.cross_entropy(model.logits(model.hidden(tokens[:, :-1], answer)), tokens[:, 1:][answer])


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


def rounds_of(recipe, steps):
    """The steps at which rounds end. Steps beyond the recipe's are a second round, which warms up anew: what a trained model
    gets to learn wordings that were added since."""
    if not steps or steps == recipe:
        return (recipe,)
    return (steps,) if steps < recipe else (recipe, steps)


def round_of(step, rounds):
    """(first step, length) of the round that a step belongs to."""
    begin = max([0] + [end for end in rounds if end <= step])
    return begin, min(end for end in rounds if end > step) - begin


def learning_rate(step, rounds, peak):
    """Per round: warm up over 1 %, stay, then in the last 40 % fall to 2 % of the peak. Later rounds have half of the peak."""
    begin, length = round_of(step, rounds)
    peak = peak / 2 if begin else peak
    step, warm, fall = step - begin, max(1, int(length * 0.01)), length * 0.6
    if step < warm:
        return peak * (step + 1) / warm
    return peak * (1 - 0.98 * max(0.0, step - fall) / (length - fall))


def weight_decay(step, rounds):
    """None in the second half of a round: weights settle on their ternary value."""
    begin, length = round_of(step, rounds)
    return 0.05 if step - begin < length // 2 else 0.0


class Run:
    """AdamW on the float masters, with checkpoints. Several workers hold the same masters and average them now and then."""

    def __init__(self, what, model, folder, rank=0, workers=1):
        self.what, self.model, self.rank, self.workers = what, model, rank, workers
        self.checkpoint = os.path.join(folder, what + ".checkpoint")
        decayed, rest = ([p for p in model.parameters() if (p.dim() > 1) == wide] for wide in (True, False))
        self.optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}],
                                           betas=(0.9, 0.98))
        self.losses, self.seconds = [], 0.0

    def save(self):
        torch.save({"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "losses": self.losses,
                    "seconds": self.seconds}, self.checkpoint + ".part")
        os.replace(self.checkpoint + ".part", self.checkpoint)

    def resume(self):
        saved = torch.load(self.checkpoint)
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.losses, self.seconds = saved["losses"], saved["seconds"]

    def step(self, loss, rate, decay):
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.param_groups[0]["weight_decay"] = decay
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.losses.append(float(loss))

    @torch.no_grad()
    def average(self):
        """Every worker's masters become the mean of all; their AdamW states stay their own."""
        parameters = list(self.model.parameters())
        together = torch.cat([p.flatten() for p in parameters])
        torch.distributed.all_reduce(together)
        at = 0
        for p in parameters:
            p.copy_(together[at:at + p.numel()].view_as(p) / self.workers)
            at += p.numel()

    def fit(self, batches, loss_of, rounds, peak):
        """Steps to the end of the last round; the time counted is that of the processes, not of others beside them."""
        for step in range(len(self.losses), rounds[-1]):
            begin = time.process_time()
            self.step(loss_of(self.model, next(batches)), learning_rate(step, rounds, peak), weight_decay(step, rounds))
            if self.workers > 1 and ((step + 1) % AVERAGE_EVERY == 0 or step + 1 == rounds[-1]):
                self.average()
            self.seconds += (time.process_time() - begin) * self.workers
            if self.rank == 0 and (step + 1) % CHECKPOINT_EVERY == 0:
                self.save()
            if self.rank == 0 and ((step + 1) % 20 == 0 or step + 1 == rounds[-1]):
                self.progress(rounds[-1])

    def progress(self, steps):
        done, last = len(self.losses), self.losses[-20:]
        end = "\n" if done == steps or not sys.stdout.isatty() else ""
        print("\r%s step %d/%d  loss %.4f  %.1f min of CPU, %.1f min left " % (
            self.what, done, steps, sum(last) / len(last), self.seconds / 60, self.seconds / 60 / done * (steps - done)),
            end=end, flush=True)


def batches_and_loss(what, data, tokenizer, inside, outside, rng):
    if what != "embed":
        return ChatExamples(data, tokenizer, inside, outside).batches(CHAT_BATCH, rng), chat_loss
    source = EmbedExamples(data, tokenizer, inside, outside)
    return iter(lambda: source.batch(rng), None), embed_loss


def meeting_place(args):
    """The file by which workers find each other."""
    return os.path.join(os.path.abspath(args.masters), "meeting")


def start(what, args):
    if args.workers == 1:
        train(0, what, args)
        return
    if os.path.exists(meeting_place(args)):        # of a run that was stopped
        os.remove(meeting_place(args))
    torch.multiprocessing.spawn(train, (what, args), args.workers)


def train(rank, what, args):
    """One worker. The twin sees the same data in the same order from the same start as the chat model."""
    torch.set_num_threads(1)
    if args.workers > 1:
        torch.distributed.init_process_group("gloo", init_method="file://" + meeting_place(args), rank=rank,
                                             world_size=args.workers)
    data = questions.load_topics()
    inside, outside = questions.training_questions(data)
    tokenizer = open_tokenizer(data, inside, outside)
    if rank == 0:
        print("%d topics, %d wordings, %d questions out of scope, vocabulary %d"
              % (len(inside), sum(map(len, inside.values())), len(outside), len(tokenizer.tokens)), flush=True)
    torch.manual_seed(SEED)
    model = bitnet.BitNet(EMBED_SHAPE if what == "embed" else CHAT_SHAPE)
    if what == "twin":
        model.in_full_precision()
    if args.start:
        bitnet.start_from(model, args.start)
    run = Run(what, model, args.masters, rank, args.workers)
    if args.resume:
        run.resume()
    rounds = rounds_of(STEPS[what], args.steps)
    rng = random.Random(SEED + len(run.losses) + 1000003 * rank)
    run.fit(*batches_and_loss(what, data, tokenizer, inside, outside, rng), rounds, PEAK[what])
    if rank == 0:
        ship(what, args, run, tokenizer)


def ship(what, args, run, tokenizer):
    """Writes masters, loss curve and GGUF file."""
    torch.save(run.model.state_dict(), os.path.join(args.masters, "bitnetd-%s.pt" % what))
    folder = os.path.join(args.masters, "twin") if what == "twin" else args.ship
    os.makedirs(folder, exist_ok=True)
    name = "bitnetd-embed" if what == "embed" else "bitnetd-chat"
    curve.draw(os.path.join(args.ship, "%s-loss.svg" % what), "%s: training loss" % what, run.losses)
    path = os.path.join(folder, name + ".gguf")
    bitnet.export(run.model, tokenizer, path, name, bitnet.POOLING_LAST if what == "embed" else bitnet.POOLING_NONE)
    print("%s: %d bytes, %d parameters, %.1f minutes of CPU"
          % (path, os.path.getsize(path), sum(p.numel() for p in run.model.parameters()), run.seconds / 60))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("all", "chat", "embed", "twin"), default="all")
    parser.add_argument("--steps", type=int, help="training steps instead of the recipe's; more with --resume: a second round")
    parser.add_argument("--workers", type=int, default=1, help="processes, one core each")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--start", help="a shipped model to begin with instead of chance, for one of the three")
    parser.add_argument("--masters", default=os.path.join(questions.FOLDER, "..", "build", "models"))
    parser.add_argument("--ship", default=questions.FOLDER, help="folder for the GGUF files and curves")
    args = parser.parse_args()
    os.makedirs(args.masters, exist_ok=True)
    os.makedirs(args.ship, exist_ok=True)
    for what in ("chat", "embed") if args.what == "all" else (args.what,):
        start(what, args)


if __name__ == "__main__":
    main()
