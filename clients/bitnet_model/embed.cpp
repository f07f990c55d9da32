// SPDX-License-Identifier: MIT
#include "clients/bitnet_model/commands.h"
#include "clients/bitnet_model/model_options.h"
#include "clients/bitnet_model/npy_writer.h"
#include "clients/bitnet_model/token_file.h"

#include <CLI/CLI.hpp>

#include <sstream>

namespace bitnetd::model_tool {

namespace {

struct options : model_options {
  std::filesystem::path tokens, text, out;
  std::string prefix, pooling = "model";
};

/// One sequence per line, each begun with the prefix and closed as the model wants it.
std::vector<token_list> tokenized_lines(const options& chosen, const engine::model& description) {
  if (description.words == nullptr)
    throw refused{chosen.model.string() + ": has no tokenizer; give token ids with --tokens"};
  std::istringstream lines{read_all(chosen.text)};
  std::vector<token_list> sequences;
  for (std::string line; std::getline(lines, line);) {
    sequences.push_back(description.words->encode(chosen.prefix + line, true, false));
    if (sequences.back().empty())
      throw refused{chosen.text.string() + ", line " + std::to_string(sequences.size()) +
                    ": has no tokens"};
  }
  if (sequences.empty())
    throw refused{chosen.text.string() + ": has no lines"};
  return sequences;
}

std::optional<engine::pooling> pooling_choice(const std::string& name) {
  if (name == "model")
    return std::nullopt;
  return name == "mean" ? engine::pooling::mean : engine::pooling::last;
}

void run(const options& chosen) {
  if (chosen.tokens.empty() == chosen.text.empty())
    throw refused{"one of --tokens and --text is needed"};
  open_model model{chosen};
  const auto& description = model.description();
  const auto sequences = chosen.text.empty()
                             ? read_token_file(chosen.tokens, description.shape.n_vocab)
                             : tokenized_lines(chosen, description);
  auto eval = model.evaluator(chosen, longest(sequences), 128, pooling_choice(chosen.pooling));
  npy_writer out{chosen.out, sequences.size(), description.shape.n_embd};
  for (const auto& sequence : sequences)
    out.row(eval.embed(sequence));
  out.finish();
}

} // namespace

void add_embed(CLI::App& app) {
  auto* command = app.add_subcommand(
      "embed", "unit vectors of texts or token sequences, float32 [sequences, width], as a NumPy "
               "file");
  const auto chosen = std::make_shared<options>();
  chosen->add_to(*command);
  chosen->add_numeric_to(*command);
  command->add_option("--tokens", chosen->tokens, "token ids, one sequence per line");
  command->add_option("--text", chosen->text, "texts, one per line");
  command->add_option("--prefix", chosen->prefix,
                      "before every text, such as \"Instruct: … Query: \": what the model's card "
                      "asks for on the side of queries");
  command->add_option("--pooling", chosen->pooling, "how a sequence becomes one vector")
      ->check(CLI::IsMember({"model", "mean", "last"}))
      ->capture_default_str();
  command->add_option("--out", chosen->out, "file to write")->required();
  command->callback([chosen] { run(*chosen); });
}

} // namespace bitnetd::model_tool
