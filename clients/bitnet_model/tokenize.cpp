// SPDX-License-Identifier: MIT
#include "clients/bitnet_model/commands.h"
#include "clients/bitnet_model/token_file.h"
#include "engine/model_source.h"
#include "engine/tokenizer.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <iostream>

namespace bitnetd::model_tool {

namespace {

struct options {
  std::filesystem::path model;
  bool add_special = false, parse_special = false, json = false, lines = false;
};

/// The vocabulary alone: a file of tokens without weights will do.
std::shared_ptr<const engine::tokenizer> open_words(const std::filesystem::path& path) {
  auto words = engine::tokenizer::from_metadata(*engine::open_model_source(path));
  if (words == nullptr)
    throw refused{path.string() + ": has no tokenizer; give token ids instead of text"};
  return words;
}

void print(const token_list& tokens, bool json) {
  if (json) {
    std::cout << nlohmann::json(tokens).dump() << '\n';
    return;
  }
  for (std::size_t i = 0; i < tokens.size(); ++i)
    std::cout << (i == 0 ? "" : " ") << tokens[i];
  std::cout << '\n';
}

/// A text that stands in a line as a JSON string, so that it may hold line ends itself.
std::string text_of_line(const std::string& line, std::size_t number) {
  const auto value = nlohmann::json::parse(line, nullptr, false);
  if (!value.is_string())
    throw refused{"standard input, line " + std::to_string(number) + ": expected a JSON string"};
  return value.get<std::string>();
}

void tokenize(const options& chosen) {
  const auto words = open_words(chosen.model);
  const auto encode = [&](const std::string& text) {
    print(words->encode(text, chosen.add_special, chosen.parse_special), chosen.json);
  };
  if (!chosen.lines)
    return encode(read_all(std::cin, "standard input"));
  std::size_t number = 0;
  for (std::string line; std::getline(std::cin, line);)
    encode(text_of_line(line, ++number));
}

/// Ids as decimal numbers or as a JSON array, on standard input.
token_list read_ids(std::size_t n_vocab) {
  auto text = read_all(std::cin, "standard input");
  for (auto& c : text)
    if (c == '[' || c == ']' || c == ',')
      c = ' ';
  return parse_tokens(text, n_vocab, "standard input");
}

void detokenize(const options& chosen) {
  const auto words = open_words(chosen.model);
  const auto text = words->decode(read_ids(words->size()), chosen.parse_special);
  if (chosen.json)
    std::cout << nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)
              << '\n';
  else
    std::cout << text;
}

std::shared_ptr<options> add_command(CLI::App* command, const char* add, const char* parse,
                                     const char* json) {
  auto chosen = std::make_shared<options>();
  command
      ->add_option("-m,--model", chosen->model,
                   "file with the vocabulary (GGUF), or a Hugging Face folder")
      ->required();
  command->add_flag("--add-special", chosen->add_special, add);
  command->add_flag("--parse-special", chosen->parse_special, parse);
  command->add_flag("--json", chosen->json, json);
  return chosen;
}

} // namespace

void add_tokenize(CLI::App& app) {
  auto* to_ids = app.add_subcommand("tokenize", "text on standard input to token ids");
  const auto forward =
      add_command(to_ids, "add BOS and EOS as the model wants them",
                  "text that spells a control token becomes that token", "a JSON array of ids");
  to_ids->add_flag("--lines", forward->lines,
                   "every line is a text of its own, as a JSON string; one line of ids for each");
  to_ids->callback([forward] { tokenize(*forward); });
  auto* to_text = app.add_subcommand("detokenize", "token ids on standard input to text");
  const auto backward =
      add_command(to_text, "accepted for symmetry: control tokens give no text by default",
                  "control tokens become the text that spells them", "a JSON string");
  to_text->callback([backward] { detokenize(*backward); });
}

} // namespace bitnetd::model_tool
