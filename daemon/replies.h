// SPDX-License-Identifier: MIT
#pragma once

#include "actors/messages.h"
#include "daemon/outbound_queue.h"
#include "daemon/wire_replies.h"

#include <string>
#include <string_view>

// From the pipeline's replies to wire messages. No socket, no actor.

namespace bitnetd::daemon {

[[nodiscard]] wire::error to_wire(const actors::failure& why);
[[nodiscard]] wire::result to_wire(const actors::reply_result& what);

/// The body of a `result`: what is sent, and what the journal keeps of an ended job.
[[nodiscard]] std::string encode_result_body(const actors::reply_result& what);

/// A reply as it goes out. A job that ended badly becomes an `error` with `job` and `state`; a
/// batch's end stays a `result`. An empty `type` says that only counts are released.
[[nodiscard]] outbound to_outbound(const actors::reply& reply, std::string_view epoch);

} // namespace bitnetd::daemon
