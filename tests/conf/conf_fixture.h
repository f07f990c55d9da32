// SPDX-License-Identifier: MIT
#pragma once

#include "conf/load.h"

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <stdlib.h>
#include <string>

namespace bitnetd::conf {

/// A directory of its own for one test, removed afterwards.
class temporary_directory {
public:
  temporary_directory() {
    auto pattern = (std::filesystem::temp_directory_path() / "bitnetd-conf-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr)
      throw std::runtime_error("no temporary directory");
    path_ = pattern;
  }
  ~temporary_directory() {
    std::error_code ignored; // a leftover in /tmp fails no test
    std::filesystem::remove_all(path_, ignored);
  }
  temporary_directory(const temporary_directory&) = delete;
  temporary_directory& operator=(const temporary_directory&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  /// Writes a file in place, making its directory.
  std::filesystem::path write(const std::string& name, std::string_view text) const {
    const auto file = path_ / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << text;
    return file;
  }

private:
  std::filesystem::path path_;
};

/// Four CPUs, one memory node, 8 GiB.
inline machine small_machine() {
  return {{0, 1, 2, 3}, {0}, std::uint64_t{8} << 30, {"scalar", "avx2", "neon"}};
}

inline directories some_directories() { return {"/state", "/cache", "/run/bitnetd"}; }

constexpr const char* one_model = "models: [{name: chat, path: chat.gguf}]\n";

/// A configuration on disk: bitnetd.yaml, and profiles/balanced.yaml unless its text is empty.
struct conf_fixture {
  temporary_directory directory;

  load_result load_text(std::string_view main, std::string_view profile = {}) const {
    if (!profile.empty())
      directory.write("profiles/balanced.yaml", profile);
    return load(directory.write("bitnetd.yaml", main), some_directories(), small_machine());
  }

  /// All problems as text, files without their directory.
  std::string problems_of(std::string_view main, std::string_view profile = {}) const {
    return shortened(text(load_text(main, profile).problems));
  }

  [[nodiscard]] std::string shortened(std::string text) const {
    const auto prefix = directory.path().string() + '/';
    for (auto at = text.find(prefix); at != std::string::npos; at = text.find(prefix, at))
      text.erase(at, prefix.size());
    return text;
  }
};

} // namespace bitnetd::conf
