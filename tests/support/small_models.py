# SPDX-License-Identifier: MIT
"""Whole models of a few kilobytes in every form, and tokenizers of every kind: what fuzzers begin with, and what tests damage."""
import json
import struct

U32, F32, BOOL, STRING, ARRAY, I32 = 4, 6, 7, 8, 9, 5
PROJECTIONS = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
BLOCKS = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
# id: values and bytes of a block, bytes before a row, bytes behind a tensor, a byte that is sound everywhere
TERNARY = {36: (4, 1, 0, 32, 0x55), 35: (256, 66, 0, 0, 0x15), 34: (256, 54, 0, 0, 0x15), 134: (64, 13, 2, 0, 0x15), 135: (64, 16, 4, 0, 0x15),
           42: (64, 18, 0, 0, 0x15), 8: (32, 34, 0, 0, 0x15), 2: (32, 18, 0, 0, 0x15), 20: (32, 18, 0, 0, 0x15), 12: (256, 144, 0, 0, 0x15),
           14: (256, 210, 0, 0, 0x15)}


def text(value):
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def value(kind, what):
    if kind == STRING:
        return text(what)
    if kind == ARRAY:
        element, items = what
        return struct.pack("<IQ", element, len(items)) + b"".join(value(element, i) for i in items)
    return struct.pack({U32: "<I", I32: "<i", F32: "<f", BOOL: "<?"}[kind], what)


def gguf(keys, tensors, magic=b"GGUF", version=3, n_keys=None, n_tensors=None):
    """keys: (name, kind, value), or bytes that stand for a whole entry; tensors: (name, dims, type, bytes[, offset that is stated])."""
    head = struct.pack("<4sIQQ", magic, version, len(tensors) if n_tensors is None else n_tensors, len(keys) if n_keys is None else n_keys)
    for key in keys:
        head += key if isinstance(key, bytes) else text(key[0]) + struct.pack("<I", key[1]) + value(*key[1:])
    data = b""
    for name, dims, kind, raw, *stated in tensors:
        head += text(name) + struct.pack("<I%dQIQ" % len(dims), len(dims), *dims, kind, *(stated or [len(data)]))
        data += raw + bytes(-len(raw) % 32)
    return head + bytes(-len(head) % 32) + data


def matrix(kind, cols, rows):
    if kind in (0, 1, 30):
        return bytes((4 if kind == 0 else 2) * cols * rows)
    block, size, per_row, behind, byte = TERNARY[kind]
    return bytes([byte]) * (rows * (per_row + cols // block * size)) + bytes(behind)


def words(kind):
    letters = ["a", "b", "ab", "Ġ"] if kind == "gpt2" else ["<unk>", "<s>", "</s>", "a"]
    keys = [("tokenizer.ggml.model", STRING, kind), ("tokenizer.ggml.tokens", ARRAY, (STRING, letters)),
            ("tokenizer.ggml.token_type", ARRAY, (I32, [1, 1, 1, 3] if kind == "gpt2" else [2, 3, 3, 1])),
            ("tokenizer.ggml.bos_token_id", U32, 1), ("tokenizer.ggml.eos_token_id", U32, 2), ("tokenizer.ggml.add_bos_token", BOOL, True)]
    if kind == "gpt2":
        return keys + [("tokenizer.ggml.pre", STRING, "gpt-2"), ("tokenizer.ggml.merges", ARRAY, (STRING, ["a b"]))]
    return keys + [("tokenizer.ggml.scores", ARRAY, (F32, [0.0, 0.0, 0.0, -1.0])), ("tokenizer.chat_template", STRING, "{{ messages }}")]


def gguf_parts(arch, kind, width, dense=0, tokens="gpt2", wide=0):
    """Keys and tensors of one layer of two heads, four tokens; projections of this type where their width allows it, the rest dense."""
    ff = wide or width
    number = lambda key, what: (arch + "." + key, F32 if isinstance(what, float) else U32, what)
    keys = [("general.architecture", STRING, arch), number("context_length", 16), number("embedding_length", width), number("block_count", 1),
            number("feed_forward_length", ff), number("attention.head_count", 2), number("attention.head_count_kv", 2),
            number("attention.layer_norm_rms_epsilon", 1e-5), number("rope.freq_base", 10000.0)] + words(tokens)
    ones = lambda n: struct.pack("<%df" % n, *[1] * n)
    tensors = [("token_embd.weight", (width, 4), dense, matrix(dense, width, 4)), ("output_norm.weight", (width,), 0, ones(width))]
    norms = ["attn_norm", "ffn_norm"] + (["attn_sub_norm", "ffn_sub_norm"] if arch.startswith("bitnet") else [])
    if arch in ("qwen3", "gemma3"):
        keys += [number("attention.key_length", width // 2), number("attention.value_length", width // 2), number("pooling_type", 3)]
        tensors += [("blk.0.%s.weight" % n, (width // 2,), 0, ones(width // 2)) for n in ("attn_q_norm", "attn_k_norm")]
        norms += [b + "_norm_in" for b in BLOCKS] + (["post_attention_norm", "post_ffw_norm"] if arch == "gemma3" else [])
    tensors += [("blk.0.%s.weight" % n, (size,), 0, ones(size)) for n in norms for size in [ff if n in ("ffn_sub_norm", "ffn_down_norm_in") else width]]
    for block in BLOCKS:
        cols, rows = ff if block == "ffn_down" else width, ff if block in ("ffn_gate", "ffn_up") else width
        of = kind if kind not in TERNARY or cols % TERNARY[kind][0] == 0 else dense
        tensors.append(("blk.0.%s.weight" % block, (cols, rows), of, matrix(of, cols, rows)))
    return keys, tensors


def gguf_model(*how, **more):
    return gguf(*gguf_parts(*how, **more))


def gguf_files():
    for arch in ("bitnet-b1.58", "bitnet-25", "bitnet", "llama", "qwen3", "gemma3"):
        yield gguf_model(arch, 0, 8, tokens="llama" if arch in ("bitnet", "gemma3") else "gpt2")
    for kind, width in ((36, 128), (134, 64), (135, 64), (42, 64), (8, 32), (2, 32), (20, 32), (1, 8), (30, 8)):
        yield gguf_model("llama", kind, width, dense=1)
    for kind in (12, 14, 34, 35):
        yield gguf_model("bitnet", kind, 8, wide=256)
    yield gguf([("general.architecture", STRING, "llama"), ("general.alignment", U32, 64)] + words("llama"), [])


def safetensors(tensors):
    header, data = {}, b""
    for name, (dtype, shape, raw) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    raw = json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + data


def folder_parts(form):
    """config.json and tensors of one layer, width 8."""
    config = {"model_type": "llama" if form == "float" else "bitnet", "hidden_act": "silu" if form == "float" else "relu2", "vocab_size": 4,
              "max_position_embeddings": 16, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
              "rms_norm_eps": 1e-5, "tie_word_embeddings": True}
    if form in ("bitlinear", "autobitlinear"):
        config["quantization_config"] = {"quant_method": "bitnet", "linear_class": form}
    ones = lambda n: ("F32", [n], struct.pack("<%df" % n, *[1] * n))
    layer = "model.layers.0."
    tensors = {"model.embed_tokens.weight": ("F32", [4, 8], struct.pack("<32f", *[0.5] * 32)), "model.norm.weight": ones(8)}
    norms = ["input_layernorm", "post_attention_layernorm"] + ([] if form == "float" else ["self_attn.attn_sub_norm", "mlp.ffn_sub_norm"])
    tensors.update({layer + n + ".weight": ones(8) for n in norms})
    for name in PROJECTIONS:
        key = layer + name + ".weight"
        if "quantization_config" in config:
            tensors[key] = ("U8", [2, 8], b"\x59" * 16)
            tensors[key + "_scale"] = ("BF16", [1], b"\x00\x3f")
        else:
            tensors[key] = ("BF16", [8, 8], b"\x00\x3f" * 64)
    return config, tensors


def folders():
    for form in ("master", "bitlinear", "autobitlinear", "float"):
        config, tensors = folder_parts(form)
        index = json.dumps({"weight_map": {name: "a.safetensors" for name in tensors}}).encode()
        for second in (b"", index):
            yield b"".join(struct.pack("<H", len(p)) + p for p in (json.dumps(config).encode(), second)) + safetensors(tensors)


def piece(word, score, kind):
    return b"\x0a" + bytes([len(word) + 9]) + b"\x0a" + bytes([len(word)]) + word + b"\x15" + struct.pack("<f", score) + b"\x18" + bytes([kind])


def tokenizers():
    level = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
    split = lambda pattern: {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    for cut in (level, {"type": "Sequence", "pretokenizers": [split("[0-9]"), level]},
                {"type": "Sequence", "pretokenizers": [{"type": "Punctuation", "behavior": "Contiguous"}, level, {"type": "Digits", "individual_digits": True}]}):
        yield b"\0" + json.dumps({
            "normalizer": {"type": "NFC"}, "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "Ġ": 3}, "merges": ["a b"], "ignore_merges": True},
            "added_tokens": [{"id": 4, "content": "<s>", "special": True}], "pre_tokenizer": cut,
            "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}]}}).encode()
    yield b"\0" + json.dumps({"normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}, "pre_tokenizer": None, "model": {
        "type": "BPE", "byte_fallback": True, "unk_token": "<unk>", "vocab": {"<unk>": 0, "<0x41>": 1, "▁": 2, "a": 3, "▁a": 4}, "merges": [["▁", "a"]]}}).encode()
    yield b"\1" + json.dumps({"bos_token": {"content": "a"}, "eos_token": "b", "add_bos_token": True, "add_prefix_space": False,
                              "added_tokens_decoder": {"5": {"content": "<t>", "special": True}}, "chat_template": [{"name": "default", "template": "x"}]}).encode()
    yield b"\2" + piece(b"<unk>", 0, 2) + piece(b"<s>", 0, 3) + piece(b"</s>", 0, 3) + piece(b"a", -1, 1) + piece(b"ab", -2, 1) + b"\x12\x02\x18\x02\x1a\x02\x20\x00"
    for kind in ("gpt2", "llama"):
        yield b"\3" + gguf(words(kind), [])
