// SPDX-License-Identifier: MIT
#pragma once

#include "base/clock.h"
#include "base/hash.h"
#include "conf/config.h"
#include "engine/batch.h"
#include "engine/chat_template.h"
#include "store/job_record.h"

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

// What travels between the actors. Plain values; large ones as shared_ptr<const T>. Messages of
// the worker's interface (assignment, output, finished, …) have `inspect` (caf_types.h) and hold
// nothing that cannot leave the process; the rest stays in it.

namespace bitnetd::actors {

using std::chrono::milliseconds;
using std::chrono::seconds;
using store::is_terminal;
using store::job_class;
using store::job_id;
using store::job_state;

// ------------------------------------------------------------------ what a client asked for

/// Where replies to one client request go. Made by the front, opaque to everyone else.
struct route {
  std::uint32_t socket = 0; ///< index of the socket in the configuration
  std::string peer;         ///< routing id of this connection; never a key of anything
  std::string tag;          ///< the client's own message id, echoed
  bool delimiter = false;   ///< the client is a REQ socket: an empty frame stands in front
  std::string key{};        ///< the client's public key where it has one: revoked, nothing is sent
};

enum class reply_mode : std::uint8_t { sync, stream, job };
enum class job_kind : std::uint8_t { completion, chat, embedding };

/// `cache` of a submit; the names are RFC 9111's.
struct cache_directives {
  bool no_store = false;       ///< do not keep the answer
  bool no_cache = false;       ///< compute anew; the answer may be kept
  bool only_if_cached = false; ///< a hit or E_NOT_CACHED
  bool exact_only = false;     ///< no similarity tier
  bool allow_sampled = false;  ///< an earlier draw will do
  std::string name_space;
  std::optional<seconds> max_age;   ///< oldest acceptable entry
  std::optional<seconds> max_stale; ///< an entry that expired this long ago will do
  /// The same, and it is computed anew behind the reply; may only raise the profile's.
  std::optional<seconds> stale_while_revalidate;
  std::vector<std::string> tags;        ///< of the entry this job makes: it is invalidated by them
  bool explain = false;                 ///< tell what the similarity tier saw
  std::optional<seconds> ttl;           ///< life of the entry this job makes
  std::optional<double> min_confidence; ///< may only raise the operator's floor
};

/// `params` of a submit; what is absent comes from the profile.
struct requested_params {
  std::optional<std::uint32_t> max_tokens;
  std::optional<double> temperature, top_p, min_p, repetition_penalty;
  std::optional<std::uint32_t> top_k;
  std::optional<std::uint64_t> seed;
  std::vector<std::string> stop;
  std::vector<std::pair<std::int32_t, double>> logit_bias;
  bool ignore_eos = false;
};

/// One prompt: the job itself, or one item of a batch.
struct prompt {
  job_kind kind = job_kind::completion;
  std::string text;                           ///< prompt or embedding input
  std::vector<engine::chat_message> messages; ///< of a chat
  std::string custom_id;                      ///< of an item: echoed
};

/// A checked submit. Immutable once the front made it.
struct request {
  route reply_to;
  std::string principal;
  conf::role may = conf::role::submit;
  std::string model;         ///< empty: the first chat (or embedding) model
  std::vector<prompt> items; ///< one, or many when `is_batch`
  bool is_batch = false;
  std::optional<job_id> part_of; ///< these items are added to this batch
  std::uint32_t part = 0;        ///< number of this part
  bool more = false;             ///< another part follows
  bool counted = true;           ///< the front counts it for the principal until its reply
  requested_params params;
  reply_mode mode = reply_mode::job;
  bool wait_result = false; ///< mode job: the result follows on this connection
  bool durable = false;
  std::string key;     ///< idempotency key; empty: none
  hash128 fingerprint; ///< over the canonical body, for `key`
  std::optional<job_class> wanted_class;
  std::optional<milliseconds> deadline; ///< from acceptance
  std::optional<wall_time> not_before;
  std::optional<seconds> result_ttl;
  std::optional<std::uint32_t> quality_retries;
  bool cancel_on_disconnect = false;
  cache_directives cache;
  std::uint32_t credit = 64; ///< deltas that may be sent unasked
  bool trace = false;
  std::map<std::string, std::string> meta;
  std::string body; ///< the JSON as received: what the journal keeps
  mono_time arrived{};
  wall_time arrived_wall{};
};
using request_ptr = std::shared_ptr<const request>;

// ------------------------------------------------------------------ what analysis found

/// A model that is being served. Jobs hold it from analysis to the end, so that unloading waits.
/// What the configuration says of it, and what was loaded for that.
struct served_model : conf::model_config {
  std::shared_ptr<const engine::model> description;
  std::vector<std::shared_ptr<const engine::weights>> per_node; ///< one per worker
  std::uint64_t weight_bytes = 0;                               ///< on all workers together
};
using model_handle = std::shared_ptr<const served_model>;
using model_set = std::shared_ptr<const std::vector<model_handle>>;

/// How a job is going to be served, and why: one of these words and a sentence go into the trace.
enum class strategy : std::uint8_t {
  direct,
  chunked_prefill,
  grouped_batch,
  embedding_only,
  background_fill
};

/// What the analyzer knows of one prompt. Immutable.
struct traits {
  model_handle model;
  conf::config_ptr config;              ///< the version this job runs under
  std::vector<engine::token_id> tokens; ///< the whole prompt, template included
  std::string cache_text;               ///< what the similarity tier compares: the last user text
  hash128 skeleton;                     ///< the prompt with numbers and quoted parts masked
  double similarity = 0;                ///< to the nearest other item of the same batch, 0…1
  engine::sampling_params sampling;     ///< profile and request merged
  std::uint32_t max_new_tokens = 0;
  std::uint32_t quality_retries = 0;
  job_class cls = job_class::normal;
  std::optional<mono_time> deadline;
  std::uint64_t prompt_bytes = 0, kv_bytes = 0;
  double operations = 0;   ///< additions and multiplications, prefill and decode
  double predicted_ms = 0; ///< alone on an idle worker
  strategy plan = strategy::direct;
  std::string plan_reason;
};
using traits_ptr = std::shared_ptr<const traits>;

/// One line of a job's trace. Phases: analysis, cache, batching, combination.
struct trace_entry {
  std::string phase;
  std::int64_t started_us = 0; ///< since the request arrived
  std::int64_t took_us = 0;
  std::string decision;
};

enum class cache_status : std::uint8_t {
  bypass,
  hit,
  coalesced,
  miss,
  not_cached,
  refused,
  stale, ///< a hit on an entry that has expired, as max-stale allowed
};

/// The reply's `cache` block.
struct cache_info {
  cache_status status = cache_status::bypass;
  std::string tier; ///< exact, similarity, inflight or empty
  std::optional<double> similarity, confidence;
  std::optional<double>
      wrong_bound;         ///< upper bound on the share of wrong hits, where it is measured
  std::string veto;        ///< the guard that held the nearest entry back, and why
  std::string explanation; ///< JSON: every candidate, when asked for
  std::optional<std::int64_t> age_s, ttl_s;
  std::uint64_t entry = 0; ///< 0: none
  bool stored = false;
  bool no_room = false; ///< the cache is full, and this was asked for the first time: not kept
  double saved_ms = 0;
  std::string reason; ///< why bypassed or refused
};

/// A refusal or failure, as the client sees it (docs/protocol.md lists codes and names).
struct failure {
  int code = 150;
  std::string name = "E_INTERNAL";
  std::string message;
  std::string field;
  std::optional<std::int64_t> limit;
  std::optional<std::int64_t> retry_after_ms;
};

/// What a job had drawn before the daemon was started again.
struct earlier_output {
  std::vector<engine::token_id> tokens;
  std::string text;
  std::uint32_t retries = 0; ///< of failed quality checks
};

/// A job on its way. Handed from actor to actor; whoever holds it answers for it.
struct job {
  job_id id;
  request_ptr what;
  std::uint32_t item = 0;       ///< index into what->items
  std::uint32_t index = 0;      ///< of a child: its place in the batch
  std::optional<job_id> parent; ///< of a batch's child
  bool is_parent = false;       ///< stands for a whole batch: never computed itself
  traits_ptr how;
  std::vector<trace_entry> trace;
  cache_info cache;          ///< what the cache found, or why it was passed by
  std::uint32_t attempt = 1; ///< raised by a restart of the daemon
  bool recovered = false;    ///< came from the journal: its route is gone
  bool unlisted = false;     ///< the ledger has not heard of it, and does not of an exact hit
  std::shared_ptr<const earlier_output> made = {}; ///< it goes on after this
  double eta_ms = 0;                               ///< predicted end, seen from acceptance
  std::optional<failure> refused;         ///< an item of a batch that cannot run: it ends with this
  std::vector<std::uint32_t> ended_items; ///< of a recovered batch: items that have their result
  bool more_follows = false;              ///< of a batch: further parts are expected

  [[nodiscard]] const prompt& words() const { return what->items[item]; }
};

// ------------------------------------------------------------------ answers

struct usage {
  std::uint32_t prompt_tokens = 0, completion_tokens = 0, cached_tokens = 0;
};

struct timing {
  double queue_ms = 0, prefill_ms = 0, decode_ms = 0, first_token_ms = 0, total_ms = 0;
};

/// A finished piece of work, computed or from the cache.
struct answer {
  std::string text;
  std::vector<engine::token_id> tokens;
  std::vector<float> embedding;
  std::string finish; ///< stop, length, deadline, cancel
  usage used;
  double cost_ms = 0; ///< compute time, as the cache values it
  double mean_logprob = 0;
  std::vector<std::string> failed_checks; ///< quality checks that did not pass
};
using answer_ptr = std::shared_ptr<const answer>;

// ------------------------------------------------------------------ worker's interface

/// A sequence for a worker: everything needed to compute it, or to take it up where another
/// worker left it.
struct assignment {
  job_id id;
  hash128 model_hash;
  std::vector<engine::token_id> tokens; ///< prompt and, at the end, n_generated earlier tokens
  std::uint32_t n_generated = 0;
  std::uint32_t max_new_tokens = 0;
  engine::sampling_params sampling;
  std::vector<std::string> stops;
  bool ignore_eos = false;
  bool embedding = false;
};

/// Tokens of one sequence. At most one is unanswered (`taken`) per job.
struct output {
  job_id id;
  std::uint32_t first_token = 0; ///< index of tokens.front() among the generated
  std::vector<engine::token_id> tokens;
  std::string text;
  double logprob_sum = 0;
};

enum class finish_kind : std::uint8_t { stop, length, cancelled, numeric, refused };

/// The end of a sequence; nothing of it follows.
struct finished {
  job_id id;
  finish_kind finish = finish_kind::stop;
  std::uint32_t n_tokens = 0;
  double prefill_ms = 0, decode_ms = 0;
  std::vector<float> embedding;
  std::string reason; ///< of refused
};

/// What one model on one worker can take now.
struct model_room {
  std::uint32_t sequences = 0;
  std::uint64_t pages = 0; ///< of KV memory
};

/// What a worker can take now; sent after every change. Models that it does not hold are not there.
struct worker_credit {
  std::uint32_t worker = 0; ///< index of the node
  std::map<hash128, model_room> room;
};

/// What one step cost; the batcher's cost model learns from it.
struct step_time {
  std::uint32_t worker = 0;
  hash128 model_hash;
  std::uint32_t n_decode = 0, n_prefill = 0;
  std::uint64_t context_sum = 0;
  double milliseconds = 0;
};

/// An embedding for the cache, done between two steps.
struct embed_request {
  std::uint64_t ticket = 0;
  hash128 model_hash;
  std::vector<engine::token_id> tokens;
};
struct embedded {
  std::uint64_t ticket = 0;
  std::vector<float> vector; ///< unit length; empty: over budget or failed
};

/// The shape of a model's next steps, from the batcher's cost model and the profile.
struct step_budget {
  hash128 model_hash;
  std::uint32_t max_tokens = 512, prefill_chunk = 128, threads = 0;
};

// ------------------------------------------------------------------ replies, out of the pipeline

struct reply_accepted {
  job_id job;
  bool durable = false, fsync = false, duplicate = false;
  std::uint32_t children = 0;
  std::optional<std::uint32_t> part; ///< of a batch in parts
  std::optional<double> eta_ms;
  std::optional<std::uint64_t> position;
};

struct reply_delta {
  job_id job;
  std::uint64_t seq = 0, offset = 0; ///< offset in bytes of the text
  std::string text;
  std::uint32_t n_tokens = 0;
};

/// The result of one job; of a batch: of all its children, in order.
struct reply_result {
  job_id job;
  job_state state = job_state::done;
  answer_ptr what; ///< null when `error` is set or for a batch
  std::optional<failure> error;
  cache_info cache;
  timing times;
  std::vector<trace_entry> trace; ///< only where the client asked
  std::string model, profile, custom_id;
  hash128 model_hash;
  std::uint64_t config_version = 0, seed = 0;
  std::uint32_t attempt = 1, index = 0;
  std::map<std::string, std::string> meta;
  std::vector<std::shared_ptr<const reply_result>> items; ///< of a batch
};
using result_ptr = std::shared_ptr<const reply_result>;

/// A refusal, or the bad end of an accepted job (`job` is set; `state` as well when it ended).
struct reply_error {
  failure why;
  std::optional<job_id> job;
  std::optional<job_state> state = {};
  std::optional<cache_info> cache = {}; ///< E_NOT_CACHED comes with the cache block
  std::vector<trace_entry> trace = {};  ///< only where the client asked
};

/// A reply whose body an actor wrote itself: status, list, stats, models, ok, … (JSON text). Also
/// a stored result, sent as it was kept.
struct reply_document {
  std::string type;
  std::string body;
};

/// One message to one client. `release`: what the front may stop counting for the principal. The
/// front counted items.size() jobs and body.size() bytes when it handed the request on; they are
/// released exactly once, with whatever ends the request (refusal, last reply). When nothing is
/// left to say (mode job without wait), a reply_document with an empty type only releases. Jobs
/// that came from the journal were never counted and release nothing. A reply whose `to.peer` is
/// empty is dropped.
struct reply {
  route to;
  std::variant<reply_accepted, reply_delta, result_ptr, reply_error, reply_document> what;
  std::string principal;
  std::uint32_t release_jobs = 0;
  std::uint64_t release_bytes = 0;
};

/// An event for subscribers; numbered by the front. Topics: job, metrics, config, alert.
struct event {
  std::string topic;
  std::string body;        ///< JSON text
  std::string principal{}; ///< whose job it is about; empty: everybody's business
};

// ------------------------------------------------------------------ questions about jobs

/// status, result, list, ack, attach, credit: asked of the ledger or the responder.
struct query {
  route reply_to;
  std::string principal;
  bool admin = false;
  std::vector<job_id> jobs;
  std::vector<job_state> states; ///< of list; empty: all
  std::optional<job_id> batch;
  std::string cursor;
  std::uint32_t limit = 100;
  milliseconds wait{0}; ///< of result
  std::uint64_t offset = 0;
  std::uint32_t credit = 0;
  bool progress = false; ///< of attach
  bool in_order = false; ///< of attach: items of a batch in the order of the input
};

/// What may become of cached answers: an administrator's `cache`, anybody's `cache.report`.
struct cache_order {
  enum class action : std::uint8_t { get, del, flush, pin, unpin, report };
  action what = action::get;
  std::uint64_t entry = 0;
  bool wrong = true; ///< of report
  /// Of flush: whose entries, of which namespace, model or tag; all empty: everything.
  std::string principal, name_space, model, tag;
};

/// An administrator's message: reload, drain, undrain, profile, stats, metrics, models, cache.
struct admin_request {
  route reply_to;
  std::string principal;
  std::string type;
  std::string name; ///< of profile
  bool dry_run = false;
  std::optional<seconds> timeout; ///< of drain
  cache_order cache;              ///< of cache and cache.report
};

} // namespace bitnetd::actors
