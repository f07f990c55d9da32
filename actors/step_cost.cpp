// SPDX-License-Identifier: MIT
#include "actors/step_cost.h"

#include "base/log.h"
#include "engine/batch.h"
#include "engine/kv_cache.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>

namespace bitnetd::actors {

namespace {

constexpr double measuring_budget_ms = 2000;
constexpr std::size_t max_points = 256;

/// Sequences that are measured and thrown away.
class probe {
public:
  probe(const served_model& model, std::size_t node_index, engine::compute_node& node,
        const engine::kernel_table& kernels, engine::kv_type kv)
      : context_{model.description->shape.n_context}, batch_{model.description,
                                                             model.per_node.at(node_index), node,
                                                             kernels, options(kv)} {}

  void prefill(std::uint32_t rows, cost_curve& into) {
    rows = std::min(rows, context_ - 1);
    if (admit(rows, 1))
      note(step(rows), into);
    drain();
  }

  void decode(std::uint32_t sequences, cost_curve& into) {
    constexpr std::uint32_t prompt = 16, steps = 6;
    if (context_ < prompt + steps)
      return;
    for (std::uint32_t i = 0; i < sequences; ++i)
      if (!admit(prompt, steps))
        return;
    (void)step(prompt); // the prompts
    while (!batch_.idle()) {
      const auto report = step(prompt);
      if (report.n_prefill == 0 && report.n_decode == sequences)
        note(report, into);
    }
  }

  [[nodiscard]] double spent_ms() const noexcept { return spent_ms_; }

private:
  static engine::batch_options options(engine::kv_type kv) {
    engine::batch_options out;
    out.max_sequences = 8;
    out.kv_pages = 32;
    out.kv = kv;
    return out;
  }
  bool admit(std::uint32_t prompt, std::uint32_t made) {
    engine::sequence_request request;
    request.id = ++last_;
    request.tokens.assign(prompt, 0);
    request.max_new_tokens = made;
    request.ignore_eos = true;
    return batch_.admit(std::move(request)) == engine::status::ok;
  }
  engine::step_report step(std::uint32_t chunk) {
    auto report = batch_.step({512, std::max(chunk, 1u)});
    spent_ms_ += report.seconds * 1e3;
    return report;
  }
  void drain() {
    while (!batch_.idle())
      (void)step(512);
  }
  static void note(const engine::step_report& report, cost_curve& into) {
    into.points.push_back(
        {report.n_decode, report.n_prefill, report.context_sum, report.seconds * 1e3});
  }

  std::uint32_t context_;
  engine::batch batch_;
  std::uint64_t last_ = 0;
  double spent_ms_ = 0;
};

} // namespace

cost_curve measure_step_cost(const served_model& model, std::size_t node_index,
                             engine::compute_node& node, const engine::kernel_table& kernels,
                             engine::kv_type kv) {
  cost_curve out, warm_up;
  probe with{model, node_index, node, kernels, kv};
  with.prefill(16, warm_up);
  for (int round = 0; round < 3; ++round) {
    for (const std::uint32_t rows : {16u, 64u, 256u})
      if (with.spent_ms() < measuring_budget_ms)
        with.prefill(rows, out);
    for (const std::uint32_t sequences : {1u, 2u, 4u, 8u})
      if (with.spent_ms() < measuring_budget_ms && !model.embedding)
        with.decode(sequences, out);
  }
  return out;
}

std::filesystem::path cost_file(const std::filesystem::path& cache_directory, const hash128& model,
                                std::string_view isa, std::size_t threads, std::string_view kv) {
  return cache_directory / "step-cost" /
         fmt::format("{}-{}-{}-{}.json", model.hex(), isa, threads, kv);
}

std::optional<cost_curve> read_cost(const std::filesystem::path& file) {
  std::ifstream in{file};
  const auto rows = nlohmann::json::parse(in, nullptr, false);
  if (!rows.is_array() || rows.empty() || rows.size() > max_points)
    return std::nullopt;
  cost_curve out;
  for (const auto& row : rows) {
    const bool sound = row.is_array() && row.size() == 4 &&
                       std::ranges::all_of(row, [](const auto& x) { return x.is_number(); });
    if (!sound)
      return std::nullopt;
    const auto ms = row[3].get<double>();
    const bool in_bounds = row[0].is_number_unsigned() && row[1].is_number_unsigned() &&
                           row[2].is_number_unsigned() && ms > 0 && ms < 1e7;
    if (!in_bounds)
      return std::nullopt;
    out.points.push_back({row[0].get<std::uint32_t>(), row[1].get<std::uint32_t>(),
                          row[2].get<std::uint64_t>(), ms});
  }
  return out;
}

bool write_cost(const std::filesystem::path& file, const cost_curve& curve) {
  std::error_code error;
  std::filesystem::create_directories(file.parent_path(), error);
  auto rows = nlohmann::json::array();
  for (const auto& point : curve.points)
    rows.push_back({point.n_decode, point.n_prefill, point.context_sum, point.milliseconds});
  auto temporary = file;
  temporary += ".new";
  {
    std::ofstream out{temporary};
    out << rows.dump() << '\n';
    if (!out.flush())
      return false;
  }
  std::filesystem::rename(temporary, file, error);
  return !error;
}

} // namespace bitnetd::actors
