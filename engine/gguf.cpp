// SPDX-License-Identifier: MIT
#include "engine/gguf.h"

#include "engine/file_input.h"
#include "engine/printable.h"

#include <cassert>
#include <unistd.h>
#include <utility>

namespace bitnetd::engine {

std::uint64_t gguf_tensor::rows() const noexcept {
  std::uint64_t product = 1; // cannot overflow: checked by the parser
  for (std::size_t i = 1; i < dims.size(); ++i)
    product *= dims[i];
  return product;
}

gguf_file::~gguf_file() {
  if (fd_ >= 0)
    ::close(fd_);
}

gguf_file::gguf_file(gguf_file&& other) noexcept { *this = std::move(other); }

gguf_file& gguf_file::operator=(gguf_file&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(version_, other.version_);
  std::swap(size_, other.size_);
  std::swap(metadata_, other.metadata_);
  std::swap(keys_, other.keys_);
  std::swap(tensors_, other.tensors_);
  std::swap(names_, other.names_);
  return *this;
}

const gguf_tensor* gguf_file::find_tensor(std::string_view name) const noexcept {
  const auto at = names_.find(std::string{name});
  return at == names_.end() ? nullptr : &tensors_[at->second];
}

const gguf_value* gguf_file::find(std::string_view key) const noexcept {
  const auto at = keys_.find(std::string{key});
  return at == keys_.end() ? nullptr : &metadata_[at->second].second;
}

namespace {

/// The value as T if the key is there; a value of another kind is an error that names the key.
template <class T>
const T* typed(const gguf_file& file, std::string_view key, std::string_view expected) {
  const auto* value = file.find(key);
  if (value == nullptr)
    return nullptr;
  if (const auto* as_expected = std::get_if<T>(value))
    return as_expected;
  throw load_error{file.path().string() + ": key " + printable(key) + ": expected " +
                   std::string{expected} + ", the file has another type"};
}

} // namespace

std::optional<std::uint64_t> gguf_file::get_count(std::string_view key) const {
  if (const auto* value = find(key))
    if (const auto* number = std::get_if<std::int64_t>(value)) { // any integer width will do
      if (*number < 0)
        throw load_error{path_.string() + ": key " + printable(key) +
                         ": expected a count, the file has " + std::to_string(*number)};
      return static_cast<std::uint64_t>(*number);
    }
  const auto* number = typed<std::uint64_t>(*this, key, "a whole number");
  return number == nullptr ? std::nullopt : std::optional{*number};
}

std::optional<double> gguf_file::get_float(std::string_view key) const {
  const auto* number = typed<double>(*this, key, "a floating-point number");
  return number == nullptr ? std::nullopt : std::optional{*number};
}

std::optional<bool> gguf_file::get_bool(std::string_view key) const {
  const auto* flag = typed<bool>(*this, key, "a bool");
  return flag == nullptr ? std::nullopt : std::optional{*flag};
}

std::optional<std::string> gguf_file::get_string(std::string_view key) const {
  const auto* text = typed<std::string>(*this, key, "a string");
  return text == nullptr ? std::nullopt : std::optional{*text};
}

const std::vector<std::string>* gguf_file::get_strings(std::string_view key) const {
  return typed<std::vector<std::string>>(*this, key, "an array of strings");
}

std::vector<std::int64_t> gguf_file::get_integers(std::string_view key) const {
  if (const auto* value = find(key))
    if (const auto* counts = std::get_if<std::vector<std::uint64_t>>(value)) {
      for (const auto count : *counts)
        if (count > static_cast<std::uint64_t>(INT64_MAX))
          throw load_error{path_.string() + ": key " + printable(key) + ": " +
                           std::to_string(count) + " is too large"};
      return {counts->begin(), counts->end()};
    }
  const auto* numbers = typed<std::vector<std::int64_t>>(*this, key, "an array of whole numbers");
  return numbers == nullptr ? std::vector<std::int64_t>{} : *numbers;
}

const std::vector<float>* gguf_file::get_floats(std::string_view key) const {
  return typed<std::vector<float>>(*this, key, "an array of floating-point numbers");
}

void gguf_file::read(const gguf_tensor& tensor, std::uint64_t from,
                     std::span<std::byte> out) const {
  assert(from <= tensor.bytes && out.size() <= tensor.bytes - from);
  read_exactly(fd_, path_, tensor.offset + from, out);
}

} // namespace bitnetd::engine
