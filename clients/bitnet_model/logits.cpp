// SPDX-License-Identifier: MIT
#include "clients/bitnet_model/commands.h"
#include "clients/bitnet_model/model_options.h"
#include "clients/bitnet_model/npy_writer.h"
#include "clients/bitnet_model/token_file.h"

#include <CLI/CLI.hpp>

namespace bitnetd::model_tool {

namespace {

struct options : model_options {
  std::filesystem::path tokens, out;
  bool last = false;
};

void run(const options& chosen) {
  open_model model{chosen};
  const auto n_vocab = model.description().shape.n_vocab;
  const auto sequences = read_token_file(chosen.tokens, n_vocab);
  std::size_t rows = sequences.size();
  if (!chosen.last) {
    rows = 0;
    for (const auto& sequence : sequences)
      rows += sequence.size();
  }
  auto eval = model.evaluator(chosen, longest(sequences));
  npy_writer out{chosen.out, rows, n_vocab};
  for (const auto& sequence : sequences) {
    eval.reset();
    if (chosen.last) {
      eval.feed(sequence);
      out.row(eval.logits());
    } else {
      eval.feed(sequence, [&](std::size_t, std::span<const float> row) { out.row(row); });
    }
  }
  out.finish();
}

} // namespace

void add_logits(CLI::App& app) {
  auto* command = app.add_subcommand(
      "logits", "logits of every position, float32 [tokens, vocabulary], as a NumPy file");
  const auto chosen = std::make_shared<options>();
  chosen->add_to(*command);
  chosen->add_numeric_to(*command);
  command->add_option("--tokens", chosen->tokens, "token ids, one sequence per line")->required();
  command->add_option("--out", chosen->out, "file to write")->required();
  command->add_flag("--last", chosen->last, "of the last position only: [sequences, vocabulary]");
  command->callback([chosen] { run(*chosen); });
}

} // namespace bitnetd::model_tool
