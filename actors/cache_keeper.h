// SPDX-License-Identifier: MIT
#pragma once

#include "actors/interfaces.h"
#include "actors/metrics.h"
#include "actors/outgoing.h"
#include "base/clock.h"
#include "store/answers_db.h"

#include <caf/stateful_actor.hpp>

#include <memory>
#include <span>
#include <string>
#include <vector>

namespace bitnetd::actors {

struct cache_keeper_state {
  static inline constexpr const char* name = "cache_keeper";

  std::shared_ptr<const clock> time;
  std::shared_ptr<metrics> counters;
  std::shared_ptr<store::answers_db> answers;
  conf::config_ptr config;
  peers_ptr others;
  grouping groups;
  std::vector<store::cache_entry> arrived; ///< since the last write
  std::size_t unsynced = 0;
  mono_time last_sync{};
  bool commit_due = false, sick = false;

  void write(cache_keeper_actor::pointer self);
  void tidy(cache_keeper_actor::pointer self);
  void sync_now();
  void erase(cache_keeper_actor::pointer self, std::uint64_t entry, const admin_request& asked);
  void flush(cache_keeper_actor::pointer self, const hash128& scope, const admin_request& asked);
  void pin(cache_keeper_actor::pointer self, std::uint64_t entry, std::int64_t expires_us,
           const admin_request& asked);
  /// Notes a store error once; the cache goes on without it.
  bool check(const store::status& status);

private:
  void put(cache_keeper_actor::pointer self, std::span<const store::cache_entry> entries);
  /// Tells who asked: done, or what the store said.
  void answer(cache_keeper_actor::pointer self, const admin_request& asked,
              const store::status& written, std::string body);
  void tell_erased(cache_keeper_actor::pointer self, std::vector<store::erased_entry> gone);
};

/// CACHE KEEPER (detached): writes what the cache hands over, in groups. A written batch survives
/// the death of the process; it is synced every 100 ms or 64 entries.
cache_keeper_actor::behavior_type
cache_keeper(cache_keeper_actor::stateful_pointer<cache_keeper_state> self,
             std::shared_ptr<const clock> time, std::shared_ptr<metrics> counters,
             std::shared_ptr<store::answers_db> answers);

} // namespace bitnetd::actors
