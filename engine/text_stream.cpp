// SPDX-License-Identifier: MIT
#include "engine/text_stream.h"

#include "base/utf8.h"

#include <algorithm>
#include <utility>

namespace bitnetd::engine {

namespace {

constexpr std::string_view replacement = "\xEF\xBF\xBD"; // U+FFFD

/// Bytes at the front of an invalid text that together were the beginning of one character.
std::size_t broken_size(std::string_view text) {
  for (std::size_t size = std::min<std::size_t>(3, text.size()); size > 1; --size)
    if (utf8_complete_prefix(text.substr(0, size)) == 0)
      return size;
  return 1;
}

std::string repaired(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const auto good = std::min(utf8_find_invalid(text), text.size());
    out += text.substr(0, good);
    text.remove_prefix(good);
    if (text.empty())
      break;
    out += replacement;
    text.remove_prefix(broken_size(text));
  }
  return out;
}

} // namespace

text_stream::stop_matcher::stop_matcher(std::string stop)
    : stop_(std::move(stop)), fallback_(stop_.size() + 1) {
  for (std::size_t i = 1, border = 0; i < stop_.size(); ++i) {
    while (border > 0 && stop_[i] != stop_[border])
      border = fallback_[border];
    if (stop_[i] == stop_[border])
      ++border;
    fallback_[i + 1] = border;
  }
}

void text_stream::stop_matcher::take(char byte) noexcept {
  while (matched_ > 0 && stop_[matched_] != byte)
    matched_ = fallback_[matched_];
  if (stop_[matched_] == byte)
    ++matched_;
}

text_stream::text_stream(const std::vector<std::string>& stops) {
  for (const auto& stop : stops)
    if (!stop.empty())
      stops_.emplace_back(stop);
}

std::string text_stream::feed(std::string_view bytes) {
  if (stopped_)
    return {};
  for (const char byte : bytes) {
    held_ += byte;
    std::size_t found = 0;
    for (auto& stop : stops_) {
      stop.take(byte);
      if (stop.complete())
        found = std::max(found, stop.matched());
    }
    if (found > 0) {
      stopped_ = true;
      held_.resize(held_.size() - found);
      return release(held_.size());
    }
  }
  std::size_t maybe_stop = 0;
  for (const auto& stop : stops_)
    maybe_stop = std::max(maybe_stop, stop.matched());
  const auto certain = std::string_view{held_}.substr(0, held_.size() - maybe_stop);
  return release(utf8_complete_prefix(certain));
}

std::string text_stream::flush() { return release(held_.size()); }

/// Takes the first bytes out of what is held.
std::string text_stream::release(std::size_t n_bytes) {
  auto text = repaired(std::string_view{held_}.substr(0, n_bytes));
  held_.erase(0, n_bytes);
  return text;
}

} // namespace bitnetd::engine
