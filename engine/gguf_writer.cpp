// SPDX-License-Identifier: MIT
#include "engine/gguf_writer.h"

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <system_error>

namespace bitnetd::engine {

namespace {

constexpr std::uint64_t alignment = 32;
// Value types as the format numbers them.
constexpr std::uint32_t type_u32 = 4, type_i32 = 5, type_f32 = 6, type_bool = 7, type_string = 8,
                        type_array = 9;

template <class T> void append(std::string& out, T value) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  out.append(bytes, sizeof value);
}

void append_string(std::string& out, std::string_view text) {
  append(out, std::uint64_t{text.size()});
  out.append(text);
}

std::uint64_t padding(std::uint64_t bytes) noexcept {
  return (alignment - bytes % alignment) % alignment;
}

} // namespace

gguf_writer::gguf_writer(std::filesystem::path path)
    : path_{std::move(path)}, part_{path_.string() + ".part"}, file_{
                                                                   std::fopen(part_.c_str(), "wb"),
                                                                   &std::fclose} {
  if (file_ == nullptr)
    throw std::runtime_error{part_.string() +
                             ": cannot be written: " + std::generic_category().message(errno)};
}

gguf_writer::~gguf_writer() {
  if (finished_)
    return;
  file_.reset();
  std::error_code ignored;
  std::filesystem::remove(part_, ignored);
}

void gguf_writer::begin_entry(std::string_view key, std::uint32_t type) {
  if (header_written_)
    throw std::runtime_error{path_.string() + ": metadata must come before the first payload"};
  append_string(metadata_, key);
  append(metadata_, type);
  ++n_entries_;
}

void gguf_writer::add(std::string_view key, std::string_view value) {
  begin_entry(key, type_string);
  append_string(metadata_, value);
}

void gguf_writer::add(std::string_view key, std::uint32_t value) {
  begin_entry(key, type_u32);
  append(metadata_, value);
}

void gguf_writer::add(std::string_view key, float value) {
  begin_entry(key, type_f32);
  append(metadata_, value);
}

void gguf_writer::add(std::string_view key, bool value) {
  begin_entry(key, type_bool);
  append(metadata_, static_cast<std::uint8_t>(value));
}

void gguf_writer::add(std::string_view key, const std::vector<std::string>& values) {
  begin_entry(key, type_array);
  append(metadata_, type_string);
  append(metadata_, std::uint64_t{values.size()});
  for (const auto& value : values)
    append_string(metadata_, value);
}

void gguf_writer::add(std::string_view key, const std::vector<float>& values) {
  begin_entry(key, type_array);
  append(metadata_, type_f32);
  append(metadata_, std::uint64_t{values.size()});
  for (const float value : values)
    append(metadata_, value);
}

void gguf_writer::add(std::string_view key, const std::vector<std::int32_t>& values) {
  begin_entry(key, type_array);
  append(metadata_, type_i32);
  append(metadata_, std::uint64_t{values.size()});
  for (const auto value : values)
    append(metadata_, value);
}

void gguf_writer::declare(std::string_view name, tensor_type type,
                          const std::vector<std::uint64_t>& dims) {
  if (header_written_)
    throw std::runtime_error{path_.string() +
                             ": tensors must be declared before the first payload"};
  std::uint64_t rows = 1;
  for (std::size_t i = 1; i < dims.size(); ++i)
    rows *= dims[i];
  const auto bytes = dims.empty() ? std::nullopt : tensor_bytes(type, rows, dims[0]);
  if (!bytes)
    throw std::runtime_error{path_.string() + ": tensor " + std::string{name} + ": " +
                             std::string{info(type).name} + " cannot hold this shape"};
  tensors_.push_back({std::string{name}, type, dims, *bytes});
}

void gguf_writer::write(std::span<const std::byte> payload) {
  if (!header_written_)
    write_header();
  if (written_ == tensors_.size() || payload.size() != tensors_[written_].bytes)
    throw std::runtime_error{path_.string() + ": a payload that was not declared, or has another "
                                              "size than declared"};
  put(payload);
  const std::byte zeros[alignment] = {};
  put(std::span{zeros, padding(payload.size())});
  ++written_;
}

void gguf_writer::finish() {
  if (!header_written_)
    write_header();
  if (written_ != tensors_.size())
    throw std::runtime_error{path_.string() + ": " + std::to_string(tensors_.size() - written_) +
                             " declared tensors were not written"};
  if (std::fclose(file_.release()) != 0)
    throw std::runtime_error{part_.string() +
                             ": cannot be written: " + std::generic_category().message(errno)};
  std::filesystem::rename(part_, path_);
  finished_ = true;
}

void gguf_writer::write_header() {
  header_written_ = true;
  std::string header = "GGUF";
  append(header, std::uint32_t{3});
  append(header, std::uint64_t{tensors_.size()});
  append(header, n_entries_);
  header += metadata_;
  std::uint64_t offset = 0;
  for (const auto& tensor : tensors_) {
    append_string(header, tensor.name);
    append(header, static_cast<std::uint32_t>(tensor.dims.size()));
    for (const auto dim : tensor.dims)
      append(header, dim);
    append(header, static_cast<std::uint32_t>(tensor.type));
    append(header, offset);
    offset += tensor.bytes + padding(tensor.bytes);
  }
  header.append(padding(header.size()), '\0');
  put(std::as_bytes(std::span{header.data(), header.size()}));
}

void gguf_writer::put(std::span<const std::byte> bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_.get()) != bytes.size())
    throw std::runtime_error{part_.string() +
                             ": cannot be written: " + std::generic_category().message(errno)};
}

} // namespace bitnetd::engine
