// SPDX-License-Identifier: MIT
#pragma once

#include "actors/messages.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <array>
#include <string>
#include <string_view>

namespace bitnetd::actors {

/// Every number that the pipeline counts, updated in place from any thread. Names and labels are
/// Prometheus conventions: base units, `_total` for counters; never a job id as a label.
class metrics {
public:
  metrics();

  void job_accepted(job_class cls) noexcept;
  void job_ended(job_state state) noexcept;
  void refused(std::string_view error_name) noexcept;
  /// One decision of a phase: analysis, cache, batching, combination. `skipped`: the profile has
  /// the phase off.
  void phase(std::string_view name, bool skipped) noexcept;
  /// hit, miss, coalesced, bypass, …; tier exact, similarity, inflight or none.
  void cache_lookup(std::string_view result, std::string_view tier) noexcept;
  void cache_veto(std::string_view guard) noexcept; ///< a guard held a similar entry back
  /// An answer was computed beside a similar one and compared: right, wrong or unknown.
  void cache_audit(std::string_view verdict) noexcept;
  void shadow_hit() noexcept; ///< the similarity tier would have answered
  void quality_failure(std::string_view check) noexcept;
  void quality_retry() noexcept;
  void tokens(std::uint64_t prompt, std::uint64_t cached, std::uint64_t made) noexcept;
  void step(std::uint32_t rows, double ms) noexcept;
  void first_token(double ms) noexcept;
  void request_duration(double ms) noexcept;
  void commit(std::size_t facts, double ms) noexcept;
  void reload(bool applied) noexcept;
  void worker_lost() noexcept;
  void set_open_jobs(double n) noexcept;
  void set_cache_size(double entries, double bytes) noexcept;
  void set_journal_size(double jobs, double bytes) noexcept;

  /// The text exposition format, for scraping.
  [[nodiscard]] std::string render() const;
  /// The same as JSON: {"bitnetd_jobs_total{state=\"done\"}": 3, …}, histograms as count and sum.
  [[nodiscard]] std::string json() const;

private:
  prometheus::Registry registry_;
  prometheus::Family<prometheus::Counter>&accepted_, &ended_, &refused_, &phases_, &lookups_,
      &vetoes_, &audits_, &quality_, &tokens_, &reloads_;
  // What every job counts is looked up once.
  std::array<std::array<prometheus::Counter*, 2>, 4> by_phase_;
  std::array<prometheus::Counter*, store::n_job_classes> by_class_;
  std::array<prometheus::Counter*, store::n_job_states> by_state_; ///< null: not terminal
  prometheus::Counter &shadow_hits_, &quality_retries_, &steps_, &commits_, &committed_facts_,
      &workers_lost_;
  prometheus::Histogram &step_seconds_, &step_rows_, &first_token_seconds_, &request_seconds_,
      &commit_seconds_;
  prometheus::Gauge &open_jobs_, &cache_entries_, &cache_bytes_, &journal_jobs_, &journal_bytes_;
};

} // namespace bitnetd::actors
