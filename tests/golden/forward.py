# SPDX-License-Identifier: MIT
"""The published forward passes in NumPy, float64 unless the input is float32: the truth of the golden files.

A model is (shape, weights): weights under their GGUF names without `.weight`, projections as [out, in].
"""
import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Shape:
    """arch decides gate and RoPE: bitnet-b1.58 squared ReLU, others SiLU; llama rotates (2i, 2i+1), others (i, i+d/2)."""
    arch: str
    vocabulary: int
    layers: int
    heads: int
    kv_heads: int
    width: int = 256
    feed_forward: int = 256
    theta: float = 10000.0
    epsilon: float = float(np.float32(1e-5))


def norm(x, weight, epsilon):
    return x / np.sqrt(np.mean(x * x, -1, keepdims=True) + epsilon) * weight.astype(x.dtype)


def absmax(x):
    """Per token to int8 and back; rounding is half to even."""
    scale = 127 / np.maximum(np.abs(x).max(-1, keepdims=True), 1e-5)
    return (np.clip(np.rint(x * scale), -128, 127) / scale).astype(x.dtype)


def rope(x, theta, interleaved):
    """x [time, heads, d], positions from 0."""
    half = x.shape[-1] // 2
    angle = np.arange(len(x))[:, None] * theta ** (-2.0 * np.arange(half) / x.shape[-1])
    cos, sin = np.cos(angle)[:, None].astype(x.dtype), np.sin(angle)[:, None].astype(x.dtype)
    a, b = (x[..., 0::2], x[..., 1::2]) if interleaved else (x[..., :half], x[..., half:])
    rotated = a * cos - b * sin, b * cos + a * sin
    return np.stack(rotated, -1).reshape(x.shape) if interleaved else np.concatenate(rotated, -1)


def attention(q, k, v):
    """Causal; query head h reads kv head h / (heads / kv_heads)."""
    time, heads, width = q.shape
    k, v = (np.repeat(t, heads // k.shape[1], 1) for t in (k, v))
    scores = np.einsum("thd,shd->hts", q, k) / np.sqrt(width).astype(q.dtype)
    scores = np.where(np.tri(time, dtype=bool), scores, -np.inf)
    share = np.exp(scores - scores.max(-1, keepdims=True))
    return np.einsum("hts,shd->thd", share / share.sum(-1, keepdims=True), v).reshape(time, heads * width)


def block(shape, weights, layer, x, int8):
    """One layer over a whole sequence x [time, width]."""
    w = lambda name: weights["blk.%d.%s" % (layer, name)].astype(x.dtype)
    sub_norm = lambda y, name: norm(y, w(name), shape.epsilon) if "blk.%d.%s" % (layer, name) in weights else y
    rounded = absmax if int8 else lambda y: y
    interleaved, head_width = shape.arch == "llama", shape.width // shape.heads

    n = rounded(norm(x, w("attn_norm"), shape.epsilon))
    q = rope((n @ w("attn_q").T).reshape(len(x), shape.heads, head_width), shape.theta, interleaved)
    k = rope((n @ w("attn_k").T).reshape(len(x), shape.kv_heads, head_width), shape.theta, interleaved)
    v = (n @ w("attn_v").T).reshape(len(x), shape.kv_heads, head_width)
    x = x + rounded(sub_norm(attention(q, k, v), "attn_sub_norm")) @ w("attn_output").T

    m = rounded(norm(x, w("ffn_norm"), shape.epsilon))
    gate, up = m @ w("ffn_gate").T, m @ w("ffn_up").T
    gate = np.maximum(gate, 0) ** 2 if shape.arch.startswith("bitnet-") else gate / (1 + np.exp(-gate))
    return x + rounded(sub_norm(gate * up, "ffn_sub_norm")) @ w("ffn_down").T


def hidden(shape, weights, tokens, int8, dtype=np.float64, jitter=None):
    """States after the output norm [time, width]; jitter(x) disturbs the input of every layer."""
    x = weights["token_embd"][list(tokens)].astype(dtype)
    for layer in range(shape.layers):
        x = block(shape, weights, layer, jitter(x) if jitter else x, int8)
    return norm(x, weights["output_norm"], shape.epsilon)


def logits(shape, weights, tokens, int8, dtype=np.float64, jitter=None):
    """Of the last position, [vocabulary]."""
    head = weights.get("output", weights["token_embd"]).astype(dtype)
    return head @ hidden(shape, weights, tokens, int8, dtype, jitter)[-1]


def embedding(shape, weights, tokens, int8, dtype=np.float64, jitter=None):
    """Unit vector of the last token."""
    last = hidden(shape, weights, tokens, int8, dtype, jitter)[-1]
    return last / np.linalg.norm(last)


def distance(a, b):
    return float(np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-30))


def int8_noise(compute, repeats=3):
    """How far int8 rounding carries a tiny disturbance: the largest relative change of compute(dtype, jitter) under
    float32 arithmetic and under factors of 1 +- 2e-7. Below 1e-5 a case is stable: no activation sits at a boundary."""
    exact, rng = compute(np.float64, None), np.random.default_rng(99)
    others = [compute(np.float32, None)]
    others += [compute(np.float64, lambda x: x * (1 + 2e-7 * rng.standard_normal(x.shape))) for _ in range(repeats)]
    return max(distance(o, exact) for o in others)


def greedy(shape, weights, tokens, n, int8):
    """-> (tokens, margins): a margin is top1 - top2 of the logits that chose the token."""
    tokens, out, margins = list(tokens), [], []
    for _ in range(n):
        z = logits(shape, weights, tokens, int8)
        second, first = np.sort(z)[-2:]
        out.append(int(z.argmax()))
        margins.append(round(float(first - second), 4))
        tokens.append(out[-1])
    return out, margins
