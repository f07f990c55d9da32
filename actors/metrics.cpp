// SPDX-License-Identifier: MIT
#include "actors/metrics.h"

#include <nlohmann/json.hpp>
#include <prometheus/text_serializer.h>

#include <algorithm>

namespace bitnetd::actors {

namespace {

using buckets = prometheus::Histogram::BucketBoundaries;

prometheus::Family<prometheus::Counter>& counters(prometheus::Registry& registry, const char* name,
                                                  const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
}

prometheus::Counter& counter(prometheus::Registry& registry, const char* name, const char* help) {
  return counters(registry, name, help).Add({});
}

prometheus::Gauge& gauge(prometheus::Registry& registry, const char* name, const char* help) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add({});
}

prometheus::Histogram& histogram(prometheus::Registry& registry, const char* name, const char* help,
                                 const buckets& at) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry).Add({}, at);
}

const buckets seconds_buckets{0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1,
                              0.3,    1,      3,     10,    30,   100};
const buckets row_buckets{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024};

constexpr std::array<std::string_view, 4> phase_names{"analysis", "cache", "batching",
                                                      "combination"};

using family = prometheus::Family<prometheus::Counter>;

auto counters_of_phases(family& of) {
  std::array<std::array<prometheus::Counter*, 2>, phase_names.size()> out{};
  for (std::size_t i = 0; i < phase_names.size(); ++i)
    for (const bool skipped : {false, true})
      out[i][skipped] = &of.Add(
          {{"phase", std::string{phase_names[i]}}, {"skipped", skipped ? "true" : "false"}});
  return out;
}

auto counters_of_classes(family& of) {
  std::array<prometheus::Counter*, store::n_job_classes> out{};
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = &of.Add({{"class", std::string{store::name(static_cast<job_class>(i))}}});
  return out;
}

auto counters_of_states(family& of) {
  std::array<prometheus::Counter*, store::n_job_states> out{};
  for (std::size_t i = 0; i < out.size(); ++i)
    if (const auto state = static_cast<job_state>(i); store::is_terminal(state))
      out[i] = &of.Add({{"state", std::string{store::name(state)}}});
  return out;
}

} // namespace

metrics::metrics()
    : accepted_{counters(registry_, "bitnetd_jobs_accepted_total", "Jobs accepted, by class")},
      ended_{counters(registry_, "bitnetd_jobs_total", "Jobs ended, by terminal state")},
      refused_{counters(registry_, "bitnetd_rejected_total", "Requests refused, by error name")},
      phases_{counters(registry_, "bitnetd_phase_total",
                       "Jobs that went through a phase, or passed it because it is off")},
      lookups_{counters(registry_, "bitnetd_cache_lookups_total", "Cache lookups, by result")},
      vetoes_{
          counters(registry_, "bitnetd_cache_vetoes_total", "Similar entries held back, by guard")},
      audits_{counters(registry_, "bitnetd_cache_audits_total",
                       "Answers computed beside a similar one and compared, by verdict")},
      quality_{counters(registry_, "bitnetd_quality_failures_total",
                        "Answers that failed a quality check")},
      tokens_{counters(registry_, "bitnetd_tokens_total", "Tokens, by kind")},
      reloads_{counters(registry_, "bitnetd_config_reloads_total", "Configuration reloads")},
      by_phase_{counters_of_phases(phases_)}, by_class_{counters_of_classes(accepted_)},
      by_state_{counters_of_states(ended_)},
      shadow_hits_{counter(registry_, "bitnetd_cache_shadow_hits_total",
                           "Answers that the similarity tier would have served in mode `on`")},
      quality_retries_{counter(registry_, "bitnetd_quality_retries_total",
                               "Answers computed again after a failed quality check")},
      steps_{counter(registry_, "bitnetd_steps_total", "Forward passes")},
      commits_{counter(registry_, "bitnetd_journal_commits_total", "Group commits")},
      committed_facts_{
          counter(registry_, "bitnetd_journal_facts_total", "Facts written in group commits")},
      workers_lost_{counter(registry_, "bitnetd_workers_lost_total", "Workers that ended")},
      step_seconds_{histogram(registry_, "bitnetd_step_duration_seconds", "Time of a forward pass",
                              seconds_buckets)},
      step_rows_{histogram(registry_, "bitnetd_batch_size", "Rows of a step", row_buckets)},
      first_token_seconds_{histogram(registry_, "bitnetd_time_to_first_token_seconds",
                                     "From arrival to the first token", seconds_buckets)},
      request_seconds_{histogram(registry_, "bitnetd_request_duration_seconds",
                                 "From arrival to the end of a job", seconds_buckets)},
      commit_seconds_{histogram(registry_, "bitnetd_store_fsync_seconds",
                                "Time of a synced group commit", seconds_buckets)},
      open_jobs_{gauge(registry_, "bitnetd_open_jobs", "Jobs accepted and not ended")},
      cache_entries_{gauge(registry_, "bitnetd_cache_entries", "Answers kept")},
      cache_bytes_{gauge(registry_, "bitnetd_cache_bytes", "Bytes of the answers kept")},
      journal_jobs_{gauge(registry_, "bitnetd_journal_jobs", "Jobs in the journal")},
      journal_bytes_{gauge(registry_, "bitnetd_journal_bytes", "Bytes in the journal")} {}

void metrics::job_accepted(job_class cls) noexcept {
  by_class_[static_cast<std::size_t>(cls)]->Increment();
}

void metrics::job_ended(job_state state) noexcept {
  if (auto* const counter = by_state_[static_cast<std::size_t>(state)])
    counter->Increment();
}

void metrics::refused(std::string_view error_name) noexcept {
  refused_.Add({{"reason", std::string{error_name}}}).Increment();
}

void metrics::phase(std::string_view name, bool skipped) noexcept {
  const auto place = std::ranges::find(phase_names, name);
  if (place != phase_names.end())
    by_phase_[static_cast<std::size_t>(place - phase_names.begin())][skipped]->Increment();
}

void metrics::cache_lookup(std::string_view result, std::string_view tier) noexcept {
  lookups_.Add({{"result", std::string{result}}, {"tier", std::string{tier}}}).Increment();
}

void metrics::cache_veto(std::string_view guard) noexcept {
  vetoes_.Add({{"guard", std::string{guard}}}).Increment();
}

void metrics::cache_audit(std::string_view verdict) noexcept {
  audits_.Add({{"verdict", std::string{verdict}}}).Increment();
}

void metrics::shadow_hit() noexcept { shadow_hits_.Increment(); }

void metrics::quality_failure(std::string_view check) noexcept {
  quality_.Add({{"check", std::string{check}}}).Increment();
}

void metrics::quality_retry() noexcept { quality_retries_.Increment(); }

void metrics::tokens(std::uint64_t prompt, std::uint64_t cached, std::uint64_t made) noexcept {
  const auto add = [this](const char* kind, std::uint64_t n) {
    if (n > 0)
      tokens_.Add({{"kind", kind}}).Increment(static_cast<double>(n));
  };
  add("prompt", prompt);
  add("cached", cached);
  add("output", made);
}

void metrics::step(std::uint32_t rows, double ms) noexcept {
  steps_.Increment();
  step_rows_.Observe(rows);
  step_seconds_.Observe(ms / 1e3);
}

void metrics::first_token(double ms) noexcept { first_token_seconds_.Observe(ms / 1e3); }

void metrics::request_duration(double ms) noexcept { request_seconds_.Observe(ms / 1e3); }

void metrics::commit(std::size_t facts, double ms) noexcept {
  commits_.Increment();
  committed_facts_.Increment(static_cast<double>(facts));
  commit_seconds_.Observe(ms / 1e3);
}

void metrics::reload(bool applied) noexcept {
  reloads_.Add({{"result", applied ? "applied" : "refused"}}).Increment();
}

void metrics::worker_lost() noexcept { workers_lost_.Increment(); }
void metrics::set_open_jobs(double n) noexcept { open_jobs_.Set(n); }

void metrics::set_cache_size(double entries, double bytes) noexcept {
  cache_entries_.Set(entries);
  cache_bytes_.Set(bytes);
}

void metrics::set_journal_size(double jobs, double bytes) noexcept {
  journal_jobs_.Set(jobs);
  journal_bytes_.Set(bytes);
}

std::string metrics::render() const {
  return prometheus::TextSerializer{}.Serialize(registry_.Collect());
}

std::string metrics::json() const {
  auto out = nlohmann::json::object();
  for (const auto& family : registry_.Collect()) {
    for (const auto& metric : family.metric) {
      auto key = family.name;
      for (const auto& label : metric.label)
        key += (key.ends_with('}') ? (key.pop_back(), ",") : std::string{"{"}) + label.name +
               "=\"" + label.value + "\"}";
      switch (family.type) {
      case prometheus::MetricType::Counter:
        out[key] = metric.counter.value;
        break;
      case prometheus::MetricType::Gauge:
        out[key] = metric.gauge.value;
        break;
      default:
        out[key + "_count"] = metric.histogram.sample_count;
        out[key + "_sum"] = metric.histogram.sample_sum;
      }
    }
  }
  return out.dump();
}

} // namespace bitnetd::actors
