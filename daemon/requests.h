// SPDX-License-Identifier: MIT
#pragma once

#include "actors/messages.h"
#include "actors/token_query.h"
#include "daemon/wire_requests.h"

#include <string>
#include <string_view>
#include <variant>

// From wire messages to the pipeline's. No socket, no actor.

namespace bitnetd::daemon {

/// Who asks, by which way the answer goes, and when it came.
struct origin {
  actors::route reply_to;
  std::string principal;
  conf::role may = conf::role::submit;
  mono_time arrived{};
  wall_time arrived_wall{};
};

/// A submit with the defaults of its mode. Times are checked against the arrival: a deadline in the
/// past is E_DEADLINE, one beyond 30 days and a not_before beyond 366 are E_FIELD.
[[nodiscard]] std::variant<actors::request_ptr, wire::refusal>
to_request(wire::submit submit, const origin& from, std::string_view body);

/// Questions about jobs. The ids were checked for their form by the parser.
[[nodiscard]] actors::query to_query(const wire::status_query& what, const origin& from);
[[nodiscard]] actors::query to_query(const wire::result_query& what, const origin& from);
[[nodiscard]] actors::query to_query(const wire::list_query& what, const origin& from);
[[nodiscard]] actors::query to_query(const wire::cancel& what, const origin& from);
[[nodiscard]] actors::query to_query(const wire::ack& what, const origin& from);
[[nodiscard]] actors::query to_query(const wire::credit& what, const origin& from);
[[nodiscard]] actors::query to_query(const wire::attach& what, const origin& from);
[[nodiscard]] actors::query to_query(const wire::detach& what, const origin& from);
[[nodiscard]] actors::query to_query(const wire::dead_query& what, const origin& from);
[[nodiscard]] actors::query to_query(const wire::dead_order& what, const origin& from);

[[nodiscard]] actors::token_query to_query(wire::tokenize&& what, const origin& from);
[[nodiscard]] actors::token_query to_query(wire::detokenize&& what, const origin& from);

[[nodiscard]] actors::cache_order to_order(const wire::cache_order& from);

/// The request that a journalled body stands for: the same parser as for a submit, with the
/// format's own bounds instead of the configured ones, since it was accepted once. Nobody waits for
/// its reply. Throws std::runtime_error when it cannot be read.
[[nodiscard]] actors::request_ptr decode_stored_body(std::string_view principal,
                                                     std::string_view body);

} // namespace bitnetd::daemon
