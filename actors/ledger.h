// SPDX-License-Identifier: MIT
#pragma once

#include "actors/interfaces.h"
#include "actors/job_documents.h"
#include "actors/metrics.h"
#include "actors/release_queue.h"
#include "actors/supervisor.h"
#include "base/clock.h"
#include "store/jobs_db.h"

#include <caf/stateful_actor.hpp>
#include <nlohmann/json_fwd.hpp>

#include <deque>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

namespace bitnetd::actors {

struct ledger_options {
  std::shared_ptr<const clock> time;
  std::shared_ptr<metrics> counters;
  std::shared_ptr<store::jobs_db> jobs;
  stored_request_decoder decode;
  result_encoder encode;
};

struct ledger_state {
  static inline constexpr const char* name = "ledger";

  /// A job that has not ended, durable or not.
  struct open_job {
    job_status status;
    bool durable = false;
    bool released = false; ///< on its way through cache and batcher (durable jobs only)
    bool cancel_asked = false;
    bool askable = false; ///< not durable: its result may be asked for later
    std::string key;
  };
  /// A job that was not durable and ended: kept for a while, for `result` and repeated keys.
  struct kept_result {
    std::string principal, key;
    job_status status;
    std::string document;
    mono_time until{};
  };
  struct known_key {
    job_id job;
    hash128 fingerprint;
  };
  /// Someone who waits for the end of a job beside the one who submitted it; `release_…` is what
  /// the front counted for a repeated submit.
  struct waiter {
    query who;
    mono_time until{};
    std::uint32_t release_jobs = 0;
    std::uint64_t release_bytes = 0;
  };
  /// What a commit makes true, and what is told once it is.
  struct pending_commit {
    std::vector<std::vector<job>> admitted;
    std::vector<std::pair<job, job_id>> repeated; ///< with the job that has their key
    std::vector<job_end> ended;
    std::vector<job_id> written;
    bool needs_sync = false;
  };

  ledger_options with;
  conf::config_ptr config;
  peers_ptr others;
  std::optional<store::jobs_batch> facts;
  pending_commit pending;
  std::vector<job_end> late; ///< batches whose items could not be written yet
  bool commit_due = false;
  std::size_t unsynced_tokens = 0; ///< of output that is written and not synced
  mono_time last_sync{};
  bool holding = false; ///< the daemon is stopping: what waits on disk stays there
  std::string sick;     ///< why the journal cannot be written; empty: it can

  std::unordered_map<job_id, open_job> open;
  std::unordered_map<job_id, std::vector<job_id>> children; ///< of open batches
  release_queue backlog;
  std::unordered_map<job_id, job> hot;             ///< waiting jobs that are still in memory
  std::unordered_map<job_id, request_ptr> parents; ///< decoded requests of batches on disk
  std::uint32_t window = 0, under_way = 0; ///< window: the batcher's credit

  std::unordered_map<job_id, kept_result> kept;
  std::size_t kept_bytes = 0;
  std::deque<job_id> kept_order;
  std::map<std::pair<std::string, std::string>, known_key> keys; ///< of jobs that are not durable
  std::unordered_map<job_id, std::vector<waiter>> waiters;

  void admit(ledger_actor::pointer self, std::vector<job> jobs);
  void commit(ledger_actor::pointer self);
  void missed(ledger_actor::pointer self, job what);
  void recovered(ledger_actor::pointer self, job what);
  void lost(ledger_actor::pointer self, const job_id& id, const failure& why);
  void running(ledger_actor::pointer self, const job_id& id);
  void append(ledger_actor::pointer self, const output& piece);
  void ended(ledger_actor::pointer self, job_end end);
  void cancel(ledger_actor::pointer self, const query& what);
  void status(ledger_actor::pointer self, const query& what);
  void result(ledger_actor::pointer self, const query& what);
  void list(ledger_actor::pointer self, const query& what);
  void acknowledge(ledger_actor::pointer self, const query& what);
  void tick(ledger_actor::pointer self);
  /// The last act of an orderly end: jobs that were running are queued again, not crashed.
  void close(ledger_actor::pointer self);
  /// Jobs on their way through the pipeline: all that are not durable, and those released.
  [[nodiscard]] std::uint64_t in_pipeline() const;
  void release(ledger_actor::pointer self);
  /// Reads what an earlier process left: jobs to run again, batches to complete, and those that
  /// were running in too many crashes.
  void load_backlog(ledger_actor::pointer self);

private:
  // Acceptance (ledger_admission.cpp)
  void schedule_commit(ledger_actor::pointer self);
  [[nodiscard]] bool known_before(ledger_actor::pointer self, const job& first);
  void attach(ledger_actor::pointer self, const job& again, const job_id& earlier);
  [[nodiscard]] store::status record(const std::vector<job>& jobs);
  void accepted(ledger_actor::pointer self, const std::vector<job>& jobs);
  void start(ledger_actor::pointer self, std::vector<job> jobs);
  void remember(const job& what, std::size_t items);
  void refuse(ledger_actor::pointer self, const job& first, failure why);
  void answer(ledger_actor::pointer self, const waiter& who, const std::string& document);
  void answer(ledger_actor::pointer self, const waiter& who, failure why);

  // Release and recovery (ledger_release.cpp)
  void wait_on_disk(ledger_actor::pointer self, job what);
  void run_again(ledger_actor::pointer self, const job_id& id);
  [[nodiscard]] request_ptr stored_request(const store::job_record& row);
  /// Ends a job that nobody holds: it never started, or cannot.
  void end_unstarted(ledger_actor::pointer self, const job_id& id, failure why);
  [[nodiscard]] bool died_twice(ledger_actor::pointer self, const store::job_record& row);
  void count_ended(job_status& batch) const;
  void reopen_batches(ledger_actor::pointer self, std::vector<store::job_record> parents);

  // Ends (ledger.cpp)
  void forget(ledger_actor::pointer self, const job_end& end);
  void keep_result(const job_id& id, const open_job& entry, std::string document);
  void drop_kept(const job_id& id);
  void tell_waiters(ledger_actor::pointer self, const job_id& id, const std::string& document);
  [[nodiscard]] bool wants_sync();

  // Questions (ledger_questions.cpp)
  void cancel_one(ledger_actor::pointer self, const job_id& id);
  [[nodiscard]] nlohmann::json list_children(const query& what, nlohmann::json& jobs) const;
  [[nodiscard]] nlohmann::json list_all(const query& what, nlohmann::json& jobs) const;
  void tell(ledger_actor::pointer self, const query& who, std::string type, std::string body);
  void tell_error(ledger_actor::pointer self, const query& who, failure why);
  [[nodiscard]] std::optional<job_status> find(const query& who, const job_id& id) const;
  [[nodiscard]] std::string document_of(const job_end& end) const;
  [[nodiscard]] std::string batch_document(const job_id& parent, const std::string& frame) const;
  [[nodiscard]] std::int64_t now_us() const { return to_wall_us(with.time->wall()); }
};

/// LEDGER (detached): every job passes; durable ones are on disk before anything else is said.
/// Its parts: ledger.cpp (commit, ends), ledger_admission.cpp, ledger_release.cpp (release against
/// credit, recovery), ledger_questions.cpp.
///
///   analyzer ─admit▶ ledger ─open▶ responder, ─probe, lookup▶ cache
///   responder ─output, ended▶ ledger ─written▶ responder, ─reply▶ outbox
ledger_actor::behavior_type ledger(ledger_actor::stateful_pointer<ledger_state> self,
                                   ledger_options options);

} // namespace bitnetd::actors
