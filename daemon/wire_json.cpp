// SPDX-License-Identifier: MIT
#include "daemon/wire_json.h"

#include "daemon/wire_json_short.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bitnetd::wire {

namespace {

using nlohmann::json;

// Builds the value while it checks it, so that nothing too deep or too large is ever built. The
// parser that calls it keeps no stack of its own: depth costs it one bit per level.
class checked_builder final : public nlohmann::json_sax<json> {
public:
  explicit checked_builder(const json_bounds& bounds) : bounds_(bounds) {}

  [[nodiscard]] json take() { return std::move(root_); }
  [[nodiscard]] std::optional<std::string> problem() const { return problem_; }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(std::int64_t value) override { return add(value); }
  bool number_unsigned(std::uint64_t value) override { return add(value); }
  bool number_float(double value, const std::string&) override { return add(value); }
  bool string(std::string& value) override { return add(std::move(value)); }
  bool binary(json::binary_t&) override { return false; } // JSON text has none
  bool start_object(std::size_t) override { return open(json::object()); }
  bool start_array(std::size_t) override { return open(json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(std::string& name) override {
    auto& object = *open_.back();
    if (object.size() >= bounds_.keys_per_object)
      return fail("an object has more than " + std::to_string(bounds_.keys_per_object) + " keys");
    const auto [place, is_new] = object.emplace(name, nullptr);
    if (!is_new)
      return fail("the key " + json(name.substr(0, 64)).dump(-1, ' ', true, replace) +
                  " stands twice in one object");
    member_ = &*place;
    return true;
  }

  bool parse_error(std::size_t byte, const std::string&, const json::exception& error) override {
    const bool too_large = error.id == 406;
    problem_ =
        (too_large ? "a number is out of the range of a double" : "not valid JSON in UTF-8") +
        (" at byte " + std::to_string(byte));
    return false;
  }

private:
  static constexpr auto replace = json::error_handler_t::replace;

  bool fail(std::string what) {
    problem_ = std::move(what);
    return false;
  }

  bool add(json value) { return place(std::move(value)) != nullptr; }

  bool open(json empty) {
    if (open_.size() >= bounds_.depth)
      return fail("nested deeper than " + std::to_string(bounds_.depth));
    json* const here = place(std::move(empty));
    if (here != nullptr)
      open_.push_back(here);
    return here != nullptr;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  // Puts a value where the text has it. Pointers into containers stay good: an array grows only
  // while its last element is closed, and an object's nodes do not move.
  json* place(json value) {
    if (++n_values_ > bounds_.values) {
      fail("more than " + std::to_string(bounds_.values) + " values");
      return nullptr;
    }
    if (open_.empty()) {
      if (!value.is_object()) {
        fail("expected an object");
        return nullptr;
      }
      root_ = std::move(value);
      return &root_;
    }
    if (open_.back()->is_array()) {
      open_.back()->push_back(std::move(value));
      return &open_.back()->back();
    }
    *member_ = std::move(value);
    return member_;
  }

  const json_bounds& bounds_;
  json root_;
  std::vector<json*> open_;
  json* member_ = nullptr;
  std::size_t n_values_ = 0;
  std::optional<std::string> problem_;
};

} // namespace

std::variant<json, refusal> parse_object(std::string_view text, const json_bounds& bounds) {
  if (auto read = parse_short(text, bounds))
    return *std::move(read);
  return parse_carefully(text, bounds);
}

std::variant<json, refusal> parse_carefully(std::string_view text, const json_bounds& bounds) {
  const auto refused = [](std::string message) {
    return refusal{errors::json, std::move(message), {}};
  };
  if (text.starts_with("\xEF\xBB\xBF"))
    return refused("a byte order mark stands in front; leave it out");
  checked_builder builder(bounds);
  if (!json::sax_parse(text.begin(), text.end(), &builder))
    return refused(builder.problem().value_or("not valid JSON in UTF-8"));
  return builder.take();
}

} // namespace bitnetd::wire
