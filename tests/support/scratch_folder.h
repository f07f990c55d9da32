// SPDX-License-Identifier: MIT
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace bitnetd::tests {

/// A folder of one test's own, removed with everything in it at the end.
class scratch_folder {
public:
  scratch_folder() {
    std::string name = (std::filesystem::temp_directory_path() / "bitnetd-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr)
      throw std::runtime_error{"no temporary folder can be made in " + name};
    path_ = name;
  }
  ~scratch_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  scratch_folder(const scratch_folder&) = delete;
  scratch_folder& operator=(const scratch_folder&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

  /// Writes a file with these bytes, in place of an older one of that name; returns its path.
  std::filesystem::path file(std::string_view name, std::string_view bytes) const {
    const auto at = path_ / name;
    std::ofstream out{at, std::ios::binary | std::ios::trunc};
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return at;
  }

private:
  std::filesystem::path path_;
};

/// All bytes of a file.
inline std::string read_bytes(const std::filesystem::path& path) {
  std::ifstream in{path, std::ios::binary};
  if (!in)
    throw std::runtime_error{path.string() + ": cannot be read"};
  return {std::istreambuf_iterator<char>{in}, {}};
}

} // namespace bitnetd::tests
