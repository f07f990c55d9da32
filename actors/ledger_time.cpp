// SPDX-License-Identifier: MIT
#include "actors/ledger.h"
#include "base/log.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

// What is done now and then: deadlines, waits that end, retention, a look at the disk.

namespace bitnetd::actors {

namespace {

constexpr std::chrono::seconds disk_interval{1};
constexpr std::size_t retention_at_once = 200;

} // namespace

void ledger_state::tick(ledger_actor::pointer self) {
  const auto now = with.time->mono();
  watch_disk(self);
  if (!sick.empty() && !disk_failed)
    if (const auto resumed = with.jobs->resume(); resumed.code() == store::errc::io_error)
      return failed_commit(self, resumed, true); // a new process opens it
  if (!facts->empty() || !sick.empty() || unsynced_tokens > 0)
    commit(self);
  wake();
  expire(self);
  while (!kept_order.empty()) {
    const auto oldest = kept.find(kept_order.front());
    if (oldest != kept.end() && oldest->second.until > now)
      break;
    drop_kept(kept_order.front());
    kept_order.pop_front();
  }
  for (auto& [id, list] : waiters)
    std::erase_if(list, [&](const waiter& one) {
      if (one.until > now)
        return false;
      if (!one.wants_state)
        status(self, one.who);
      else if (const auto known = find(one.who, one.who.jobs.front()))
        tell_state(self, one.who, known->id, known->state);
      return true;
    });
  std::erase_if(waiters, [](const auto& item) { return item.second.empty(); });
  tell_progress(self);
  retain();
  release(self);
}

void ledger_state::retain() {
  if (facts->empty() && sick.empty()) {
    (void)with.jobs->remove_expired(now_us(), retention_at_once);
    if (config && with.jobs->totals().bytes > config->limits.result_bytes)
      (void)with.jobs->remove_oldest(config->limits.result_bytes / 10 * 9, retention_at_once);
  }
  const auto totals = with.jobs->totals();
  with.counters->set_journal_size(static_cast<double>(totals.jobs),
                                  static_cast<double>(totals.bytes));
}

/// New jobs are refused before the disk is full, so that those that are here can end.
void ledger_state::watch_disk(ledger_actor::pointer self) {
  const auto now = with.time->mono();
  if (!config || now - disk_asked < disk_interval)
    return;
  disk_asked = now;
  const auto room = with.jobs->room();
  const bool was_short = !disk_short.empty();
  disk_short = room ? room->shortage(config->limits.disk_reserve_bytes) : std::string();
  if (was_short == !disk_short.empty())
    return;
  if (disk_short.empty())
    return log::info("the journal's disk has room again: durable jobs are accepted");
  log::warn("{}: new durable jobs are refused until there is more", disk_short);
  mail.send(self, others->outbox,
            event{"alert", nlohmann::json{{"what", "disk"}, {"msg", disk_short}}.dump()});
}

} // namespace bitnetd::actors
