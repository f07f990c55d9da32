// SPDX-License-Identifier: MIT
#include "clients/bitnet_model/commands.h"
#include "clients/bitnet_model/machine_limits.h"
#include "clients/bitnet_model/model_options.h"
#include "clients/bitnet_model/random_weights.h"
#include "engine/batch.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <iomanip>
#include <iostream>
#include <sys/resource.h>

namespace bitnetd::model_tool {

namespace {

struct options : model_options {
  std::vector<std::size_t> n_prompt = {512}, n_generate = {128}, n_threads = {0}, n_sequences = {1};
  std::size_t n_batch = 512, repetitions = 5;
  std::size_t depth = 0; ///< tokens of context before what is measured
  std::string format = "md";

  options() { // as the daemon runs it
    head = "screened";
    kv = "f16";
  }
  /// Runs that follow each other in one context, the one that warms up included: what lies before
  /// them is computed once.
  [[nodiscard]] std::size_t runs_per_context() const { return depth > 0 ? repetitions + 1 : 1; }
};

/// One test: what was asked, and what its runs gave.
struct result {
  std::size_t n_prompt = 0, n_generate = 0, n_sequences = 1, depth = 0, threads = 0;
  std::vector<double> rates;    ///< tokens per second, ascending
  engine::telemetry spent = {}; ///< by all runs together
  double seconds = 0;           ///< of all runs together
  std::size_t n_tokens = 0;     ///< of all runs together
  double joules = -1;           ///< of all runs, measured; negative where the machine tells none
  machine_limits limits = {};

  /// Linear between neighbours; share 0.5 is the median.
  [[nodiscard]] double quantile(double share) const {
    const double place = share * static_cast<double>(rates.size() - 1);
    const auto below = static_cast<std::size_t>(place);
    const auto above = std::min(below + 1, rates.size() - 1);
    return rates[below] + (place - static_cast<double>(below)) * (rates[above] - rates[below]);
  }
  [[nodiscard]] std::string name() const {
    auto name = n_prompt > 0 ? "pp" + std::to_string(n_prompt) : "tg" + std::to_string(n_generate);
    if (n_sequences > 1)
      name += " x" + std::to_string(n_sequences);
    return depth > 0 ? name + " @" + std::to_string(depth) : name;
  }
  [[nodiscard]] double gb_per_s() const {
    const auto all = spent.total();
    return static_cast<double>(all.weight_bytes + all.kv_bytes) / seconds * 1e-9;
  }
  /// Integer products and additions.
  [[nodiscard]] double top_per_s() const {
    const auto all = spent.total();
    return 2e-12 * static_cast<double>(all.additions + all.integer_multiplications) / seconds;
  }
  /// Of the limit that is nearer.
  [[nodiscard]] double share_of_limit() const {
    const double products =
        limits.integer_top_per_s > 0 ? top_per_s() / limits.integer_top_per_s : 0;
    return std::max(gb_per_s() / limits.read_gb_per_s, products);
  }
  [[nodiscard]] double joules_per_token() const {
    return (joules >= 0 ? joules : engine::estimate_joules(spent.total(), true)) /
           static_cast<double>(n_tokens);
  }
};

/// What loading cost.
struct load_facts {
  double seconds = 0, peak_mib = 0;
};

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// The most memory this process ever had, in MiB.
double peak_memory_mib() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

/// What was spent since `before`.
engine::telemetry difference(engine::telemetry now, const engine::telemetry& before) {
  for (std::size_t i = 0; i < now.layers.size(); ++i)
    for (std::size_t op = 0; op < now.layers[i].size(); ++op) {
      auto& to = now.layers[i][op];
      const auto& from = before.layers[i][op];
      to.nanoseconds -= from.nanoseconds;
      to.weight_bytes -= from.weight_bytes;
      to.kv_bytes -= from.kv_bytes;
      to.additions -= from.additions;
      to.multiplications -= from.multiplications;
      to.integer_multiplications -= from.integer_multiplications;
      to.zero_additions -= from.zero_additions;
    }
  now.screened -= before.screened;
  now.screen_fallbacks -= before.screen_fallbacks;
  now.screen_rows_read -= before.screen_rows_read;
  return now;
}

/// Runs `pass`, which takes `n_tokens` tokens, as often as asked, after one to warm up.
template <class Counters, class Pass>
void repeat(result& out, const options& chosen, std::size_t n_tokens, const Counters& counters,
            const Pass& pass) {
  (void)pass(); // warms up
  const auto before = counters();
  const double joules_before = engine::rapl_joules();
  for (std::size_t i = 0; i < chosen.repetitions; ++i) {
    const double seconds = pass();
    out.rates.push_back(static_cast<double>(n_tokens) / seconds);
    out.seconds += seconds;
    out.n_tokens += n_tokens;
  }
  if (joules_before >= 0)
    out.joules = engine::rapl_joules() - joules_before;
  out.spent = difference(counters(), before);
  std::sort(out.rates.begin(), out.rates.end());
}

std::vector<engine::token_id> random_tokens(random_source& random, const open_model& model,
                                            std::size_t n) {
  std::vector<engine::token_id> tokens(n);
  for (auto& token : tokens)
    token = static_cast<engine::token_id>(random() % model.description().shape.n_vocab);
  return tokens;
}

/// Prompt tokens in batches, or tokens generated one by one by greedy drawing: from an empty
/// context, or each run after the one before.
void measure_one(result& out, open_model& model, const options& chosen) {
  const auto n_tokens = out.n_prompt + out.n_generate;
  auto eval = model.evaluator(
      chosen, std::max<std::size_t>(out.depth, 1) + chosen.runs_per_context() * n_tokens,
      std::max<std::size_t>(1, std::min(chosen.n_batch, out.n_prompt + out.depth)), {}, true);
  random_source random{1};
  const auto before = random_tokens(random, model, out.depth);
  const auto tokens = random_tokens(random, model, std::max<std::size_t>(out.n_prompt, 1));
  if (!before.empty())
    eval.feed(before);
  repeat(
      out, chosen, n_tokens, [&] { return eval.counters(); },
      [&] {
        if (before.empty()) {
          eval.reset();
          if (out.n_generate > 0)
            eval.feed(tokens);
        }
        const auto start = std::chrono::steady_clock::now();
        if (out.n_prompt > 0)
          eval.feed(tokens);
        for (std::size_t i = 0; i < out.n_generate; ++i) {
          const auto token = eval.best();
          eval.feed({&token, 1});
        }
        return seconds_since(start);
      });
}

/// Many sequences at once, each generating from a prompt of its own, of one token or of `depth`;
/// only steps in which all of them generate are timed.
void measure_many(result& out, open_model& model, const options& chosen) {
  const auto n_prompt = std::max<std::size_t>(out.depth, 1);
  const auto n_new = chosen.runs_per_context() * out.n_generate + 1;
  // All prompts advance together, so that they end in one step.
  const auto chunk = std::max<std::size_t>(1, chosen.n_batch / out.n_sequences);
  engine::batch_options how;
  how.max_sequences = out.n_sequences;
  how.kv = chosen.kv_choice();
  how.activations = chosen.activation_choice();
  how.kv_pages = out.n_sequences * engine::pages_for(n_prompt + n_new);
  how.max_step_tokens = std::max<std::size_t>(out.n_sequences * chunk, 64);
  engine::batch all{model.loaded().description, model.loaded().per_node[0], model.node(),
                    model.kernels(), how};
  random_source random{1};
  const auto begin = [&] {
    for (std::size_t i = 0; i < out.n_sequences; ++i) {
      engine::sequence_request request;
      request.id = i + 1;
      request.tokens = random_tokens(random, model, n_prompt);
      request.max_new_tokens = static_cast<std::uint32_t>(n_new);
      request.ignore_eos = true;
      if (all.admit(std::move(request)) != engine::status::ok)
        throw refused{"this model cannot run " + std::to_string(out.n_sequences) +
                      " sequences of " + std::to_string(n_prompt + n_new) + " tokens"};
    }
    for (std::size_t done = 0; done < n_prompt; done += chunk)
      (void)all.step({.max_tokens = how.max_step_tokens, .prefill_chunk = chunk});
  };
  if (out.depth > 0)
    begin();
  repeat(
      out, chosen, out.n_sequences * out.n_generate, [&] { return all.counters(); },
      [&] {
        if (out.depth == 0)
          begin();
        const auto start = std::chrono::steady_clock::now();
        for (std::size_t i = 0; i < out.n_generate; ++i)
          (void)all.step({});
        const auto seconds = seconds_since(start);
        while (out.depth == 0 && !all.idle())
          (void)all.step({});
        return seconds;
      });
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

/// Milliseconds per token of every operation, all layers together.
std::vector<std::pair<std::string, double>> operation_times(const result& one) {
  std::vector<std::pair<std::string, double>> times;
  for (std::size_t op = 0; op < engine::n_operations; ++op) {
    double ns = 0;
    for (const auto& layer : one.spent.layers)
      ns += static_cast<double>(layer[op].nanoseconds);
    if (ns > 0)
      times.emplace_back(engine::to_string(static_cast<engine::operation>(op)),
                         ns * 1e-6 / static_cast<double>(one.n_tokens));
  }
  return times;
}

void print_markdown(const open_model& model, const options& chosen, const load_facts& load,
                    const std::vector<result>& results) {
  const auto size = size_of(model.description());
  std::cout
      << std::fixed << std::setprecision(2) << "model " << model.description().name << ", "
      << static_cast<double>(size.bytes) / (1 << 20) << " MiB, "
      << static_cast<double>(size.parameters) / 1e6 << " M parameters; kernels "
      << model.kernels().name << ", head " << chosen.head << ", keys and values " << chosen.kv
      << "; loaded in " << load.seconds << " s, peak " << load.peak_mib
      << " MiB, weights as they lie in memory "
      << static_cast<double>(model.loaded_bytes()) / (1 << 20) << " MiB\n\n"
      << "| test | threads | t/s median | t/s quartiles | GB/s (limit) | Top/s (limit) | share "
         "of limit | J/token | logits read per token |\n"
         "|---|---:|---:|---:|---:|---:|---:|---:|---:|\n";
  for (const auto& one : results) {
    std::cout << "| " << one.name() << " | " << one.threads << " | " << one.quantile(0.5) << " | "
              << one.quantile(0.25) << " - " << one.quantile(0.75) << " | " << one.gb_per_s()
              << " (" << one.limits.read_gb_per_s << ") | " << one.top_per_s() << " ("
              << one.limits.integer_top_per_s << ") | " << std::setprecision(0)
              << 100 * one.share_of_limit() << " % | " << std::setprecision(3)
              << one.joules_per_token() << (one.joules >= 0 ? "" : " est.") << " | "
              << std::setprecision(2);
    if (one.spent.screened > 0)
      std::cout << std::setprecision(0)
                << static_cast<double>(one.spent.screen_rows_read) /
                       static_cast<double>(one.spent.screened)
                << " (whole after all: " << one.spent.screen_fallbacks << " of "
                << one.spent.screened << ")" << std::setprecision(2);
    else
      std::cout << "all";
    std::cout << " |\n";
  }
  std::cout << "\nMilliseconds per token:\n";
  for (const auto& one : results) {
    std::cout << "- " << one.name() << ", " << one.threads << " threads:" << std::setprecision(3);
    for (const auto& [name, ms] : operation_times(one))
      std::cout << ' ' << name << ' ' << ms;
    std::cout << '\n';
  }
}

void print_json(const open_model& model, const options& chosen, const load_facts& load,
                const std::vector<result>& results) {
  const auto size = size_of(model.description());
  auto all = nlohmann::json::array();
  for (const auto& one : results) {
    nlohmann::json operations;
    for (const auto& [name, ms] : operation_times(one))
      operations[name] = ms;
    all.push_back({{"model", model.description().name},
                   {"model_filename", chosen.model.string()},
                   {"model_size", size.bytes},
                   {"model_n_params", size.parameters},
                   {"isa", model.kernels().name},
                   {"head", chosen.head},
                   {"kv_type", chosen.kv},
                   {"n_depth", one.depth},
                   {"n_threads", one.threads},
                   {"n_batch", chosen.n_batch},
                   {"n_prompt", one.n_prompt},
                   {"n_gen", one.n_generate},
                   {"n_sequences", one.n_sequences},
                   {"median_ts", one.quantile(0.5)},
                   {"q1_ts", one.quantile(0.25)},
                   {"q3_ts", one.quantile(0.75)},
                   {"samples_ts", one.rates},
                   {"gb_per_s", one.gb_per_s()},
                   {"limit_gb_per_s", one.limits.read_gb_per_s},
                   {"top_per_s", one.top_per_s()},
                   {"limit_top_per_s", one.limits.integer_top_per_s},
                   {"share_of_limit", one.share_of_limit()},
                   {"joules_per_token", one.joules_per_token()},
                   {"joules_measured", one.joules >= 0},
                   {"screened", one.spent.screened},
                   {"screen_fallbacks", one.spent.screen_fallbacks},
                   {"screen_rows_read", one.spent.screen_rows_read},
                   {"ms_per_token", operations},
                   {"load_seconds", load.seconds},
                   {"peak_memory_mib", load.peak_mib},
                   {"weight_bytes_in_memory", model.loaded_bytes()}});
  }
  std::cout << all.dump(2) << '\n';
}

void run(options chosen) {
  chosen.threads = chosen.n_threads.front();
  load_facts load;
  const auto start = std::chrono::steady_clock::now();
  open_model model{chosen};
  load.seconds = seconds_since(start);
  load.peak_mib = peak_memory_mib(); // what is measured with comes on top
  std::vector<result> results;
  for (const auto threads : chosen.n_threads) {
    model.node().set_threads(threads);
    const auto test = [&](std::size_t n_prompt, std::size_t n_generate, std::size_t n_sequences) {
      auto& one = results.emplace_back();
      one.n_prompt = n_prompt;
      one.n_generate = n_generate;
      one.n_sequences = n_sequences;
      one.depth = chosen.depth;
      one.threads = model.node().threads();
      one.limits = measure_limits(model.node(), model.kernels().name); // right before, each time
      if (n_sequences > 1)
        measure_many(one, model, chosen);
      else
        measure_one(one, model, chosen);
    };
    for (const auto n : chosen.n_prompt)
      if (n > 0)
        test(n, 0, 1);
    for (const auto n : chosen.n_generate)
      for (const auto sequences : chosen.n_sequences)
        if (n > 0)
          test(0, n, sequences);
  }
  if (chosen.format == "json")
    print_json(model, chosen, load, results);
  else
    print_markdown(model, chosen, load, results);
}

} // namespace

void add_bench(CLI::App& app) {
  auto* command = app.add_subcommand(
      "bench",
      "tokens per second of prefill and decode beside what the machine can do at best; lists like "
      "-p 128,512 run each");
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
  list("-s,--sequences", chosen->n_sequences, "sequences that generate at once", 1, 256);
  command
      ->add_option(
          "-d,--depth", chosen->depth,
          "tokens of context that lie before what is measured; runs follow each other then")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  command->add_option("-b,--batch-size", chosen->n_batch, "prompt tokens of one step")
      ->check(CLI::Range(1, 8192))
      ->capture_default_str();
  command->add_option("-r,--repetitions", chosen->repetitions, "runs of each test")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->add_option("-o,--output", chosen->format, "md or json")
      ->check(CLI::IsMember({"md", "json"}))
      ->capture_default_str();
  command
      ->add_option("--isa", chosen->isa, "kernels: auto, scalar, avx2, avx_vnni, avx512_vnni, neon")
      ->capture_default_str();
  chosen->add_numeric_to(*command);
  command->callback([chosen] { run(*chosen); });
}

} // namespace bitnetd::model_tool
