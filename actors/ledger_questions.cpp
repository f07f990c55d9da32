// SPDX-License-Identifier: MIT
#include "actors/errors.h"
#include "actors/ledger.h"
#include "actors/replies.h"
#include "base/fault.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <utility>

// What clients ask of jobs: status, result, list, cancel, ack. Another principal's job does not
// exist.

namespace bitnetd::actors {

namespace {

constexpr std::uint32_t most_listed = 500;
constexpr std::size_t most_item_bytes = 48u << 20; // of one result: clients take frames of 64 MiB
constexpr std::chrono::seconds cancel_patience{5}; // then the state by then is the answer

bool wanted(const query& what, job_state state) {
  return what.states.empty() || std::ranges::find(what.states, state) != what.states.end();
}

} // namespace

void ledger_state::tell(ledger_actor::pointer self, const query& who, std::string type,
                        std::string body) {
  mail.send(self, others->outbox, document_for(who, std::move(type), std::move(body)));
}

void ledger_state::tell_error(ledger_actor::pointer self, const query& who, failure why) {
  mail.send(self, others->outbox, error_for(who, std::move(why)));
}

void ledger_state::tell_state(ledger_actor::pointer self, const query& who, const job_id& id,
                              job_state state) {
  tell(self, who, "ok", nlohmann::json{{"job", id.text()}, {"state", store::name(state)}}.dump());
}

/// The status of a job that is not in memory.
job_status ledger_state::known(const store::job_record& row) const {
  auto out = status_of(row);
  if (row.is_batch) {
    if (const auto counts = with.jobs->count_completed(row.id)) {
      out.children_done = counts->done;
      out.children_failed = counts->failed;
    }
  } else if (!is_terminal(row.state)) {
    out.state = row.not_before_us > now_us() ? job_state::scheduled : job_state::queued;
  }
  return out;
}

std::optional<job_status> ledger_state::find(const query& who, const job_id& id) const {
  const auto mine = [&who](const std::string& principal) {
    return who.admin || principal == who.principal || BITNETD_SEEDED_BUG("wrong_principal");
  };
  if (const auto found = open.find(id); found != open.end())
    return mine(found->second.status.principal) ? std::optional{found->second.status}
                                                : std::nullopt;
  if (const auto held = kept.find(id); held != kept.end())
    return mine(held->second.principal) ? std::optional{held->second.status} : std::nullopt;
  const auto row = with.jobs->find(id);
  if (!row || !mine(row->principal))
    return std::nullopt;
  return known(*row);
}

std::string ledger_state::with_items(const job_id& batch, std::string frame) const {
  auto parsed = nlohmann::json::parse(frame, nullptr, false);
  if (!parsed.is_object())
    return frame;
  std::map<std::uint32_t, job_id> children_by_index;
  std::uint32_t done = 0;
  for (std::uint32_t from = 0;;) {
    const auto items = with.jobs->completed(batch, from);
    if (!items || items->empty())
      break;
    for (const auto& item : *items) {
      children_by_index.insert_or_assign(item.index, item.child);
      done += item.state == job_state::done;
    }
    from = items->back().number + 1;
  }
  const auto total = children_by_index.size();
  parsed["children"] = {{"total", total}, {"done", done}, {"failed", total - done}};
  frame = parsed.dump();
  // The stored documents are put together as they are: nothing is parsed.
  std::string list;
  for (const auto& [index, id] : children_by_index) {
    const auto stored = with.jobs->result_json(id);
    list += list.empty() ? "" : ",";
    if (stored)
      list += *stored;
    else if (const auto row = with.jobs->find(id))
      list += to_json(status_of(*row)).dump();
    else
      list += "{}";
    if (list.size() > most_item_bytes)
      return frame;
  }
  frame.back() = ',';
  return frame + "\"items\":[" + list + "]}";
}

std::optional<std::string> ledger_state::stored_result(const job_id& id) const {
  auto stored = with.jobs->result_json(id);
  const auto row = with.jobs->find(id);
  if (!stored || !row)
    return std::nullopt;
  return row->is_batch ? with_items(id, std::move(*stored)) : std::move(*stored);
}

void ledger_state::status(ledger_actor::pointer self, const query& what) {
  auto jobs = nlohmann::json::array();
  for (const auto& id : what.jobs) {
    if (const auto known = find(what, id))
      jobs.push_back(to_json(*known));
    else if (what.jobs.size() == 1)
      return tell_error(self, what, no_job());
    else
      jobs.push_back(
          {{"job", id.text()},
           {"error",
            {{"code", no_job().code}, {"name", no_job().name}, {"msg", no_job().message}}}});
  }
  tell(self, what, "status", nlohmann::json{{"jobs", std::move(jobs)}}.dump());
}

void ledger_state::result(ledger_actor::pointer self, const query& what) {
  const auto& id = what.jobs.front();
  const auto known = find(what, id);
  if (!known)
    return tell_error(self, what, no_job());
  if (!is_terminal(known->state)) {
    if (what.wait.count() == 0)
      return status(self, what);
    waiters[id].push_back({what, with.time->mono() + what.wait, 0, 0});
    return;
  }
  if (const auto held = kept.find(id); held != kept.end())
    return tell(self, what, "result", held->second.document);
  const auto stored = stored_result(id);
  if (!stored)
    return tell_error(self, what, no_job());
  tell(self, what, "result", *stored);
}

// ------------------------------------------------------------------ list

/// The items of a batch; returns the cursor, or null.
nlohmann::json ledger_state::list_children(const query& what, nlohmann::json& jobs) const {
  const auto limit = std::clamp(what.limit, 1u, most_listed);
  const auto from = static_cast<std::uint32_t>(std::strtoul(what.cursor.c_str(), nullptr, 10));
  if (const auto live = open.find(*what.batch); live != open.end() && !live->second.durable) {
    // Not in the journal: what of it is still open.
    for (const auto& id : children.at(*what.batch)) {
      const auto child = open.find(id);
      if (child == open.end() || child->second.status.index < from ||
          !wanted(what, child->second.status.state))
        continue;
      if (jobs.size() == limit)
        return std::to_string(child->second.status.index);
      jobs.push_back(to_json(child->second.status));
    }
    return nullptr;
  }
  const auto rows = with.jobs->children(*what.batch, from, limit);
  if (!rows)
    return nullptr;
  for (const auto& row : *rows) {
    const auto live = open.find(row.id);
    const auto status = live == open.end() ? known(row) : live->second.status;
    if (wanted(what, status.state))
      jobs.push_back(to_json(status));
  }
  return rows->size() == limit ? nlohmann::json(std::to_string(rows->back().index + 1)) : nullptr;
}

/// One page of the journal; what is not in it stands before the first page.
nlohmann::json ledger_state::list_all(const query& what, nlohmann::json& jobs) const {
  const auto limit = std::clamp(what.limit, 1u, most_listed);
  const auto add = [&](const job_status& known) {
    if (wanted(what, known.state) && (what.admin || known.principal == what.principal) &&
        jobs.size() < limit)
      jobs.push_back(to_json(known));
  };
  if (what.cursor.empty()) {
    for (const auto& [id, entry] : open)
      if (!entry.durable && !entry.status.parent)
        add(entry.status);
    for (const auto& [id, entry] : kept)
      add(entry.status);
  }
  store::list_query page;
  if (!what.admin)
    page.principal = what.principal;
  page.states = {}; // live states are in memory: filtered here
  page.limit = limit;
  page.after = job_id::parse(what.cursor);
  const auto rows = with.jobs->list(page);
  if (!rows)
    return nullptr;
  for (const auto& row : rows->jobs) {
    const auto live = open.find(row.id);
    const auto status = live == open.end() ? known(row) : live->second.status;
    if (wanted(what, status.state))
      jobs.push_back(to_json(status));
  }
  return rows->next ? nlohmann::json(rows->next->text()) : nullptr;
}

void ledger_state::list(ledger_actor::pointer self, const query& what) {
  auto jobs = nlohmann::json::array();
  if (what.batch && !find(what, *what.batch))
    return tell_error(self, what, no_job());
  auto cursor = what.batch ? list_children(what, jobs) : list_all(what, jobs);
  nlohmann::json out{{"jobs", std::move(jobs)}};
  if (!cursor.is_null())
    out["cursor"] = std::move(cursor);
  tell(self, what, "list", out.dump());
}

// ------------------------------------------------------------------ cancel, ack

void ledger_state::cancel_one(ledger_actor::pointer self, const job_id& id) {
  const bool on_disk_only = !open.contains(id);
  auto* entry = load(id);
  if (entry == nullptr)
    return;
  entry->cancel_asked = true;
  BITNETD_FAULT_POINT("ledger.cancel");
  if (entry->durable)
    (void)backlog.remove(order_of(entry->status));
  if (on_disk_only)
    end_unstarted(self, id, cancelled());
  else if (auto node = hot.extract(id))
    mail.send(self, others->responder, failed_atom_v, id, cancelled(),
              std::move(node.mapped().trace));
  else
    mail.send(self, others->cache, cancel_atom_v, id);
}

void ledger_state::cancel_batch(ledger_actor::pointer self, const job_id& id) {
  if (const auto live = children.find(id); live != children.end()) {
    for (const auto& child : std::vector<job_id>{live->second})
      if (open.contains(child))
        cancel_one(self, child);
    return;
  }
  if (auto& batch = open.at(id); std::exchange(batch.more, false)) { // its last part never comes
    (void)facts->grow(id, 0, false);
    pending.needs_sync = true;
    schedule_commit(self);
    mail.send(self, others->responder, grow_atom_v, id, 0u, false);
  }
  for (std::uint32_t from = 0;;) {
    const auto rows = with.jobs->children(id, from);
    if (!rows || rows->empty())
      return;
    for (const auto& row : *rows)
      if (!is_terminal(row.state))
        cancel_one(self, row.id);
    from = rows->back().index + 1;
  }
}

void ledger_state::cancel(ledger_actor::pointer self, const query& what) {
  const auto& id = what.jobs.front();
  const auto known = find(what, id);
  if (!known) // a front that gave up on a client asks without waiting for an answer
    return tell_error(self, what, no_job());
  if (is_terminal(known->state))
    return tell_state(self, what, id, known->state);
  if (!what.reply_to.peer.empty())
    waiters[id].push_back({what, with.time->mono() + cancel_patience, 0, 0, true});
  if (known->children > 0)
    cancel_batch(self, id);
  else
    cancel_one(self, id);
}

void ledger_state::acknowledge(ledger_actor::pointer self, const query& what) {
  const auto& id = what.jobs.front();
  const auto known = find(what, id);
  if (!known)
    return tell_error(self, what, no_job());
  if (!is_terminal(known->state))
    return tell_error(self, what, bad_field("job", "the job has not ended; cancel it first"));
  if (kept.contains(id)) {
    drop_kept(id);
  } else {
    if (const auto removed = facts->remove(id); !removed)
      return tell_error(self, what, bad_field("job", removed.text()));
    commit(self); // it is gone when the client hears so
    if (!sick.empty())
      return tell_error(self, what, disk("the journal cannot be written: " + sick));
  }
  tell_state(self, what, id, known->state);
}

} // namespace bitnetd::actors
