// SPDX-License-Identifier: MIT
#include "actors/errors.h"
#include "actors/ledger.h"
#include "base/log.h"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <utility>

// How durable jobs get from the disk into cache and batcher, against credit.

namespace bitnetd::actors {

namespace {

constexpr std::size_t max_hot = 1024; // waiting durable jobs in memory; the others are read again
constexpr std::size_t page_rows = 4096;
constexpr std::size_t overdue_at_once = 500, woken_at_once = 5000;
constexpr std::size_t max_bodies = 4; // decoded requests that are kept for the next item

/// Somebody waits on a connection for what becomes of this very job.
bool has_route(const job& what) {
  return !what.parent && (what.what->mode != reply_mode::job || what.what->wait_result);
}

} // namespace

// ------------------------------------------------------------------ waiting

void ledger_state::missed(ledger_actor::pointer self, job what) {
  const auto found = open.find(what.id);
  if (found == open.end())
    return;
  const auto id = what.id;
  const bool cancelled_meanwhile = found->second.cancel_asked;
  wait_on_disk(self, std::move(what));
  if (cancelled_meanwhile)
    return cancel_one(self, id);
  release(self);
}

void ledger_state::wait_on_disk(ledger_actor::pointer self, job what) {
  auto& status = open.at(what.id).status;
  const auto starts = what.what->not_before ? to_wall_us(*what.what->not_before) : std::int64_t{0};
  const bool later = starts > now_us();
  const auto place = order_of(status);
  const bool stays = has_route(what) || (hot.size() < max_hot && !open.at(what.id).cancel_asked);
  if (later)
    status.state = job_state::scheduled;
  if (stays) {
    const auto id = what.id;
    hot.insert_or_assign(id, std::move(what));
  } else { // its record has all that is needed
    mail.send(self, others->responder, lost_atom_v, what.id);
    open.erase(what.id);
  }
  if (!later)
    backlog.push(place);
}

/// Whether a job that has not ended waits: it is nowhere, or kept at hand.
bool ledger_state::waits(const job_id& id) const { return !open.contains(id) || hot.contains(id); }

bool ledger_state::read_page() {
  const auto page = with.jobs->open_jobs(backlog.edge(), page_rows);
  if (!page) {
    log::error("the journal's index cannot be read: {}", page.why().text());
    return false;
  }
  const auto now = now_us();
  backlog.fill(*page, page->size() < page_rows, [&](const store::open_job& row) {
    return row.not_before_us <= now && waits(row.id);
  });
  return true;
}

/// Jobs whose not_before has come take their place in the line.
void ledger_state::wake() {
  const auto rows = with.jobs->waking(woken, now_us(), woken_at_once);
  if (!rows)
    return;
  for (const auto& row : *rows) {
    woken = row;
    if (!waits(row.id))
      continue; // it was accepted after its time, and is on its way
    if (const auto found = open.find(row.id); found != open.end())
      found->second.status.state = job_state::queued;
    backlog.push(row);
  }
}

/// Ends waiting jobs whose deadline has passed.
void ledger_state::expire(ledger_actor::pointer self) {
  const auto now = now_us();
  if (next_deadline_us > now)
    return;
  const auto late = with.jobs->overdue(now, overdue_at_once);
  if (!late)
    return;
  constexpr auto never = std::numeric_limits<std::int64_t>::max();
  next_deadline_us = late->jobs.size() == overdue_at_once ? 0
                     : late->next_us == 0                 ? never
                                                          : late->next_us;
  for (const auto& row : late->jobs) {
    if (!waits(row.id)) {
      next_deadline_us = 0; // the responder ends it; until then its row is the first one
      continue;
    }
    (void)backlog.remove(row);
    end_overdue(self, row.id);
  }
}

void ledger_state::end_overdue(ledger_actor::pointer self, const job_id& id) {
  auto why = deadline_passed("the deadline passed while the job waited");
  if (auto node = hot.extract(id))
    mail.send(self, others->responder, failed_atom_v, id, std::move(why),
              std::move(node.mapped().trace));
  else
    end_unstarted(self, id, std::move(why));
}

// ------------------------------------------------------------------ release

void ledger_state::release(ledger_actor::pointer self) {
  while (under_way < window && !holding) {
    const auto next = backlog.pop();
    if (!next) {
      if (!backlog.needs_page() || !read_page())
        return;
      continue;
    }
    auto* const entry = load(*next);
    if (entry == nullptr)
      continue;
    // It may have passed while no process was there, or before the next tick looks.
    if (entry->status.deadline_us > 0 && entry->status.deadline_us <= now_us()) {
      end_overdue(self, *next);
      continue;
    }
    ++under_way;
    entry->released = true;
    if (auto node = hot.extract(*next))
      mail.send(self, others->cache, lookup_atom_v, std::move(node.mapped()));
    else
      run_again(self, *next);
  }
}

ledger_state::open_job* ledger_state::load(const job_id& id) {
  if (const auto found = open.find(id); found != open.end())
    return &found->second;
  const auto row = facts->find(id);
  if (!row || is_terminal(row->state) || row->is_batch)
    return nullptr;
  open_job entry;
  entry.durable = true;
  entry.status = status_of(*row);
  entry.status.state = row->not_before_us > now_us() ? job_state::scheduled : job_state::queued;
  entry.status.started_us = 0;
  entry.key = row->key;
  return &open.insert_or_assign(id, std::move(entry)).first->second;
}

/// Whose stored request has this job's words: the job, its batch, or the first item of its part.
job_id ledger_state::body_holder(const store::job_record& row, std::uint32_t base) const {
  if (!row.parent || (base > 0 && row.index == base))
    return row.id;
  if (base == 0)
    return *row.parent;
  const auto first = with.jobs->children(*row.parent, base, 1);
  if (!first || first->empty())
    throw std::runtime_error("the first item of its part cannot be found");
  return first->front().id;
}

request_ptr ledger_state::stored_body(const store::job_record& row, std::uint32_t base) {
  const auto holder = body_holder(row, base);
  for (const auto& [id, body] : bodies)
    if (id == holder)
      return body;
  const auto text = with.jobs->request(holder);
  if (!text)
    throw std::runtime_error("its request cannot be read: " + text.why().text());
  auto out = with.decode(row.principal, *text);
  if (row.parent) { // its neighbours come next
    bodies.emplace_front(holder, out);
    if (bodies.size() > max_bodies)
      bodies.pop_back();
  }
  return out;
}

/// What a journalled job asked for. Throws what the decoder throws.
request_ptr ledger_state::stored_request(const store::job_record& row) {
  const auto how = read_options(row.options).value_or(job_options{});
  const auto whole = stored_body(row, how.base);
  auto again = std::make_shared<request>();
  if (row.parent) {
    // Not the other items, which may be many.
    again->items = {whole->items.at(row.index - how.base)};
    again->principal = whole->principal;
    again->model = whole->model;
    again->params = whole->params;
    again->quality_retries = whole->quality_retries;
    again->cache = whole->cache;
    again->trace = whole->trace;
    again->meta = whole->meta;
    again->not_before = whole->not_before;
    again->result_ttl = whole->result_ttl;
  } else {
    *again = *whole;
  }
  apply(how, *again);
  again->durable = true;
  again->wanted_class = row.cls;
  again->arrived = with.time->mono();
  again->arrived_wall = wall_time{microseconds{row.created_us}};
  again->deadline.reset();
  if (row.deadline_us > 0)
    again->deadline = milliseconds{std::max<std::int64_t>(1, (row.deadline_us - now_us()) / 1000)};
  return again;
}

void ledger_state::run_again(ledger_actor::pointer self, const job_id& id) {
  const auto row = facts->find(id);
  if (!row)
    return lost(self, id, internal("its record cannot be read: " + row.why().text()));
  try {
    mail.send(self, others->analyzer, recover_atom_v, stored_request(*row), id, row->attempts + 1);
  } catch (const std::exception& error) {
    lost(self, id, internal(std::string{"its stored request no longer fits: "} + error.what()));
  }
}

/// What the job had drawn, if it can go on from there; what is left over of it is dropped.
std::shared_ptr<const earlier_output> ledger_state::earlier(ledger_actor::pointer self,
                                                            const job& what) {
  const auto row = facts->find(what.id);
  const auto stored = with.jobs->output(what.id);
  const auto how = row ? read_options(row->options) : std::nullopt;
  if (!stored || (stored->empty() && (!how || (how->retries == 0 && !how->read))))
    return nullptr;
  auto made = std::make_shared<earlier_output>();
  for (const auto& piece : *stored) {
    made->tokens.insert(made->tokens.end(), piece.tokens.begin(), piece.tokens.end());
    made->text += piece.text;
  }
  // Whoever has read of an answer may not find another under the same offsets.
  made->retries = !how ? 0 : how->read ? std::numeric_limits<std::uint32_t>::max() : how->retries;
  const auto& model = *what.how->model->description;
  const bool same_model = how && how->model_hash == model.model_hash.hex();
  // What the sequence held back, and gave out when it ended, it will give out again.
  const auto known =
      same_model ? text_given_out(model, what.what->params.stop, made->tokens) : std::size_t{0};
  if (!same_model || known > made->text.size()) {
    log::warn("job {}: begins anew: what it had drawn is of another model", what.id.text());
    start_over(self, what.id);
    return nullptr;
  }
  if (known < made->text.size()) {
    if (!facts->empty()) // may be about this job
      commit(self);
    if (auto status = facts->trim_output(what.id, known); !status) {
      log::error("job {}: its output could not be taken up: {}", what.id.text(), status.text());
      start_over(self, what.id);
      return nullptr;
    }
    schedule_commit(self);
    made->text.resize(known);
  }
  return made;
}

void ledger_state::recovered(ledger_actor::pointer self, job what) {
  const auto found = open.find(what.id);
  if (found == open.end())
    return;
  what.parent = found->second.status.parent;
  what.index = found->second.status.index;
  if (what.how)
    what.made = earlier(self, what);
  mail.send(self, others->responder, open_atom_v, what);
  if (found->second.cancel_asked) {
    mail.send(self, others->responder, failed_atom_v, what.id, cancelled(), std::move(what.trace));
  } else if (what.made && !what.made->tokens.empty()) {
    // Readers have its beginning: no other answer will do.
    what.cache.status = cache_status::bypass;
    what.cache.reason = "goes on after a restart of the daemon";
    mail.send(self, others->batcher, compute_atom_v, std::move(what));
  } else {
    mail.send(self, others->cache, lookup_atom_v, std::move(what));
  }
}

void ledger_state::lost(ledger_actor::pointer self, const job_id& id, const failure& why) {
  log::error("job {} cannot be run again: {}", id.text(), why.message);
  end_unstarted(self, id, why);
}

void ledger_state::end_unstarted(ledger_actor::pointer self, const job_id& id, failure why) {
  const auto* entry = load(id);
  if (entry == nullptr)
    return;
  const auto& status = entry->status;
  job nothing;
  nothing.id = id;
  auto what = std::make_shared<request>();
  what->principal = status.principal;
  what->durable = true;
  what->items.resize(1);
  if (status.parent)
    try { // an item is known by the name it came with
      if (const auto row = facts->find(id))
        what->items = stored_request(*row)->items;
    } catch (const std::exception&) {
      what->items.resize(1); // its words may be why it ends
    }
  nothing.what = std::move(what);
  nothing.recovered = true;
  nothing.attempt = status.attempt;
  nothing.parent = status.parent;
  nothing.index = status.index;
  mail.send(self, others->responder, open_atom_v, std::move(nothing));
  mail.send(self, others->responder, failed_atom_v, id, std::move(why), std::vector<trace_entry>{});
}

// ------------------------------------------------------------------ put back

void ledger_state::park(ledger_actor::pointer self) {
  holding = true;
  std::vector<job_id> running;
  for (const auto& [id, entry] : open)
    if (entry.durable && entry.released && !entry.cancel_asked)
      running.push_back(id);
    else if (!entry.durable && entry.status.children == 0)
      cancel_one(self, id);
  for (const auto& id : running) {
    auto node = open.extract(id);
    auto& entry = node.mapped();
    --under_way;
    if (entry.asked) { // who waited for it waits on
      waiter one;
      one.who.reply_to = entry.asked->reply_to;
      one.who.principal = entry.asked->principal;
      one.who.jobs = {id};
      one.until = mono_time::max();
      one.release_jobs = static_cast<std::uint32_t>(entry.asked->items.size());
      one.release_bytes = entry.asked->body.size();
      waiters[id].push_back(std::move(one));
    }
    // The responder forgets it first, so that the end of its sequence is nobody's end.
    mail.send(self, others->responder, lost_atom_v, id);
    mail.send(self, others->cache, cancel_atom_v, id);
    (void)facts->set_state(id, job_state::queued);
    backlog.push(order_of(entry.status));
  }
  if (!running.empty())
    log::info("{} jobs were put back and go on later", running.size());
  schedule_commit(self);
}

} // namespace bitnetd::actors
