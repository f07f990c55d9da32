// SPDX-License-Identifier: MIT
#pragma once

#include "actors/messages.h"
#include "actors/partition.h"

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>

namespace bitnetd::actors {

/// Which computations run, and who else waits for their answers. Plain code.
class single_flight {
public:
  /// Everything that must be equal for two jobs to share one computation.
  struct flight_key {
    hash128 partition, key;
    std::string canonical;
    std::uint32_t max_new_tokens = 0;
    auto operator<=>(const flight_key&) const = default;
  };

  /// Id of the job that computes this already.
  [[nodiscard]] std::optional<job_id> leader(const flight_key& key) const;
  /// This job computes it from now on.
  void lead(flight_key key, const job_id& id);
  /// This job waits for the leader of `key`.
  void follow(const flight_key& key, job waiting);

  /// The leader has its answer: everyone who waited, in order of arrival.
  [[nodiscard]] std::deque<job> land(const job_id& leader);
  /// The leader failed or was cancelled: the next one takes its place and is returned.
  [[nodiscard]] std::optional<job> promote(const job_id& leader);
  /// Takes a waiting job out.
  [[nodiscard]] std::optional<job> leave(const job_id& follower);

  [[nodiscard]] std::size_t size() const noexcept { return flights_.size(); }

private:
  struct flight {
    job_id leader;
    std::deque<job> followers;
  };
  std::map<flight_key, flight> flights_;
  std::unordered_map<job_id, flight_key> by_leader_, by_follower_;
};

} // namespace bitnetd::actors
