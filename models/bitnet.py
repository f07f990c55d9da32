# SPDX-License-Identifier: MIT
"""BitNet b1.58 in PyTorch: float masters, ternary and int8 in the forward pass, straight-through gradients.

    h  = x + W_o RMS(attention(rope(W_q n), rope(W_k n), W_v n))      n = RMS(x)
    x' = h + W_down RMS(relu(W_gate m)^2 * W_up m)                    m = RMS(h)
    logits = E RMS(x_last)                                            E = token embedding

The seven W are ternary (absmean); their inputs are rounded to int8 per token (absmax). Source: arXiv:2402.17764 and the
release of BitNet b1.58 2B-4T (sub-norms, squared ReLU).
"""
import dataclasses
import functools
import math

import numpy as np
import torch
import torch.nn.functional as F

import gguf_writer as gguf
from gguf_reader import Reader
from straight_through import RmsNorm, SquaredReluGate, TernaryWeight, ternary

ARCHITECTURE = "bitnet-b1.58"
POOLING_NONE, POOLING_MEAN, POOLING_LAST = 0, 1, 3
CHAT_TEMPLATE = ("{{ bos_token }}{% for message in messages %}{{ message['role'] | capitalize }}: "
                 "{{ message['content'] | trim }}<|eot_id|>{% endfor %}"
                 "{% if add_generation_prompt %}{{ 'Assistant: ' }}{% endif %}")

# Training multiplies in bfloat16 where the CPU does (twice the speed); everything else, and what is measured, is float32.
PRODUCTS = torch.bfloat16 if "avx512_bf16" in open("/proc/cpuinfo", encoding="ascii").read() else torch.float32


@dataclasses.dataclass(frozen=True)
class Shape:
    """Hyper-parameters under their GGUF meaning; widths are multiples of 256 so that every ternary type fits."""
    vocabulary: int
    width: int = 256
    feed_forward: int = 768
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    context: int = 2048
    theta: float = 10000.0
    epsilon: float = 1e-5

    @property
    def head_width(self):
        return self.width // self.heads


class Ternary(torch.nn.Module):
    """A projection [out, in] without bias. Not `quantized`: the weight multiplies as it is, because it already is ternary
    times scale (a model that was loaded) or is to stay a float (the full-precision twin)."""

    def __init__(self, n_in, n_out):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(n_out, n_in) / math.sqrt(n_in))
        self.quantized = True

    def forward(self, x):
        weight = TernaryWeight.apply(self.weight) if self.quantized else self.weight
        if self.training and PRODUCTS == torch.bfloat16:
            return F.linear(x.bfloat16(), weight.bfloat16()).float()
        return F.linear(x, weight)


class Norm(torch.nn.Module):
    """RMSNorm; `int8` rounds what comes out, because it enters projections."""

    def __init__(self, width, epsilon, int8):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(width))
        self.epsilon, self.int8 = epsilon, int8

    def forward(self, x):
        return RmsNorm.apply(x, self.weight, self.epsilon, self.int8)


@functools.lru_cache(maxsize=None)
def rope_tables(shape, length):
    pairs = torch.arange(0, shape.head_width, 2, dtype=torch.float64)
    angle = torch.arange(length, dtype=torch.float64)[:, None] * shape.theta ** (-pairs / shape.head_width)
    return angle.cos().float(), angle.sin().float()


def rope(x, cos, sin):
    """x [batch, heads, time, head width]; pairs are (i, i + half)."""
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


class Block(torch.nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        width, kv_width = shape.width, shape.kv_heads * shape.head_width
        self.attn_norm, self.attn_sub_norm = Norm(width, shape.epsilon, True), Norm(width, shape.epsilon, True)
        self.ffn_norm, self.ffn_sub_norm = Norm(width, shape.epsilon, True), Norm(shape.feed_forward, shape.epsilon, True)
        self.attn_q, self.attn_output = Ternary(width, width), Ternary(width, width)
        self.attn_k, self.attn_v = Ternary(width, kv_width), Ternary(width, kv_width)
        self.ffn_gate, self.ffn_up = Ternary(width, shape.feed_forward), Ternary(width, shape.feed_forward)
        self.ffn_down = Ternary(shape.feed_forward, width)

    def attention(self, x, cos, sin, mask):
        s, (batch, time, _) = self.shape, x.shape
        q = self.attn_q(x).view(batch, time, s.heads, s.head_width).transpose(1, 2)
        k = self.attn_k(x).view(batch, time, s.kv_heads, s.head_width).transpose(1, 2)
        v = self.attn_v(x).view(batch, time, s.kv_heads, s.head_width).transpose(1, 2)
        q, k = rope(q, cos, sin), rope(k, cos, sin)
        k, v = (t.repeat_interleave(s.heads // s.kv_heads, 1) for t in (k, v))
        scores = q @ k.transpose(2, 3) / math.sqrt(s.head_width) + mask
        return (scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, time, s.width)

    def mix(self, x, cos, sin, mask):
        return x + self.attn_output(self.attn_sub_norm(self.attention(self.attn_norm(x), cos, sin, mask)))

    def feed_forward(self, x):
        y = self.ffn_norm(x)
        return x + self.ffn_down(self.ffn_sub_norm(SquaredReluGate.apply(self.ffn_gate(y), self.ffn_up(y))))


class BitNet(torch.nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        self.token_embd = torch.nn.Parameter(torch.randn(shape.vocabulary, shape.width) * 0.05)
        self.blocks = torch.nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.output_norm = Norm(shape.width, shape.epsilon, False)

    def in_full_precision(self):
        """The same network without quantizers: the twin that training compares with."""
        for module in self.modules():
            if isinstance(module, Ternary):
                module.quantized = False
            elif isinstance(module, Norm):
                module.int8 = False
        return self

    def hidden(self, tokens, wanted=slice(None)):
        """[batch, time] ids -> [batch, time, width] after the output norm, or what an index of these positions selects.
        Padding stands at the end."""
        time = tokens.shape[1]
        cos, sin = rope_tables(self.shape, time)
        mask = torch.full((time, time), -torch.inf).triu(1)
        x = F.embedding(tokens, self.token_embd)
        for block in self.blocks:
            x = block.mix(x, cos, sin, mask)
            if block is self.blocks[-1]:
                x = x[wanted]                      # the last feed-forward layer moves nothing between positions
            x = block.feed_forward(x)
        return self.output_norm(x)

    def logits(self, hidden):
        return hidden @ self.token_embd.T

    def embed(self, tokens, lengths):
        """Unit vectors of the last token of each sequence."""
        return F.normalize(self.hidden(tokens, (torch.arange(len(tokens)), lengths - 1)), dim=-1)


def pad(sequences, value=0):
    """Lists of ids -> (tokens [batch, longest], lengths)."""
    lengths = torch.tensor([len(s) for s in sequences])
    tokens = torch.full((len(sequences), int(lengths.max())), value)
    for row, ids in zip(tokens, sequences):
        row[:len(ids)] = torch.tensor(ids)
    return tokens, lengths


@torch.no_grad()
def greedy(model, prompts, limit, stop):
    """Most likely continuations of prompts of any length, without the stop token."""
    outputs, running = [[] for _ in prompts], list(range(len(prompts)))
    for _ in range(limit):
        tokens, lengths = pad([prompts[i] + outputs[i] for i in running])
        last = model.hidden(tokens, (torch.arange(len(running)), lengths - 1))
        for i, token in zip(running, model.logits(last).argmax(-1).tolist()):
            outputs[i].append(token)
        running = [i for i in running if outputs[i][-1] != stop]
        if not running:
            break
    return [o[:-1] if o and o[-1] == stop else o for o in outputs]


def _keys(shape, tokenizer, name, pooling):
    a = ARCHITECTURE + "."
    keys = [("general.architecture", gguf.STRING, ARCHITECTURE), ("general.name", gguf.STRING, name),
            ("general.license", gguf.STRING, "mit"), ("general.file_type", gguf.U32, 40),
            ("general.quantization_version", gguf.U32, 2),
            (a + "vocab_size", gguf.U32, shape.vocabulary), (a + "context_length", gguf.U32, shape.context),
            (a + "embedding_length", gguf.U32, shape.width), (a + "block_count", gguf.U32, shape.layers),
            (a + "feed_forward_length", gguf.U32, shape.feed_forward),
            (a + "attention.head_count", gguf.U32, shape.heads),
            (a + "attention.head_count_kv", gguf.U32, shape.kv_heads),
            (a + "attention.layer_norm_rms_epsilon", gguf.F32_VALUE, shape.epsilon),
            (a + "rope.freq_base", gguf.F32_VALUE, shape.theta),
            (a + "rope.dimension_count", gguf.U32, shape.head_width),
            ("tokenizer.ggml.model", gguf.STRING, "gpt2"), ("tokenizer.ggml.pre", gguf.STRING, "llama-bpe"),
            ("tokenizer.ggml.tokens", gguf.ARRAY, (gguf.STRING, tokenizer.tokens)),
            ("tokenizer.ggml.token_type", gguf.ARRAY, (gguf.I32, tokenizer.types)),
            ("tokenizer.ggml.merges", gguf.ARRAY, (gguf.STRING, [" ".join(m) for m in tokenizer.merges])),
            ("tokenizer.ggml.bos_token_id", gguf.U32, tokenizer.bos),
            ("tokenizer.ggml.eos_token_id", gguf.U32, tokenizer.eos),
            ("tokenizer.ggml.padding_token_id", gguf.U32, tokenizer.eos),
            ("tokenizer.ggml.add_bos_token", gguf.BOOL, True)]
    if pooling:
        return keys + [(a + "pooling_type", gguf.U32, pooling), ("tokenizer.ggml.add_eos_token", gguf.BOOL, True)]
    return keys + [("tokenizer.ggml.eot_token_id", gguf.U32, tokenizer.eot),
                   ("tokenizer.ggml.add_eos_token", gguf.BOOL, False),
                   ("tokenizer.chat_template", gguf.STRING, CHAT_TEMPLATE)]


def _tensor_name(parameter):
    return parameter.replace("blocks.", "blk.").replace("token_embd", "token_embd.weight")


@torch.no_grad()
def export(model, tokenizer, path, name, pooling=POOLING_NONE):
    """Writes the ternary model: I2_S projections, F16 embedding, F32 norms; the twin's projections as F16."""
    modules, tensors = dict(model.named_modules()), []
    for parameter, value in model.named_parameters():
        target = _tensor_name(parameter)
        module = modules.get(parameter[:-len(".weight")])
        if isinstance(module, Ternary) and module.quantized:
            values, scale = ternary(value)
            tensors.append(gguf.i2s_tensor(target, values.numpy().astype(np.int8), float(scale)))
        elif parameter == "token_embd" or isinstance(module, Ternary):
            tensors.append(gguf.f16_tensor(target, value.numpy()))
        else:
            tensors.append(gguf.f32_tensor(target, value.numpy()))
    gguf.write(path, _keys(model.shape, tokenizer, name, pooling), tensors)


@torch.no_grad()
def start_from(model, path):
    """Gives a model the weights of a shipped one. The masters of ternary weights: zeros stay 0, the others are made so much larger
    that their absmean, zeros included, is the scale they were stored with."""
    state = load(path)[0].state_dict()
    for name, module in model.named_modules():
        if isinstance(module, Ternary) and module.quantized:
            weight = state[name + ".weight"]
            weight /= (weight != 0).float().mean()
    model.load_state_dict(state)


@torch.no_grad()
def load(path):
    """-> (the model exactly as shipped, keys): ternary values from the file, activations in int8."""
    file = Reader(path)
    k = lambda key: file.keys[ARCHITECTURE + "." + key]
    model = BitNet(Shape(k("vocab_size"), k("embedding_length"), k("feed_forward_length"), k("block_count"),
                         k("attention.head_count"), k("attention.head_count_kv"), k("context_length"),
                         k("rope.freq_base"), k("attention.layer_norm_rms_epsilon")))
    for module in model.modules():
        if isinstance(module, Ternary):
            module.quantized = False
    for parameter, value in model.named_parameters():
        stored = file.tensors[_tensor_name(parameter)]
        if isinstance(stored, tuple):
            stored = stored[0].astype(np.float32) * stored[1]
        value.copy_(torch.from_numpy(stored.copy()))
    return model.eval(), file.keys
