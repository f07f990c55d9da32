// SPDX-License-Identifier: MIT
#include "daemon/replies.h"

#include "actors/names.h"

#include <type_traits>
#include <utility>

namespace bitnetd::daemon {

namespace {

std::string state_text(actors::job_state state) { return std::string(store::name(state)); }

wire::cache_block cache_block_of(const actors::cache_info& from) {
  wire::cache_block out;
  out.status = actors::to_string(from.status);
  out.tier = from.tier;
  out.reason = from.reason;
  out.similarity = from.similarity;
  out.confidence = from.confidence;
  out.wrong_bound = from.wrong_bound;
  out.veto = from.veto;
  out.explanation = from.explanation;
  out.age_s = from.age_s;
  out.ttl_s = from.ttl_s;
  out.entry = from.entry;
  out.stored = from.stored;
  out.saved_ms = from.saved_ms;
  return out;
}

std::vector<wire::trace_line> trace_lines_of(const std::vector<actors::trace_entry>& from) {
  std::vector<wire::trace_line> out;
  out.reserve(from.size());
  for (const auto& entry : from)
    out.push_back({entry.phase, entry.decision, entry.started_us, entry.took_us});
  return out;
}

void put_answer(wire::result& out, const actors::answer& from) {
  out.has_answer = true;
  out.text = from.text;
  out.embedding = from.embedding;
  out.finish = from.finish;
  out.prompt_tokens = from.used.prompt_tokens;
  out.cached_tokens = from.used.cached_tokens;
  out.completion_tokens = from.used.completion_tokens;
  if (from.used.completion_tokens > 0)
    out.mean_logprob = from.mean_logprob;
  out.failed_checks = from.failed_checks;
}

wire::error bad_end(const actors::reply_result& what) {
  auto out = to_wire(*what.error);
  out.job = what.job.text();
  out.state = state_text(what.state);
  out.cache = cache_block_of(what.cache);
  out.trace = trace_lines_of(what.trace);
  return out;
}

// Each of the five kinds of reply: type and body.
struct body_writer {
  std::string_view epoch;
  outbound& out;

  void operator()(const actors::reply_accepted& from) const {
    wire::accepted body;
    body.job = from.job.text();
    body.epoch = epoch;
    body.durable = from.durable;
    body.fsync = from.fsync;
    body.duplicate = from.duplicate;
    body.children = from.children;
    body.part = from.part;
    body.position = from.position;
    body.eta_ms = from.eta_ms;
    out.type = "accepted";
    out.job = from.job;
    out.body = encode(body);
  }

  void operator()(const actors::reply_delta& from) const {
    out.type = "delta";
    out.job = from.job;
    out.body =
        encode(wire::delta{from.job.text(), from.text, from.seq, from.offset, from.n_tokens});
  }

  void operator()(const actors::result_ptr& from) const {
    const bool is_error = from->error && from->items.empty();
    out.type = is_error ? "error" : "result";
    out.body = is_error ? encode(bad_end(*from)) : encode_result_body(*from);
  }

  void operator()(const actors::reply_error& from) const {
    auto body = to_wire(from.why);
    if (from.job)
      body.job = from.job->text();
    if (from.state)
      body.state = state_text(*from.state);
    if (from.cache)
      body.cache = cache_block_of(*from.cache);
    body.trace = trace_lines_of(from.trace);
    out.type = "error";
    out.body = encode(body);
  }

  void operator()(const actors::reply_document& from) const {
    out.type = from.type;
    out.body = from.body;
  }
};

} // namespace

wire::error to_wire(const actors::failure& why) {
  wire::error out;
  out.code = why.code;
  out.name = why.name;
  out.message = why.message;
  out.field = why.field;
  out.limit = why.limit;
  out.retry_after_ms = why.retry_after_ms;
  return out;
}

wire::result to_wire(const actors::reply_result& from) {
  wire::result out;
  out.job = from.job.text();
  out.state = state_text(from.state);
  out.is_batch = !from.items.empty();
  if (from.what)
    put_answer(out, *from.what);
  out.queue_ms = from.times.queue_ms;
  out.prefill_ms = from.times.prefill_ms;
  out.decode_ms = from.times.decode_ms;
  out.first_token_ms = from.times.first_token_ms;
  out.total_ms = from.times.total_ms;
  out.cache = cache_block_of(from.cache);
  out.model = from.model;
  if (from.model_hash != hash128{})
    out.model_hash = from.model_hash.hex();
  out.profile = from.profile;
  out.custom_id = from.custom_id;
  out.config_version = from.config_version;
  out.seed = from.seed;
  out.attempt = from.attempt;
  out.trace = trace_lines_of(from.trace);
  out.meta = from.meta;
  if (from.error)
    out.error = to_wire(*from.error);
  out.items.reserve(from.items.size());
  for (const auto& item : from.items) {
    out.items.push_back(to_wire(*item));
    out.items.back().index = item->index;
  }
  return out;
}

std::string encode_result_body(const actors::reply_result& what) {
  return wire::encode(to_wire(what));
}

outbound to_outbound(const actors::reply& reply, std::string_view epoch) {
  outbound out;
  out.to = reply.to;
  out.principal = reply.principal;
  out.release_jobs = reply.release_jobs;
  out.release_bytes = reply.release_bytes;
  std::visit(body_writer{epoch, out}, reply.what);
  return out;
}

} // namespace bitnetd::daemon
