// SPDX-License-Identifier: MIT
#include "engine/hugging_face/json_file.h"

#include "engine/file_input.h"
#include "engine/printable.h"

#include <unistd.h>
#include <unordered_set>
#include <vector>

namespace bitnetd::engine::hugging_face {

using nlohmann::json;

namespace {

constexpr int max_depth = 32; // chat templates and post-processors nest six deep

/// Watches a parse: depth, and keys that occur twice, of which a parser would keep one silently.
class parse_watch {
public:
  explicit parse_watch(std::string place) : place_{std::move(place)} {}

  bool operator()(int depth, json::parse_event_t event, json& value) {
    if (depth > max_depth)
      throw load_error{place_ + ": is nested deeper than " + std::to_string(max_depth)};
    if (event == json::parse_event_t::object_start)
      open_.emplace_back();
    else if (event == json::parse_event_t::object_end)
      open_.pop_back();
    else if (event == json::parse_event_t::key &&
             !open_.back().insert(value.get<std::string>()).second)
      throw load_error{place_ + ": key " + printable(value.get<std::string>()) + " occurs twice"};
    return true;
  }

private:
  std::string place_;
  std::vector<std::unordered_set<std::string>> open_;
};

} // namespace

json_object::json_object(json root, std::string place)
    : json_object{std::make_shared<const json>(std::move(root)), nullptr, std::move(place)} {}

json_object::json_object(std::shared_ptr<const json> root, const json* node, std::string place)
    : root_{std::move(root)}, node_{node == nullptr ? root_.get() : node}, place_{
                                                                               std::move(place)} {
  if (!node_->is_object())
    throw load_error{place_ + ": expected a JSON object"};
}

const json* json_object::find(std::string_view key) const noexcept {
  const auto at = node_->find(key);
  return at == node_->end() || at->is_null() ? nullptr : &*at;
}

std::optional<json_object> json_object::object(std::string_view key) const {
  const auto* value = find(key);
  return value == nullptr
             ? std::nullopt
             : std::optional{json_object{root_, value, place_ + ": " + std::string{key}}};
}

std::optional<std::uint64_t> json_object::count(std::string_view key, std::uint64_t low,
                                                std::uint64_t high) const {
  const auto* value = find(key);
  if (value == nullptr)
    return std::nullopt;
  if (!value->is_number_unsigned() || value->get<std::uint64_t>() < low ||
      value->get<std::uint64_t>() > high)
    refuse(key, "expected a whole number from " + std::to_string(low) + " to " +
                    std::to_string(high) + ", got " + printable(value->dump()));
  return value->get<std::uint64_t>();
}

std::optional<double> json_object::number(std::string_view key) const {
  const auto* value = find(key);
  if (value == nullptr)
    return std::nullopt;
  if (!value->is_number())
    refuse(key, "expected a number, got " + printable(value->dump()));
  return value->get<double>();
}

std::optional<bool> json_object::flag(std::string_view key) const {
  const auto* value = find(key);
  if (value == nullptr)
    return std::nullopt;
  if (!value->is_boolean())
    refuse(key, "expected true or false, got " + printable(value->dump()));
  return value->get<bool>();
}

std::optional<std::string> json_object::text(std::string_view key) const {
  const auto* value = find(key);
  if (value == nullptr)
    return std::nullopt;
  if (!value->is_string())
    refuse(key, "expected a text, got " + printable(value->dump()));
  return value->get<std::string>();
}

void json_object::refuse(std::string_view key, const std::string& what) const {
  throw load_error{place_ + ": " + std::string{key} + ": " + what};
}

std::string read_small_file(const std::filesystem::path& path, std::uint64_t max_bytes) {
  const auto opened = open_regular_file(path);
  struct closer {
    int fd;
    ~closer() { ::close(fd); }
  } const owner{opened.fd};
  if (opened.size > max_bytes)
    throw load_error{path.string() + ": has " + std::to_string(opened.size) +
                     " bytes; expected at most " + std::to_string(max_bytes)};
  std::string bytes(opened.size, '\0');
  read_exactly(opened.fd, path, 0, std::as_writable_bytes(std::span{bytes.data(), bytes.size()}));
  return bytes;
}

json_object read_json(const std::filesystem::path& path, std::uint64_t max_bytes) {
  const auto bytes = read_small_file(path, max_bytes);
  try {
    return {json::parse(bytes, parse_watch{path.string()}), path.string()};
  } catch (const json::parse_error& reason) {
    throw load_error{path.string() + ": is not JSON from byte " + std::to_string(reason.byte) +
                     " on"};
  } catch (const json::exception& reason) { // a number that no double holds
    throw load_error{path.string() + ": " + printable(reason.what())};
  }
}

std::optional<json_object> read_json_if_there(const std::filesystem::path& path,
                                              std::uint64_t max_bytes) {
  std::error_code unreadable; // then opening it says why
  if (!std::filesystem::exists(path, unreadable) && !unreadable)
    return std::nullopt;
  return read_json(path, max_bytes);
}

} // namespace bitnetd::engine::hugging_face
