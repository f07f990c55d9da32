// SPDX-License-Identifier: MIT
#include "clients/bitnet_model/commands.h"
#include "clients/bitnet_model/model_options.h"
#include "clients/bitnet_model/token_file.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <cmath>
#include <iostream>

namespace bitnetd::model_tool {

namespace {

struct options : model_options {
  std::filesystem::path tokens;
  std::size_t n = 32;
  bool json = false;
};

struct continuation {
  token_list tokens;
  std::vector<double> margins; ///< largest logit minus the next, of the logits that chose a token
};

/// Index of the largest logit, the lowest one among equals, and its lead.
std::pair<engine::token_id, double> choose(std::span<const float> logits) {
  std::size_t best = 0;
  double second = -HUGE_VAL;
  for (std::size_t i = 1; i < logits.size(); ++i) {
    if (!(logits[i] > logits[best])) {
      second = std::max(second, double{logits[i]});
      continue;
    }
    second = double{logits[best]};
    best = i;
  }
  return {static_cast<engine::token_id>(best), double{logits[best]} - second};
}

continuation extend(engine::evaluator& eval, const token_list& prompt, std::size_t n) {
  continuation out;
  eval.reset();
  eval.feed(prompt);
  for (std::size_t step = 0; step < n; ++step) {
    if (step > 0)
      eval.feed(std::span{&out.tokens.back(), 1});
    const auto [token, margin] = choose(eval.logits());
    out.tokens.push_back(token);
    out.margins.push_back(margin);
  }
  return out;
}

void run(const options& chosen) {
  open_model model{chosen};
  const auto sequences = read_token_file(chosen.tokens, model.description().shape.n_vocab);
  auto eval = model.evaluator(chosen, longest(sequences) + chosen.n - 1);
  auto all = nlohmann::json::array();
  for (const auto& sequence : sequences) {
    const auto out = extend(eval, sequence, chosen.n);
    if (chosen.json) {
      all.push_back({{"tokens", out.tokens}, {"margins", out.margins}});
      continue;
    }
    for (std::size_t i = 0; i < out.tokens.size(); ++i)
      std::cout << (i == 0 ? "" : " ") << out.tokens[i];
    std::cout << '\n';
  }
  if (chosen.json)
    std::cout << all.dump() << '\n';
}

} // namespace

void add_greedy(CLI::App& app) {
  auto* command =
      app.add_subcommand("greedy", "continues token sequences by the most likely token; does not "
                                   "stop at end-of-text tokens");
  const auto chosen = std::make_shared<options>();
  chosen->add_to(*command);
  chosen->add_numeric_to(*command);
  command->add_option("--tokens", chosen->tokens, "token ids, one sequence per line")->required();
  command->add_option("-n", chosen->n, "tokens to add to each")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command->add_flag("--json", chosen->json, R"([{"tokens":[…],"margins":[…]}] in input order)");
  command->callback([chosen] { run(*chosen); });
}

} // namespace bitnetd::model_tool
