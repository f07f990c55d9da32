// SPDX-License-Identifier: MIT
#include "actors/token_memo.h"

#include <utility>

namespace bitnetd::actors {

const std::vector<engine::token_id>* token_memo::find(std::string_view key) {
  const auto found = by_key_.find(key);
  if (found == by_key_.end())
    return nullptr;
  order_.splice(order_.begin(), order_, found->second);
  return &found->second->tokens;
}

void token_memo::put(std::string key, std::vector<engine::token_id> tokens) {
  if (by_key_.contains(key))
    return;
  order_.push_front({std::move(key), std::move(tokens)});
  by_key_.emplace(order_.front().key, order_.begin());
  bytes_ += order_.front().bytes();
  while (bytes_ > max_bytes_ && !order_.empty()) {
    bytes_ -= order_.back().bytes();
    by_key_.erase(order_.back().key);
    order_.pop_back();
  }
}

} // namespace bitnetd::actors
