#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Makes every golden file of this folder; needs NumPy only. The same input gives the same bytes.

    /usr/bin/python3 tests/golden/make_golden.py              all
    /usr/bin/python3 tests/golden/make_golden.py shipped      only what belongs to models/*.gguf (after a training run)

What lies where is told in README.md beside this file.
"""
import json
import os
import sys

# Two threads of one product would wait for each other wherever another program has the core.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

import bad_files
import formats as F
import forward as R
import shipped
import vocabularies

HERE = os.path.dirname(os.path.abspath(__file__))
BPE_SPECIALS = ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"]
PROJECTIONS = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")

# name -> shape, type of each projection, type of the embedding, type of the head (None: tied), tokenizer
MODELS = {
    "mini158": (R.Shape("bitnet-b1.58", 300, layers=2, heads=4, kv_heads=2, feed_forward=512, theta=500000.0),
                dict.fromkeys(PROJECTIONS, "i2_s"), "f16", None, vocabularies.byte_bpe, "i2_s"),
    "minibit": (R.Shape("bitnet", 300, layers=1, heads=4, kv_heads=4),
                {p: "tq1_0" if p.startswith("attn") else "tq2_0" for p in PROJECTIONS}, "bf16", None,
                vocabularies.sentence_pieces, "tq"),
    "minillama": (R.Shape("llama", 300, layers=1, heads=4, kv_heads=2),
                  {**dict.fromkeys(PROJECTIONS, "i2_s"), "attn_v": "q4_0", "ffn_up": "q8_0", "ffn_down": "q4_0"},
                  "q4_0", "q8_0", vocabularies.byte_bpe, "mixed"),
}


def save(folder, name, array):
    os.makedirs(os.path.join(HERE, folder), exist_ok=True)
    np.save(os.path.join(HERE, folder, name + ".npy"), array)


def dump(folder, name, content):
    os.makedirs(os.path.join(HERE, folder), exist_ok=True)
    with open(os.path.join(HERE, folder, name + ".json"), "w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=True, separators=(", ", ": "))
        file.write("\n")


def random_ternary(rng, rows, cols):
    return rng.choice(np.array([-1, 0, 1], np.int8), (rows, cols), p=(0.35, 0.3, 0.35))


def make_model(name, rng):
    """Writes models/<name>-<types>.gguf -> (shape, weights, file name)."""
    shape, kinds, embedding_kind, head_kind, vocabulary, label = MODELS[name]
    d, ff, kv = shape.width, shape.feed_forward, shape.width // shape.heads * shape.kv_heads
    sizes = {"attn_q": (d, d), "attn_k": (kv, d), "attn_v": (kv, d), "attn_output": (d, d), "ffn_gate": (ff, d),
             "ffn_up": (ff, d), "ffn_down": (d, ff)}
    weights, tensors = {}, []

    def add(tensor, kind, dims, encoded):
        weights[tensor] = encoded[1]
        tensors.append((tensor + ".weight", kind, dims, encoded[0]))

    dense = lambda kind, dims, spread: getattr(F, kind)(rng.normal(0, spread, dims))
    add("token_embd", embedding_kind, (shape.vocabulary, d), dense(embedding_kind, (shape.vocabulary, d), 0.12))
    if head_kind:
        add("output", head_kind, (shape.vocabulary, d), dense(head_kind, (shape.vocabulary, d), 0.12))
    unit = lambda n: F.f32(1 + 0.2 * rng.standard_normal(n))
    add("output_norm", "f32", (d,), unit(d))
    for layer in range(shape.layers):
        block = "blk.%d." % layer
        norms = {"attn_norm": d, "ffn_norm": d}
        if shape.arch != "llama":
            norms.update(attn_sub_norm=d, ffn_sub_norm=ff)
        for n, length in norms.items():
            add(block + n, "f32", (length,), unit(length))
        for p, dims in sizes.items():
            scale = float(np.float16(rng.uniform(0.8, 1.2) / np.sqrt(dims[1])))     # exact in f16 and f32
            if kinds[p] in ("i2_s", "tq1_0", "tq2_0"):
                add(block + p, kinds[p], dims, getattr(F, kinds[p])(random_ternary(rng, *dims), scale))
            else:
                add(block + p, kinds[p], dims, dense(kinds[p], dims, scale))

    a = shape.arch + "."
    keys = [("general.architecture", F.STR, shape.arch), ("general.name", F.STR, "golden-" + name),
            (a + "vocab_size", F.U32, shape.vocabulary), (a + "context_length", F.U32, 512),
            (a + "embedding_length", F.U32, d), (a + "block_count", F.U32, shape.layers),
            (a + "feed_forward_length", F.U32, ff), (a + "attention.head_count", F.U32, shape.heads),
            (a + "attention.head_count_kv", F.U32, shape.kv_heads),
            (a + "attention.layer_norm_rms_epsilon", F.F32V, shape.epsilon),
            (a + "rope.freq_base", F.F32V, shape.theta), (a + "rope.dimension_count", F.U32, d // shape.heads)]
    file = "%s-%s.gguf" % (name, label)
    os.makedirs(os.path.join(HERE, "models"), exist_ok=True)
    with open(os.path.join(HERE, "models", file), "wb") as out:
        out.write(F.gguf(keys + vocabulary(shape.vocabulary).keys(), tensors))
    return shape, weights, file


def make_cases(shape, rng):
    lengths = [("p0_n1", 1), ("p1_n7", 7), ("p2_n64", 64), ("p5_n33", 33)] + [("s%d_n%d" % (i, i + 2), i + 2)
                                                                              for i in range(5)]
    return [{"id": i, "tokens": rng.integers(0, shape.vocabulary - 3, n).tolist(), "n_gen": 12} for i, n in lengths]


def make_golden(name, shape, weights, rng):
    """cases.json, reference.none/absmax.npy and greedy.json of one model."""
    cases, results, answers = make_cases(shape, rng), {False: [], True: []}, {"reference.none": {}, "reference.absmax": {}}
    for case in cases:
        noise = R.int8_noise(lambda dtype, jitter: R.logits(shape, weights, case["tokens"], True, dtype, jitter))
        case.update(int8_noise=float("%.2g" % noise), stable=noise < 1e-5)
        for int8, label in ((False, "reference.none"), (True, "reference.absmax")):
            results[int8].append(R.logits(shape, weights, case["tokens"], int8))
            tokens, margins = R.greedy(shape, weights, case["tokens"], case["n_gen"], int8)
            answers[label][case["id"]] = {"tokens": tokens, "margins": margins}
    folder = "golden/" + name
    dump(folder, "cases", cases)
    dump(folder, "greedy", answers)
    save(folder, "reference.none", np.float32(results[False]))
    save(folder, "reference.absmax", np.float32(results[True]))
    return cases


def make_layers(name, shape, weights, tokens):
    """Each layer alone: the input is what float activations give, rounded to float32."""
    x = weights["token_embd"][tokens]
    inputs, plain, rounded, noise = [], [], [], []
    for layer in range(shape.layers):
        x = x.astype(np.float32).astype(np.float64)
        inputs.append(x)
        compute = lambda dtype, jitter: R.block(shape, weights, layer, jitter(x) if jitter else x.astype(dtype), True)
        exact, rng = compute(np.float64, None), np.random.default_rng(7)
        disturbed = [compute(np.float32, None)]
        disturbed += [compute(np.float64, lambda y: y * (1 + 2e-7 * rng.standard_normal(y.shape))) for _ in range(3)]
        noise.append([max(R.distance(o[t], exact[t]) for o in disturbed) for t in range(len(tokens))])
        plain.append(R.block(shape, weights, layer, x, False))
        rounded.append(exact)
        x = plain[-1]
    stem = name + ".p1_n7"
    for suffix, rows in (("in", inputs), ("out.none", plain), ("out.absmax", rounded), ("noise", noise)):
        save("layers", stem + "." + suffix, np.float32(rows))


def away_from_boundaries(x, scale):
    """Moves values whose scaled form lies within 2e-3 of a rounding boundary; the largest value stays."""
    for _ in range(20):
        scaled = x.astype(np.float64) * scale
        close = np.abs(np.abs(scaled - np.floor(scaled)) - 0.5) < 2.5e-3
        if not close.any():
            return x
        x = np.where(close, x * np.float32(0.99), x).astype(np.float32)
    raise ValueError("could not move the values away from the boundaries")


def make_bitlinear(name, file, weights, tensor, label, rng):
    """One ternary projection, bit by bit: x float32, q int8, acc int32, y float32."""
    matrix = weights[tensor]
    alpha = np.abs(matrix).max()
    ternary = np.rint(matrix / alpha).astype(np.int64)
    base = rng.standard_normal(matrix.shape[1])
    spike = np.zeros_like(base)
    spike[3] = 5
    x = np.float32([base, base[::-1] * 30, base * 1e-3, base * 0, base * 1e-8, spike])
    scale = (np.float32(127) / np.maximum(np.abs(x).max(1, keepdims=True), np.float32(1e-5))).astype(np.float32)
    x = away_from_boundaries(x, scale)
    q = np.rint(x.astype(np.float64) * scale).astype(np.int8)
    acc = q.astype(np.int64) @ ternary.T
    stem = "%s.%s" % (name, label)
    dump("bitlinear", stem, {"model": file, "tensor": tensor + ".weight", "alpha": float(alpha),
                             "rows": matrix.shape[0], "cols": matrix.shape[1], "tokens": len(x)})
    for suffix, array in (("x", x), ("s", scale), ("q", q), ("acc", acc.astype(np.int32)),
                          ("y", (acc * alpha / scale).astype(np.float32))):
        save("bitlinear", stem + "." + suffix, array)


def make_codecs(rng):
    """<type>.bin as a file holds it, <type>.values.npy what it means."""
    rows, cols, index = 2, 512, []
    x, t = rng.normal(0, 0.5, (rows, cols)), random_ternary(rng, rows, cols)
    x[1, 32:64] = 0                                                             # a block without a scale
    made = {k: getattr(F, k)(x) for k in ("f32", "f16", "bf16", "q8_0", "q4_0")}
    made.update({k: getattr(F, k)(t, 0.046875) for k in ("i2_s", "tq1_0", "tq2_0")})
    made.update(q4_k=F.q4_k_random(rows, cols, rng), q6_k=F.q6_k_random(rows, cols, rng))
    os.makedirs(os.path.join(HERE, "codecs"), exist_ok=True)
    for kind, (raw, values) in made.items():
        with open(os.path.join(HERE, "codecs", kind + ".bin"), "wb") as file:
            file.write(raw)
        save("codecs", kind + ".values", values.astype(np.float32))
        index.append({"name": kind, "type_id": F.TYPE_ID[kind], "rows": rows, "cols": cols, "bytes": len(raw),
                      "written_by": "tests/golden/formats.py"})
    dump("codecs", "index", index)


def main():
    if sys.argv[1:] not in ([], ["shipped"]):
        sys.exit(__doc__)
    if not sys.argv[1:]:
        for seed, name in enumerate(MODELS):
            rng = np.random.default_rng(seed + 11)
            shape, weights, file = make_model(name, rng)
            cases = make_golden(name, shape, weights, rng)
            make_layers(name, shape, weights, cases[1]["tokens"])
            if name != "minillama":                                         # its ternary type is mini158's
                make_bitlinear(name, file, weights, "blk.0.attn_q", "attn_q0", rng)
                make_bitlinear(name, file, weights, "blk.%d.ffn_down" % (shape.layers - 1), "ffn_down", rng)
            dump("tokenizers", name + ".cases", MODELS[name][4](shape.vocabulary).cases())
            print(name, [(c["id"], c["int8_noise"]) for c in cases])
        make_codecs(np.random.default_rng(5))
        dump("bad", "index", bad_files.make(os.path.join(HERE, "bad")))
    shipped.make(os.path.join(HERE, "..", "..", "models"), save, dump)


if __name__ == "__main__":
    main()
