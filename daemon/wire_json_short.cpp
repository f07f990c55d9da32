// SPDX-License-Identifier: MIT
#include "daemon/wire_json_short.h"

#include <cstdint>
#include <simdjson.h>
#include <string>
#include <utility>

namespace bitnetd::wire {

namespace {

using nlohmann::json;
namespace dom = simdjson::dom;

/// What simdjson read as the tree that the fields are taken from, within the bounds.
class copier {
public:
  explicit copier(const json_bounds& bounds) : bounds_(bounds) {}

  /// False when a bound is exceeded, a key stands twice, or a number is beyond a double.
  bool copy(dom::element from, json& to, std::size_t level = 0) {
    if (++n_values_ > bounds_.values)
      return false;
    switch (from.type()) {
    case dom::element_type::OBJECT:
      return object(dom::object(from), to, level + 1);
    case dom::element_type::ARRAY:
      return array(dom::array(from), to, level + 1);
    case dom::element_type::STRING:
      to = std::string(std::string_view(from));
      return true;
    case dom::element_type::INT64:
      to = integer(std::int64_t(from));
      return true;
    case dom::element_type::UINT64:
      to = std::uint64_t(from);
      return true;
    case dom::element_type::DOUBLE:
      to = double(from);
      return true;
    case dom::element_type::BOOL:
      to = bool(from);
      return true;
    case dom::element_type::NULL_VALUE:
      to = nullptr;
      return true;
    }
    return false;
  }

private:
  /// What has no sign is a natural number.
  static json integer(std::int64_t value) {
    return value < 0 ? json(value) : json(static_cast<std::uint64_t>(value));
  }

  bool object(dom::object from, json& to, std::size_t level) {
    to = json::object();
    if (level > bounds_.depth)
      return false;
    for (const auto [name, value] : from) {
      const auto [place, is_new] = to.emplace(std::string(name), nullptr);
      if (!is_new || to.size() > bounds_.keys_per_object || !copy(value, *place, level))
        return false;
    }
    return true;
  }

  bool array(dom::array from, json& to, std::size_t level) {
    to = json::array();
    if (level > bounds_.depth)
      return false;
    for (const auto value : from)
      if (!copy(value, to.emplace_back(), level))
        return false;
    return true;
  }

  const json_bounds& bounds_;
  std::size_t n_values_ = 0;
};

} // namespace

std::optional<json> parse_short(std::string_view text, const json_bounds& bounds) {
  thread_local dom::parser parser(max_short_text);
  if (text.size() > max_short_text)
    return std::nullopt;
  dom::element root;
  if (parser.parse(text.data(), text.size()).get(root) != simdjson::SUCCESS || !root.is_object())
    return std::nullopt;
  std::optional<json> out(std::in_place);
  if (!copier(bounds).copy(root, *out))
    return std::nullopt;
  return out;
}

} // namespace bitnetd::wire
