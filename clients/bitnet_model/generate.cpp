// SPDX-License-Identifier: MIT
#include "clients/bitnet_model/commands.h"
#include "clients/bitnet_model/model_options.h"
#include "engine/batch.h"

#include <CLI/CLI.hpp>

#include <iostream>

namespace bitnetd::model_tool {

namespace {

struct options : model_options {
  std::string prompt, chat_template;
  bool chat = false, ignore_eos = false;
  std::uint32_t n = 256;
  engine::sampling_params sampling;
  std::vector<std::string> stops;
};

std::vector<engine::token_id> prompt_tokens(const engine::model& model, const options& chosen) {
  if (model.words == nullptr)
    throw refused{chosen.model.string() + ": has no tokenizer; use `greedy` with token ids"};
  if (!chosen.chat && chosen.chat_template.empty())
    return model.words->encode(chosen.prompt, true, false);
  const auto dialogue = chosen.chat_template.empty()
                            ? model.dialogue
                            : engine::chat_template::named(chosen.chat_template);
  if (dialogue == nullptr)
    throw refused{chosen.model.string() +
                  ": has no chat template that is known; choose one with --template"};
  return dialogue->encode(*model.words, {{"user", chosen.prompt}});
}

void check(engine::status status, const engine::model& model, std::size_t n_prompt,
           const options& chosen) {
  if (status == engine::status::ok)
    return;
  if (status == engine::status::empty_prompt)
    throw refused{"the prompt is empty"};
  throw refused{std::to_string(n_prompt) + " tokens of prompt and " + std::to_string(chosen.n) +
                " new ones exceed the model's context of " + std::to_string(model.shape.n_context)};
}

void run(const options& chosen) {
  open_model model{chosen};
  const auto& description = model.description();
  auto tokens = prompt_tokens(description, chosen);
  const auto n_prompt = tokens.size();
  engine::batch_options how;
  how.max_sequences = 1;
  how.kv_pages = (n_prompt + chosen.n) / 32 + 1;
  how.kv = chosen.kv_choice();
  how.activations = chosen.activation_choice();
  if (n_prompt + chosen.n > description.shape.n_context)
    check(engine::status::prompt_too_long, description, n_prompt, chosen);
  engine::batch batch{model.loaded().description, model.loaded().per_node[0], model.node(),
                      model.kernels(), how};
  engine::sequence_request request;
  request.tokens = std::move(tokens);
  request.max_new_tokens = chosen.n;
  request.sampling = chosen.sampling;
  request.stops = chosen.stops;
  request.ignore_eos = chosen.ignore_eos;
  check(batch.admit(std::move(request)), description, n_prompt, chosen);
  while (!batch.idle())
    for (const auto& now : batch.step({}).outputs) {
      std::cout << now.text << std::flush;
      if (now.ended && now.finish == engine::finish_reason::numeric)
        throw std::runtime_error{"the model computed values that are not finite"};
    }
  std::cout << '\n';
}

} // namespace

void add_generate(CLI::App& app) {
  auto* command = app.add_subcommand("generate", "continues a text, or answers with --chat");
  const auto chosen = std::make_shared<options>();
  chosen->add_to(*command);
  chosen->add_numeric_to(*command);
  command->add_option("-p,--prompt", chosen->prompt, "text")->required();
  command->add_flag("--chat", chosen->chat, "the text is a user's turn of the model's dialogue");
  command->add_option("--template", chosen->chat_template, "built-in chat template to use");
  command->add_option("-n", chosen->n, "most tokens to generate")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  auto& sampling = chosen->sampling;
  command->add_option("--temp", sampling.temperature, "temperature; 0: greedy")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  command->add_option("--top-k", sampling.top_k, "0: off")->capture_default_str();
  command->add_option("--top-p", sampling.top_p, "1: off")
      ->check(CLI::Range(1e-6, 1.0))
      ->capture_default_str();
  command->add_option("--min-p", sampling.min_p, "0: off")
      ->check(CLI::Range(0.0, 0.999999))
      ->capture_default_str();
  command->add_option("--repetition-penalty", sampling.repetition_penalty, "1: off")
      ->check(CLI::Range(1e-3, 1e3))
      ->capture_default_str();
  command->add_option("--seed", sampling.seed, "of the generator")->capture_default_str();
  command->add_option("--stop", chosen->stops, "text that ends the answer; may be repeated");
  command->add_flag("--ignore-eos", chosen->ignore_eos, "go on after an end token");
  command->callback([chosen] { run(*chosen); });
}

} // namespace bitnetd::model_tool
