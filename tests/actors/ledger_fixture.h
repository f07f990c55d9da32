// SPDX-License-Identifier: MIT
#pragma once

#include "actors/ledger.h"
#include "tests/actors/actor_fixture.h"
#include "tests/actors/journal_words.h"
#include "tests/actors/pure_test_helpers.h"
#include "tests/support/scratch_folder.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bitnetd::actors::testing {

/// A ledger over a real journal; its process can die and start again.
struct ledger_fixture : actor_fixture {
  tests::scratch_folder folder;
  std::shared_ptr<store::jobs_db> jobs;
  ledger_actor aut;
  std::shared_ptr<conf::config> config = std::make_shared<conf::config>();
  job_maker maker;
  std::uint32_t window = 16;       ///< the batcher's credit at a start
  bool credit_comes_first = false; ///< at a start, before the ledger knows anybody

  ledger_fixture() {
    maker.what.reply_to.peer = "peer";
    maker.what.mode = reply_mode::job;
    maker.what.durable = true;
    start();
  }
  ~ledger_fixture() { die(); }

  /// Opens the journal and spawns the ledger: a start of the daemon.
  void start() {
    store::jobs_options options;
    options.witness_sync = milliseconds{0};
    jobs = std::make_shared<store::jobs_db>(folder.path(), options);
    aut = system.spawn(ledger, ledger_options{time, counters, jobs, decode, encode});
    auto all = neighbours();
    all.ledger = aut;
    tell(aut, configure_atom_v, conf::config_ptr{config});
    if (credit_comes_first) {
      tell(aut, credit_atom_v, window);
      pass(seconds{2});
    }
    tell(aut, connect_atom_v, std::make_shared<const peers>(all));
    if (!credit_comes_first)
      tell(aut, credit_atom_v, window);
  }
  /// The process is killed: nobody gets to say anything.
  void die() { end(caf::exit_reason::kill); }
  /// An orderly end.
  void close() { end(caf::exit_reason::user_shutdown); }
  void restart() {
    die();
    forget_all();
    start();
  }
  void forget_all() {
    for (auto* one : {&outbox, &analyzer_in, &cache_in, &batcher_in, &responder_in})
      one->forget();
  }

  /// A request as analysis hands it on; `tag` tells its replies apart.
  job make(std::uint8_t number, const std::string& tag = "r") {
    maker.what.reply_to.tag = tag;
    maker.what.items[0].text = "prompt " + std::to_string(number);
    maker.what.body = body_of(maker.what);
    maker.what.arrived = time->mono();
    maker.what.arrived_wall = time->wall();
    if (!maker.what.key.empty())
      maker.what.fingerprint = hash_bytes(maker.what.body);
    auto out = maker.make(maker.what.items[0].text, number);
    out.id = id_of(number);
    return out;
  }
  /// Version 7 ids that sort as their numbers.
  static job_id id_of(std::uint8_t number) {
    job_id out;
    out.bytes[6] = 0x70;
    out.bytes[8] = 0x80;
    out.bytes[15] = number;
    return out;
  }
  void admit(job what) { tell(aut, admit_atom_v, std::vector<job>{std::move(what)}); }
  /// A batch: parent with this number, children with those after it.
  std::vector<job> make_batch(std::uint8_t number, std::size_t n, const std::string& tag = "r") {
    maker.what.is_batch = true;
    maker.what.reply_to.tag = tag;
    maker.what.items.resize(n);
    for (std::size_t i = 0; i < n; ++i) {
      maker.what.items[i].text = "item " + std::to_string(i);
      maker.what.items[i].custom_id = "c" + std::to_string(i);
    }
    maker.what.body = body_of(maker.what);
    maker.what.arrived_wall = time->wall();
    std::vector<job> out(n + 1);
    const auto shared = std::make_shared<const request>(maker.what);
    for (std::size_t i = 0; i <= n; ++i) {
      out[i].id = id_of(static_cast<std::uint8_t>(number + i));
      out[i].what = shared;
    }
    out[0].is_parent = true;
    for (std::size_t i = 1; i <= n; ++i) {
      out[i].parent = out[0].id;
      out[i].index = out[i].item = static_cast<std::uint32_t>(i - 1);
      out[i].how = std::make_shared<const traits>(maker.how);
    }
    return out;
  }
  /// The cache has no answer for a probed job.
  void miss(job what) { tell(aut, missed_atom_v, std::move(what)); }
  /// Every probed job misses, as they come.
  void miss_all() {
    const auto probes = cache_in.all<probe_atom, job>();
    for (; missed_ < probes.size(); ++missed_)
      miss(std::get<1>(probes[missed_]));
  }
  /// The responder ends a job with this text.
  void finish(std::uint8_t number, const std::string& text = "text",
              job_state state = job_state::done, bool has_reply = false) {
    job_end end;
    end.id = id_of(number);
    end.state = state;
    end.durable = true;
    auto result = std::make_shared<reply_result>();
    result->job = end.id;
    result->state = state;
    if (state == job_state::done) {
      auto what = std::make_shared<answer>();
      what->text = text;
      result->what = std::move(what);
    } else {
      result->error = failure{150, "E_TEST", text, {}, {}, {}};
    }
    end.result = result;
    end.has_reply = has_reply;
    end.out.to = {0, "peer", "end", false};
    end.out.what = result_ptr{result};
    tell(aut, ended_atom_v, std::move(end));
  }
  /// Attaches; the responder confirms that the job is read.
  void attach(const query& what) {
    tell(aut, attach_atom_v, what);
    tell(aut, seen_atom_v, what.jobs.front());
  }
  query ask(std::uint8_t number, const std::string& tag = "q") const {
    query out;
    out.reply_to = {0, "peer", tag, false};
    out.principal = "alice";
    out.jobs = {id_of(number)};
    return out;
  }
  /// The document that answers a question, or {"error": name}.
  nlohmann::json document(const std::string& tag = "q") const {
    const auto said = told(tag);
    if (said.document())
      return nlohmann::json::parse(said.document()->body);
    return {{"error", said.error_name()}};
  }
  nlohmann::json status(std::uint8_t number) {
    static int n = 0;
    const auto tag = "status " + std::to_string(++n);
    tell(aut, status_atom_v, ask(number, tag));
    const auto found = document(tag);
    return found.contains("jobs") ? found["jobs"][0] : found;
  }
  std::vector<int> released() const {
    std::vector<int> out;
    for (const auto& [atom, what] : cache_in.all<lookup_atom, job>())
      out.push_back(what.id.bytes[15]);
    return out;
  }
  /// Numbers of the jobs that were sent to analysis again.
  std::vector<int> run_again() const {
    std::vector<int> out;
    for (const auto& [atom, what, id, attempt] :
         analyzer_in.all<recover_atom, request_ptr, job_id, std::uint32_t>())
      out.push_back(id.bytes[15]);
    return out;
  }
  [[nodiscard]] double commits() const { return metric("bitnetd_journal_commits_total"); }

private:
  void end(caf::exit_reason why) {
    if (!aut)
      return;
    caf::anon_send_exit(aut, why);
    run.run();
    aut = nullptr;
    jobs = nullptr;
    missed_ = 0;
  }
  std::size_t missed_ = 0;
};

} // namespace bitnetd::actors::testing
