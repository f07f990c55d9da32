// SPDX-License-Identifier: MIT
#include "engine/model_source.h"
#include "engine/tokenizer_builder.h"

namespace bitnetd::engine {

std::shared_ptr<const tokenizer> tokenizer::from_metadata(const model_source& file) {
  const auto key = [](const char* name) { return std::string{"tokenizer.ggml."} + name; };
  const auto model = file.get_string(key("model"));
  const auto* tokens = file.get_strings(key("tokens"));
  if ((!model && tokens == nullptr) || model == "no_vocab")
    return nullptr;

  tokenizer_spec spec;
  spec.origin = file.path().string();
  if (!model)
    refuse_tokenizer(spec, "model", "missing, though there are tokens");
  spec.architecture = file.get_string("general.architecture").value_or("");
  spec.model = *model;
  spec.pre = file.get_string(key("pre")).value_or("");
  if (tokens != nullptr)
    spec.tokens = *tokens;
  if (const auto* scores = file.get_floats(key("scores")))
    spec.scores = *scores;
  const auto kinds = file.get_integers(key("token_type"));
  spec.kinds = kinds;
  if (const auto* merges = file.get_strings(key("merges")))
    spec.merges = *merges;
  spec.bos = file.get_count(key("bos_token_id"));
  spec.eos = file.get_count(key("eos_token_id"));
  spec.eot = file.get_count(key("eot_token_id"));
  spec.unknown = file.get_count(key("unknown_token_id"));
  spec.add_bos = file.get_bool(key("add_bos_token"));
  spec.add_eos = file.get_bool(key("add_eos_token"));
  spec.add_space_prefix = file.get_bool(key("add_space_prefix"));
  // Three keys of ours, which Hugging Face folders are translated to.
  spec.composes = file.get_string(key("normalizer")) == "NFC";
  spec.ignore_merges = file.get_bool(key("ignore_merges"));
  const auto stops = file.get_integers(key("stop_token_ids"));
  spec.stops = stops;
  return tokenizer_builder{spec}.build();
}

} // namespace bitnetd::engine
