// SPDX-License-Identifier: MIT
#pragma once

#include "actors/cost_curve.h"
#include "actors/messages.h"
#include "actors/token_query.h"
#include "store/cache_entry.h"

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/atom.hpp>
#include <caf/message.hpp>
#include <caf/meta/type_name.hpp>
#include <caf/type_id.hpp>

// How the messages are known to CAF: atoms, type ids, `inspect` for what may travel, and leave for
// what stays in the process.

namespace bitnetd::actors {

struct peers;
using peers_ptr = std::shared_ptr<const peers>;
using cost_curve_ptr = std::shared_ptr<const cost_curve>;
using entry_ptr = std::shared_ptr<const store::cache_entry>;

/// Messages to one actor that are enqueued as one, and handled in this order (outgoing.h).
struct message_group {
  std::vector<caf::message> messages;
};

/// The end of a job, for the ledger: what to store, what to send.
struct job_end {
  job_id id;
  job_state state = job_state::done;
  result_ptr result;      ///< of a batch's parent: the whole
  bool durable = false;   ///< written before `out` is sent
  reply out;              ///< sent by the ledger
  bool has_reply = false; ///< there is something to send
};

/// What loading models came to.
struct loaded_models {
  std::vector<conf::model_config> wanted;
  model_set models; ///< as they were, when `error` is set
  std::map<hash128, cost_curve_ptr> curves;
  std::string error;
};
using loaded_models_ptr = std::shared_ptr<const loaded_models>;

/// What the watchdog and `status` ask: is progress being made?
struct health {
  bool alive = false; ///< every actor answered, and the last step ended in time
  bool draining = false;
  std::uint64_t open_jobs = 0;
  std::string line; ///< for STATUS=
};

} // namespace bitnetd::actors

CAF_BEGIN_TYPE_ID_BLOCK(bitnetd, caf::first_custom_type_id)

CAF_ADD_TYPE_ID(bitnetd, (bitnetd::hash128))
CAF_ADD_TYPE_ID(bitnetd, (bitnetd::store::job_id))
CAF_ADD_TYPE_ID(bitnetd, (bitnetd::actors::assignment))
CAF_ADD_TYPE_ID(bitnetd, (bitnetd::actors::output))
CAF_ADD_TYPE_ID(bitnetd, (bitnetd::actors::finished))
CAF_ADD_TYPE_ID(bitnetd, (bitnetd::actors::model_room))
CAF_ADD_TYPE_ID(bitnetd, (bitnetd::actors::worker_credit))
CAF_ADD_TYPE_ID(bitnetd, (bitnetd::actors::step_time))
CAF_ADD_TYPE_ID(bitnetd, (bitnetd::actors::embed_request))
CAF_ADD_TYPE_ID(bitnetd, (bitnetd::actors::embedded))
CAF_ADD_TYPE_ID(bitnetd, (bitnetd::actors::step_budget))

CAF_ADD_ATOM(bitnetd, bitnetd::actors, connect_atom, "connect")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, configure_atom, "configure")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, submit_atom, "submit")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, cancel_atom, "cancel")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, recover_atom, "recover")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, recovered_atom, "recovered")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, lost_atom, "lost")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, models_atom, "models")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, cost_atom, "cost")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, load_atom, "load")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, drain_atom, "drain")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, admit_atom, "admit")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, missed_atom, "missed")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, credit_atom, "credit")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, running_atom, "running")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, ended_atom, "ended")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, status_atom, "status")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, result_atom, "result")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, list_atom, "list")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, ack_atom, "ack")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, attach_atom, "attach")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, detach_atom, "detach")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, manage_atom, "manage")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, redrawn_atom, "redrawn")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, grow_atom, "grow")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, park_atom, "park")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, seen_atom, "seen")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, commit_atom, "commit")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, tick_atom, "tick")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, count_atom, "count")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, probe_atom, "probe")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, lookup_atom, "lookup")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, settled_atom, "settled")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, stats_atom, "stats")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, insert_atom, "insert")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, erase_atom, "erase")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, touch_atom, "touch")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, flush_atom, "flush")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, pin_atom, "pin")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, learned_atom, "learned")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, compute_atom, "compute")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, finished_atom, "finished")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, resumed_atom, "resumed")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, assign_atom, "assign")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, taken_atom, "taken")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, embed_atom, "embed")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, budget_atom, "budget")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, step_atom, "step")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, open_atom, "open")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, hit_atom, "hit")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, failed_atom, "failed")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, started_atom, "started")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, recall_atom, "recall")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, written_atom, "written")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, admin_atom, "admin")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, changed_atom, "changed")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, ready_atom, "ready")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, health_atom, "health")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, refused_atom, "refused")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, erased_atom, "erased")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, loaded_atom, "loaded")
CAF_ADD_ATOM(bitnetd, bitnetd::actors, stop_atom, "stop")

CAF_END_TYPE_ID_BLOCK(bitnetd)

// These stay in the process: handles and whole requests.
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bitnetd::actors::message_group)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bitnetd::actors::request_ptr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bitnetd::actors::job)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(std::vector<bitnetd::actors::job>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bitnetd::actors::job_end)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bitnetd::actors::answer_ptr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bitnetd::actors::cache_info)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bitnetd::actors::failure)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(std::vector<bitnetd::actors::trace_entry>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bitnetd::actors::reply)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bitnetd::actors::event)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bitnetd::actors::query)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bitnetd::actors::token_query)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bitnetd::actors::admin_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bitnetd::actors::health)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bitnetd::actors::model_set)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bitnetd::actors::loaded_models_ptr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bitnetd::actors::peers_ptr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bitnetd::actors::cost_curve_ptr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bitnetd::actors::entry_ptr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(std::vector<bitnetd::store::erased_entry>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(std::vector<bitnetd::store::cache_touch>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(std::vector<bitnetd::store::learned_row>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bitnetd::conf::config_ptr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(std::vector<bitnetd::store::job_id>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(std::vector<bitnetd::engine::token_id>)

namespace bitnetd {

template <class Inspector> auto inspect(Inspector& f, hash128& x) {
  return f(caf::meta::type_name("hash128"), x.bytes);
}

namespace store {

template <class Inspector> auto inspect(Inspector& f, job_id& x) {
  return f(caf::meta::type_name("job_id"), x.bytes);
}

} // namespace store

namespace engine {

template <class Inspector> auto inspect(Inspector& f, sampling_params& x) {
  return f(caf::meta::type_name("sampling_params"), x.temperature, x.top_k, x.top_p, x.min_p,
           x.repetition_penalty, x.seed, x.logit_bias);
}

} // namespace engine

namespace actors {

template <class Inspector> auto inspect(Inspector& f, assignment& x) {
  return f(caf::meta::type_name("assignment"), x.id, x.model_hash, x.tokens, x.n_generated,
           x.max_new_tokens, x.sampling, x.stops, x.ignore_eos, x.embedding);
}

template <class Inspector> auto inspect(Inspector& f, output& x) {
  return f(caf::meta::type_name("output"), x.id, x.first_token, x.tokens, x.text, x.logprob_sum);
}

template <class Inspector> auto inspect(Inspector& f, finished& x) {
  return f(caf::meta::type_name("finished"), x.id, x.finish, x.n_tokens, x.prefill_ms, x.decode_ms,
           x.embedding, x.reason);
}

template <class Inspector> auto inspect(Inspector& f, model_room& x) {
  return f(caf::meta::type_name("model_room"), x.sequences, x.pages);
}

template <class Inspector> auto inspect(Inspector& f, worker_credit& x) {
  return f(caf::meta::type_name("worker_credit"), x.worker, x.room);
}

template <class Inspector> auto inspect(Inspector& f, step_time& x) {
  return f(caf::meta::type_name("step_time"), x.worker, x.model_hash, x.n_decode, x.n_prefill,
           x.context_sum, x.milliseconds);
}

template <class Inspector> auto inspect(Inspector& f, embed_request& x) {
  return f(caf::meta::type_name("embed_request"), x.ticket, x.model_hash, x.tokens);
}

template <class Inspector> auto inspect(Inspector& f, embedded& x) {
  return f(caf::meta::type_name("embedded"), x.ticket, x.vector);
}

template <class Inspector> auto inspect(Inspector& f, step_budget& x) {
  return f(caf::meta::type_name("step_budget"), x.model_hash, x.max_tokens, x.prefill_chunk,
           x.threads);
}

} // namespace actors
} // namespace bitnetd
