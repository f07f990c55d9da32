// SPDX-License-Identifier: MIT
#pragma once

#include "engine/gguf_writer.h"
#include "engine/quantizer.h"
#include "engine/tensor_type.h"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bitnetd::tests {

/// A small model with random weights: every part of the real thing, nothing to say.
struct tiny_model {
  std::string arch = "bitnet-b1.58";
  std::uint32_t n_embd = 256, n_ff = 512, n_layer = 2, n_head = 4, n_head_kv = 2;
  std::uint32_t n_vocab = 260, n_context = 512;
  std::uint32_t pooling = 0; ///< as in the file: 1 mean, 3 last
  std::uint32_t seed = 1;
  bool words = true; ///< with a tokenizer: 256 bytes, then control tokens, the first one EOS
  engine::tensor_type embedding = engine::tensor_type::f32;
  /// Extra tensors of one float, as older conversions of architecture `bitnet` have them.
  std::map<std::string, float> output_scales = {};
  /// Type of a projection; default I2_S.
  std::function<engine::tensor_type(const std::string& name)> type_of = {};
  /// Changes a tensor's values before they are stored: norms, embedding, and projections as
  /// t·scale.
  std::function<void(const std::string& name, std::span<float> values, std::size_t cols)> change =
      {};

  /// Writes the file; returns its path.
  std::filesystem::path write(const std::filesystem::path& path) const;

private:
  struct tensor {
    std::string name;
    engine::tensor_type type;
    std::vector<std::uint64_t> dims;
  };
  [[nodiscard]] std::vector<tensor> tensors() const;
  void add_metadata(engine::gguf_writer& out) const;
  [[nodiscard]] std::vector<std::byte> payload(const tensor& what, std::mt19937& random) const;
};

inline std::vector<tiny_model::tensor> tiny_model::tensors() const {
  using engine::tensor_type;
  const auto kv = std::uint64_t{n_embd} / n_head * n_head_kv;
  std::vector<tensor> all{{"token_embd.weight", embedding, {n_embd, n_vocab}}};
  for (std::uint32_t i = 0; i < n_layer; ++i) {
    const auto block = "blk." + std::to_string(i) + ".";
    const auto norm = [&](const char* name, std::uint64_t n) {
      all.push_back({block + name + ".weight", tensor_type::f32, {n}});
    };
    const auto projection = [&](const char* name, std::uint64_t in, std::uint64_t out) {
      const auto full = block + name + ".weight";
      all.push_back({full, type_of ? type_of(full) : tensor_type::i2_s, {in, out}});
    };
    const bool sub_norms = arch != "llama";
    norm("attn_norm", n_embd);
    projection("attn_q", n_embd, n_embd);
    projection("attn_k", n_embd, kv);
    projection("attn_v", n_embd, kv);
    if (sub_norms)
      norm("attn_sub_norm", n_embd);
    projection("attn_output", n_embd, n_embd);
    norm("ffn_norm", n_embd);
    projection("ffn_gate", n_embd, n_ff);
    projection("ffn_up", n_embd, n_ff);
    if (sub_norms)
      norm("ffn_sub_norm", n_ff);
    projection("ffn_down", n_ff, n_embd);
  }
  all.push_back({"output_norm.weight", tensor_type::f32, {n_embd}});
  for (const auto& [name, value] : output_scales)
    all.push_back({name, tensor_type::f32, {1}});
  return all;
}

inline void tiny_model::add_metadata(engine::gguf_writer& out) const {
  out.add("general.architecture", arch);
  out.add("general.name", "tiny");
  const auto count = [&](const char* key, std::uint32_t value) {
    out.add(arch + "." + key, value);
  };
  count("vocab_size", n_vocab);
  count("context_length", n_context);
  count("embedding_length", n_embd);
  count("block_count", n_layer);
  count("feed_forward_length", n_ff);
  count("attention.head_count", n_head);
  count("attention.head_count_kv", n_head_kv);
  count("pooling_type", pooling);
  out.add(arch + ".attention.layer_norm_rms_epsilon", 1e-5f);
  out.add(arch + ".rope.freq_base", 10000.0f);
  if (!words)
    return;
  // Bytes as the byte-level alphabet writes them: printable ones stand for themselves, the others
  // for U+0100 and following, in order.
  std::vector<std::string> tokens;
  std::vector<std::int32_t> kinds;
  std::uint32_t next = 0x100;
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    const bool itself = (byte > 32 && byte < 127) || (byte > 160 && byte != 173);
    const auto point = itself ? byte : next++;
    tokens.push_back(point < 0x80 ? std::string(1, static_cast<char>(point))
                                  : std::string{static_cast<char>(0xC0 | point >> 6),
                                                static_cast<char>(0x80 | (point & 0x3F))});
    kinds.push_back(1);
  }
  for (std::uint32_t i = 256; i < n_vocab; ++i) {
    tokens.push_back("<|control_" + std::to_string(i) + "|>");
    kinds.push_back(3);
  }
  out.add("tokenizer.ggml.model", "gpt2");
  out.add("tokenizer.ggml.pre", "llama-bpe");
  out.add("tokenizer.ggml.tokens", tokens);
  out.add("tokenizer.ggml.token_type", kinds);
  out.add("tokenizer.ggml.merges", std::vector<std::string>{});
  out.add("tokenizer.ggml.eos_token_id", std::uint32_t{256});
  out.add("tokenizer.ggml.add_bos_token", false);
}

inline std::vector<std::byte> tiny_model::payload(const tensor& what, std::mt19937& random) const {
  const auto uniform = [&] { return static_cast<float>(random() % 4096) / 2048.0f - 1.0f; };
  const auto cols = what.dims[0];
  const auto rows = what.dims.size() > 1 ? what.dims[1] : 1;
  const bool projection = what.name.starts_with("blk.") && what.dims.size() > 1;
  // 2/3 of the codes are not zero: outputs get about the size of inputs.
  const float scale = 1.0f / std::sqrt(static_cast<float>(cols) * 2 / 3);
  std::vector<float> values(rows * cols);
  for (auto& value : values)
    value = projection ? scale * (static_cast<float>(random() % 3) - 1.0f)
            : rows > 1 ? uniform()
                       : 1.0f + 0.25f * uniform();
  if (what.name.ends_with(".scale"))
    values = {output_scales.at(what.name)};
  if (change)
    change(what.name, values, cols);
  if (engine::info(what.type).ternary) {
    std::vector<std::int8_t> codes(values.size());
    for (std::size_t i = 0; i < values.size(); ++i)
      codes[i] = static_cast<std::int8_t>((values[i] > 0) - (values[i] < 0));
    return engine::encode_ternary(what.type, codes, rows, cols, scale);
  }
  std::vector<std::byte> bytes(*engine::tensor_bytes(what.type, rows, cols));
  if (what.type == engine::tensor_type::f32)
    std::memcpy(bytes.data(), values.data(), bytes.size());
  else // f16 is the only other type that tests ask for
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto half = engine::float_to_half(values[i]);
      std::memcpy(bytes.data() + 2 * i, &half, 2);
    }
  return bytes;
}

inline std::filesystem::path tiny_model::write(const std::filesystem::path& path) const {
  engine::gguf_writer out{path};
  add_metadata(out);
  const auto all = tensors();
  for (const auto& one : all)
    out.declare(one.name, one.type, one.dims);
  std::mt19937 random{seed};
  for (const auto& one : all)
    out.write(payload(one, random));
  out.finish();
  return path;
}

} // namespace bitnetd::tests
