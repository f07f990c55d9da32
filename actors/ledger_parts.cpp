// SPDX-License-Identifier: MIT
#include "actors/errors.h"
#include "actors/ledger.h"

#include <spdlog/fmt/fmt.h>

#include <utility>

// Batches that come in parts.

namespace bitnetd::actors {

namespace {

constexpr std::uint32_t most_items = 1'000'000; // of one batch, in all its parts

failure wrong_part(std::uint32_t expected, std::uint32_t got) {
  auto out = bad_field("part", fmt::format("expected part {}, got {}", expected, got));
  out.limit = expected;
  return out;
}

} // namespace

/// Gives the items of a later part their places in the batch. False when it was answered: it is
/// refused, or came before.
bool ledger_state::join_part(ledger_actor::pointer self, std::vector<job>& jobs) {
  const auto& what = *jobs.front().what;
  const auto& id = *what.part_of;
  const auto row = facts->find(id); // with what waits for the commit
  const auto stop = [&](failure why) {
    refuse(self, jobs.front(), std::move(why));
    return false;
  };
  if (!row || row->principal != what.principal)
    return stop(no_job());
  if (!row->is_batch)
    return stop(bad_field("job", "this job is no batch"));
  if (what.part < row->parts) {
    pending.repeated.emplace_back(jobs.front(), id); // may wait for this very commit
    schedule_commit(self);
    return false;
  }
  if (is_terminal(row->state) || !row->more)
    return stop(bad_field("job", "this batch has had its last part"));
  if (what.part > row->parts)
    return stop(wrong_part(row->parts, what.part));
  if (auto full = no_room_for_jobs())
    return stop(std::move(*full));
  const auto n = static_cast<std::uint32_t>(jobs.size() - 1);
  if (row->items + n > most_items)
    return stop(
        bad_field("items", fmt::format("the batch would have more than {} items", most_items)));
  const auto batch = open.find(id);
  if (batch == open.end())
    return stop(internal("the batch is not in memory"));
  jobs.front().id = id;
  for (std::size_t i = 1; i < jobs.size(); ++i)
    jobs[i].index = row->items + jobs[i].item;
  batch->second.status.children += n;
  batch->second.more = what.more;
  return true;
}

} // namespace bitnetd::actors
