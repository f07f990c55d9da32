// SPDX-License-Identifier: MIT
#include "actors/errors.h"
#include "actors/ledger.h"
#include "base/log.h"

#include <nlohmann/json.hpp>

#include <stdexcept>
#include <utility>

// What an operator may do with jobs that ended badly.

namespace bitnetd::actors {

namespace {

constexpr std::size_t purged_at_once = 500;

} // namespace

void ledger_state::manage(ledger_actor::pointer self, const std::string& order, const query& what) {
  if (order == "dead.list")
    return list_dead(self, what);
  if (!sick.empty())
    return tell_error(self, what, disk("the journal cannot be written: " + sick));
  if (order == "dead.retry")
    retry_dead(self, what);
  else if (order == "dead.purge")
    purge_dead(self, what);
  else
    requeue(self, what);
}

void ledger_state::list_dead(ledger_actor::pointer self, const query& what) {
  const auto rows = with.jobs->dead(job_id::parse(what.cursor), what.limit);
  if (!rows)
    return tell_error(self, what,
                      rows.why().code() == store::errc::not_found
                          ? bad_field("cursor", "this job is not stored any more")
                          : internal("the journal cannot be read: " + rows.why().text()));
  nlohmann::json out{{"jobs", nlohmann::json::array()}};
  for (const auto& row : *rows)
    out["jobs"].push_back(to_json(status_of(row)));
  if (rows->size() == what.limit)
    out["cursor"] = rows->back().id.text();
  tell(self, what, "list", out.dump());
}

void ledger_state::retry_dead(ledger_actor::pointer self, const query& what) {
  const auto& id = what.jobs.front();
  if (!find(what, id))
    return tell_error(self, what, no_job());
  if (auto revived = facts->revive(id); !revived)
    return tell_error(self, what, bad_field("job", revived.text()));
  pending.needs_sync = true;
  commit(self); // it is queued when the operator hears so
  if (!sick.empty())
    return tell_error(self, what, disk("the journal cannot be written: " + sick));
  log::info("job {} was dead and is queued again by an operator", id.text());
  if (const auto row = with.jobs->find(id))
    backlog.push(order_of(status_of(*row)));
  tell_state(self, what, id, job_state::queued);
  release(self);
}

void ledger_state::purge_dead(ledger_actor::pointer self, const query& what) {
  std::vector<job_id> wanted = what.jobs;
  if (wanted.empty()) {
    std::optional<job_id> after;
    while (wanted.size() < 100 * purged_at_once) {
      const auto rows = with.jobs->dead(after, purged_at_once);
      if (!rows || rows->empty())
        break;
      for (const auto& row : *rows)
        if (!row.parent)
          wanted.push_back(row.id);
      after = rows->back().id;
    }
  }
  for (const auto& id : what.jobs) { // all or none
    const auto row = with.jobs->find(id);
    if (!row)
      return tell_error(self, what, no_job());
    if (row->state != job_state::dead || row->parent)
      return tell_error(self, what,
                        bad_field("job", "only a dead job that is no item of a batch is removed "
                                         "so: " +
                                             id.text()));
  }
  std::size_t removed = 0;
  for (const auto& id : wanted)
    removed += facts->remove(id) ? 1 : 0;
  pending.needs_sync = true;
  commit(self);
  if (!sick.empty())
    return tell_error(self, what, disk("the journal cannot be written: " + sick));
  log::info("{} dead jobs were removed by an operator", removed);
  tell(self, what, "ok", nlohmann::json{{"removed", removed}}.dump());
}

/// The request of an ended job as a new job: by the usual way, for the principal whose it was.
void ledger_state::requeue(ledger_actor::pointer self, const query& what) {
  const auto& id = what.jobs.front();
  const auto row = with.jobs->find(id);
  if (!row)
    return tell_error(self, what, no_job());
  if (!is_terminal(row->state))
    return tell_error(self, what, bad_field("job", "the job has not ended; cancel it first"));
  if (row->is_batch && row->parts > 1)
    return tell_error(self, what, bad_field("job", "the batch came in parts: requeue its items"));
  try {
    auto again = std::make_shared<request>(*with.decode(row->principal, body_alone(*row)));
    again->reply_to = what.reply_to;
    again->counted = false;
    again->key.clear();
    again->mode = reply_mode::job;
    again->wait_result = again->more = false;
    again->durable = true;
    again->deadline.reset();
    again->not_before.reset();
    again->arrived = with.time->mono();
    again->arrived_wall = with.time->wall();
    mail.send(self, others->analyzer, submit_atom_v, request_ptr{std::move(again)});
  } catch (const std::exception& error) {
    tell_error(self, what, internal(std::string{"its request cannot be read: "} + error.what()));
  }
}

/// The stored request; of an item one that asks for this item alone.
std::string ledger_state::body_alone(const store::job_record& row) const {
  const auto base = read_options(row.options).value_or(job_options{}).base;
  const auto text = with.jobs->request(body_holder(row, base));
  if (!text)
    throw std::runtime_error(text.why().text());
  if (!row.parent)
    return *text;
  auto whole = nlohmann::json::parse(*text);
  const auto item = whole.at("items").at(row.index - base);
  for (const auto* of_batch : {"items", "job", "part", "more", "key"})
    whole.erase(of_batch);
  whole.update(item);
  whole.erase("custom_id");
  return whole.dump();
}

} // namespace bitnetd::actors
