// SPDX-License-Identifier: MIT
#pragma once

#include "actors/assembly.h"
#include "actors/messages.h"

#include <memory>
#include <optional>

namespace bitnetd::actors {

/// How one job ended, for its result.
struct job_outcome {
  job_state state = job_state::done;
  answer_ptr what;            ///< null: it has none
  std::optional<failure> why; ///< of one that did not end well
  timing times;
  bool stored = false; ///< the cache keeps the answer
  std::uint32_t retries = 0;
  mono_time now{};
};

/// The result that the client gets and the journal keeps, with the trace where it was asked for.
[[nodiscard]] std::shared_ptr<reply_result> result_of(const job& ended, job_outcome outcome);

/// The result of a whole batch: its items in order. Cancelled when all of them were, else done: an
/// item's failure is that item's.
[[nodiscard]] std::shared_ptr<reply_result> result_of(batch_assembly ended, mono_time now);

/// Whether an answer was computed for this job, not found.
[[nodiscard]] bool was_computed(const job& what) noexcept;

/// Whether the client of this job still hears of its end on the connection it came by.
[[nodiscard]] bool wants_end(const job& what) noexcept;

/// Whether the front stopped counting this job when it was accepted: a durable one that nobody
/// waits for. One from the journal was never counted.
[[nodiscard]] bool released_before(const job& what) noexcept;

/// The reply that ends a request: its result, its error, or only what the front may stop counting.
[[nodiscard]] reply closing_reply(const job& ended, const result_ptr& result);

} // namespace bitnetd::actors
