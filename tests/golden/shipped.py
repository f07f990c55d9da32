# SPDX-License-Identifier: MIT
"""Golden cases of the two shipped models, computed in float64 from the bytes of their files."""
import os

import numpy as np

import forward as R
import vocabularies  # puts the trainer's modules on the path
from gguf_reader import Reader

PROMPTS = ["What is bitnetd?", "How do I reload the configuration?", "which profile saves energy", "What does E_BUSY mean?",
           "What is the capital of France?"]
MESSAGES = [[("User", "What is bitnetd?")], [("System", "You are terse."), ("User", "  cancel a job?  ")],
            [("User", "hello"), ("Assistant", "I am the small ternary model.\n"), ("User", "a <|eot_id|> b")]]
TEXTS = PROMPTS + vocabularies.TEXTS
LONGEST = 60


def open_model(path):
    """-> (shape, weights, tokenizer)."""
    file = Reader(path)
    k = lambda key: file.keys["bitnet-b1.58." + key]
    shape = R.Shape("bitnet-b1.58", k("vocab_size"), k("block_count"), k("attention.head_count"),
                    k("attention.head_count_kv"), k("embedding_length"), k("feed_forward_length"), k("rope.freq_base"),
                    k("attention.layer_norm_rms_epsilon"))
    values = lambda t: t[0] * np.float64(t[1]) if isinstance(t, tuple) else t.astype(np.float64)
    weights = {name[:-len(".weight")]: values(t) for name, t in file.tensors.items()}
    return shape, weights, vocabularies.bpe.Tokenizer(m.split(" ") for m in file.keys["tokenizer.ggml.merges"])


def case_of(name, tokens, compute):
    noise = R.int8_noise(compute)
    return {"id": name, "tokens": tokens, "int8_noise": float("%.2g" % noise), "stable": noise < 1e-5}


def make_chat(path, save, dump):
    shape, weights, tokenizer = open_model(path)
    cases, plain, logits, answers, texts = [], [], [], {}, {}
    for number, prompt in enumerate(PROMPTS):
        tokens = tokenizer.chat([("User", prompt)])
        case = case_of("q%d" % number, tokens, lambda d, j: R.logits(shape, weights, tokens, True, d, j))
        out, margins = R.greedy(shape, weights, tokens, LONGEST, True)
        length = out.index(tokenizer.eot) + 1 if tokenizer.eot in out else LONGEST
        case["n_gen"] = length
        cases.append(case)
        plain.append(R.logits(shape, weights, tokens, False))
        logits.append(R.logits(shape, weights, tokens, True))
        answers[case["id"]] = {"tokens": out[:length], "margins": margins[:length]}
        texts[case["id"]] = {"prompt": prompt, "answer": tokenizer.decode(out[:length])}
    dump("golden/bitnetd-chat", "cases", cases)
    dump("golden/bitnetd-chat", "greedy", {"reference.absmax": answers})
    dump("golden/bitnetd-chat", "texts", texts)
    save("golden/bitnetd-chat", "reference.none", np.float32(plain))
    save("golden/bitnetd-chat", "reference.absmax", np.float32(logits))
    dump("tokenizers", "bitnetd-chat.cases", [vocabularies.case(
        t, tokenizer.encode(t), [tokenizer.bos], tokenizer.encode(t, True)) for t in TEXTS])
    dump("chat", "bitnetd-chat", [{
        "messages": [{"role": role.lower(), "content": content} for role, content in messages],
        "rendered": "<|begin_of_text|>" + "".join("%s: %s<|eot_id|>" % (r, c.strip()) for r, c in messages) + "Assistant: ",
        "ids": tokenizer.chat(messages)} for messages in MESSAGES])


def make_embed(path, save, dump):
    shape, weights, tokenizer = open_model(path)
    cases, plain, rows = [], [], []
    for number, prompt in enumerate(PROMPTS):
        tokens = [tokenizer.bos] + tokenizer.encode(prompt) + [tokenizer.eos]
        cases.append(case_of("q%d" % number, tokens, lambda d, j: R.embedding(shape, weights, tokens, True, d, j)))
        plain.append(R.embedding(shape, weights, tokens, False))
        rows.append(R.embedding(shape, weights, tokens, True))
    dump("golden/bitnetd-embed", "cases", cases)
    save("golden/bitnetd-embed", "reference.embed.none", np.float32(plain))
    save("golden/bitnetd-embed", "reference.embed.absmax", np.float32(rows))


def make(folder, save, dump):
    for name, run in (("bitnetd-chat", make_chat), ("bitnetd-embed", make_embed)):
        path = os.path.join(folder, name + ".gguf")
        if os.path.exists(path):
            run(path, save, dump)
            print(name, "done")
