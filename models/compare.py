#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Whether others compute the chat model as our engine does: the trainer's logits, another engine's greedy tokens.

    /usr/bin/python3 models/compare.py --engine build/release/clients/bitnet_model/bitnet-model [--other PROGRAM]

PROGRAM is called as `PROGRAM model.gguf tokens.txt n`: it reads one sequence of token ids per line and prints n greedy ids for
each. Its tokens must be ours up to the first place where the best two logits of ours are less than 1 apart.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

import numpy as np

import questions
from engines import Engine, Torch, open_tokenizer

PROMPTS, NEW_TOKENS, MARGIN = 24, 32, 1.0


def compare_logits(trainer, engine, prompts):
    """Largest difference per prompt over all positions, relative to the largest logit."""
    found = []
    for ids in prompts:
        ours, theirs = engine.logits([ids]), trainer.logits([ids])
        found.append((np.abs(ours - theirs).max() / np.abs(ours).max(), ours[-1].argmax() == theirs[-1].argmax()))
    differences = np.array([d for d, _ in found])
    print("trainer: relative difference of logits over %d prompts: median %.2g, largest %.2g; the same first token in %d"
          % (len(prompts), np.median(differences), differences.max(), sum(same for _, same in found)))


def compare_greedy(program, engine, prompts):
    """-> whether all sequences agree as far as they must."""
    ours = json.loads(engine.run("greedy", prompts, "-n", str(NEW_TOKENS), "--json"))
    with tempfile.NamedTemporaryFile("w", suffix=".tokens") as file:
        file.writelines(" ".join(map(str, ids)) + "\n" for ids in prompts)
        file.flush()
        lines = subprocess.run([program, engine.path, file.name, str(NEW_TOKENS)], check=True, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL).stdout.decode().splitlines()
    held = compared = whole = 0
    for one, line in zip(ours, lines):
        theirs = [int(word) for word in line.split()]
        clear = next((i for i, margin in enumerate(one["margins"]) if margin < MARGIN), NEW_TOKENS)
        held += one["tokens"][:clear] == theirs[:clear]
        whole += one["tokens"] == theirs
        compared += clear
    print("other engine: %d of %d prompts have the same greedy tokens up to the first margin below %g (%d tokens in all); "
          "%d of %d have all %d the same" % (held, len(prompts), MARGIN, compared, whole, len(prompts), NEW_TOKENS))
    return held == len(prompts) == len(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=os.path.join(questions.FOLDER, "bitnetd-chat.gguf"))
    parser.add_argument("--engine", metavar="BITNET_MODEL", required=True)
    parser.add_argument("--other", metavar="PROGRAM")
    args = parser.parse_args()
    tokenizer, topics = open_tokenizer(args.model), questions.load_topics()["topics"]
    chosen = topics[::len(topics) // PROMPTS][:PROMPTS]
    prompts = [tokenizer.chat([("User", t["wordings"][0])]) for t in chosen]
    engine = Engine(args.engine, args.model)
    compare_logits(Torch(args.model), engine, prompts)
    sys.exit(0 if not args.other or compare_greedy(args.other, engine, prompts) else 1)


if __name__ == "__main__":
    main()
