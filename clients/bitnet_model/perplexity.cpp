// SPDX-License-Identifier: MIT
#include "clients/bitnet_model/commands.h"
#include "clients/bitnet_model/model_options.h"
#include "clients/bitnet_model/token_file.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <iostream>

namespace bitnetd::model_tool {

namespace {

struct options : model_options {
  std::filesystem::path file;
  std::size_t window = 0;
  bool json = false;
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
  for (std::size_t from = 0; from + 1 < tokens.size(); from += window)
    score(eval, std::span{tokens}.subspan(from, std::min(window, tokens.size() - from)), all);
  const auto n = static_cast<double>(all.n);
  const double mean = all.sum / n, variance = std::max(0.0, all.squares / n - mean * mean);
  const double ppl = std::exp(mean), error = all.n > 1 ? ppl * std::sqrt(variance / (n - 1)) : 0.0;
  if (chosen.json)
    std::cout << nlohmann::json{{"ppl", ppl}, {"err", error}, {"tokens", all.n}}.dump() << '\n';
  else
    std::cout << "perplexity " << ppl << " +- " << error << " over " << all.n << " tokens\n";
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
  command->callback([chosen] { run(*chosen); });
}

} // namespace bitnetd::model_tool
