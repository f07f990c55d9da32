// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bitnetd::tests {

/// A GGUF file put together byte by byte, so that every field can lie.
struct gguf_bytes {
  std::string magic = "GGUF";
  std::uint32_t version = 3;
  std::optional<std::uint64_t> stated_tensors, stated_entries; ///< instead of the true counts
  std::uint64_t alignment = 32;
  std::string entries, table, data;
  std::uint64_t n_entries = 0, n_tensors = 0;

  template <class T> static std::string raw(T value) {
    std::string bytes(sizeof value, '\0');
    std::memcpy(bytes.data(), &value, sizeof value);
    return bytes;
  }
  static std::string text(std::string_view value) {
    return raw(std::uint64_t{value.size()}) + std::string{value};
  }

  /// One metadata entry: type number and the bytes of its value.
  gguf_bytes& entry(std::string_view key, std::uint32_t type, std::string_view value) {
    entries += text(key) + raw(type) + std::string{value};
    ++n_entries;
    return *this;
  }
  gguf_bytes& entry(std::string_view key, std::string_view value) {
    return entry(key, 8, text(value));
  }
  gguf_bytes& count(std::string_view key, std::uint32_t value) { return entry(key, 4, raw(value)); }

  /// One line of the tensor table; the payload is added at the next aligned place unless an offset
  /// is given.
  gguf_bytes& tensor(std::string_view name, const std::vector<std::uint64_t>& dims,
                     std::uint32_t type, std::string_view payload,
                     std::optional<std::uint64_t> offset = {}) {
    data.resize((data.size() + alignment - 1) / alignment * alignment);
    table += text(name) + raw(static_cast<std::uint32_t>(dims.size()));
    for (const auto dim : dims)
      table += raw(dim);
    table += raw(type) + raw(offset.value_or(data.size()));
    data += payload;
    ++n_tensors;
    return *this;
  }

  [[nodiscard]] std::string bytes() const {
    std::string out = magic + raw(version) + raw(stated_tensors.value_or(n_tensors)) +
                      raw(stated_entries.value_or(n_entries)) + entries + table;
    if (n_tensors > 0)
      out.resize((out.size() + alignment - 1) / alignment * alignment);
    return out + data;
  }
};

} // namespace bitnetd::tests
