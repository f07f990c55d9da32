// SPDX-License-Identifier: MIT
#include "actors/cache_keeper.h"

#include "actors/errors.h"
#include "actors/guard.h"
#include "actors/replies.h"
#include "base/log.h"

#include <nlohmann/json.hpp>

#include <utility>

namespace bitnetd::actors {

namespace {

constexpr std::chrono::milliseconds sync_interval{100};
constexpr std::size_t sync_entries = 64;
constexpr std::size_t expire_at_once = 1000;
/// Expired entries are kept this long for those who asked max-stale; wire_prompt.cpp bounds it.
constexpr std::int64_t stale_grace_us = 3'600'000'000;

} // namespace

bool cache_keeper_state::check(const store::status& status) {
  if (status.ok()) {
    if (std::exchange(sick, false))
      log::info("cache: the store works again");
    return true;
  }
  if (!std::exchange(sick, true))
    log::error(
        "cache: writing answers failed: {}; answers are computed and not kept until it works",
        status.text());
  return false;
}

void cache_keeper_state::tell_erased(cache_keeper_actor::pointer self,
                                     std::vector<store::erased_entry> gone) {
  if (!gone.empty() && others)
    self->send(others->cache, erased_atom_v, std::move(gone));
}

void cache_keeper_state::write(cache_keeper_actor::pointer self) {
  commit_due = false;
  if (arrived.empty() || !answers)
    return;
  put(self, std::exchange(arrived, {}));
  if (unsynced >= sync_entries)
    sync_now();
}

void cache_keeper_state::put(cache_keeper_actor::pointer self,
                             std::span<const store::cache_entry> entries) {
  auto replaced = answers->put(entries);
  // One entry that breaks a bound of the store (a huge prompt) must not cost the others.
  if (!replaced && replaced.why().code() == store::errc::invalid) {
    if (entries.size() > 1) {
      for (const auto& entry : entries)
        put(self, std::span{&entry, 1});
      return;
    }
    log::debug("cache: entry {} is not kept: {}", entries[0].id, replaced.why().text());
    return tell_erased(self, {{entries[0].id, entries[0].partition}});
  }
  if (check(replaced.why())) {
    unsynced += entries.size();
    return tell_erased(self, std::move(*replaced));
  }
  // Not kept: the cache must not find them either.
  std::vector<store::erased_entry> gone;
  for (const auto& entry : entries)
    gone.push_back({entry.id, entry.partition});
  tell_erased(self, std::move(gone));
  (void)answers->resume();
}

void cache_keeper_state::sync_now() {
  if (!check(answers->sync()))
    return;
  unsynced = 0;
  last_sync = time->mono();
}

void cache_keeper_state::tidy(cache_keeper_actor::pointer self) {
  if (!answers)
    return;
  if (unsynced > 0 && time->mono() - last_sync >= sync_interval)
    sync_now();
  const auto now_us = to_wall_us(time->wall());
  if (auto gone = answers->expire(now_us - stale_grace_us, expire_at_once))
    tell_erased(self, std::move(*gone));
  if (config && answers->totals().bytes > config->cache.max_bytes)
    if (auto gone = answers->evict_to(config->cache.max_bytes * 9 / 10, now_us,
                                      config->cache.principal_share))
      tell_erased(self, std::move(*gone));
  const auto totals = answers->totals();
  counters->set_cache_size(static_cast<double>(totals.entries), static_cast<double>(totals.bytes));
}

void cache_keeper_state::answer(cache_keeper_actor::pointer self, const admin_request& asked,
                                const store::status& written, std::string body) {
  if (written)
    self->send(others->outbox, document_for(asked, "ok", std::move(body)));
  else
    self->send(others->outbox,
               error_for(asked, disk("it holds until the daemon ends, but could not be written: " +
                                     written.text())));
}

void cache_keeper_state::erase(cache_keeper_actor::pointer self, std::uint64_t entry,
                               const admin_request& asked) {
  write(self); // it may have come just before
  auto gone = answers->erase(std::span{&entry, 1});
  (void)check(gone.why());
  answer(self, asked, gone.why(), nlohmann::json{{"entry", std::to_string(entry)}}.dump());
  if (gone)
    tell_erased(self, std::move(*gone));
}

void cache_keeper_state::pin(cache_keeper_actor::pointer self, std::uint64_t entry,
                             std::int64_t expires_us, const admin_request& asked) {
  write(self);
  const auto set = answers->set_expiry(entry, expires_us);
  if (set.code() == store::errc::not_found) // it went meanwhile
    return self->send(
        others->outbox,
        error_for(asked, bad_field("entry", "entry: there is no entry " + std::to_string(entry))));
  (void)check(set);
  answer(
      self, asked, set,
      nlohmann::json{{"entry", std::to_string(entry)}, {"pinned", expires_us == store::pinned_us}}
          .dump());
}

void cache_keeper_state::flush(cache_keeper_actor::pointer self, const hash128& scope,
                               const admin_request& asked) {
  write(self); // what came before the flush is stored before it, and invalidated with the rest
  const std::string tag(reinterpret_cast<const char*>(scope.bytes.data()), scope.bytes.size());
  std::size_t n = 0;
  auto written = answers->invalidate(tag);
  if (check(written)) {
    auto gone = answers->purge();
    written = gone.why(); // what is not off the disk was not deleted, though it is not served
    if (check(written)) {
      n = gone->size();
      tell_erased(self, std::move(*gone));
    }
  }
  answer(self, asked, written, nlohmann::json{{"removed", n}}.dump());
}

cache_keeper_actor::behavior_type
cache_keeper(cache_keeper_actor::stateful_pointer<cache_keeper_state> self,
             std::shared_ptr<const clock> time, std::shared_ptr<metrics> counters,
             std::shared_ptr<store::answers_db> answers) {
  auto& state = self->state;
  state.time = std::move(time);
  state.counters = std::move(counters);
  state.answers = std::move(answers);
  state.last_sync = state.time->mono();
  self->delayed_send(self, sync_interval, tick_atom_v);
  log_exceptions(self);
  self->set_exit_handler([self](const caf::exit_msg& end) {
    auto& now = self->state;
    now.write(self);
    now.tidy(self);
    if (now.answers)
      now.sync_now();
    self->quit(end.reason);
  });
  return in_groups<cache_keeper_actor>(
      self, self->state.groups,
      [self](insert_atom, const entry_ptr& entry) {
        auto& now = self->state;
        now.arrived.push_back(*entry);
        // All that arrive before the commit's turn go into one write.
        if (!std::exchange(now.commit_due, true))
          self->send(self, commit_atom_v);
      },
      [self](erase_atom, std::uint64_t entry, const admin_request& asked) {
        self->state.erase(self, entry, asked);
      },
      [self](flush_atom, const hash128& scope, const admin_request& asked) {
        self->state.flush(self, scope, asked);
      },
      [self](pin_atom, std::uint64_t entry, std::int64_t expires_us, const admin_request& asked) {
        self->state.pin(self, entry, expires_us, asked);
      },
      [self](learned_atom, const std::vector<store::learned_row>& rows) {
        if (self->state.answers)
          (void)self->state.check(self->state.answers->learn(rows));
      },
      [self](touch_atom, const std::vector<store::cache_touch>& touches) {
        auto& now = self->state;
        if (!now.answers)
          return;
        now.write(self); // an entry may have come just before
        (void)now.check(now.answers->touch(touches));
      },
      [self](commit_atom) { self->state.write(self); },
      [self](tick_atom) {
        self->state.tidy(self);
        self->delayed_send(self, sync_interval, tick_atom_v);
      },
      [self](connect_atom, const peers_ptr& others) { self->state.others = others; },
      [self](configure_atom, const conf::config_ptr& config) { self->state.config = config; });
}

} // namespace bitnetd::actors
