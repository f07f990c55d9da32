// SPDX-License-Identifier: MIT
#pragma once

#include "base/hash.h"
#include "engine/tokenizer.h"

#include <cstddef>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace bitnetd::actors {

/// Remembers the token ids of recent prompts, so that a repeated request is not tokenized again.
/// Bounded by bytes, least recently used goes first; the key's bytes are compared, not its hash.
class token_memo {
public:
  explicit token_memo(std::size_t max_bytes) : max_bytes_{max_bytes} {}

  /// The ids kept under `key`, or nullptr. Valid until the next `put`.
  [[nodiscard]] const std::vector<engine::token_id>* find(std::string_view key);
  void put(std::string key, std::vector<engine::token_id> tokens);
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

private:
  struct entry {
    std::string key;
    std::vector<engine::token_id> tokens;
    [[nodiscard]] std::size_t bytes() const noexcept {
      return key.size() + tokens.size() * sizeof(engine::token_id) + sizeof(entry) + 64;
    }
  };
  std::size_t max_bytes_, bytes_ = 0;
  std::list<entry> order_; ///< most recent first
  std::unordered_map<std::string_view, std::list<entry>::iterator> by_key_;
};

} // namespace bitnetd::actors
