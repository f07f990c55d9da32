// SPDX-License-Identifier: MIT
#pragma once

#include "store/jobs_db.h"

#include <cstddef>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <tuple>

namespace bitnetd::actors {

/// The front of the line of durable jobs that wait on disk. The line itself is the journal's order
/// index: class, deadline (none last), principal, id. Here stands a window of it, so that a million
/// waiting jobs cost no more memory than a few thousand.
///
///   edge       the last row of the index that was looked at: every job that may start and sorts up
///              to it is in the window, or is on its way already
///   complete   the whole index was looked at
///
/// A job with not_before is pushed when its time has come, and not before.
class release_queue {
public:
  explicit release_queue(std::size_t most = 8192) : most_{most} {}

  /// This job may start. Behind the edge it is left to a later page.
  void push(const store::open_job& job);
  bool remove(const store::open_job& job);
  /// The next one; it is taken out. Nothing when a page must be read first, or no job waits.
  [[nodiscard]] std::optional<store::job_id> pop();

  /// No job waits here, and there may be some on disk: read a page after `edge`.
  [[nodiscard]] bool needs_page() const noexcept { return window_.empty() && !complete_; }
  [[nodiscard]] const std::optional<store::open_job>& edge() const noexcept { return edge_; }
  /// Rows of the index from the edge on; `last`: there are none behind them. `may_start` tells
  /// those that wait from those that are on their way or whose time has not come.
  void fill(std::span<const store::open_job> page, bool last,
            const std::function<bool(const store::open_job&)>& may_start);

  [[nodiscard]] std::size_t size() const noexcept { return window_.size(); }

private:
  using order_key = std::tuple<store::job_class, std::int64_t, std::string, store::job_id>;
  [[nodiscard]] static order_key key_of(const store::open_job& job);
  [[nodiscard]] static store::open_job job_of(const order_key& key);

  std::size_t most_;
  std::set<order_key> window_;
  std::optional<store::open_job> edge_;
  bool complete_ = false;
};

} // namespace bitnetd::actors
