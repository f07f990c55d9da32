// SPDX-License-Identifier: MIT
#include "engine/hyperparameters.h"
#include "engine/printable.h"
#include "engine/tensor_names.h"

#include <set>
#include <string_view>

namespace bitnetd::engine {

namespace {

bool is_float(tensor_type type) noexcept {
  return type == tensor_type::f32 || type == tensor_type::f16 || type == tensor_type::bf16;
}

std::string dims_text(const std::vector<std::uint64_t>& dims) {
  std::string out;
  for (const auto dim : dims)
    out += (out.empty() ? "" : " x ") + std::to_string(dim);
  return out;
}

bool is_scalar(const gguf_tensor& tensor) noexcept {
  return tensor.type == tensor_type::f32 && tensor.rows() == 1 && tensor.cols() == 1;
}

/// `blk.i.<projection>.scale` of older conversions of architecture `bitnet`.
std::set<std::string> output_scales(const hyperparameters& shape) {
  std::set<std::string> names;
  if (shape.arch == architecture::bitnet)
    for (std::uint32_t layer = 0; layer < shape.n_layer; ++layer)
      for (const auto projection : projections)
        names.insert(block_name(layer, projection) + ".scale");
  return names;
}

[[noreturn]] void refuse_tensor(const model_source& file, const gguf_tensor& tensor,
                                const std::string& what) {
  throw load_error{file.path().string() + ": tensor " + printable(tensor.name) + ": " + what};
}

void refuse_unexpected(const model_source& file, const gguf_tensor& tensor) {
  if (tensor.name.ends_with(".bias"))
    refuse_tensor(file, tensor, "biases are not supported; no published ternary model has them");
  if (tensor.name == "rope_freqs.weight")
    refuse_tensor(file, tensor,
                  "RoPE factors per frequency (Llama 3.1 and later) are not supported yet");
  refuse_tensor(file, tensor,
                "does not belong to this architecture; ignoring it could change the results");
}

void check_tensor(const model_source& file, const gguf_tensor& tensor,
                  const expected_tensor& expected) {
  // A matrix may be written with trailing dimensions of 1.
  auto dims = tensor.dims;
  while (dims.size() > expected.dims.size() && dims.back() == 1)
    dims.pop_back();
  if (dims != expected.dims)
    refuse_tensor(file, tensor,
                  "is " + dims_text(tensor.dims) + ", but the hyperparameters imply " +
                      dims_text(expected.dims));
  if (expected.dims.size() == 1 && !is_float(tensor.type))
    refuse_tensor(file, tensor,
                  "a norm of type " + std::string{info(tensor.type).name} +
                      "; expected F32, F16 or BF16");
}

} // namespace

std::vector<expected_tensor> expected_tensors(const hyperparameters& shape) {
  const std::uint64_t n_embd = shape.n_embd, n_ff = shape.n_ff;
  const std::uint64_t q_width = std::uint64_t{shape.n_head} * shape.head_dim;
  std::vector<expected_tensor> all;
  all.push_back({"token_embd.weight", {n_embd, shape.n_vocab}});
  for (std::uint32_t i = 0; i < shape.n_layer; ++i) {
    const auto add = [&](std::string_view name, std::vector<std::uint64_t> dims) {
      all.push_back({block_name(i, name) + ".weight", std::move(dims)});
    };
    const auto project = [&](std::string_view name, std::uint64_t in, std::uint64_t out) {
      if (shape.input_norms)
        add(std::string{name} + "_norm_in", {in});
      add(name, {in, out});
    };
    add("attn_norm", {n_embd});
    project("attn_q", n_embd, q_width);
    project("attn_k", n_embd, shape.kv_width());
    project("attn_v", n_embd, shape.kv_width());
    if (shape.head_norms) {
      add("attn_q_norm", {shape.head_dim});
      add("attn_k_norm", {shape.head_dim});
    }
    if (shape.sub_norms)
      add("attn_sub_norm", {q_width});
    project("attn_output", q_width, n_embd);
    if (shape.post_norms)
      add("post_attention_norm", {n_embd});
    add("ffn_norm", {n_embd});
    project("ffn_gate", n_embd, n_ff);
    project("ffn_up", n_embd, n_ff);
    if (shape.sub_norms)
      add("ffn_sub_norm", {n_ff});
    project("ffn_down", n_ff, n_embd);
    if (shape.post_norms)
      add("post_ffw_norm", {n_embd});
  }
  all.push_back({"output_norm.weight", {n_embd}});
  if (!shape.tied_head)
    all.push_back({"output.weight", {n_embd, shape.n_vocab}});
  return all;
}

void check_tensors(const model_source& file, const hyperparameters& shape) {
  const auto expected = expected_tensors(shape);
  std::set<std::string_view> known;
  std::string missing;
  std::size_t n_missing = 0;
  for (const auto& wanted : expected) {
    known.insert(wanted.name);
    if (const auto* tensor = file.find_tensor(wanted.name))
      check_tensor(file, *tensor, wanted);
    else if (++n_missing <= 3) // three names say enough
      missing += (missing.empty() ? "" : ", ") + printable(wanted.name);
  }
  const auto scales = output_scales(shape);
  for (const auto& tensor : file.tensors())
    if (!known.contains(tensor.name) && !(scales.contains(tensor.name) && is_scalar(tensor)))
      refuse_unexpected(file, tensor);
  if (n_missing > 0)
    throw incomplete_model{file.path().string() + ": no whole model: " + std::to_string(n_missing) +
                           " of " + std::to_string(expected.size()) +
                           " tensors are missing: " + missing + (n_missing > 3 ? ", ..." : "")};
}

} // namespace bitnetd::engine
