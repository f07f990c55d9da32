// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <unistd.h>

namespace bitnetd::fuzz {

/// A folder of this process's own, in memory where the machine has such a place; goes with it.
class shared_memory_folder {
public:
  explicit shared_memory_folder(const std::string& name)
      : path_{std::filesystem::path{std::filesystem::exists("/dev/shm") ? "/dev/shm" : "/tmp"} /
              ("bitnetd-" + name + "-fuzz-" + std::to_string(::getpid()))} {
    std::filesystem::create_directories(path_);
  }
  ~shared_memory_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  shared_memory_folder(const shared_memory_folder&) = delete;
  shared_memory_folder& operator=(const shared_memory_folder&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  /// `name` may lead through folders, which are made.
  void write(std::string_view name, std::string_view bytes) const {
    const auto file = path_ / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
  }
  void empty() const {
    for (const auto& entry : std::filesystem::directory_iterator{path_})
      std::filesystem::remove_all(entry.path());
  }

private:
  std::filesystem::path path_;
};

} // namespace bitnetd::fuzz
