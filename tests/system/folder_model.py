# SPDX-License-Identifier: MIT
"""A small Hugging Face folder with random ternary weights: a whole model, and ways to break it."""
import json
import os
import random
import struct

WIDTH, LAYERS, HEADS, VOCABULARY = 64, 2, 4, 256
PROJECTIONS = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
               "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")


def byte_letters():
    """GPT-2's printable letter for each byte."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(b) if b in kept else chr(next(others)) for b in range(256)]


def parts():
    """config.json, tokenizer.json and the tensors {name: (dtype, shape, bytes)} of a model that can chat."""
    draw = random.Random(3)
    config = {"model_type": "bitnet", "architectures": ["BitNetForCausalLM"], "hidden_act": "relu2",
              "vocab_size": VOCABULARY, "max_position_embeddings": 512, "hidden_size": WIDTH,
              "intermediate_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
              "num_key_value_heads": HEADS, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": True,
              "quantization_config": {"quant_method": "bitnet", "linear_class": "autobitlinear"}}
    words = {"model": {"type": "BPE", "merges": [], "vocab": {c: i for i, c in enumerate(byte_letters())}},
             "normalizer": {"type": "NFC"},
             "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}}

    def floats(shape, low, high):
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        return "F32", shape, struct.pack("<%df" % count, *(draw.uniform(low, high) for _ in range(count)))

    tensors = {"model.embed_tokens.weight": floats([VOCABULARY, WIDTH], -1, 1), "model.norm.weight": floats([WIDTH], 1, 1)}
    for i in range(LAYERS):
        layer = "model.layers.%d." % i
        for norm in ("input_layernorm", "post_attention_layernorm", "self_attn.attn_sub_norm", "mlp.ffn_sub_norm"):
            tensors[layer + norm + ".weight"] = floats([WIDTH], 1, 1)
        for name in PROJECTIONS:
            codes = bytes(sum(draw.randrange(3) << shift for shift in (0, 2, 4, 6)) for _ in range(WIDTH // 4 * WIDTH))
            tensors[layer + name + ".weight"] = ("U8", [WIDTH // 4, WIDTH], codes)
            tensors[layer + name + ".weight_scale"] = ("F32", [1], struct.pack("<f", 0.1))
    return config, words, tensors


def safetensors(tensors, change=None):
    """The bytes of a file; `change` may alter the header before it is written."""
    header, data = {}, b""
    for name, (dtype, shape, raw) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    if change:
        change(header)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def write(folder, files):
    os.makedirs(folder, exist_ok=True)
    for name, content in files.items():
        with open(os.path.join(folder, name), "wb") as f:
            f.write(content if isinstance(content, bytes) else json.dumps(content).encode())
    return folder


def good():
    config, words, tensors = parts()
    return {"config.json": config, "tokenizer.json": words, "model.safetensors": safetensors(tensors)}


def bad():
    """(what is wrong, files) of folders that no loader may take."""
    config, words, tensors = parts()
    files = good()
    whole = files["model.safetensors"]
    first, query = "model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight"

    def with_header(change):
        return {**files, "model.safetensors": safetensors(tensors, change)}

    def entry(name, **values):
        return with_header(lambda header: header[name].update(values))

    def sharded(index):
        return {**{k: v for k, v in files.items() if k != "model.safetensors"}, "model.safetensors.index.json": index}

    def changed(name, *tensor):
        return {**files, "model.safetensors": safetensors({**tensors, name: tensor})}

    yield "nothing but a name", {}
    yield "no weights", {k: v for k, v in files.items() if k != "model.safetensors"}
    yield "no config", {k: v for k, v in files.items() if k != "config.json"}
    yield "an empty file", {**files, "model.safetensors": b""}
    yield "half a file", {**files, "model.safetensors": whole[:len(whole) // 2]}
    yield "a byte less", {**files, "model.safetensors": whole[:-1]}
    yield "a header longer than the file", {**files, "model.safetensors": struct.pack("<Q", 1 << 62) + whole[8:]}
    yield "a header that is no JSON", {**files, "model.safetensors": whole[:8] + b"\xff" * 40 + whole[48:]}
    yield "a header of brackets", {**files, "model.safetensors": struct.pack("<Q", 200_000) + b"[" * 200_000}
    yield "offsets behind the end", entry(first, data_offsets=[0, 1 << 60])
    yield "offsets the wrong way round", entry(first, data_offsets=[100, 0])
    yield "negative offsets", entry(first, data_offsets=[-4, VOCABULARY * WIDTH * 4])
    yield "tensors that overlap", entry("model.norm.weight", data_offsets=[0, WIDTH * 4])
    yield "a shape beyond 64 bits", entry(first, shape=[1 << 33, 1 << 33])
    yield "a shape of nothing", entry(first, shape=[])
    yield "an unknown type", entry(first, dtype="F13")
    yield "a tensor too few", {**files, "model.safetensors": safetensors({k: v for k, v in tensors.items() if k != query})}
    yield "a tensor of a stranger", changed("model.layers.0.self_attn.q_proj.bias", "F32", [1], b"\0" * 4)
    yield "codes of 3", changed(query, "U8", [WIDTH // 4, WIDTH], b"\xff" * (WIDTH // 4 * WIDTH))
    yield "a scale that is no number", changed(query + "_scale", "F32", [1], struct.pack("<f", float("nan")))
    yield "an index that leads out", sharded({"weight_map": {first: "../../../../etc/passwd"}})
    yield "an index of a file that is not there", sharded({"weight_map": {first: "a.safetensors"}})
    yield "an index that is a list", sharded([1, 2])
    yield "a million layers", {**files, "config.json": {**config, "num_hidden_layers": 1_000_000}}
    yield "no heads", {**files, "config.json": {**config, "num_attention_heads": 0}}
    yield "a width of text", {**files, "config.json": {**config, "hidden_size": "64"}}
    yield "another family", {**files, "config.json": {**config, "model_type": "mixtral", "architectures": ["Mixtral"]}}
    yield "a config of brackets", {**files, "config.json": b'{"a":' * 100_000}
    yield "another kind of tokenizer", {**files, "tokenizer.json": {**words, "model": {"type": "Unigram", "vocab": []}}}
    yield "a token far away", {**files, "tokenizer.json": {**words, "added_tokens": [{"id": 1 << 31, "content": "x"}]}}
    yield "words cut in an unknown way", {**files, "tokenizer.json": {**words, "pre_tokenizer": {
        "type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False}}}
