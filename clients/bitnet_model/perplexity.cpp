// SPDX-License-Identifier: MIT
#include "clients/bitnet_model/commands.h"
#include "clients/bitnet_model/model_options.h"
#include "clients/bitnet_model/token_file.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <iostream>
#include <unistd.h>

namespace bitnetd::model_tool {

namespace {

struct options : model_options {
  std::filesystem::path file;
  std::size_t window = 0;
  bool json = false, progress = false;
};

/// -log softmax(logits)[token], in double.
double surprise(std::span<const float> logits, engine::token_id token) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float value : logits)
    sum += std::exp(double{value} - largest);
  return largest + std::log(sum) - double{logits[static_cast<std::size_t>(token)]};
}

struct totals {
  double sum = 0, squares = 0;
  std::size_t n = 0;

  [[nodiscard]] double perplexity() const { return std::exp(sum / static_cast<double>(n)); }
  /// One standard error: that of the mean surprise, through exp.
  [[nodiscard]] double error() const {
    if (n < 2)
      return 0;
    const auto count = static_cast<double>(n);
    const double mean = sum / count, variance = std::max(0.0, squares / count - mean * mean);
    return perplexity() * std::sqrt(variance / (count - 1));
  }
};

/// After every window, on standard error: how far it is, and what it would say now.
class progress_line {
public:
  progress_line(bool wanted, std::size_t n_tokens)
      : shown_{wanted || ::isatty(STDERR_FILENO) == 1}, n_tokens_{n_tokens} {}

  void show(std::size_t done, const totals& so_far) const {
    if (!shown_ || so_far.n == 0)
      return;
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start_;
    const double rest = passed.count() * static_cast<double>(n_tokens_ - done) /
                        static_cast<double>(std::max<std::size_t>(done, 1));
    std::cerr << done << " of " << n_tokens_ << " tokens, perplexity " << so_far.perplexity()
              << " +- " << so_far.error() << ", " << std::llround(rest) << " s left\n";
  }

private:
  bool shown_;
  std::size_t n_tokens_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// Scores every token of a window but the first, each given all before it in the window.
void score(engine::evaluator& eval, std::span<const engine::token_id> window, totals& into) {
  eval.reset();
  eval.feed(window, [&](std::size_t position, std::span<const float> logits) {
    if (position + 1 == window.size())
      return;
    const double one = surprise(logits, window[position + 1]);
    into.sum += one;
    into.squares += one * one;
    ++into.n;
  });
}

void run(const options& chosen) {
  open_model model{chosen};
  const auto& description = model.description();
  if (description.words == nullptr)
    throw refused{chosen.model.string() + ": has no tokenizer, so a text cannot be measured"};
  const auto tokens = description.words->encode(read_all(chosen.file), false, false);
  if (tokens.size() < 2)
    throw refused{chosen.file.string() + ": needs at least two tokens, has " +
                  std::to_string(tokens.size())};
  const std::size_t window = std::min<std::size_t>(
      chosen.window == 0 ? description.shape.n_context : chosen.window, tokens.size());
  auto eval = model.evaluator(chosen, window);
  totals all;
  const progress_line progress{chosen.progress, tokens.size()};
  for (std::size_t from = 0; from + 1 < tokens.size(); from += window) {
    const auto n = std::min(window, tokens.size() - from);
    score(eval, std::span{tokens}.subspan(from, n), all);
    progress.show(from + n, all);
  }
  if (chosen.json)
    std::cout
        << nlohmann::json{{"ppl", all.perplexity()}, {"err", all.error()}, {"tokens", all.n}}.dump()
        << '\n';
  else
    std::cout << "perplexity " << all.perplexity() << " +- " << all.error() << " over " << all.n
              << " tokens\n";
}

} // namespace

void add_perplexity(CLI::App& app) {
  auto* command = app.add_subcommand(
      "perplexity",
      "exp of the mean surprise per token of a text, in windows that do not "
      "overlap; the first token of a window is not scored; err is one standard error");
  const auto chosen = std::make_shared<options>();
  chosen->add_to(*command);
  chosen->add_numeric_to(*command);
  command->add_option("--file", chosen->file, "text")->required();
  command->add_option("--window", chosen->window, "tokens of a window; 0: the model's context")
      ->check(CLI::Range(0, 1 << 24) & !CLI::Range(1, 1))
      ->capture_default_str();
  command->add_flag("--json", chosen->json, R"({"ppl","err","tokens"})");
  command->add_flag("--progress", chosen->progress,
                    "a line after every window on standard error (a terminal gets them anyway)");
  command->callback([chosen] { run(*chosen); });
}

} // namespace bitnetd::model_tool
