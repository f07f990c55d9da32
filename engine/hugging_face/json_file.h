// SPDX-License-Identifier: MIT
#pragma once

#include "engine/errors.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace bitnetd::engine::hugging_face {

/// Most bytes that are read of the files of a folder. The largest published tokenizers have 35 MB.
constexpr std::uint64_t max_config_bytes = 4u << 20, max_tokenizer_bytes = 128u << 20;

/// One object of a JSON file, with typed access that names file and key when something is wrong.
/// A key whose value is null counts as absent.
class json_object {
public:
  /// `place`: the file, and the key under which the object stands.
  json_object(nlohmann::json root, std::string place);

  [[nodiscard]] const nlohmann::json* find(std::string_view key) const noexcept;
  [[nodiscard]] std::optional<json_object> object(std::string_view key) const;
  /// A whole number within [low, high]; 1e3 is none.
  [[nodiscard]] std::optional<std::uint64_t> count(std::string_view key, std::uint64_t low,
                                                   std::uint64_t high) const;
  [[nodiscard]] std::optional<double> number(std::string_view key) const;
  [[nodiscard]] std::optional<bool> flag(std::string_view key) const;
  [[nodiscard]] std::optional<std::string> text(std::string_view key) const;

  [[nodiscard]] const nlohmann::json& node() const noexcept { return *node_; }
  [[nodiscard]] const std::string& place() const noexcept { return place_; }
  [[noreturn]] void refuse(std::string_view key, const std::string& what) const;

private:
  json_object(std::shared_ptr<const nlohmann::json> root, const nlohmann::json* node,
              std::string place);

  std::shared_ptr<const nlohmann::json> root_; ///< shared: a vocabulary is not copied
  const nlohmann::json* node_;
  std::string place_;
};

/// Reads a JSON file that is one object. Bounded in size and depth; a key that occurs twice in one
/// object is refused. Throws load_error.
[[nodiscard]] json_object read_json(const std::filesystem::path& path, std::uint64_t max_bytes);
/// The same, if there is such a file.
[[nodiscard]] std::optional<json_object> read_json_if_there(const std::filesystem::path& path,
                                                            std::uint64_t max_bytes);

/// The bytes of a small file, within bounds. Throws load_error.
[[nodiscard]] std::string read_small_file(const std::filesystem::path& path,
                                          std::uint64_t max_bytes);

} // namespace bitnetd::engine::hugging_face
