// SPDX-License-Identifier: MIT
#pragma once

#include "actors/messages.h"

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

namespace bitnetd::actors {

/// One job being answered: what came so far, and how much of it the client has. Plain code.
class assembly {
public:
  explicit assembly(job what);

  [[nodiscard]] const job& what() const noexcept { return job_; }
  [[nodiscard]] job& what() noexcept { return job_; }
  [[nodiscard]] bool streams() const noexcept;
  /// To this connection.
  [[nodiscard]] bool streams_to(const route& client) const noexcept;

  /// The job went to a worker.
  void started(job with_trace, std::uint32_t worker, mono_time now);
  [[nodiscard]] std::optional<std::uint32_t> worker() const noexcept { return worker_; }

  /// Tokens that follow on what is here; false when they do not (they came twice: a moved job).
  [[nodiscard]] bool append(const output& piece, mono_time now);
  [[nodiscard]] const std::vector<engine::token_id>& tokens() const noexcept { return tokens_; }

  /// The earliest piece that was not known to be in the log is. Text of a durable job may leave
  /// only then.
  void written();
  /// The next delta, if there is text, the client streams and has credit. Everything not yet sent
  /// goes into one: a slow reader gets fewer and larger ones.
  [[nodiscard]] std::optional<reply_delta> take_delta();
  void add_credit(std::uint32_t n) noexcept;
  /// Whether any byte has left: then the job cannot be computed anew.
  [[nodiscard]] bool sent_anything() const noexcept { return sent_bytes_ > 0 || seen_; }
  /// Somebody reads it in the journal.
  void seen() noexcept { seen_ = true; }

  /// Ends with a worker's last word.
  [[nodiscard]] answer finish(const finished& end) const;
  /// Forgets the output and draws with the next seed: a failed quality check.
  void restart();
  [[nodiscard]] std::uint32_t retries() const noexcept { return retries_; }

  [[nodiscard]] timing times(mono_time now, double prefill_ms, double decode_ms) const;

  bool deadline_passed = false;

private:
  job job_;
  std::optional<std::uint32_t> worker_;
  std::vector<engine::token_id> tokens_;
  std::string text_;
  double logprob_sum_ = 0;
  std::uint64_t seq_ = 0, sent_bytes_ = 0, may_leave_ = 0; ///< may_leave_: bytes of text_
  std::deque<std::uint64_t> unwritten_; ///< text_'s size after each piece that waits for the log
  std::size_t stale_writes_ = 0;        ///< pieces of an earlier attempt that wait for the log
  std::size_t sent_tokens_ = 0;
  std::uint32_t credit_ = 0, retries_ = 0;
  bool seen_ = false;
  std::optional<mono_time> assigned_, first_token_;
};

/// A batch being assembled: its children's results, in the order of the items.
struct batch_assembly {
  job what;
  std::vector<result_ptr> results; ///< by index; null: not ended
  std::size_t ended = 0;
  bool more = false; ///< further parts are expected

  [[nodiscard]] bool complete() const noexcept { return !more && ended == results.size(); }
};

} // namespace bitnetd::actors
