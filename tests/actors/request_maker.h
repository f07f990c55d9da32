// SPDX-License-Identifier: MIT
#pragma once

#include "actors/messages.h"
#include "tests/actors/journal_words.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace bitnetd::actors::testing {

/// A client's request, with defaults that a test changes. Its tag tells its replies apart.
struct request_maker {
  request what;

  explicit request_maker(std::string text = "hello", reply_mode mode = reply_mode::sync) {
    what.principal = "alice";
    what.reply_to.peer = "peer";
    what.mode = mode;
    what.durable = mode == reply_mode::job;
    what.params.max_tokens = 8;
    what.trace = true;
    prompt words;
    words.text = std::move(text);
    what.items.push_back(std::move(words));
  }

  /// A batch of these prompts.
  static request_maker batch(const std::vector<std::string>& texts,
                             reply_mode mode = reply_mode::sync) {
    request_maker out{"", mode};
    out.what.is_batch = true;
    out.what.items.clear();
    for (const auto& text : texts) {
      prompt words;
      words.text = text;
      words.custom_id = "item " + std::to_string(out.what.items.size());
      out.what.items.push_back(std::move(words));
    }
    return out;
  }

  /// As the front hands it on.
  [[nodiscard]] request_ptr make(const std::string& tag, const clock& time) const {
    auto out = std::make_shared<request>(what);
    out->reply_to.tag = tag;
    out->body = body_of(what);
    if (!out->key.empty())
      out->fingerprint = hash_bytes(out->body);
    out->arrived = time.mono();
    out->arrived_wall = time.wall();
    return out;
  }
};

} // namespace bitnetd::actors::testing
