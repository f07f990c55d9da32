// SPDX-License-Identifier: MIT
#pragma once

#include "engine/hugging_face/shards.h"
#include "engine/hugging_face/tensor_names.h"
#include "engine/model_source.h"

#include <filesystem>
#include <memory>
#include <unordered_map>

namespace bitnetd::engine::hugging_face {

struct model_config;

/// A Hugging Face folder, read as it was downloaded: config.json, safetensors (one file or shards),
/// tokenizer files. Packed ternary weights with their scale, float master weights of ternary layers
/// (ternarised at load) and plain float models are told apart by quantization_config and family.
class folder final : public model_source {
public:
  /// Throws load_error.
  static std::unique_ptr<const folder> open(const std::filesystem::path& path);

  [[nodiscard]] std::string format() const override;
  [[nodiscard]] bool has_permuted_rope() const noexcept override { return false; }
  void read(const gguf_tensor& tensor, std::uint64_t from, std::span<std::byte> out) const override;

private:
  explicit folder(const std::filesystem::path& path);
  void add_tensors(const model_config& config);
  void add_packed(const model_config& config, const shards::place& at, gguf_tensor tensor,
                  const shards::place* scale);
  void check_head(const model_config& config) const;
  void add_pooling();

  /// How a tensor's bytes come about.
  struct origin {
    shards::place at;
    float packed_scale = 0; ///< of a packed tensor: appended to its bytes
    bool plus_one = false;  ///< a norm that is stored minus 1: given as floats
  };
  [[nodiscard]] std::vector<float> restored_norm(const origin& from) const;

  shards files_;
  std::unordered_map<std::string, origin> origins_; ///< by GGUF's name
};

} // namespace bitnetd::engine::hugging_face
