// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <numeric>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

namespace bitnetd::tests {

/// An array of a NumPy file, in row-major order.
template <class T> struct npy_array {
  std::vector<std::size_t> shape;
  std::vector<T> values;

  /// Row `index` of the array seen as [shape[0], the rest].
  [[nodiscard]] std::span<const T> row(std::size_t index) const {
    const auto width = values.size() / shape.at(0);
    return std::span{values}.subspan(index * width, width);
  }
};

/// Reads an .npy file (format 1.0, C order) of exactly this element type: float, int8 or int32.
/// Throws std::runtime_error with the path for anything else.
template <class T> npy_array<T> read_npy(const std::filesystem::path& path) {
  static_assert(std::is_same_v<T, float> || std::is_same_v<T, std::int8_t> ||
                std::is_same_v<T, std::int32_t>);
  const auto refuse = [&](const char* why) {
    throw std::runtime_error(path.string() + ": " + why);
  };
  std::ifstream in{path, std::ios::binary};
  char start[10] = {};
  if (!in.read(start, sizeof start) || std::string(start, 8) != std::string("\x93NUMPY\x01\0", 8))
    refuse("not an .npy file of format 1.0");
  const auto header_size = static_cast<unsigned char>(start[8]) |
                           static_cast<std::size_t>(static_cast<unsigned char>(start[9])) << 8;
  std::string header(header_size, '\0');
  in.read(header.data(), static_cast<std::streamsize>(header_size));
  const std::string type = std::is_same_v<T, float>         ? "'<f4'"
                           : std::is_same_v<T, std::int8_t> ? "'|i1'"
                                                            : "'<i4'";
  if (header.find(type) == std::string::npos || header.find("False") == std::string::npos)
    refuse("another element type or Fortran order");
  npy_array<T> out;
  const auto from = header.find('(') + 1;
  auto dims = header.substr(from, header.find(')') - from);
  std::replace(dims.begin(), dims.end(), ',', ' ');
  std::istringstream numbers{dims};
  for (std::size_t n = 0; numbers >> n;)
    out.shape.push_back(n);
  out.values.resize(std::accumulate(out.shape.begin(), out.shape.end(), std::size_t{1},
                                    std::multiplies<std::size_t>{}));
  const auto bytes = static_cast<std::streamsize>(out.values.size() * sizeof(T));
  if (!in.read(reinterpret_cast<char*>(out.values.data()), bytes))
    refuse("shorter than its shape says");
  return out;
}

} // namespace bitnetd::tests
