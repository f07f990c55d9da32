// SPDX-License-Identifier: MIT
#include "engine/safetensors.h"

#include "engine/file_input.h"
#include "engine/printable.h"
#include "engine/safetensors_header.h"

#include <algorithm>
#include <cassert>
#include <unistd.h>
#include <utility>

namespace bitnetd::engine {

namespace {

constexpr std::uint64_t max_header_bytes = 100'000'000; // the format's own limit

struct type_row {
  std::string_view name;
  safetensors_type type;
  std::uint64_t bytes;
};

constexpr type_row types[] = {
    {"F64", safetensors_type::f64, 8},         {"F32", safetensors_type::f32, 4},
    {"F16", safetensors_type::f16, 2},         {"BF16", safetensors_type::bf16, 2},
    {"I64", safetensors_type::i64, 8},         {"I32", safetensors_type::i32, 4},
    {"I16", safetensors_type::i16, 2},         {"I8", safetensors_type::i8, 1},
    {"U64", safetensors_type::u64, 8},         {"U32", safetensors_type::u32, 4},
    {"U16", safetensors_type::u16, 2},         {"U8", safetensors_type::u8, 1},
    {"BOOL", safetensors_type::boolean, 1},    {"F8_E4M3", safetensors_type::f8_e4m3, 1},
    {"F8_E5M2", safetensors_type::f8_e5m2, 1},
};

[[noreturn]] void refuse(const std::filesystem::path& path, const std::string& what) {
  throw load_error{path.string() + ": " + what};
}

std::string read_header(int fd, const std::filesystem::path& path, std::uint64_t size) {
  std::uint64_t length = 0;
  if (size < sizeof length)
    refuse(path, "header: the file ends before the header's length; it is truncated");
  read_exactly(fd, path, 0, std::as_writable_bytes(std::span{&length, 1}));
  if (length > max_header_bytes || length > size - sizeof length)
    refuse(path, "header: " + std::to_string(length) + " bytes are announced, which the file (" +
                     std::to_string(size) + " bytes) or the limit of 100 MB does not hold");
  std::string json(length, '\0');
  read_exactly(fd, path, sizeof length, std::as_writable_bytes(std::span{json.data(), length}));
  return json;
}

/// Turns offsets into places in the file; nothing may lie beyond its end or on top of another.
void place_entries(std::vector<safetensors_entry>& entries, const std::filesystem::path& path,
                   std::uint64_t data_start, std::uint64_t size) {
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    return std::pair{a.offset, a.bytes} < std::pair{b.offset, b.bytes};
  });
  std::uint64_t end = 0;
  for (auto& entry : entries) {
    if (entry.offset > size - data_start || entry.bytes > size - data_start - entry.offset)
      refuse(path, "tensor " + printable(entry.name) +
                       ": its data runs past the end of the file; it is truncated");
    if (entry.offset < end)
      refuse(path, "tensor " + printable(entry.name) + ": overlaps another tensor");
    end = entry.offset + entry.bytes;
    entry.offset += data_start;
  }
}

} // namespace

std::optional<safetensors_type> find_safetensors_type(std::string_view name) noexcept {
  for (const auto& row : types)
    if (row.name == name)
      return row.type;
  return std::nullopt;
}

std::uint64_t value_bytes(safetensors_type type) noexcept {
  for (const auto& row : types)
    if (row.type == type)
      return row.bytes;
  return 0;
}

safetensors_file safetensors_file::open(const std::filesystem::path& path) {
  safetensors_file file;
  file.path_ = path;
  const auto opened = open_regular_file(path);
  file.fd_ = opened.fd;
  file.size_ = opened.size;
  const auto json = read_header(file.fd_, path, file.size_);
  safetensors_header header;
  try {
    header = parse_safetensors_header(json);
  } catch (const load_error& reason) {
    refuse(path, reason.what());
  }
  place_entries(header.entries, path, sizeof(std::uint64_t) + json.size(), file.size_);
  file.tensors_ = std::move(header.entries);
  file.metadata_ = std::move(header.metadata);
  return file;
}

safetensors_file::~safetensors_file() {
  if (fd_ >= 0)
    ::close(fd_);
}

safetensors_file::safetensors_file(safetensors_file&& other) noexcept { *this = std::move(other); }

safetensors_file& safetensors_file::operator=(safetensors_file&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(size_, other.size_);
  std::swap(tensors_, other.tensors_);
  std::swap(metadata_, other.metadata_);
  return *this;
}

const safetensors_entry* safetensors_file::find(std::string_view name) const noexcept {
  const auto at = std::find_if(tensors_.begin(), tensors_.end(),
                               [&](const auto& entry) { return entry.name == name; });
  return at == tensors_.end() ? nullptr : &*at;
}

void safetensors_file::read(const safetensors_entry& entry, std::uint64_t from,
                            std::span<std::byte> out) const {
  assert(from <= entry.bytes && out.size() <= entry.bytes - from);
  read_exactly(fd_, path_, entry.offset + from, out);
}

} // namespace bitnetd::engine
