// SPDX-License-Identifier: MIT
#pragma once

#include "actors/caf_types.h"

#include <caf/typed_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

// Every interface of the pipeline on one page: who may be told what.
//
//   front ─submit─▶ analyzer ─admit─▶ ledger ─lookup─▶ cache ─compute─▶ batcher ─assign─▶ worker
//                                        │ open            │ hit, ended        ◀─credit, step──┘ │
//                                        ▼                 ▼                                     │
//                                    responder ◀───────────┴──────── output, finished ◀──────────┘
//                                        │ settled ─▶ cache      ended ─▶ ledger      reply ─▶
//                                        outbox
//
// A cancel takes the job's own route (analyzer, ledger, cache, batcher, worker or responder), and
// so cannot overtake it. Messages are enqueued when they are sent: what an actor sends before it
// hands a job on is received before whatever follows from that job.

namespace bitnetd::actors {

// `message_group`: several of an actor's messages, enqueued as one and handled in order
// (outgoing.h). `connect`: the handles of the others; sent before anything else, and again when one
// of them was started anew. `configure`: the configuration was swapped.

/// OUTBOX (daemon): replies and events leave the pipeline here; bounded, never blocks an actor.
using outbox_actor =
    caf::typed_actor<caf::reacts_to<reply>, caf::reacts_to<event>, caf::reacts_to<message_group>>;

/// DOOR (daemon, the same actor as the outbox): the front hears here whom requests go to, and the
/// limits and models that hold. Told like everyone else.
using door_actor = caf::typed_actor<caf::reacts_to<connect_atom, peers_ptr>,
                                    caf::reacts_to<configure_atom, conf::config_ptr>,
                                    caf::reacts_to<drain_atom, bool>,
                                    caf::reacts_to<lost_atom, std::string>>; ///< degraded, and why

/// PHASE 1. Checks a request against model and limits, measures it, chooses class and strategy.
/// Refuses (a reply_error to the outbox) or hands on; nothing is refused later for its content.
using analyzer_actor = caf::typed_actor<
    caf::reacts_to<submit_atom, request_ptr>,
    caf::reacts_to<cancel_atom, query>,                               ///< on to the ledger
    caf::reacts_to<token_query>,                                      ///< answered here
    caf::reacts_to<recover_atom, request_ptr, job_id, std::uint32_t>, ///< ledger: one journalled
                                                                      ///< job
    caf::reacts_to<models_atom, model_set>,
    caf::reacts_to<cost_atom, hash128, cost_curve_ptr>, ///< a model's measured step cost
    caf::reacts_to<load_atom, double>,                  ///< batcher: predicted ms of waiting work
    caf::reacts_to<drain_atom, bool>,                   ///< true: refuse new jobs with E_DRAINING
    caf::reacts_to<connect_atom, peers_ptr>, caf::reacts_to<configure_atom, conf::config_ptr>,
    caf::reacts_to<message_group>>;

/// LEDGER (detached). Journals durable jobs, answers for states; every job passes.
using ledger_actor = caf::typed_actor<
    caf::reacts_to<admit_atom, std::vector<job>>, ///< one job, or a parent and its children
    caf::reacts_to<recovered_atom, job>,          ///< analyzer: a journalled job, ready to run
    caf::reacts_to<lost_atom, job_id, failure>, ///< analyzer: a journalled job that no longer fits
    caf::reacts_to<missed_atom, job>,           ///< cache: the exact tier has no answer; queue it
    caf::reacts_to<credit_atom, std::uint32_t>, ///< batcher: how many released jobs may be on their
                                                ///< way
    caf::reacts_to<running_atom, job_id>,       ///< batcher: assigned to a worker
    caf::reacts_to<output>,                     ///< responder: tokens of a durable job
    caf::reacts_to<ended_atom, job_end>,        ///< responder: terminal state; write, then reply
    caf::reacts_to<cancel_atom, query>, caf::reacts_to<status_atom, query>,
    caf::reacts_to<result_atom, query>, caf::reacts_to<list_atom, query>,
    caf::reacts_to<ack_atom, query>, caf::reacts_to<attach_atom, query>,
    caf::reacts_to<detach_atom, query>,
    caf::reacts_to<credit_atom, query>,              ///< responder: for someone who is attached
    caf::reacts_to<manage_atom, std::string, query>, ///< an operator's order: dead.list, …
    caf::reacts_to<redrawn_atom, job_id, std::uint64_t, std::uint32_t>, ///< responder: a durable
                                                                        ///< job starts over with
                                                                        ///< this seed, retry n
    caf::reacts_to<drain_atom, bool>,  ///< true: what waits on disk stays there
    caf::reacts_to<seen_atom, job_id>, ///< responder: this job is not drawn anew any more
    caf::reacts_to<park_atom>,         ///< what runs goes back to the disk
    caf::reacts_to<commit_atom>,       ///< INTERNAL: group commit
    caf::reacts_to<tick_atom>,         ///< INTERNAL: not_before, retention
    caf::replies_to<count_atom>::with<std::uint64_t>, ///< jobs on their way through the pipeline
    caf::reacts_to<connect_atom, peers_ptr>, caf::reacts_to<configure_atom, conf::config_ptr>,
    caf::reacts_to<message_group>>;

/// PHASE 2. In-flight, exact and similarity tiers. Owns index and partitions.
using cache_actor = caf::typed_actor<
    caf::reacts_to<probe_atom, job>,  ///< exact tier only; a miss goes (back) to the ledger
    caf::reacts_to<lookup_atom, job>, ///< all tiers; a miss goes to the batcher
    caf::reacts_to<embedded>,         ///< worker: the vector for a waiting lookup
    caf::reacts_to<erased_atom, std::vector<store::erased_entry>>, ///< keeper: drop these
    caf::reacts_to<models_atom, model_set>,
    caf::reacts_to<settled_atom, job_id, answer_ptr, bool>, ///< responder: a leader ended; may it
                                                            ///< be kept?
    caf::reacts_to<cancel_atom, job_id>,            ///< ends a waiting job, else on to the batcher
    caf::reacts_to<admin_atom, admin_request>,      ///< cache, cache.report
    caf::reacts_to<tick_atom>,                      ///< INTERNAL: expiry, embedding timeouts
    caf::replies_to<stats_atom>::with<std::string>, ///< JSON
    caf::reacts_to<connect_atom, peers_ptr>, caf::reacts_to<configure_atom, conf::config_ptr>,
    caf::reacts_to<message_group>>;

/// CACHE KEEPER (detached). The cache's writes, syncs, expiry and eviction.
using cache_keeper_actor = caf::typed_actor<
    caf::reacts_to<insert_atom, entry_ptr>,
    caf::reacts_to<touch_atom, std::vector<store::cache_touch>>,
    // What somebody asked for is answered when it is on the disk.
    caf::reacts_to<erase_atom, std::uint64_t, admin_request>,
    caf::reacts_to<flush_atom, hash128, admin_request>,
    /// Gives an entry another time to expire; pinned_us: it stays.
    caf::reacts_to<pin_atom, std::uint64_t, std::int64_t, admin_request>,
    /// What was learned of similar answers, to have it back after a restart.
    caf::reacts_to<learned_atom, std::vector<store::learned_row>>, caf::reacts_to<commit_atom>,
    caf::reacts_to<tick_atom>, caf::reacts_to<connect_atom, peers_ptr>,
    caf::reacts_to<configure_atom, conf::config_ptr>, caf::reacts_to<message_group>>;

/// PHASE 3, decisions. Run queue, cost model, placement.
using batcher_actor = caf::typed_actor<
    caf::reacts_to<compute_atom, job>, caf::reacts_to<worker_credit>, caf::reacts_to<step_time>,
    caf::reacts_to<refused_atom, std::uint32_t, job_id>, ///< worker (index): no room after all, try
                                                         ///< again
    caf::reacts_to<finished_atom, std::uint32_t, job_id>, ///< worker (index): the sequence left it
    caf::reacts_to<resumed_atom, job_id, std::vector<engine::token_id>>, ///< responder: tokens so
                                                                         ///< far of a lost worker's
                                                                         ///< job
    caf::reacts_to<cancel_atom, job_id>, caf::reacts_to<cost_atom, hash128, cost_curve_ptr>,
    caf::reacts_to<tick_atom>, ///< INTERNAL: deadlines, ageing
    caf::replies_to<stats_atom>::with<std::string>, caf::reacts_to<connect_atom, peers_ptr>,
    caf::reacts_to<configure_atom, conf::config_ptr>, caf::reacts_to<message_group>>;

/// PHASE 3, compute (detached, one per node). Its interface holds only what can travel.
using worker_actor = caf::typed_actor<
    caf::reacts_to<assign_atom, assignment>,
    caf::reacts_to<cancel_atom, job_id>, ///< its `finished` says cancelled; unknown: ignored
    caf::reacts_to<taken_atom, job_id>,  ///< responder: the last output was taken
    caf::reacts_to<embed_atom, embed_request>, caf::reacts_to<budget_atom, step_budget>,
    caf::reacts_to<models_atom, model_set>,
    caf::reacts_to<step_atom>, ///< INTERNAL: one step, repeated while anything runs
    caf::replies_to<stats_atom>::with<std::string>, caf::reacts_to<connect_atom, peers_ptr>,
    caf::reacts_to<configure_atom, conf::config_ptr>>;

/// PHASE 4. Jobs being assembled; quality checks; the one terminal event of every job.
using responder_actor = caf::typed_actor<
    caf::reacts_to<open_atom, job>,            ///< ledger: this job will be answered
    caf::reacts_to<hit_atom, job, answer_ptr>, ///< cache: the answer; job.cache says how
    caf::reacts_to<missed_atom, job>,          ///< cache: none kept, and only-if-cached was asked
    caf::reacts_to<failed_atom, job_id, failure, std::vector<trace_entry>>, ///< whoever ended it
    caf::reacts_to<started_atom, job, std::uint32_t>, ///< batcher: assigned to this worker
    caf::reacts_to<output>, caf::reacts_to<finished>,
    caf::reacts_to<recall_atom, std::vector<job_id>>,       ///< batcher: their worker is gone
    caf::reacts_to<cancel_atom, job_id>,                    ///< nobody else held it
    caf::reacts_to<grow_atom, job_id, std::uint32_t, bool>, ///< ledger: so many more items of a
                                                            ///< batch; whether others follow
    caf::reacts_to<seen_atom, job_id>,  ///< ledger: somebody reads it; confirmed
    caf::reacts_to<lost_atom, job_id>,  ///< ledger: it waits on disk only; forget it until it opens
    caf::reacts_to<credit_atom, query>, ///< client: more deltas may come
    caf::reacts_to<written_atom, job_id>, ///< ledger: output of a durable job is in the WAL
    caf::reacts_to<tick_atom>,            ///< INTERNAL: deadlines of running jobs
    caf::reacts_to<connect_atom, peers_ptr>, caf::reacts_to<configure_atom, conf::config_ptr>,
    caf::reacts_to<message_group>>;

/// SUPERVISOR. The tree, the model registry, the configuration, drain, health.
using supervisor_actor = caf::typed_actor<
    caf::reacts_to<admin_atom, admin_request>,
    caf::reacts_to<loaded_atom, loaded_models_ptr>, ///< INTERNAL: models were loaded, or why not
    caf::reacts_to<cost_atom, hash128, cost_curve_ptr>, ///< batcher: what live steps have taught
    caf::reacts_to<failed_atom, std::string>,           ///< ledger: it cannot go on, and why
    caf::reacts_to<changed_atom>,                       ///< service: the files may have changed
    caf::replies_to<ready_atom>::with<bool>,            ///< everything is up and can answer
    caf::replies_to<health_atom>::with<health>,
    caf::reacts_to<stop_atom, std::uint32_t>, ///< drain for so many seconds, then end
    caf::reacts_to<tick_atom>>;               ///< INTERNAL: reload debounce, drain, metrics events

/// Handles of everyone. Sent as a shared_ptr so that the types may name each other.
struct peers {
  outbox_actor outbox;
  analyzer_actor analyzer;
  ledger_actor ledger;
  cache_actor cache;
  cache_keeper_actor keeper;
  batcher_actor batcher;
  responder_actor responder;
  supervisor_actor supervisor;
  std::vector<worker_actor> workers; ///< by node; an empty handle: being started
};

} // namespace bitnetd::actors
