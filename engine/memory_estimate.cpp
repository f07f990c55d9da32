// SPDX-License-Identifier: MIT
#include "engine/memory_estimate.h"

#include "engine/head_screen.h"
#include "engine/kernels/base3_layout.h"

#include <algorithm>

namespace bitnetd::engine {

std::uint64_t dense_bytes(const tensor_summary& tensor) noexcept {
  return tensor.rows * tensor.cols * (tensor.type == tensor_type::f16 ? 2 : sizeof(float));
}

memory_estimate estimate_memory(const model& description, std::size_t n_tokens, kv_type kv,
                                std::size_t max_rows, ternary_form form) {
  memory_estimate out;
  for (const auto& tensor : description.tensors) {
    const auto values = tensor.rows * tensor.cols;
    if (tensor.rows == 1)
      out.norms += values * sizeof(float);
    else if (tensor.ternary)
      out.ternary += (form == ternary_form::base3 ? base3_bytes(tensor.rows, tensor.cols)
                                                  : packed_bytes(tensor.rows, tensor.cols)) +
                     tensor.rows * sizeof(float);
    else {
      const auto bytes = dense_bytes(tensor);
      out.dense += bytes;
      const bool is_head =
          tensor.name == (description.shape.tied_head ? "token_embd.weight" : "output.weight");
      if (is_head && head_screen::worthwhile(bytes, tensor.cols))
        out.screen = head_screen::bytes(tensor.rows, tensor.cols);
    }
  }
  const auto& shape = description.shape;
  const std::uint64_t q_width = std::uint64_t{shape.n_head} * shape.head_dim;
  const auto widest = std::max({std::uint64_t{shape.n_embd}, q_width, std::uint64_t{shape.n_ff}});
  auto row = 2 * std::uint64_t{shape.n_embd} + 2 * q_width + 2 * shape.kv_width() +
             std::uint64_t{shape.n_ff};
  if (shape.post_norms)
    row += shape.n_embd;
  if (shape.input_norms)
    row += widest;
  constexpr std::uint64_t logit_rows = 64; // most sequences of one step, unless configured
  out.buffers = (max_rows * row + logit_rows * shape.n_vocab) * sizeof(float) +
                max_rows * padded_columns(widest); // int8 codes
  out.kv = n_tokens * description.kv_bytes_per_token(kv);
  return out;
}

} // namespace bitnetd::engine
