// SPDX-License-Identifier: MIT
#pragma once

#include "tests/support/gguf_bytes.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace bitnetd::tests {

/// The parts of a Hugging Face folder, each of which a test may change before it is written.
struct hf_files {
  struct tensor {
    std::string name, dtype;
    std::vector<std::uint64_t> shape;
    std::string bytes;
  };
  nlohmann::json config;
  std::vector<tensor> tensors;

  [[nodiscard]] tensor& find(const std::string& name) {
    for (auto& one : tensors)
      if (one.name == name)
        return one;
    throw std::invalid_argument{"no tensor " + name};
  }

  /// Writes config.json and the tensors, in `n_shards` files with an index if there are several.
  void write(const std::filesystem::path& folder, std::size_t n_shards = 1) const {
    std::filesystem::create_directories(folder);
    put(folder / "config.json", config.dump());
    if (n_shards == 1)
      return put(folder / "model.safetensors", safetensors(tensors));
    nlohmann::json index;
    for (std::size_t shard = 0; shard < n_shards; ++shard) {
      const auto name = "model-" + std::to_string(shard) + ".safetensors";
      std::vector<tensor> part;
      for (std::size_t i = shard; i < tensors.size(); i += n_shards) {
        part.push_back(tensors[i]);
        index["weight_map"][tensors[i].name] = name;
      }
      put(folder / name, safetensors(part));
    }
    put(folder / "model.safetensors.index.json", index.dump());
  }

  static void put(const std::filesystem::path& path, const std::string& bytes) {
    std::ofstream{path, std::ios::binary} << bytes;
  }

  static std::string safetensors(const std::vector<tensor>& all) {
    nlohmann::json header;
    std::string data;
    for (const auto& one : all) {
      header[one.name] = {{"dtype", one.dtype},
                          {"shape", one.shape},
                          {"data_offsets", {data.size(), data.size() + one.bytes.size()}}};
      data += one.bytes;
    }
    const auto json = header.dump();
    return gguf_bytes::raw(std::uint64_t{json.size()}) + json + data;
  }

  static std::string floats(const std::vector<float>& values) {
    return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
  }
  /// The upper halves of floats that have no more than that.
  static std::string brain_floats(const std::vector<float>& values) {
    std::string out;
    for (const float value : values) {
      std::uint32_t bits = 0;
      std::memcpy(&bits, &value, sizeof bits);
      out += gguf_bytes::raw(static_cast<std::uint16_t>(bits >> 16));
    }
    return out;
  }
  /// Four rows in a byte, a quarter of the matrix apart, the first one in the low bits.
  static std::string packed(const std::vector<std::int8_t>& codes, std::size_t rows,
                            std::size_t cols) {
    std::string out;
    for (std::size_t r = 0; r < rows / 4; ++r)
      for (std::size_t c = 0; c < cols; ++c) {
        unsigned byte = 0;
        for (std::size_t lane = 0; lane < 4; ++lane)
          byte |= static_cast<unsigned>(codes[(r + lane * (rows / 4)) * cols + c] + 1) << 2 * lane;
        out += static_cast<char>(byte);
      }
    return out;
  }
};

} // namespace bitnetd::tests
