// SPDX-License-Identifier: MIT
#pragma once

#include "tests/support/gguf_bytes.h"

#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace bitnetd::tests {

/// A whole model of one layer as lists of keys and tensors, each of which a test may change, drop
/// or add to. Embedding 128, feed-forward 256, 2 heads with 1 for keys and values, 8 tokens.
struct small_model_file {
  struct tensor {
    std::vector<std::uint64_t> dims;
    std::uint32_t type = 0;
    std::string payload;
  };
  std::string arch;
  std::map<std::string, std::pair<std::uint32_t, std::string>> keys; ///< type number and bytes
  std::map<std::string, tensor> tensors;

  explicit small_model_file(std::string architecture = "bitnet-b1.58")
      : arch{std::move(architecture)} {
    keys["general.architecture"] = {8, gguf_bytes::text(arch)};
    count("context_length", 64).count("embedding_length", 128).count("block_count", 1);
    count("feed_forward_length", 256).count("attention.head_count", 2);
    count("attention.head_count_kv", 1);
    number("attention.layer_norm_rms_epsilon", 1e-5f).number("rope.freq_base", 10000.0f);
    floats("token_embd.weight", {128, 8}).floats("output_norm.weight", {128});
    floats(block("attn_norm"), {128}).floats(block("ffn_norm"), {128});
    if (arch != "llama")
      floats(block("attn_sub_norm"), {128}).floats(block("ffn_sub_norm"), {256});
    ternary(block("attn_q"), {128, 128}).ternary(block("attn_k"), {128, 64});
    ternary(block("attn_v"), {128, 64}).ternary(block("attn_output"), {128, 128});
    ternary(block("ffn_gate"), {128, 256}).ternary(block("ffn_up"), {128, 256});
    ternary(block("ffn_down"), {256, 128});
  }

  static std::string block(const std::string& name) { return "blk.0." + name + ".weight"; }

  small_model_file& count(const std::string& key, std::uint32_t value) {
    keys[arch + "." + key] = {4, gguf_bytes::raw(value)};
    return *this;
  }
  small_model_file& number(const std::string& key, float value) {
    keys[arch + "." + key] = {6, gguf_bytes::raw(value)};
    return *this;
  }
  small_model_file& text(const std::string& key, const std::string& value) {
    keys[key] = {8, gguf_bytes::text(value)};
    return *this;
  }
  small_model_file& drop_key(const std::string& key) {
    keys.erase(arch + "." + key);
    return *this;
  }

  /// F32 ones.
  small_model_file& floats(const std::string& name, std::vector<std::uint64_t> dims) {
    std::string payload;
    for (std::uint64_t i = 0; i < elements(dims); ++i)
      payload += gguf_bytes::raw(1.0f);
    tensors[name] = {std::move(dims), 0, std::move(payload)};
    return *this;
  }
  /// I2_S, three quarters of the codes zero, scale 0.125.
  small_model_file& ternary(const std::string& name, std::vector<std::uint64_t> dims) {
    std::string payload(elements(dims) / 4, '\x95');
    payload += gguf_bytes::raw(0.125f) + std::string(28, '\0');
    tensors[name] = {std::move(dims), 36, std::move(payload)};
    return *this;
  }

  [[nodiscard]] std::string bytes() const {
    gguf_bytes file;
    for (const auto& [key, value] : keys)
      file.entry(key, value.first, value.second);
    for (const auto& [name, one] : tensors)
      file.tensor(name, one.dims, one.type, one.payload);
    return file.bytes();
  }

private:
  static std::uint64_t elements(const std::vector<std::uint64_t>& dims) {
    std::uint64_t product = 1;
    for (const auto dim : dims)
      product *= dim;
    return product;
  }
};

} // namespace bitnetd::tests
