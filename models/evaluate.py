#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Measures the models on the sets of heldout/, from the bytes of the GGUF files, and prints the tables of the model cards.

    /usr/bin/python3 models/evaluate.py --engine build/release/clients/bitnet_model/bitnet-model [--list]

--engine lets our own engine compute (fast, needs no torch); without it PyTorch does, and speed and energy are left out.
--list prints every wrong answer. The full-precision twin stands beside the chat model if `train.py twin` has made one.
"""
import argparse
import os

import measure_chat
import measure_embedding
import questions
from engines import Engine, Torch, open_tokenizer

SETS = {"third": "143 topics", "first": "first set", "second": "second set"}


def print_table(heads, rows):
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print("")


def chat_columns(model, path, tokenizer, data, heldout, args):
    """One column of the chat table: {row: figure}."""
    column = {"bytes": "{:,}".format(os.path.getsize(path))}
    for name in args.sets:
        result = measure_chat.ask(model, tokenizer, data, heldout[name])
        print("%s, %s" % (path, SETS.get(name, name)))
        measure_chat.report(result, args.list)
        column["right on held-out wordings, %s" % SETS.get(name, name)] = measure_chat.share(result.inside())
        if result.unusual():
            column["of these, topics asked in known kinds of wording"] = measure_chat.share(result.ordinary())
            column["of these, special topics: kinds of wording unseen"] = measure_chat.share(result.unusual())
        column['"I do not know" out of scope, %s' % SETS.get(name, name)] = measure_chat.share(result.refused())
    column["perplexity of the right answers"] = "%.3f" % measure_chat.perplexity(model, tokenizer, data, heldout[args.sets[0]])
    if args.engine:
        column["tokens per second, prompt, 1 thread"] = "%.0f" % model.speed(64, 0)
        column["tokens per second, answer, 1 thread"] = "%.0f" % model.speed(0, 64)
        column["joules per token (estimated)"] = "%.2g" % model.joules_per_token()
    return column


def evaluate_chat(args, data, heldout):
    columns = {}
    for name, folder, full in (("ternary", args.folder, False), ("full-precision twin", args.twin, True)):
        path = os.path.join(folder, "bitnetd-chat.gguf")
        if os.path.exists(path):
            model = Engine(args.engine, path, full) if args.engine else Torch(path, full)
            columns[name] = chat_columns(model, path, open_tokenizer(path), data, heldout, args)
    print("")
    print_table(["chat", *columns], [[row, *(c.get(row, "-") for c in columns.values())] for row in next(iter(columns.values()))])


def evaluate_embedding(args, data, heldout):
    path = os.path.join(args.folder, "bitnetd-embed.gguf")
    model, tokenizer = Engine(args.engine, path) if args.engine else Torch(path), open_tokenizer(path)
    part, pairs = heldout[args.sets[0]], questions.load_pairs()
    ours = measure_embedding.Measured(measure_embedding.vectors_of(model, tokenizer), data, part, pairs)
    theirs = measure_embedding.Measured(measure_embedding.ngram_vectors, data, part, pairs)
    print("%s, %s" % (path, SETS.get(args.sets[0], args.sets[0])))
    measure_embedding.report(ours)
    print("")
    rows = [[name, "%.3f" % a, "%.3f" % b] for name, a, b in zip(measure_embedding.FIGURES, ours.figures(), theirs.figures())]
    rows.append(["bytes", "{:,}".format(os.path.getsize(path)), "-"])
    if args.engine:
        rows.append(["milliseconds for a question of 12 tokens, 1 thread", "%.2f" % (12000 / model.speed(12, 0)), "-"])
    print_table(["embedding", "ours", "hashed character trigrams"], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", default=questions.FOLDER)
    parser.add_argument("--twin", default=os.path.join(questions.FOLDER, "..", "build", "models", "twin"))
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--sets", nargs="+", default=list(SETS), help="names of files in heldout/; the first one gives the details")
    parser.add_argument("--engine", metavar="BITNET_MODEL")
    args = parser.parse_args()
    data, heldout = questions.load_topics(), questions.load_heldout()
    evaluate_chat(args, data, heldout)
    evaluate_embedding(args, data, heldout)


if __name__ == "__main__":
    main()
