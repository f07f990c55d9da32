// SPDX-License-Identifier: MIT
#include "actors/errors.h"
#include "actors/ledger.h"
#include "base/utf8.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

// Those who read a job's output: cursors on what is stored. One that does not read costs its
// cursor.

namespace bitnetd::actors {

namespace {

constexpr std::size_t most_readers = 4096;
constexpr std::size_t delta_bytes = 256u << 10; // of one delta; a reader far behind gets several
constexpr std::size_t items_at_once = 100;
constexpr std::chrono::milliseconds progress_interval{500};

/// The offset itself, or the beginning of the character that it lies in.
std::uint64_t character_at(std::string_view text, std::uint64_t offset) {
  auto at = std::min<std::uint64_t>(offset, text.size());
  while (at > 0 && at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0u) == 0x80u)
    --at;
  return at;
}

std::string rewound_to(const job_id& id, std::uint64_t offset) {
  return nlohmann::json{{"job", id.text()}, {"off", offset}}.dump();
}

} // namespace

void ledger_state::say(ledger_actor::pointer self, const reader& to, std::string type,
                       std::string body, bool last) {
  reply out;
  out.to = to.to;
  out.principal = to.principal;
  if (last) {
    out.release_jobs = to.release_jobs;
    out.release_bytes = to.release_bytes;
  }
  out.what = reply_document{std::move(type), std::move(body)};
  mail.send(self, others->outbox, std::move(out));
}

// ------------------------------------------------------------------ begin, end

void ledger_state::attach(ledger_actor::pointer self, const query& what) {
  const auto& id = what.jobs.front();
  const auto known = find(what, id);
  if (!known)
    return tell_error(self, what, no_job());
  if (n_readers >= most_readers)
    return tell_error(self, what, busy("4096 readers are attached", 1000));
  const auto live = open.find(id);
  if (known->children > 0 && live != open.end() && !live->second.durable)
    return tell_error(self, what,
                      bad_field("job", "this batch is not durable: its items are told "
                                       "with its result"));
  reader cursor;
  cursor.to = what.reply_to;
  cursor.principal = what.principal;
  cursor.offset = what.offset;
  cursor.credit = what.credit;
  cursor.in_order = what.in_order;
  cursor.progress = what.progress;
  read_on(self, id, std::move(cursor));
}

/// The document of a job that has ended: of a batch the frame, whose items are read one by one.
std::optional<std::string> ledger_state::ended_document(const job_id& id) const {
  if (const auto held = kept.find(id); held != kept.end())
    return held->second.document;
  const auto row = with.jobs->find(id);
  if (!row || !is_terminal(row->state))
    return std::nullopt;
  auto stored = with.jobs->result_json(id);
  if (!stored)
    return nlohmann::json{
        {"job", id.text()}, {"state", store::name(row->state)}, {"error", {{"msg", row->error}}}}
        .dump();
  if (!row->is_batch)
    return std::move(*stored);
  auto frame = nlohmann::json::parse(*stored, nullptr, false);
  const auto now = ledger_state::known(*row);
  frame["children"] = {{"total", now.children_done + now.children_failed},
                       {"done", now.children_done},
                       {"failed", now.children_failed}};
  return frame.dump();
}

void ledger_state::read_on(ledger_actor::pointer self, const job_id& id, reader cursor) {
  const auto live = open.find(id);
  const auto document = live == open.end() ? ended_document(id) : std::nullopt;
  if (document) {
    const auto row = with.jobs->find(id);
    if (finish_reader(self, id, cursor, *document, row && row->is_batch))
      return;
  } else if (live == open.end() || (live->second.durable && live->second.status.children == 0)) {
    const auto right = stored_offset(id, cursor.offset);
    if (right != std::exchange(cursor.offset, right))
      say(self, cursor, "rewound", rewound_to(id, right));
    cursor.waits = true;
    mark_read(self, id);
  }
  readers[id].push_back(std::move(cursor));
  ++n_readers;
  feed(self, id);
  tell_progress(self);
}

/// From now on the job keeps what it has drawn: an answer that fails its checks is delivered as it
/// is. The responder, which decides that, confirms it; what it decided before has come by then.
void ledger_state::mark_read(ledger_actor::pointer self, const job_id& id) {
  const auto row = facts->find(id);
  auto how = row ? read_options(row->options) : std::nullopt;
  if (how && !std::exchange(how->read, true) && facts->set_options(id, to_text(*how))) {
    pending.needs_sync = true;
    commit(self);
  }
  mail.send(self, others->responder, seen_atom_v, id);
}

void ledger_state::seen(ledger_actor::pointer self, const job_id& id) {
  if (const auto found = readers.find(id); found != readers.end())
    for (auto& one : found->second)
      one.waits = false;
  feed(self, id);
}

/// Where a reader who has so many bytes goes on: not beyond what is stored, not within a character.
std::uint64_t ledger_state::stored_offset(const job_id& id, std::uint64_t offset) const {
  const auto end = with.jobs->position(id);
  const auto right = end ? std::min(offset, end->bytes) : 0;
  const auto from = right - std::min<std::uint64_t>(right, 3);
  const auto around = with.jobs->output_text(id, from, right - from + 1);
  return around ? from + character_at(*around, right - from) : 0;
}

void ledger_state::detach(ledger_actor::pointer self, const query& what) {
  const auto& id = what.jobs.front();
  if (const auto found = readers.find(id); found != readers.end()) {
    n_readers -= std::erase_if(found->second, [&](const reader& one) {
      return one.to.socket == what.reply_to.socket && one.to.peer == what.reply_to.peer;
    });
    if (found->second.empty())
      readers.erase(found);
  }
  if (what.reply_to.tag.empty())
    return; // the front says that this peer is gone
  if (const auto known = find(what, id))
    tell_state(self, what, id, known->state);
  else
    tell_error(self, what, no_job());
}

void ledger_state::more_credit(ledger_actor::pointer self, const query& what) {
  for (const auto& id : what.jobs) {
    const auto found = readers.find(id);
    if (found == readers.end())
      continue;
    for (auto& one : found->second)
      if (one.to.socket == what.reply_to.socket && one.to.peer == what.reply_to.peer)
        one.credit = what.credit > UINT32_MAX - one.credit ? UINT32_MAX : one.credit + what.credit;
    feed(self, id);
    if (!open.contains(id)) // of a batch that has ended, items may still be due
      if (const auto document = ended_document(id))
        finish_readers(self, id, *document, true);
  }
}

// ------------------------------------------------------------------ what is stored

void ledger_state::feed(ledger_actor::pointer self, const job_id& id) {
  const auto found = readers.find(id);
  if (found == readers.end())
    return;
  const auto live = open.find(id);
  if (live != open.end() && !live->second.durable)
    return; // nothing of it is stored
  const bool is_batch = live != open.end() && live->second.status.children > 0;
  for (auto& one : found->second)
    is_batch ? feed_items(self, id, one) : feed_text(self, id, one);
}

void ledger_state::feed_text(ledger_actor::pointer self, const job_id& id, reader& to) {
  while (to.credit > 0 && !to.waits) {
    auto piece = with.jobs->output_piece_at(id, to.offset, delta_bytes);
    if (!piece || piece->text.empty())
      return;
    piece->text.resize(utf8_complete_prefix(piece->text));
    if (piece->text.empty())
      return;
    const auto size = piece->text.size();
    reply out;
    out.to = to.to;
    out.principal = to.principal;
    out.what = reply_delta{id, to.seq++, to.offset, std::move(piece->text), piece->n_tokens};
    mail.send(self, others->outbox, std::move(out));
    to.offset += size;
    --to.credit;
  }
}

void ledger_state::feed_items(ledger_actor::pointer self, const job_id& id, reader& to) {
  const auto tell_item = [&](const job_id& child, std::uint64_t place) {
    const auto stored = with.jobs->result_json(child);
    if (!stored)
      return false;
    say(self, to, "item",
        R"({"job":")" + id.text() + R"(","off":)" + std::to_string(place) + R"(,"item":)" +
            *stored + "}");
    to.offset = place + 1;
    --to.credit;
    return true;
  };
  while (to.credit > 0) {
    const auto from = static_cast<std::uint32_t>(std::min<std::uint64_t>(to.offset, UINT32_MAX));
    const auto most = std::min<std::size_t>(to.credit, items_at_once);
    if (to.in_order) {
      const auto rows = with.jobs->children(id, from, most);
      if (!rows || rows->empty())
        return;
      for (const auto& row : *rows)
        if (!is_terminal(row.state) || !tell_item(row.id, row.index))
          return;
    } else {
      const auto rows = with.jobs->completed(id, from, most);
      if (!rows || rows->empty())
        return;
      for (const auto& row : *rows)
        if (!tell_item(row.child, row.number))
          return;
    }
  }
}

// ------------------------------------------------------------------ the end

bool ledger_state::finish_reader(ledger_actor::pointer self, const job_id& id, reader& to,
                                 const std::string& document, bool is_batch) {
  auto what = nlohmann::json::parse(document, nullptr, false);
  if (!what.is_object())
    what = {{"job", id.text()}, {"state", "failed"}, {"error", {{"msg", "no result is stored"}}}};
  if (is_batch) {
    feed_items(self, id, to);
    const auto total = what.contains("children") ? what["children"].value("total", std::uint64_t{0})
                                                 : std::uint64_t{0};
    if (to.offset < total)
      return false; // as soon as there is credit
    say(self, to, "result", document, true);
    return true;
  }
  const auto state = what.value("state", std::string{});
  if (state != "done" && !to.as_result) {
    auto end = what.value("error", nlohmann::json::object());
    for (const auto* field : {"job", "state", "cache", "trace"})
      if (what.contains(field))
        end[field] = what[field];
    say(self, to, "error", end.dump(), true);
    return true;
  }
  const auto text = what.value("text", std::string{});
  if (const auto right = character_at(text, to.offset); right != to.offset) {
    to.offset = right;
    say(self, to, "rewound", rewound_to(id, right));
  }
  if (to.offset < text.size() && to.credit > 0) {
    const auto position = with.jobs->output_piece_at(id, to.offset, text.size());
    reply out;
    out.to = to.to;
    out.principal = to.principal;
    out.what = reply_delta{id, to.seq++, to.offset, text.substr(to.offset),
                           position ? position->n_tokens : 0};
    mail.send(self, others->outbox, std::move(out));
  }
  say(self, to, "result", document, true);
  return true;
}

void ledger_state::finish_readers(ledger_actor::pointer self, const job_id& id,
                                  const std::string& document, bool is_batch) {
  const auto found = readers.find(id);
  if (found == readers.end())
    return;
  n_readers -= std::erase_if(
      found->second, [&](reader& one) { return finish_reader(self, id, one, document, is_batch); });
  if (found->second.empty())
    readers.erase(found);
}

/// What was sent from this offset on is not the job's text.
void ledger_state::rewind_readers(ledger_actor::pointer self, const job_id& id,
                                  std::uint64_t offset) {
  const auto found = readers.find(id);
  if (found == readers.end())
    return;
  for (auto& one : found->second)
    if (one.offset > offset) {
      one.offset = offset;
      say(self, one, "rewound", rewound_to(id, offset));
    }
}

void ledger_state::tell_progress(ledger_actor::pointer self) {
  const auto now = with.time->mono();
  for (auto& [id, list] : readers) {
    std::string text; // made once for all who read this job
    for (auto& one : list) {
      if (!one.progress || (!one.last_told.empty() && now - one.told < progress_interval))
        continue;
      if (text.empty()) {
        query anyone;
        anyone.admin = true;
        const auto job = find(anyone, id);
        if (!job)
          break;
        nlohmann::json said{{"job", id.text()}, {"state", store::name(job->state)}};
        if (job->children > 0) {
          said["children"] = {{"total", job->children},
                              {"done", job->children_done},
                              {"failed", job->children_failed}};
        } else if (const auto end = with.jobs->position(id)) {
          said["tokens"] = end->tokens;
          said["bytes"] = end->bytes;
        }
        text = said.dump();
      }
      one.told = now;
      if (text != one.last_told)
        say(self, one, "progress", text);
      one.last_told = text;
    }
  }
}

} // namespace bitnetd::actors
