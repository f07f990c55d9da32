// SPDX-License-Identifier: MIT
#include "clients/bitnet_model/commands.h"
#include "clients/bitnet_model/model_options.h"
#include "clients/bitnet_model/random_weights.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <iomanip>
#include <iostream>

namespace bitnetd::model_tool {

namespace {

struct options : model_options {
  std::vector<std::size_t> n_prompt = {512}, n_generate = {128}, n_threads = {0};
  std::size_t n_batch = 512, repetitions = 5;
  std::string format = "md";
};

struct result {
  std::size_t n_prompt = 0, n_generate = 0, threads = 0;
  std::vector<double> rates; ///< tokens per second, ascending

  /// Linear between neighbours; share 0.5 is the median.
  [[nodiscard]] double quantile(double share) const {
    const double place = share * static_cast<double>(rates.size() - 1);
    const auto below = static_cast<std::size_t>(place);
    const auto above = std::min(below + 1, rates.size() - 1);
    return rates[below] + (place - static_cast<double>(below)) * (rates[above] - rates[below]);
  }
};

/// One test: prompt tokens in batches, or generated tokens one by one, from an empty context.
result measure(open_model& model, const options& chosen, std::size_t n_prompt,
               std::size_t n_generate) {
  result out{n_prompt, n_generate, model.node().threads(), {}};
  auto eval = model.evaluator(chosen, n_prompt + n_generate, chosen.n_batch);
  random_source random{1};
  std::vector<engine::token_id> tokens(n_prompt + n_generate);
  for (auto& token : tokens)
    token = static_cast<engine::token_id>(random() % model.description().shape.n_vocab);
  const auto pass = [&] {
    eval.reset();
    if (n_prompt > 0)
      eval.feed(std::span{tokens}.first(n_prompt));
    for (std::size_t i = 0; i < n_generate; ++i)
      eval.feed(std::span{tokens}.subspan(n_prompt + i, 1));
  };
  eval.feed(std::span{tokens}.first(std::min<std::size_t>(tokens.size(), 8))); // warms up
  for (std::size_t i = 0; i < chosen.repetitions; ++i) {
    const auto start = std::chrono::steady_clock::now();
    pass();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    out.rates.push_back(static_cast<double>(tokens.size()) / took.count());
  }
  std::sort(out.rates.begin(), out.rates.end());
  return out;
}

struct model_size {
  std::uint64_t bytes = 0, parameters = 0;
};

model_size size_of(const engine::model& model) {
  model_size size;
  for (const auto& tensor : model.tensors) {
    size.bytes += tensor.bytes;
    size.parameters += tensor.rows * tensor.cols;
  }
  return size;
}

void print_markdown(const open_model& model, const options& chosen,
                    const std::vector<result>& results) {
  const auto size = size_of(model.description());
  std::cout << "| model | size MiB | params M | isa | threads | n_batch | test | t/s median | "
               "t/s quartiles |\n|---|---:|---:|---|---:|---:|---|---:|---:|\n"
            << std::fixed << std::setprecision(2);
  for (const auto& one : results) {
    std::cout << "| " << model.description().name << " | "
              << static_cast<double>(size.bytes) / (1 << 20) << " | "
              << static_cast<double>(size.parameters) / 1e6 << " | " << model.kernels().name
              << " | " << one.threads << " | " << chosen.n_batch << " | "
              << (one.n_prompt > 0 ? "pp" + std::to_string(one.n_prompt)
                                   : "tg" + std::to_string(one.n_generate))
              << " | " << one.quantile(0.5) << " | " << one.quantile(0.25) << " - "
              << one.quantile(0.75) << " |\n";
  }
}

void print_json(const open_model& model, const options& chosen,
                const std::vector<result>& results) {
  const auto size = size_of(model.description());
  auto all = nlohmann::json::array();
  for (const auto& one : results)
    all.push_back({{"model", model.description().name},
                   {"model_filename", chosen.model.string()},
                   {"model_size", size.bytes},
                   {"model_n_params", size.parameters},
                   {"isa", model.kernels().name},
                   {"n_threads", one.threads},
                   {"n_batch", chosen.n_batch},
                   {"n_prompt", one.n_prompt},
                   {"n_gen", one.n_generate},
                   {"median_ts", one.quantile(0.5)},
                   {"q1_ts", one.quantile(0.25)},
                   {"q3_ts", one.quantile(0.75)},
                   {"samples_ts", one.rates}});
  std::cout << all.dump(2) << '\n';
}

void run(options chosen) {
  chosen.threads = chosen.n_threads.front();
  open_model model{chosen};
  std::vector<result> results;
  for (const auto threads : chosen.n_threads) {
    model.node().set_threads(threads);
    for (const auto n : chosen.n_prompt)
      if (n > 0)
        results.push_back(measure(model, chosen, n, 0));
    for (const auto n : chosen.n_generate)
      if (n > 0)
        results.push_back(measure(model, chosen, 0, n));
  }
  if (chosen.format == "json")
    print_json(model, chosen, results);
  else
    print_markdown(model, chosen, results);
}

} // namespace

void add_bench(CLI::App& app) {
  auto* command = app.add_subcommand(
      "bench", "tokens per second of prefill and decode; lists like -p 128,512 run each");
  const auto chosen = std::make_shared<options>();
  const auto list = [&](const char* name, std::vector<std::size_t>& values, const char* what,
                        int low, int high) {
    command->add_option(name, values, what)
        ->delimiter(',')
        ->check(CLI::Range(low, high))
        ->capture_default_str();
  };
  command->add_option("-m,--model", chosen->model, "model file (GGUF)")->required();
  list("-p,--n-prompt", chosen->n_prompt, "tokens of prompt; 0: none", 0, 1 << 20);
  list("-n,--n-gen", chosen->n_generate, "tokens to generate; 0: none", 0, 1 << 20);
  list("-t,--threads", chosen->n_threads, "compute threads; 0: one per CPU", 0, 1024);
  command->add_option("-b,--batch-size", chosen->n_batch, "prompt tokens of one step")
      ->check(CLI::Range(1, 8192))
      ->capture_default_str();
  command->add_option("-r,--repetitions", chosen->repetitions, "runs of each test")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->add_option("-o,--output", chosen->format, "md or json")
      ->check(CLI::IsMember({"md", "json"}))
      ->capture_default_str();
  command->add_option("--isa", chosen->isa, "kernels: auto, scalar, avx2, avx512_vnni")
      ->capture_default_str();
  chosen->add_numeric_to(*command);
  command->callback([chosen] { run(*chosen); });
}

} // namespace bitnetd::model_tool
