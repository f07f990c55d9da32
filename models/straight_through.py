# SPDX-License-Identifier: MIT
"""The quantizers and norms of BitNet b1.58 as functions with gradients of their own.

Rounding has no useful gradient, so it is passed through unchanged (straight-through). Written out by hand, because a step on
CPUs spends as much time in small operations on activations as in matrix products: each function here touches them as
few times as it can.
"""
import torch


def ternary(weight):
    """Absmean: -> (values in {-1, 0, +1}, scale)."""
    scale = weight.abs().mean().clamp(min=1e-5)
    return (weight / scale).round().clamp(-1, 1), scale


class TernaryWeight(torch.autograd.Function):
    """A float master as its ternary values times their scale."""

    @staticmethod
    def forward(_, weight):
        scale = weight.abs().mean().clamp(min=1e-5)
        return (weight / scale).round_().clamp_(-1, 1).mul_(scale)

    @staticmethod
    def backward(_, gradient):
        return gradient


class RmsNorm(torch.autograd.Function):
    """y = x / sqrt(mean x^2 + epsilon) * weight, then, if asked, rounded to 255 steps per row (absmax int8)."""

    @staticmethod
    def forward(context, x, weight, epsilon, int8):
        inverse = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_().div_(x.shape[-1]).add_(epsilon).rsqrt_()
        context.save_for_backward(x, weight, inverse)
        y = (x * inverse).mul_(weight)
        if int8:
            scale = 127.0 / torch.maximum(y.amax(-1, keepdim=True), -y.amin(-1, keepdim=True)).clamp_(min=1e-5)
            y.mul_(scale).round_().div_(scale)
        return y

    @staticmethod
    def backward(context, gradient):
        x, weight, inverse = context.saved_tensors
        normed = x * inverse
        product = gradient * normed
        for_weight = product.flatten(0, -2).sum(0)
        along = (product @ weight).div_(-weight.numel()).unsqueeze(-1)
        return normed.mul_(along).addcmul_(gradient, weight).mul_(inverse), for_weight, None, None


class SquaredReluGate(torch.autograd.Function):
    """relu(gate)^2 * up."""

    @staticmethod
    def forward(context, gate, up):
        positive = gate.relu()
        context.save_for_backward(positive, up)
        return positive.square().mul_(up)

    @staticmethod
    def backward(context, gradient):
        positive, up = context.saved_tensors
        slope = gradient * positive
        return (slope * up).mul_(2), slope.mul_(positive)
