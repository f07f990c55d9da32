// SPDX-License-Identifier: MIT
#include "clients/bitnet_model/commands.h"
#include "clients/bitnet_model/model_options.h"
#include "clients/bitnet_model/npy_writer.h"
#include "clients/bitnet_model/token_file.h"

#include <CLI/CLI.hpp>

namespace bitnetd::model_tool {

void add_embed(CLI::App& app) {
  struct options : model_options {
    std::filesystem::path tokens, out;
  };
  auto* command = app.add_subcommand(
      "embed", "unit vectors of token sequences, float32 [sequences, width], as a NumPy file");
  const auto chosen = std::make_shared<options>();
  chosen->add_to(*command);
  chosen->add_numeric_to(*command);
  command->add_option("--tokens", chosen->tokens, "token ids, one sequence per line")->required();
  command->add_option("--out", chosen->out, "file to write")->required();
  command->callback([chosen] {
    open_model model{*chosen};
    const auto& shape = model.description().shape;
    const auto sequences = read_token_file(chosen->tokens, shape.n_vocab);
    auto eval = model.evaluator(*chosen, longest(sequences));
    npy_writer out{chosen->out, sequences.size(), shape.n_embd};
    for (const auto& sequence : sequences)
      out.row(eval.embed(sequence));
    out.finish();
  });
}

} // namespace bitnetd::model_tool
