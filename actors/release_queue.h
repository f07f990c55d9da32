// SPDX-License-Identifier: MIT
#pragma once

#include "store/job_record.h"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <vector>

namespace bitnetd::actors {

/// Durable jobs that wait on disk: what is needed to choose the next one, and no more (about 150
/// bytes each). Order: class, deadline (none last), id, which is the order of acceptance. A job
/// with `not_before` stands aside until then.
class release_queue {
public:
  struct entry {
    store::job_id id;
    store::job_class cls = store::job_class::normal;
    std::int64_t deadline_us = 0;   ///< 0: none
    std::int64_t not_before_us = 0; ///< 0: at once
  };

  void push(const entry& job, std::int64_t now_us);
  /// The next one that may start; it is taken out.
  [[nodiscard]] std::optional<store::job_id> pop();
  bool remove(const store::job_id& id);
  /// Moves jobs whose time has come into the order; returns them.
  std::vector<store::job_id> wake(std::int64_t now_us);
  /// Takes out those whose deadline has passed.
  [[nodiscard]] std::vector<store::job_id> take_expired(std::int64_t now_us);

  [[nodiscard]] std::size_t size() const noexcept { return jobs_.size(); }
  [[nodiscard]] bool contains(const store::job_id& id) const { return jobs_.contains(id); }

private:
  using order_key = std::tuple<store::job_class, std::int64_t, store::job_id>;
  using time_key = std::pair<std::int64_t, store::job_id>;
  [[nodiscard]] static order_key key_of(const entry& job) noexcept;

  std::map<store::job_id, entry> jobs_;
  std::set<order_key> ready_;
  std::set<time_key> sleeping_, deadlines_;
};

} // namespace bitnetd::actors
