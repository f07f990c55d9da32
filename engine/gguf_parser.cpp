// SPDX-License-Identifier: MIT
#include "engine/file_input.h"
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
constexpr std::string_view readable_types =
    "F32, F16, BF16, Q8_0, Q6_K, Q4_K, Q4_0, I2_S, TQ1_0 or TQ2_0";

/// What a type is called that we know of and do not read.
std::string_view foreign_type_name(std::uint32_t id) noexcept {
  constexpr std::pair<std::uint32_t, std::string_view> names[] = {
      {3, "Q4_1"},     {6, "Q5_0"},     {7, "Q5_1"},     {9, "Q8_1"},       {10, "Q2_K"},
      {11, "Q3_K"},    {13, "Q5_K"},    {15, "Q8_K"},    {16, "IQ2_XXS"},   {17, "IQ2_XS"},
      {18, "IQ3_XXS"}, {19, "IQ1_S"},   {20, "IQ4_NL"},  {21, "IQ3_S"},     {22, "IQ2_S"},
      {23, "IQ4_XS"},  {24, "I8"},      {25, "I16"},     {26, "I32"},       {27, "I64"},
      {28, "F64"},     {29, "IQ1_M"},   {37, "I8_S"},    {40, "NVFP4"},     {41, "Q1_0"},
      {42, "Q2_0"},    {134, "IQ1_BN"}, {135, "IQ2_BN"}, {335, "IQ2_BN_R4"}};
  for (const auto& [known, name] : names)
    if (known == id)
      return name;
  return {};
}

} // namespace

/// Header, metadata and tensor table of one file, in that order, each check where it belongs.
class gguf_parser {
public:
  explicit gguf_parser(const std::filesystem::path& path) {
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
        refuse_type(tensor, type_ids_[i]);
      tensor.type = known->type;
      tensor.bytes = size_of(tensor, *known);
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

  [[noreturn]] void refuse_type(const gguf_tensor& tensor, std::uint32_t id) const {
    const auto in_brackets = " (" + std::to_string(id) + ")";
    // 39 is TL2 in bitnet.cpp and MXFP4 elsewhere; a TL2 file says so beside the tensor.
    const bool tl2 = id == 39 && (file_.names_.count(tensor.name + "_scale") != 0 ||
                                  file_.get_count("general.file_type") == 39u);
    if (id == 38 || tl2)
      refuse("type " + std::string{tl2 ? "TL2" : "TL1"} + in_brackets +
             " is not self-describing: its layout depends on a tile configuration that is not in "
             "the file; convert the model to I2_S");
    const auto name = id == 39 ? std::string_view{"MXFP4"} : foreign_type_name(id);
    if (name.empty())
      refuse("unknown tensor type" + in_brackets + "; use a file with " +
             std::string{readable_types});
    refuse("type " + std::string{name} + in_brackets + " is not supported yet; use a file with " +
           std::string{readable_types});
  }

  gguf_file file_;
  std::optional<header_reader> reader_;
  std::uint64_t alignment_ = 32;
  std::vector<std::uint32_t> type_ids_; ///< as in the file, one per tensor
};

gguf_file gguf_file::open(const std::filesystem::path& path) { return gguf_parser{path}.parse(); }

gguf_kinds gguf_file::peek(const std::filesystem::path& path) { return gguf_parser{path}.peek(); }

} // namespace bitnetd::engine
