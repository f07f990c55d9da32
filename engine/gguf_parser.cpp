// SPDX-License-Identifier: MIT
#include "engine/file_input.h"
#include "engine/foreign_types.h"
#include "engine/gguf.h"
#include "engine/header_reader.h"
#include "engine/printable.h"

#include <algorithm>
#include <bit>
#include <optional>

namespace bitnetd::engine {

namespace {

constexpr std::uint64_t max_entries = 65'536, max_tensors = 65'536;
constexpr std::uint64_t max_key_bytes = 65'536, max_name_bytes = 64;
constexpr std::uint64_t min_entry_bytes = 13, min_tensor_bytes = 24;

} // namespace

/// Header, metadata and tensor table of one file, in that order, each check where it belongs.
class gguf_parser {
public:
  gguf_parser(const std::filesystem::path& path, i2s_layout layout) : layout_{layout} {
    const auto opened = open_regular_file(path);
    file_.path_ = path;
    file_.fd_ = opened.fd;
    file_.size_ = opened.size;
    reader_.emplace(path, opened.fd, opened.size);
  }

  gguf_file parse() {
    read_head();
    place_tensors();
    return std::move(file_);
  }

  gguf_kinds peek() {
    read_head();
    gguf_kinds kinds{file_.get_string("general.architecture").value_or(""), type_ids_};
    std::sort(kinds.type_ids.begin(), kinds.type_ids.end());
    kinds.type_ids.erase(std::unique(kinds.type_ids.begin(), kinds.type_ids.end()),
                         kinds.type_ids.end());
    return kinds;
  }

private:
  [[noreturn]] void refuse(const std::string& what) const { reader_->refuse(what); }
  template <class T> T number() { return reader_->number<T>(); }

  /// Everything before the data, types and places not yet resolved.
  void read_head() {
    if (number<std::uint32_t>() != 0x46554747) // "GGUF"
      refuse("is not a GGUF file: it does not begin with the bytes GGUF");
    read_version();
    const auto n_tensors = number<std::uint64_t>(), n_entries = number<std::uint64_t>();
    reader_->plausible("metadata entries", n_entries, min_entry_bytes, max_entries);
    reader_->plausible("tensors", n_tensors, min_tensor_bytes, max_tensors);
    for (std::uint64_t i = 0; i < n_entries; ++i)
      read_entry(i);
    reader_->at("header");
    read_alignment();
    for (std::uint64_t i = 0; i < n_tensors; ++i)
      read_tensor(i);
  }

  void read_version() {
    file_.version_ = number<std::uint32_t>();
    if (file_.version_ == 2 || file_.version_ == 3)
      return;
    const auto swapped = __builtin_bswap32(file_.version_);
    refuse(swapped == 2 || swapped == 3
               ? "is a big-endian file; convert the model to little-endian GGUF"
               : "has GGUF version " + std::to_string(file_.version_) +
                     "; expected 2 or 3: convert the model again with a current converter");
  }

  void read_entry(std::uint64_t index) {
    reader_->at("metadata entry " + std::to_string(index));
    auto key = reader_->string(max_key_bytes, "a key");
    reader_->at("key " + printable(key));
    if (key.empty())
      refuse("the key is empty");
    if (!file_.keys_.emplace(key, file_.metadata_.size()).second)
      refuse("occurs twice");
    auto value = reader_->value();
    file_.metadata_.emplace_back(std::move(key), std::move(value));
  }

  void read_alignment() {
    alignment_ = file_.get_count("general.alignment").value_or(32);
    if (!std::has_single_bit(alignment_) || alignment_ < 8 || alignment_ > 65'536)
      refuse("general.alignment is " + std::to_string(alignment_) +
             "; expected a power of two from 8 to 65536");
  }

  void read_tensor(std::uint64_t index) {
    reader_->at("tensor entry " + std::to_string(index));
    gguf_tensor tensor;
    tensor.name = reader_->string(max_name_bytes, "a name");
    reader_->at("tensor " + printable(tensor.name));
    if (tensor.name.empty())
      refuse("the name is empty");
    if (!file_.names_.emplace(tensor.name, file_.tensors_.size()).second)
      refuse("occurs twice");
    const auto n_dims = number<std::uint32_t>();
    if (n_dims < 1 || n_dims > 4)
      refuse("has " + std::to_string(n_dims) + " dimensions; expected 1 to 4");
    for (std::uint32_t i = 0; i < n_dims; ++i)
      tensor.dims.push_back(number<std::uint64_t>());
    type_ids_.push_back(number<std::uint32_t>());
    tensor.offset = number<std::uint64_t>();
    offsets_.push_back(tensor.offset);
    check_dims(tensor);
    if (tensor.offset % alignment_ != 0)
      refuse("offset " + std::to_string(tensor.offset) + " is no multiple of the alignment " +
             std::to_string(alignment_));
    file_.tensors_.push_back(std::move(tensor));
  }

  void check_dims(const gguf_tensor& tensor) const {
    std::uint64_t elements = 1;
    for (const auto dim : tensor.dims)
      if (dim == 0)
        refuse("a dimension is zero");
      else if (__builtin_mul_overflow(elements, dim, &elements) ||
               elements > static_cast<std::uint64_t>(INT64_MAX))
        refuse("the number of values overflows");
  }

  /// Types, sizes and places, once the whole table is known.
  void place_tensors() {
    const auto data_start = (reader_->position() + alignment_ - 1) / alignment_ * alignment_;
    for (std::size_t i = 0; i < file_.tensors_.size(); ++i) {
      auto& tensor = file_.tensors_[i];
      reader_->at("tensor " + printable(tensor.name));
      const auto* known = find_tensor_type(type_ids_[i]);
      if (known == nullptr)
        refuse_type(i, data_start);
      tensor.type = known->has_tensor_scale() ? i2s_type(layout_) : known->type;
      tensor.bytes = size_of(tensor, info(tensor.type));
      std::uint64_t end = 0;
      if (__builtin_add_overflow(data_start, tensor.offset, &tensor.offset) ||
          __builtin_add_overflow(tensor.offset, tensor.bytes, &end) || end > file_.size_)
        refuse("its data runs past the end of the file (" + std::to_string(file_.size_) +
               " bytes); the file is truncated");
    }
    check_overlap();
  }

  std::uint64_t size_of(const gguf_tensor& tensor, const tensor_type_info& type) const {
    const auto bytes = tensor_bytes(tensor.type, tensor.rows(), tensor.cols());
    if (bytes)
      return *bytes;
    const auto shape = std::to_string(tensor.rows()) + " x " + std::to_string(tensor.cols());
    if (type.block_elements == 1)
      refuse("the size of " + shape + " values overflows");
    refuse(std::string{type.name} + " cannot hold " + shape +
           " values: no multiple of its block of " + std::to_string(type.block_elements) +
           ", or the size overflows");
  }

  void check_overlap() {
    std::vector<const gguf_tensor*> by_place;
    for (const auto& tensor : file_.tensors_)
      by_place.push_back(&tensor);
    std::sort(by_place.begin(), by_place.end(),
              [](const auto* a, const auto* b) { return a->offset < b->offset; });
    for (std::size_t i = 1; i < by_place.size(); ++i)
      if (by_place[i]->offset - by_place[i - 1]->offset < by_place[i - 1]->bytes) {
        reader_->at("tensor " + printable(by_place[i]->name));
        refuse("overlaps tensor " + printable(by_place[i - 1]->name));
      }
  }

  /// Bytes from this tensor's start to the next one's, or to the end of the file.
  [[nodiscard]] std::uint64_t room_of(std::size_t index, std::uint64_t data_start) const {
    const auto own = offsets_[index];
    std::uint64_t next = file_.size_ > data_start ? file_.size_ - data_start : 0;
    for (const auto offset : offsets_)
      if (offset > own)
        next = std::min(next, offset);
    return next > own ? next - own : 0;
  }

  [[noreturn]] void refuse_type(std::size_t index, std::uint64_t data_start) const {
    const auto& tensor = file_.tensors_[index];
    foreign_tensor facts;
    facts.id = type_ids_[index];
    facts.rows = tensor.rows();
    facts.cols = tensor.cols();
    facts.room = room_of(index, data_start);
    facts.has_scale_sibling = file_.names_.count(tensor.name + "_scale") != 0;
    facts.file_type = file_.get_count("general.file_type");
    refuse(why_not_read(facts));
  }

  gguf_file file_;
  std::optional<header_reader> reader_;
  std::uint64_t alignment_ = 32;
  i2s_layout layout_;
  std::vector<std::uint32_t> type_ids_; ///< as in the file, one per tensor
  std::vector<std::uint64_t> offsets_;  ///< the same
};

gguf_file gguf_file::open(const std::filesystem::path& path, i2s_layout layout) {
  return gguf_parser{path, layout}.parse();
}

gguf_kinds gguf_file::peek(const std::filesystem::path& path) {
  return gguf_parser{path, i2s_layout::common}.peek();
}

} // namespace bitnetd::engine
