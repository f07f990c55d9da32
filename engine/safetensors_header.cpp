// SPDX-License-Identifier: MIT
#include "engine/safetensors_header.h"

#include "engine/printable.h"

#include <nlohmann/json.hpp>

#include <set>

namespace bitnetd::engine {

namespace {

constexpr std::size_t max_tensors = 1u << 20, max_dims = 8;

/// One pass over the JSON: anything that is not part of the format is refused as it comes, so that
/// neither depth nor size of foreign JSON is ever built up.
class header_reader final : public nlohmann::json_sax<nlohmann::json> {
public:
  safetensors_header take() { return std::move(header_); }

  bool null() override { refuse("null is not expected"); }
  bool boolean(bool) override { refuse("true and false are not expected"); }
  bool number_integer(number_integer_t value) override {
    refuse("the number " + std::to_string(value) + " is negative");
  }
  bool number_float(number_float_t, const string_t& text) override {
    refuse("the number " + printable(text) + " is not a whole one");
  }
  bool binary(binary_t&) override { refuse("binary data is not expected"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (place_ == place::shape && entry_.shape.size() < max_dims)
      entry_.shape.push_back(value);
    else if (place_ == place::offsets && offsets_.size() < 2)
      offsets_.push_back(value);
    else
      refuse("a number is not expected here");
    return true;
  }

  bool string(string_t& value) override {
    if (place_ == place::metadata)
      header_.metadata[field_] = value;
    else if (place_ == place::tensor && field_ == "dtype")
      read_type(value);
    else
      refuse("a string is not expected here");
    return true;
  }

  bool start_object(std::size_t) override {
    if (place_ == place::outside)
      place_ = place::top;
    else if (place_ == place::top)
      start_tensor();
    else
      refuse("a nested object is not expected");
    return true;
  }

  bool key(string_t& name) override {
    if (place_ == place::top) {
      name_ = name;
      if (!names_.insert(name).second)
        refuse("occurs twice");
      if (names_.size() > max_tensors)
        refuse("more than " + std::to_string(max_tensors) + " tensors");
      return true;
    }
    field_ = name;
    if (!fields_.insert(name).second)
      refuse("field " + printable(name) + " occurs twice");
    if (place_ == place::tensor && name != "dtype" && name != "shape" && name != "data_offsets")
      refuse("unknown field " + printable(name));
    return true;
  }

  bool end_object() override {
    if (place_ == place::tensor)
      end_tensor();
    place_ = place_ == place::top ? place::done : place::top;
    return true;
  }

  bool start_array(std::size_t) override {
    if (place_ != place::tensor || field_ == "dtype")
      refuse("an array is not expected here");
    place_ = field_ == "shape" ? place::shape : place::offsets;
    return true;
  }

  bool end_array() override {
    place_ = place::tensor;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    name_.clear();
    refuse("the header is not JSON from byte " + std::to_string(position) + " on");
  }

private:
  enum class place { outside, top, metadata, tensor, shape, offsets, done };

  [[noreturn]] void refuse(const std::string& what) const {
    throw load_error{(name_.empty() ? "header" : "tensor " + printable(name_)) + ": " + what};
  }

  void read_type(const std::string& name) {
    const auto type = find_safetensors_type(name);
    if (!type)
      refuse("unknown dtype " + printable(name));
    entry_.type = *type;
  }

  void start_tensor() {
    fields_.clear();
    if (name_ == "__metadata__") {
      place_ = place::metadata;
      return;
    }
    place_ = place::tensor;
    entry_ = {};
    entry_.name = name_;
    offsets_.clear();
  }

  void end_tensor() {
    if (fields_.size() != 3 || offsets_.size() != 2)
      refuse("expected dtype, shape and two data_offsets");
    if (offsets_[0] > offsets_[1])
      refuse("data_offsets are reversed: " + std::to_string(offsets_[0]) + " to " +
             std::to_string(offsets_[1]));
    std::uint64_t bytes = value_bytes(entry_.type);
    for (const auto dim : entry_.shape)
      if (__builtin_mul_overflow(bytes, dim, &bytes))
        refuse("its size overflows");
    if (bytes != offsets_[1] - offsets_[0])
      refuse("shape and dtype need " + std::to_string(bytes) + " bytes, data_offsets give " +
             std::to_string(offsets_[1] - offsets_[0]));
    entry_.offset = offsets_[0];
    entry_.bytes = bytes;
    header_.entries.push_back(std::move(entry_));
  }

  safetensors_header header_;
  safetensors_entry entry_;
  std::vector<std::uint64_t> offsets_;
  std::string name_, field_;
  std::set<std::string> names_, fields_;
  place place_ = place::outside;
};

} // namespace

safetensors_header parse_safetensors_header(std::string_view json) {
  header_reader reader;
  if (json.empty() || json.front() != '{')
    throw load_error{"header: expected a JSON object"};
  nlohmann::json::sax_parse(json, &reader);
  return reader.take();
}

} // namespace bitnetd::engine
