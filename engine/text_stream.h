// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bitnetd::engine {

/// Makes the text of a generation from the bytes of its tokens. What comes out is always valid
/// UTF-8 in whole characters; bytes that can never become a character are replaced by U+FFFD, one
/// per maximal piece of a character, as in Python's errors="replace". What could be the beginning
/// of a stop string is held back; at the first stop string that is complete (of several that end
/// with the same byte the longest) the text ends, before it. The concatenation of all that comes
/// out does not depend on how the bytes were cut into pieces.
class text_stream {
public:
  /// Empty stop strings are ignored.
  explicit text_stream(const std::vector<std::string>& stops = {});

  /// Adds the bytes of a token; returns the text that is now certain. After a stop: nothing.
  [[nodiscard]] std::string feed(std::string_view bytes);
  /// The generation has ended: returns what was held back.
  [[nodiscard]] std::string flush();
  /// Whether a stop string was found.
  [[nodiscard]] bool stopped() const noexcept { return stopped_; }

private:
  /// One stop string, matched byte by byte (Knuth-Morris-Pratt): time is linear whatever it is.
  class stop_matcher {
  public:
    explicit stop_matcher(std::string stop);
    void take(char byte) noexcept;
    /// Bytes at the end of the text so far that are the beginning of the stop string.
    [[nodiscard]] std::size_t matched() const noexcept { return matched_; }
    [[nodiscard]] bool complete() const noexcept { return matched_ == stop_.size(); }

  private:
    std::string stop_;
    std::vector<std::size_t> fallback_; ///< matched bytes to go on with after a mismatch
    std::size_t matched_ = 0;
  };

  [[nodiscard]] std::string release(std::size_t n_bytes);

  std::vector<stop_matcher> stops_;
  std::string held_;
  bool stopped_ = false;
};

} // namespace bitnetd::engine
