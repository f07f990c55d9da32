// SPDX-License-Identifier: MIT
#include "engine/model_source.h"

#include "engine/gguf.h"
#include "engine/hugging_face/folder.h"
#include "engine/printable.h"

#include <utility>

namespace bitnetd::engine {

std::uint64_t gguf_tensor::rows() const noexcept {
  std::uint64_t product = 1; // cannot overflow: checked by the parser
  for (std::size_t i = 1; i < dims.size(); ++i)
    product *= dims[i];
  return product;
}

bool model_source::add_entry(std::string key, gguf_value value) {
  if (!keys_.emplace(key, metadata_.size()).second)
    return false;
  metadata_.emplace_back(std::move(key), std::move(value));
  return true;
}

bool model_source::add_tensor(gguf_tensor tensor) {
  if (!names_.emplace(tensor.name, tensors_.size()).second)
    return false;
  tensors_.push_back(std::move(tensor));
  return true;
}

const gguf_tensor* model_source::find_tensor(std::string_view name) const noexcept {
  const auto at = names_.find(std::string{name});
  return at == names_.end() ? nullptr : &tensors_[at->second];
}

const gguf_value* model_source::find(std::string_view key) const noexcept {
  const auto at = keys_.find(std::string{key});
  return at == keys_.end() ? nullptr : &metadata_[at->second].second;
}

namespace {

/// The value as T if the key is there; a value of another kind is an error that names the key.
template <class T>
const T* typed(const model_source& file, std::string_view key, std::string_view expected) {
  const auto* value = file.find(key);
  if (value == nullptr)
    return nullptr;
  if (const auto* as_expected = std::get_if<T>(value))
    return as_expected;
  throw load_error{file.path().string() + ": key " + printable(key) + ": expected " +
                   std::string{expected} + ", the file has another type"};
}

} // namespace

std::optional<std::uint64_t> model_source::get_count(std::string_view key) const {
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

std::optional<double> model_source::get_float(std::string_view key) const {
  const auto* number = typed<double>(*this, key, "a floating-point number");
  return number == nullptr ? std::nullopt : std::optional{*number};
}

std::optional<bool> model_source::get_bool(std::string_view key) const {
  const auto* flag = typed<bool>(*this, key, "a bool");
  return flag == nullptr ? std::nullopt : std::optional{*flag};
}

std::optional<std::string> model_source::get_string(std::string_view key) const {
  const auto* text = typed<std::string>(*this, key, "a string");
  return text == nullptr ? std::nullopt : std::optional{*text};
}

const std::vector<std::string>* model_source::get_strings(std::string_view key) const {
  return typed<std::vector<std::string>>(*this, key, "an array of strings");
}

std::vector<std::int64_t> model_source::get_integers(std::string_view key) const {
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

const std::vector<float>* model_source::get_floats(std::string_view key) const {
  return typed<std::vector<float>>(*this, key, "an array of floating-point numbers");
}

std::unique_ptr<const model_source> open_model_source(const std::filesystem::path& path,
                                                      i2s_layout layout) {
  std::error_code unreadable; // is reported by whoever opens it
  if (std::filesystem::is_directory(path, unreadable))
    return hugging_face::folder::open(path);
  return std::make_unique<const gguf_file>(gguf_file::open(path, layout));
}

} // namespace bitnetd::engine
