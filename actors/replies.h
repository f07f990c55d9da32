// SPDX-License-Identifier: MIT
#pragma once

#include "actors/messages.h"

#include <optional>
#include <string>
#include <utility>

// Replies to whoever asked: a query, an administrator's message, whatever has `reply_to` and
// `principal`.

namespace bitnetd::actors {

template <class Asker>
[[nodiscard]] reply document_for(const Asker& who, std::string type, std::string body) {
  reply out;
  out.to = who.reply_to;
  out.principal = who.principal;
  out.what = reply_document{std::move(type), std::move(body)};
  return out;
}

template <class Asker> [[nodiscard]] reply error_for(const Asker& who, failure why) {
  reply out;
  out.to = who.reply_to;
  out.principal = who.principal;
  out.what = reply_error{std::move(why), std::nullopt, {}, {}, {}};
  return out;
}

} // namespace bitnetd::actors
