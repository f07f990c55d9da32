// SPDX-License-Identifier: MIT
#pragma once

#include <stdexcept>

namespace CLI {
class App;
}

namespace bitnetd::model_tool {

/// An input that is refused (exit status 3): what, where, how to mend, on one line.
class refused : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

// Each adds one subcommand, which runs when the command line is parsed. What they throw is turned
// into an exit status by main.
void add_inspect(CLI::App& app);
void add_logits(CLI::App& app);
void add_greedy(CLI::App& app);
void add_embed(CLI::App& app);
void add_tokenize(CLI::App& app); ///< tokenize and detokenize
void add_perplexity(CLI::App& app);
void add_layers(CLI::App& app);
void add_bench(CLI::App& app);
void add_generate(CLI::App& app);
void add_synth(CLI::App& app);
void add_pull(CLI::App& app);

} // namespace bitnetd::model_tool
