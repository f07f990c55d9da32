// SPDX-License-Identifier: MIT
#include "engine/hugging_face/folder.h"

#include "base/log.h"
#include "engine/hugging_face/config.h"
#include "engine/hugging_face/vocabulary.h"
#include "engine/printable.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <map>

namespace bitnetd::engine::hugging_face {

namespace fs = std::filesystem;

namespace {

/// Without the slash at the end that shells add to folders.
fs::path without_slash(const fs::path& path) {
  return path.has_filename() ? path : path.parent_path();
}

std::string place_of(const shards::place& at) {
  return at.file->path().string() + ": tensor " + printable(at.entry->name);
}

std::optional<tensor_type> float_type(safetensors_type type) noexcept {
  switch (type) {
  case safetensors_type::f32:
    return tensor_type::f32;
  case safetensors_type::f16:
    return tensor_type::f16;
  case safetensors_type::bf16:
    return tensor_type::bf16;
  default:
    return std::nullopt;
  }
}

std::vector<std::byte> bytes_of(const shards::place& at) {
  std::vector<std::byte> raw(at.entry->bytes);
  at.file->read(*at.entry, 0, raw);
  return raw;
}

/// GGUF's order: the contiguous dimension first.
std::vector<std::uint64_t> reversed(const shards::place& at) {
  const auto& shape = at.entry->shape;
  if (shape.empty() || shape.size() > 2 || std::find(shape.begin(), shape.end(), 0u) != shape.end())
    throw load_error{place_of(at) + ": expected one or two dimensions, none of them zero"};
  return {shape.rbegin(), shape.rend()};
}

/// The one value of a `weight_scale`.
float scale_of(const shards::place& at) {
  const auto type = float_type(at.entry->type);
  if (!type || at.entry->bytes != info(*type).block_bytes)
    throw load_error{place_of(at) + ": expected one value of F32, F16 or BF16"};
  float value = 0;
  const auto raw = bytes_of(at);
  decode_rows(*type, raw, 1, 1, 0, 1, &value);
  return value;
}

} // namespace

std::unique_ptr<const folder> folder::open(const fs::path& path) {
  return std::unique_ptr<const folder>{new folder{without_slash(path)}};
}

folder::folder(const fs::path& path) : files_{shards::open(path)} {
  path_ = path;
  size_ = files_.size();
  const auto json = read_json(path / "config.json", max_config_bytes);
  const auto& tensors = files_.tensors();
  const bool input_norms = std::any_of(tensors.begin(), tensors.end(), [](const auto& at) {
    return at.entry->name.ends_with(".q_proj.norm.weight");
  });
  const auto config = read_config(json, input_norms);
  for (const auto& [key, value] : config.entries)
    add_entry(key, value);
  add_tensors(config);
  check_head(config);
  if (input_norms)
    add_pooling();
  const auto* embedding = find_tensor("token_embd.weight");
  if (embedding == nullptr)
    throw load_error{path.string() + ": no tensor model.embed_tokens.weight in its files"};
  for (auto& [key, value] : read_vocabulary(path, json, embedding->rows()))
    add_entry(std::move(key), std::move(value));
}

std::string folder::format() const {
  const auto n = files_.n_files();
  return "Hugging Face folder with " + std::to_string(n) + " safetensors file" +
         (n == 1 ? "" : "s");
}

void folder::add_tensors(const model_config& config) {
  const bool gemma = config.norms_minus_one;
  std::map<std::string, const shards::place*> scales; // by the name of the weight
  for (const auto& at : files_.tensors())
    if (const auto name = translate_name(at.entry->name, gemma);
        name && name->role == tensor_role::scale && !scales.emplace(name->gguf, &at).second)
      throw load_error{place_of(at) + ": occurs twice under different names"};
  for (const auto& at : files_.tensors()) {
    const auto name = translate_name(at.entry->name, gemma);
    if (name && name->role != tensor_role::weight)
      continue;
    if (name && name->gguf == "output.weight" && config.tied_head.value_or(false))
      continue; // transformers does not read it either
    gguf_tensor tensor;
    tensor.name = name ? name->gguf : at.entry->name; // refused later, as a stranger
    tensor.dims = reversed(at);
    const auto scale = scales.find(tensor.name);
    const bool packed = at.entry->type == safetensors_type::u8 && name && !name->module.empty();
    if (packed) {
      add_packed(config, at, std::move(tensor), scale == scales.end() ? nullptr : scale->second);
      continue;
    }
    const auto type = float_type(at.entry->type);
    if (!type)
      throw load_error{place_of(at) +
                       ": its type is not supported here; expected F32, F16 or BF16" +
                       (name && !name->module.empty() ? ", or U8 (packed ternary)" : "")};
    if (scale != scales.end())
      throw load_error{place_of(at) + ": a weight_scale for weights that are not packed"};
    const bool plus_one = gemma && name && name->family_norm;
    tensor.type = plus_one ? tensor_type::f32 : *type;
    tensor.bytes = plus_one ? at.entry->bytes / info(*type).block_bytes * 4 : at.entry->bytes;
    tensor.ternarise = name && !name->module.empty() && config.is_master(name->module);
    origins_[tensor.name] = {at, 0, plus_one};
    if (!add_tensor(std::move(tensor)))
      throw load_error{place_of(at) + ": occurs twice under different names"};
  }
}

void folder::add_packed(const model_config& config, const shards::place& at, gguf_tensor tensor,
                        const shards::place* scale) {
  if (!config.quantized)
    throw load_error{place_of(at) + ": packed weights, but config.json has no quantization_config"};
  if (scale == nullptr)
    throw load_error{place_of(at) + ": packed weights without weight_scale"};
  if (tensor.dims.size() != 2)
    throw load_error{place_of(at) + ": packed weights must be a matrix"};
  const float stored = scale_of(*scale);
  const float factor = config.multiply_scale ? stored : 1.0f / stored;
  if (!std::isfinite(factor) || factor == 0)
    throw load_error{place_of(*scale) + ": expected a finite value other than zero"};
  // A weight of mean size α in rows of n inputs gives outputs of about α √n: of order 1.
  const double gain = std::fabs(factor) * std::sqrt(static_cast<double>(tensor.dims[0]));
  if (gain < 0.02 || gain > 50)
    log::warn("{}: a factor of {} for {} inputs is unlikely; is linear_class in config.json right "
              "(bitlinear divides by weight_scale, autobitlinear multiplies)?",
              place_of(at), factor, tensor.dims[0]);
  tensor.dims[1] *= 4; // four rows in a byte; cannot overflow: the bytes are in the file
  tensor.type = tensor_type::hf_packed;
  tensor.bytes = at.entry->bytes + sizeof factor;
  origins_[tensor.name] = {at, factor, false};
  if (!add_tensor(std::move(tensor)))
    throw load_error{place_of(at) + ": occurs twice under different names"};
}

/// A head that config.json promises must be there: its absence would silently mean a tied one.
void folder::check_head(const model_config& config) const {
  const bool embeds = config.architecture == "qwen3" || config.architecture == "gemma3";
  if (config.tied_head == false && !embeds && find_tensor("output.weight") == nullptr)
    throw load_error{path_.string() + ": tensor lm_head.weight is missing, but config.json says "
                                      "tie_word_embeddings: false"};
}

/// How sentence-transformers would pool, by GGUF's numbers.
void folder::add_pooling() {
  const auto how = read_json_if_there(path_ / "1_Pooling" / "config.json", max_config_bytes);
  if (!how)
    return;
  const auto& arch = std::get<std::string>(*find("general.architecture"));
  const std::pair<const char*, std::uint64_t> modes[] = {{"pooling_mode_mean_tokens", 1},
                                                         {"pooling_mode_cls_token", 2},
                                                         {"pooling_mode_lasttoken", 3}};
  for (const auto& [key, number] : modes)
    if (how->flag(key).value_or(false))
      add_entry(arch + ".pooling_type", number);
}

std::vector<float> folder::restored_norm(const origin& from) const {
  const auto type = *float_type(from.at.entry->type);
  const auto raw = bytes_of(from.at);
  std::vector<float> values(raw.size() / info(type).block_bytes);
  decode_rows(type, raw, 1, values.size(), 0, 1, values.data());
  for (auto& value : values)
    value += 1.0f;
  return values;
}

void folder::read(const gguf_tensor& tensor, std::uint64_t from, std::span<std::byte> out) const {
  assert(from <= tensor.bytes && out.size() <= tensor.bytes - from);
  const auto& source = origins_.at(tensor.name);
  if (source.plus_one) {
    const auto values = restored_norm(source);
    std::memcpy(out.data(), std::as_bytes(std::span{values}).data() + from, out.size());
    return;
  }
  const auto stored = source.at.entry->bytes;
  const auto in_file = from < stored ? std::min<std::uint64_t>(out.size(), stored - from) : 0;
  if (in_file > 0)
    source.at.file->read(*source.at.entry, from, out.first(in_file));
  if (in_file < out.size()) // what follows the codes of a packed tensor: its factor
    std::memcpy(out.data() + in_file,
                reinterpret_cast<const std::byte*>(&source.packed_scale) +
                    (from + in_file - stored),
                out.size() - in_file);
}

} // namespace bitnetd::engine::hugging_face
