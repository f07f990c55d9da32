// SPDX-License-Identifier: MIT
#include "actors/errors.h"
#include "actors/ledger.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdlib>
#include <utility>

// What clients ask of jobs: status, result, list, cancel, ack. Another principal's job does not
// exist.

namespace bitnetd::actors {

namespace {

constexpr std::uint32_t most_listed = 500;

bool wanted(const query& what, job_state state) {
  return what.states.empty() || std::ranges::find(what.states, state) != what.states.end();
}

} // namespace

void ledger_state::tell(ledger_actor::pointer self, const query& who, std::string type,
                        std::string body) {
  reply out;
  out.to = who.reply_to;
  out.principal = who.principal;
  out.what = reply_document{std::move(type), std::move(body)};
  self->send(others->outbox, std::move(out));
}

void ledger_state::tell_error(ledger_actor::pointer self, const query& who, failure why) {
  reply out;
  out.to = who.reply_to;
  out.principal = who.principal;
  out.what = reply_error{std::move(why), std::nullopt, {}, {}, {}};
  self->send(others->outbox, std::move(out));
}

std::optional<job_status> ledger_state::find(const query& who, const job_id& id) const {
  const auto mine = [&who](const std::string& principal) {
    return who.admin || principal == who.principal;
  };
  if (const auto found = open.find(id); found != open.end())
    return mine(found->second.status.principal) ? std::optional{found->second.status}
                                                : std::nullopt;
  if (const auto held = kept.find(id); held != kept.end())
    return mine(held->second.principal) ? std::optional{held->second.status} : std::nullopt;
  const auto row = with.jobs->find(id);
  if (!row || !mine(row->principal))
    return std::nullopt;
  return status_of(*row);
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
  const auto stored = with.jobs->result_json(id);
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
    const auto known = live == open.end() ? status_of(row) : live->second.status;
    if (wanted(what, known.state))
      jobs.push_back(to_json(known));
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
    const auto known = live == open.end() ? status_of(row) : live->second.status;
    if (wanted(what, known.state))
      jobs.push_back(to_json(known));
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
  open.at(id).cancel_asked = true;
  if (!backlog.remove(id))
    self->send(others->cache, cancel_atom_v, id);
  else if (auto node = hot.extract(id))
    self->send(others->responder, failed_atom_v, id, cancelled(), std::move(node.mapped().trace));
  else
    end_unstarted(self, id, cancelled()); // it waits on disk only
}

void ledger_state::cancel(ledger_actor::pointer self, const query& what) {
  const auto& id = what.jobs.front();
  const auto known = find(what, id);
  if (!known) // a front that gave up on a client asks without waiting for an answer
    return tell_error(self, what, no_job());
  const auto state = known->state;
  if (!is_terminal(state)) {
    if (const auto batch = children.find(id); batch != children.end()) {
      for (const auto& child : std::vector<job_id>{batch->second})
        if (open.contains(child))
          cancel_one(self, child);
    } else {
      cancel_one(self, id);
    }
  }
  tell(self, what, "ok", nlohmann::json{{"job", id.text()}, {"state", store::name(state)}}.dump());
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
  tell(self, what, "ok",
       nlohmann::json{{"job", id.text()}, {"state", store::name(known->state)}}.dump());
}

} // namespace bitnetd::actors
