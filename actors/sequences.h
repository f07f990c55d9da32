// SPDX-License-Identifier: MIT
#pragma once

#include "actors/messages.h"
#include "engine/batch.h"
#include "engine/node.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace bitnetd::actors {

/// Everything that runs on one node: a batch per model, the jobs in them, and what of their output
/// may leave. Plain code without actors; one owner.
///
/// At most one `output` of a job is on its way; what is drawn meanwhile waits here and leaves as
/// one piece when `taken` is called.
class sequences {
public:
  struct settings {
    std::size_t max_sequences = 32;
    std::uint64_t kv_bytes = 256ull << 20; ///< per model
    engine::kv_type kv = engine::kv_type::f16;
    std::uint32_t node = 0;            ///< index into served_model::per_node
    std::size_t max_step_tokens = 512; ///< most rows of a step, whatever a budget says: buffers
  };

  sequences(engine::compute_node& node, const engine::kernel_table& kernels, settings with);

  /// Makes a batch for every new model; one that is no longer served goes when it is idle. Nothing
  /// here holds a handle: whoever asks how long a model is in use counts the jobs, not the workers.
  void serve(const model_set& models);
  /// The shape of the next steps of one model.
  void plan(const step_budget& budget);

  /// Why an assignment was not taken.
  struct refusal {
    bool no_room = false; ///< sequences or pages are used up: later it fits
    std::string reason;
  };
  [[nodiscard]] std::optional<refusal> assign(const assignment& what, mono_time now);
  /// What was not sent yet is dropped, so that the end need not wait for anybody.
  void cancel(const job_id& id);
  /// False when the request is over budget (queue or length): the cache goes on without.
  [[nodiscard]] bool embed(const embed_request& what);
  /// The last output of this job was taken. What waited leaves with `outputs`.
  void taken(const job_id& id);

  /// What a step, or `taken`, let go.
  struct events {
    std::vector<output> outputs;
    std::vector<finished> ends;
    std::vector<embedded> vectors;
    std::optional<step_time> cost;
  };
  /// One step of one model; the models take turns, an embedding model that was asked by the cache
  /// goes first.
  [[nodiscard]] events step(mono_time now);
  /// Output that waited for `taken`, without a step.
  [[nodiscard]] events release();

  /// Nothing to compute and nothing to send.
  [[nodiscard]] bool idle() const;
  [[nodiscard]] worker_credit credit() const;
  /// Sum over the batches.
  [[nodiscard]] engine::operation_cost counters() const;
  [[nodiscard]] std::uint64_t steps() const;
  [[nodiscard]] std::size_t open() const { return jobs_.size(); }
  [[nodiscard]] bool memory_bound() const;

private:
  struct model_lane {
    std::string name;
    std::unique_ptr<engine::batch> batch;
    step_budget budget;
    bool served = true;
  };
  struct open_job {
    job_id id;
    hash128 model;
    output waiting;             ///< drawn, not sent
    std::uint32_t n_tokens = 0; ///< drawn so far, earlier ones included
    bool in_flight = false;     ///< an output is not yet taken
    bool cancelled = false;
    std::optional<finished> end;
    mono_time assigned{};
    std::optional<mono_time> first_token;
  };

  void add_lane(const model_handle& model);
  void collect(const engine::sequence_output& drawn, mono_time now, events& out);
  void flush(std::uint64_t number, open_job& job, events& out);
  using lane_map = std::map<hash128, model_lane>;
  [[nodiscard]] lane_map::iterator next_lane();

  void erase_idle_lanes();

  engine::compute_node& node_;
  const engine::kernel_table& kernels_;
  settings with_;
  lane_map lanes_;
  std::unordered_map<std::uint64_t, open_job> jobs_; ///< by the number the batch knows
  std::map<job_id, std::uint64_t> numbers_;
  struct vector_request {
    std::uint64_t ticket = 0;
    hash128 model;
  };
  std::unordered_map<std::uint64_t, vector_request> tickets_; ///< embeddings for the cache
  std::vector<std::uint64_t> ready_; ///< jobs whose buffered output may leave
  std::uint64_t next_number_ = 1;
  hash128 last_lane_;
  engine::operation_cost retired_; ///< of lanes that are gone
  std::uint64_t retired_steps_ = 0;
};

/// Longest text, in tokens, that is embedded for the cache.
constexpr std::size_t max_embedded_tokens = 512;
/// Most embeddings that wait on one worker.
constexpr std::size_t max_waiting_embeddings = 64;

} // namespace bitnetd::actors
