// SPDX-License-Identifier: MIT
#pragma once

#include "actors/messages.h"

#include <string>

namespace bitnetd::actors::testing {

/// A model without weights: enough for what looks only at its description.
inline model_handle bare_model(std::string name = "m", std::uint8_t hash = 1) {
  auto description = std::make_shared<engine::model>();
  description->name = name;
  description->shape.n_context = 256;
  description->shape.n_vocab = 300;
  description->model_hash.bytes[0] = hash;
  auto out = std::make_shared<served_model>();
  out->name = std::move(name);
  out->description = std::move(description);
  return out;
}

/// A greedy completion of `text`, as analysis hands it on.
struct job_maker {
  request what;
  traits how;

  job_maker() {
    what.principal = "alice";
    what.trace = true;
    what.items.resize(1);
    how.model = bare_model();
    how.config = std::make_shared<const conf::config>();
    how.max_new_tokens = 32;
    how.tokens = {1, 2, 3};
  }

  [[nodiscard]] job make(const std::string& text, std::uint8_t number = 1) {
    what.items[0].text = text;
    how.cache_text = text;
    job out;
    out.id.bytes[15] = number;
    out.what = std::make_shared<const request>(what);
    out.how = std::make_shared<const traits>(how);
    return out;
  }
};

} // namespace bitnetd::actors::testing
