// SPDX-License-Identifier: MIT
#include "clients/bitnet_model/commands.h"
#include "clients/bitnet_model/model_options.h"
#include "clients/bitnet_model/random_weights.h"
#include "engine/telemetry.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <iomanip>
#include <iostream>

namespace bitnetd::model_tool {

namespace {

using engine::operation_cost;

struct options : model_options {
  std::size_t n_prompt = 128, n_generate = 32;
  bool json = false;

  options() { head = "screened"; } // as the daemon runs it
};

struct cost_line {
  std::string layer, operation;
  operation_cost cost;
};

std::string layer_name(std::size_t index, std::size_t n_layers) {
  return index == n_layers ? "-" : std::to_string(index); // embedding, head, drawing
}

/// A line per layer and operation that cost anything, then a line per operation over all layers.
std::vector<cost_line> list_costs(const engine::telemetry& counters) {
  std::vector<cost_line> lines;
  engine::telemetry one; // one operation of one layer, or of all: total() adds them up
  const auto add = [&](const std::string& layer, std::size_t op, const auto& costs) {
    one.layers = {costs};
    const auto cost = one.total();
    if (cost.nanoseconds > 0 || cost.weight_bytes > 0)
      lines.push_back(
          {layer, std::string{engine::to_string(static_cast<engine::operation>(op))}, cost});
  };
  const auto n_layers = counters.layers.size() - 1;
  for (std::size_t i = 0; i <= n_layers; ++i)
    for (std::size_t op = 0; op < engine::n_operations; ++op)
      add(layer_name(i, n_layers), op, std::vector{counters.layers[i][op]});
  for (std::size_t op = 0; op < engine::n_operations; ++op) {
    std::vector<operation_cost> across;
    for (const auto& layer : counters.layers)
      across.push_back(layer[op]);
    add("all", op, across);
  }
  lines.push_back({"all", "total", counters.total()});
  return lines;
}

double zero_share(const operation_cost& cost) {
  return cost.additions == 0
             ? 0
             : static_cast<double>(cost.zero_additions) / static_cast<double>(cost.additions);
}

void print_table(const std::vector<cost_line>& lines) {
  std::cout << "layer operation          ms   weights MB     KV MB    Gadd    Gmul  zeros %"
               "   mJ arith  mJ with memory\n";
  for (const auto& [layer, operation, cost] : lines)
    std::cout << std::setw(5) << layer << ' ' << std::left << std::setw(12) << operation
              << std::right << std::fixed << std::setprecision(2) << std::setw(9)
              << static_cast<double>(cost.nanoseconds) / 1e6 << std::setw(13)
              << static_cast<double>(cost.weight_bytes) / 1e6 << std::setw(10)
              << static_cast<double>(cost.kv_bytes) / 1e6 << std::setw(8)
              << static_cast<double>(cost.additions) / 1e9 << std::setw(8)
              << static_cast<double>(cost.multiplications) / 1e9 << std::setw(9)
              << 100 * zero_share(cost) << std::setw(11)
              << 1e3 * engine::estimate_joules(cost, false) << std::setw(16)
              << 1e3 * engine::estimate_joules(cost, true) << '\n';
}

nlohmann::json to_json(const std::vector<cost_line>& lines) {
  auto all = nlohmann::json::array();
  for (const auto& [layer, operation, cost] : lines)
    all.push_back({{"layer", layer},
                   {"operation", operation},
                   {"nanoseconds", cost.nanoseconds},
                   {"weight_bytes", cost.weight_bytes},
                   {"kv_bytes", cost.kv_bytes},
                   {"additions", cost.additions},
                   {"multiplications", cost.multiplications},
                   {"zero_share", zero_share(cost)},
                   {"joules_arithmetic_estimate", engine::estimate_joules(cost, false)},
                   {"joules_with_memory_estimate", engine::estimate_joules(cost, true)}});
  return all;
}

void run(const options& chosen) {
  open_model model{chosen};
  auto eval = model.evaluator(chosen, std::max<std::size_t>(1, chosen.n_prompt + chosen.n_generate),
                              128, {}, true);
  random_source random{1};
  const auto draw_tokens = [&](std::size_t n) {
    std::vector<engine::token_id> tokens(n);
    for (auto& token : tokens)
      token = static_cast<engine::token_id>(random() % model.description().shape.n_vocab);
    return tokens;
  };
  const double joules_before = engine::rapl_joules();
  if (chosen.n_prompt > 0)
    eval.feed(draw_tokens(chosen.n_prompt));
  for (std::size_t i = 0; i < chosen.n_generate; ++i)
    eval.feed(draw_tokens(1));
  const double joules = engine::rapl_joules() - joules_before;
  const auto lines = list_costs(eval.counters());
  if (chosen.json) {
    std::cout << to_json(lines).dump() << '\n';
    return;
  }
  std::cout << model.description().name << ": " << chosen.n_prompt << " tokens of prompt, "
            << chosen.n_generate << " generated\n";
  print_table(lines);
  if (const auto& counters = eval.counters(); counters.screened > 0)
    std::cout << "Screened head: " << counters.screened << " rows of logits, "
              << counters.screen_rows_read << " logits read exactly, " << counters.screen_fallbacks
              << " rows read whole after all.\n";
  std::cout << "Energy of arithmetic and memory is an estimate by published energies per operation "
               "(45 nm) and 20 pJ per byte.\n";
  if (joules_before >= 0)
    std::cout << "Measured for the whole CPU package (RAPL): " << joules << " J\n";
  else
    std::cout << "This machine tells no measured energy (no RAPL).\n";
}

} // namespace

void add_layers(CLI::App& app) {
  auto* command = app.add_subcommand(
      "layers", "time, bytes, operations, zeros and energy per layer and operation");
  const auto chosen = std::make_shared<options>();
  chosen->add_to(*command);
  chosen->add_numeric_to(*command);
  command->add_option("-p", chosen->n_prompt, "tokens of prompt")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  command->add_option("-n", chosen->n_generate, "tokens to generate")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  command->add_flag("--json", chosen->json, "an array of objects");
  command->callback([chosen] { run(*chosen); });
}

} // namespace bitnetd::model_tool
