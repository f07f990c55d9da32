// SPDX-License-Identifier: MIT
#pragma once

#include "actors/interfaces.h"
#include "actors/job_documents.h"
#include "actors/job_options.h"
#include "actors/metrics.h"
#include "actors/outgoing.h"
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

  /// A job in memory: one that is not durable, a batch, or a durable job on its way. Durable jobs
  /// that wait on disk only are not here.
  struct open_job {
    job_status status;
    bool durable = false;
    bool released = false; ///< on its way through cache and batcher (durable jobs only)
    bool cancel_asked = false;
    bool askable = false; ///< not durable: its result may be asked for later
    std::string key;
    request_ptr asked; ///< of a durable job whose client waits for its end on a connection
    bool more = false; ///< of a batch: further parts are expected
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
    bool wants_state = false; ///< a cancel: the state is the answer
  };
  /// Someone who reads a job's output: a cursor, and nothing of what it reads.
  struct reader {
    route to;
    std::string principal;
    std::uint64_t offset = 0; ///< bytes of the text, or items of a batch
    std::uint64_t seq = 0;
    std::uint32_t credit = 0;
    bool waits = false;    ///< until the responder knows that the job is read
    bool in_order = false; ///< of a batch
    bool progress = false;
    bool as_result = false; ///< a repeated submit: its end is a result whatever it is
    mono_time told{};       ///< the latest progress
    std::string last_told;
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
    bool has_starts = false; ///< of jobs that run now
  };

  ledger_options with;
  conf::config_ptr config;
  peers_ptr others;
  /// `accepted` comes before all other replies, and a job is opened before anybody answers it.
  outgoing<outbox_actor, responder_actor> mail;
  std::optional<store::jobs_batch> facts;
  pending_commit pending;
  bool commit_due = false;
  std::size_t unsynced_tokens = 0; ///< of output that is written and not synced
  mono_time last_sync{};
  bool holding = true;      ///< what waits on disk stays there: until all is known, and in a stop
  std::string sick;         ///< why the journal cannot be written; empty: it can
  std::string disk_short;   ///< why there is no room for new jobs on the disk; empty: there is
  bool disk_failed = false; ///< a write or sync failed otherwise than for want of room
  mono_time disk_asked{};

  std::unordered_map<job_id, open_job> open;
  std::unordered_map<job_id, std::vector<job_id>> children; ///< of open batches not in the journal
  release_queue backlog;
  std::unordered_map<job_id, job> hot;               ///< waiting jobs that are still in memory
  std::int64_t next_deadline_us = 0;                 ///< of waiting jobs, none is earlier; 0: look
  store::open_job woken;                             ///< the latest whose not_before has come
  std::deque<std::pair<job_id, request_ptr>> bodies; ///< decoded lately: batches have one for many
  std::uint32_t window = 0, under_way = 0;           ///< window: the batcher's credit

  std::unordered_map<job_id, kept_result> kept;
  std::size_t kept_bytes = 0;
  std::deque<job_id> kept_order;
  std::map<std::pair<std::string, std::string>, known_key> keys; ///< of jobs that are not durable
  std::unordered_map<job_id, std::vector<waiter>> waiters;
  std::unordered_map<job_id, std::vector<reader>> readers;
  std::size_t n_readers = 0;

  void admit(ledger_actor::pointer self, std::vector<job> jobs);
  void commit(ledger_actor::pointer self);
  void recovered(ledger_actor::pointer self, job what);
  void missed(ledger_actor::pointer self, job what);
  void lost(ledger_actor::pointer self, const job_id& id, const failure& why);
  void running(ledger_actor::pointer self, const job_id& id);
  void append(ledger_actor::pointer self, const output& piece);
  void redrawn(ledger_actor::pointer self, const job_id& id, std::uint64_t seed,
               std::uint32_t retries);
  void ended(ledger_actor::pointer self, job_end end);
  void cancel(ledger_actor::pointer self, const query& what);
  void status(ledger_actor::pointer self, const query& what);
  void result(ledger_actor::pointer self, const query& what);
  void list(ledger_actor::pointer self, const query& what);
  void acknowledge(ledger_actor::pointer self, const query& what);
  void attach(ledger_actor::pointer self, const query& what);
  void detach(ledger_actor::pointer self, const query& what);
  void seen(ledger_actor::pointer self, const job_id& id);
  void more_credit(ledger_actor::pointer self, const query& what);
  void manage(ledger_actor::pointer self, const std::string& order, const query& what);
  void tick(ledger_actor::pointer self);
  /// Holds what waits, and puts what runs back: it goes on when holding ends.
  void park(ledger_actor::pointer self);
  /// The last act of an orderly end: jobs that were running are queued again, not crashed.
  void close(ledger_actor::pointer self);
  /// Jobs on their way through the pipeline: all that are not durable, and those released.
  [[nodiscard]] std::uint64_t in_pipeline() const;
  void release(ledger_actor::pointer self);
  /// Looks at what an earlier process left: jobs that were running (in too many crashes: dead),
  /// batches to complete. What waits is read when there is credit for it.
  void load_backlog(ledger_actor::pointer self);

private:
  // Acceptance (ledger_admission.cpp, ledger_parts.cpp)
  void schedule_commit(ledger_actor::pointer self);
  [[nodiscard]] bool known_before(ledger_actor::pointer self, const job& first);
  void repeat(ledger_actor::pointer self, const job& again, const job_id& earlier);
  [[nodiscard]] bool join_part(ledger_actor::pointer self, std::vector<job>& jobs);
  [[nodiscard]] store::status record(const std::vector<job>& jobs);
  void accepted(ledger_actor::pointer self, const std::vector<job>& jobs);
  void start(ledger_actor::pointer self, std::vector<job> jobs);
  void remember(const job& what, std::size_t items);
  [[nodiscard]] std::optional<failure> no_room_for_jobs() const;
  void refuse(ledger_actor::pointer self, const job& first, failure why);
  void answer(ledger_actor::pointer self, const waiter& who, const std::string& document);
  void answer(ledger_actor::pointer self, const waiter& who, failure why);

  // Release (ledger_release.cpp), restart (ledger_restart.cpp)
  void wait_on_disk(ledger_actor::pointer self, job what);
  void run_again(ledger_actor::pointer self, const job_id& id);
  [[nodiscard]] bool read_page();
  [[nodiscard]] bool waits(const job_id& id) const;
  void expire(ledger_actor::pointer self);
  void end_overdue(ledger_actor::pointer self, const job_id& id);
  void wake();
  /// The job in memory, from its record when it waited on disk only; null when it has ended.
  open_job* load(const job_id& id);
  [[nodiscard]] request_ptr stored_request(const store::job_record& row);
  [[nodiscard]] request_ptr stored_body(const store::job_record& row, std::uint32_t base);
  [[nodiscard]] job_id body_holder(const store::job_record& row, std::uint32_t base) const;
  [[nodiscard]] std::shared_ptr<const earlier_output> earlier(ledger_actor::pointer self,
                                                              const job& what);
  void start_over(ledger_actor::pointer self, const job_id& id);
  /// Ends a job that nobody holds: it never started, or cannot.
  void end_unstarted(ledger_actor::pointer self, const job_id& id, failure why);
  void bury(ledger_actor::pointer self, const store::job_record& row, std::uint32_t crashes);
  void reopen_batch(ledger_actor::pointer self, const store::job_record& row);

  // Ends (ledger.cpp)
  void failed_commit(ledger_actor::pointer self, const store::status& why, bool synced);
  void forget(ledger_actor::pointer self, job_end end);
  void keep_result(const job_id& id, const open_job& entry, std::string document);
  void drop_kept(const job_id& id);
  void tell_waiters(ledger_actor::pointer self, const job_id& id, const std::string& document,
                    job_state state);
  void watch_disk(ledger_actor::pointer self);
  void retain();
  [[nodiscard]] bool wants_sync();

  // Questions (ledger_questions.cpp)
  void cancel_one(ledger_actor::pointer self, const job_id& id);
  void cancel_batch(ledger_actor::pointer self, const job_id& id);
  [[nodiscard]] nlohmann::json list_children(const query& what, nlohmann::json& jobs) const;
  [[nodiscard]] nlohmann::json list_all(const query& what, nlohmann::json& jobs) const;
  void tell(ledger_actor::pointer self, const query& who, std::string type, std::string body);
  void tell_error(ledger_actor::pointer self, const query& who, failure why);
  void tell_state(ledger_actor::pointer self, const query& who, const job_id& id, job_state state);
  [[nodiscard]] std::optional<job_status> find(const query& who, const job_id& id) const;
  [[nodiscard]] job_status known(const store::job_record& row) const;
  [[nodiscard]] std::string document_of(const job_end& end) const;
  /// The stored result; of a batch with the results of its items, if they are not too many bytes.
  [[nodiscard]] std::optional<std::string> stored_result(const job_id& id) const;
  [[nodiscard]] std::string with_items(const job_id& batch, std::string frame) const;
  [[nodiscard]] std::int64_t now_us() const { return to_wall_us(with.time->wall()); }

  // Readers (ledger_readers.cpp)
  void read_on(ledger_actor::pointer self, const job_id& id, reader with_cursor);
  [[nodiscard]] std::optional<std::string> ended_document(const job_id& id) const;
  [[nodiscard]] std::uint64_t stored_offset(const job_id& id, std::uint64_t offset) const;
  void mark_read(ledger_actor::pointer self, const job_id& id);
  void feed(ledger_actor::pointer self, const job_id& id);
  void feed_text(ledger_actor::pointer self, const job_id& id, reader& to);
  void feed_items(ledger_actor::pointer self, const job_id& id, reader& to);
  /// True when it has had its last word.
  [[nodiscard]] bool finish_reader(ledger_actor::pointer self, const job_id& id, reader& to,
                                   const std::string& document, bool is_batch);
  void finish_readers(ledger_actor::pointer self, const job_id& id, const std::string& document,
                      bool is_batch);
  void rewind_readers(ledger_actor::pointer self, const job_id& id, std::uint64_t offset);
  void tell_progress(ledger_actor::pointer self);
  void say(ledger_actor::pointer self, const reader& to, std::string type, std::string body,
           bool last = false);

  // An operator's orders (ledger_orders.cpp)
  void list_dead(ledger_actor::pointer self, const query& what);
  void retry_dead(ledger_actor::pointer self, const query& what);
  void purge_dead(ledger_actor::pointer self, const query& what);
  void requeue(ledger_actor::pointer self, const query& what);
  [[nodiscard]] std::string body_alone(const store::job_record& row) const;
};

/// LEDGER (detached): every job passes; durable ones are on disk before anything else is said.
/// Its parts: ledger.cpp (commit, ends), ledger_admission.cpp, ledger_parts.cpp (batches in parts),
/// ledger_release.cpp (release against credit), ledger_restart.cpp, ledger_questions.cpp,
/// ledger_readers.cpp (attach), ledger_orders.cpp (an operator's), ledger_time.cpp
/// (what is done now and then).
///
///   analyzer ─admit▶ ledger ─open▶ responder, ─probe, lookup▶ cache
///   responder ─output, ended▶ ledger ─written▶ responder, ─reply▶ outbox
ledger_actor::behavior_type ledger(ledger_actor::stateful_pointer<ledger_state> self,
                                   ledger_options options);

} // namespace bitnetd::actors
