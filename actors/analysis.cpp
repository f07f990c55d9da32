// SPDX-License-Identifier: MIT
#include "actors/analysis.h"

#include "actors/errors.h"
#include "actors/similarity.h"
#include "base/log.h"
#include "engine/kv_cache.h"

#include <algorithm>
#include <random>

namespace bitnetd::actors {

namespace {

std::string names_of(const model_set& models, bool embedding) {
  std::string out;
  for (const auto& model : *models)
    if (model->embedding == embedding)
      out += (out.empty() ? "" : ", ") + model->name;
  return out.empty() ? "none" : out;
}

/// The model a prompt asks for; a name decides, else the first of the right kind.
std::variant<model_handle, failure> choose_model(const request& what, const prompt& words,
                                                 const model_set& models) {
  const bool embedding = words.kind == job_kind::embedding;
  for (const auto& model : *models) {
    if (what.model.empty() ? model->embedding != embedding : model->name != what.model)
      continue;
    if (model->embedding != embedding)
      return no_model(fmt::format("model {} {} embeddings; for this request there is: {}",
                                  model->name, model->embedding ? "only makes" : "makes no",
                                  names_of(models, embedding)));
    return model;
  }
  const auto available = names_of(models, embedding);
  return what.model.empty() ? no_model("no model is loaded for this kind of request")
                            : no_model(fmt::format("no model \"{}\" is loaded; there is: {}",
                                                   what.model, available));
}

/// What the memo remembers a prompt by: everything that decides its ids.
std::string memo_key(const served_model& model, const prompt& words) {
  std::string key = model.description->model_hash.hex();
  const auto add = [&key](std::string_view text) {
    key += std::to_string(text.size());
    key += ':';
    key += text;
  };
  key += static_cast<char>('0' + static_cast<int>(words.kind));
  add(model.chat_template);
  add(words.text);
  for (const auto& message : words.messages) {
    add(message.role);
    add(message.content);
  }
  return key;
}

std::string template_names() {
  std::string names;
  for (const auto name : engine::chat_template::names())
    names.append(names.empty() ? "" : ", ").append(name);
  return names;
}

std::variant<std::vector<engine::token_id>, failure>
tokenize(const served_model& model, const prompt& words, token_memo* memo) {
  const auto& description = *model.description;
  if (!description.words)
    return no_model("model " + model.name + " has no tokenizer: it cannot take text");
  if (words.kind == job_kind::chat && !description.dialogue)
    return no_model(
        "model " + model.name +
        " has no chat template that we know; send a prompt, or set models[].template to one "
        "of " +
        template_names());
  auto key = memo ? memo_key(model, words) : std::string{};
  if (memo)
    if (const auto* known = memo->find(key))
      return *known;
  auto tokens = words.kind == job_kind::chat
                    ? description.dialogue->encode(*description.words, words.messages)
                    : description.words->encode(words.text, true, false);
  if (memo)
    memo->put(std::move(key), tokens);
  return tokens;
}

/// Refuses what cannot fit whatever its tokens are, so that nobody waits while megabytes are
/// tokenized.
std::optional<failure> surely_too_long(const served_model& model, const prompt& words) {
  const auto& description = *model.description;
  if (!description.words)
    return std::nullopt;
  auto bytes = words.text.size();
  for (const auto& message : words.messages)
    bytes += message.content.size();
  const auto least = bytes / std::max<std::size_t>(1, description.words->longest_piece());
  const auto context = description.shape.n_context;
  if (least <= context)
    return std::nullopt;
  return context_exceeded(fmt::format("the prompt has {} bytes, which is at least {} tokens; the "
                                      "context of {} is {} tokens, prompt and answer together",
                                      bytes, least, model.name, context),
                          context);
}

/// What the similarity tier compares: the last user turn, or the prompt.
std::string cache_text_of(const prompt& words) {
  if (words.kind != job_kind::chat)
    return words.text;
  for (auto at = words.messages.rbegin(); at != words.messages.rend(); ++at)
    if (at->role == "user")
      return at->content;
  return {};
}

engine::sampling_params merge_sampling(const requested_params& asked,
                                       const conf::sampling_defaults& defaults) {
  engine::sampling_params out;
  out.temperature = static_cast<float>(asked.temperature.value_or(defaults.temperature));
  out.top_p = static_cast<float>(asked.top_p.value_or(defaults.top_p));
  out.min_p = static_cast<float>(asked.min_p.value_or(defaults.min_p));
  out.top_k = asked.top_k.value_or(defaults.top_k);
  out.repetition_penalty =
      static_cast<float>(asked.repetition_penalty.value_or(defaults.repetition_penalty));
  // Without a seed a sampled job draws anew each time; the reply names the seed that it got.
  out.seed = asked.seed ? *asked.seed : out.temperature > 0 ? std::random_device{}() : 0;
  for (const auto& [token, bias] : asked.logit_bias)
    out.logit_bias.emplace_back(token, static_cast<float>(bias));
  return out;
}

job_class default_class(const request& what) noexcept {
  if (what.is_batch)
    return job_class::batch;
  return what.mode == reply_mode::job ? job_class::normal : job_class::interactive;
}

/// Sets max_new_tokens and checks the prompt against context and memory.
std::optional<failure> fit(traits& how, const request& what, const prompt& words) {
  const auto& shape = how.model->description->shape;
  const auto n_prompt = how.tokens.size();
  if (n_prompt == 0)
    return bad_field("prompt", "the prompt has no tokens");
  const bool embedding = words.kind == job_kind::embedding;
  const auto room = n_prompt < shape.n_context ? shape.n_context - n_prompt : 0;
  if (n_prompt > shape.n_context || (!embedding && room == 0))
    return context_exceeded(fmt::format("the prompt has {} tokens; the context of {} is {} tokens, "
                                        "prompt and answer together",
                                        n_prompt, how.model->name, shape.n_context),
                            shape.n_context);
  if (embedding) {
    how.max_new_tokens = 0;
  } else if (what.params.max_tokens) {
    how.max_new_tokens = *what.params.max_tokens;
    if (how.max_new_tokens > room)
      return context_exceeded(
          fmt::format("prompt ({}) and max_tokens ({}) exceed the context of {} tokens; at most {} "
                      "can be made",
                      n_prompt, how.max_new_tokens, shape.n_context, room),
          shape.n_context);
  } else {
    how.max_new_tokens = static_cast<std::uint32_t>(
        std::min<std::uint64_t>(how.config->profile.sampling.max_tokens, room));
  }
  const auto kv = engine::find_kv_type(how.config->hardware.kv_type);
  const auto per_token = how.model->description->kv_bytes_per_token(kv.value());
  how.kv_bytes = engine::pages_for(n_prompt + how.max_new_tokens) * engine::page_tokens * per_token;
  if (how.kv_bytes > how.config->hardware.kv_bytes)
    return context_exceeded(
        fmt::format("the job needs {} bytes of KV memory; a worker has {} (hardware.kv_bytes)",
                    how.kv_bytes, how.config->hardware.kv_bytes),
        static_cast<std::int64_t>(how.config->hardware.kv_bytes / per_token));
  for (const auto& [token, bias] : how.sampling.logit_bias)
    if (token < 0 || static_cast<std::uint32_t>(token) >= shape.n_vocab)
      return bad_field("params.logit_bias", fmt::format("token {} is outside the vocabulary of {}",
                                                        token, shape.n_vocab));
  return std::nullopt;
}

void choose_strategy(traits& how, const prompt& words) {
  const auto chunk = how.config->profile.chunk.prefill_tokens;
  if (words.kind == job_kind::embedding) {
    how.plan = strategy::embedding_only;
    how.plan_reason = "an embedding: one prefill, nothing is drawn";
  } else if (how.cls == job_class::background) {
    how.plan = strategy::background_fill;
    how.plan_reason = "class background: fills steps that others leave room in";
  } else if (how.tokens.size() > chunk) {
    how.plan = strategy::chunked_prefill;
    how.plan_reason = fmt::format("{} prompt tokens in chunks of {}", how.tokens.size(), chunk);
  } else {
    how.plan = strategy::direct;
    how.plan_reason = "short prompt: joins the next step whole";
  }
}

/// Time, work and what follows from them; a deadline that even an idle machine cannot meet ends
/// the job here.
std::optional<failure> estimate(traits& how, const request& what, const analysis_context& with) {
  const auto& description = *how.model->description;
  how.operations = count_operations(description.shape, how.tokens.size(), how.max_new_tokens);
  const auto cost = with.costs->find(description.model_hash);
  if (cost == with.costs->end())
    return std::nullopt;
  const auto n_prompt = static_cast<std::uint32_t>(how.tokens.size());
  const auto chunk = how.config->profile.chunk.prefill_tokens;
  how.predicted_ms = cost->second.predict_job_ms(n_prompt, how.max_new_tokens, chunk);
  // A job may stop at its first token: only what it needs for that is sure to be needed.
  const auto least_ms =
      cost->second.predict_job_ms(n_prompt, how.max_new_tokens > 0 ? 1 : 0, chunk);
  if (what.deadline && least_ms > static_cast<double>(what.deadline->count()))
    return deadline_passed(
        fmt::format("the deadline of {} ms cannot be met: the prompt alone takes "
                    "about {:.0f} ms on this machine",
                    what.deadline->count(), least_ms));
  return std::nullopt;
}

} // namespace

double count_operations(const engine::hyperparameters& shape, std::uint64_t prompt,
                        std::uint64_t made) noexcept {
  const double width = shape.n_embd, heads = static_cast<double>(shape.n_head) * shape.head_dim;
  const double layer = 2 * width * heads + 2 * width * static_cast<double>(shape.kv_width()) +
                       3 * width * shape.n_ff;
  const double tokens = static_cast<double>(prompt + made);
  const double attention = 2 * heads * tokens * (tokens + 1) / 2;
  const double head = width * shape.n_vocab * static_cast<double>(made);
  return 2 * (shape.n_layer * (layer * tokens + attention) + head);
}

std::variant<traits, failure> analyze(const request& what, std::uint32_t item,
                                      const analysis_context& with) {
  const auto& words = what.items[item];
  auto model = choose_model(what, words, with.models);
  if (auto* why = std::get_if<failure>(&model))
    return std::move(*why);
  traits how;
  how.model = std::get<model_handle>(std::move(model));
  how.config = with.config;
  if (auto why = surely_too_long(*how.model, words))
    return std::move(*why);
  auto tokens = tokenize(*how.model, words, with.memo);
  if (auto* why = std::get_if<failure>(&tokens))
    return std::move(*why);
  how.tokens = std::get<std::vector<engine::token_id>>(std::move(tokens));
  how.cache_text = cache_text_of(words);
  how.prompt_bytes = words.text.size();
  for (const auto& message : words.messages)
    how.prompt_bytes += message.content.size();
  how.sampling = merge_sampling(what.params, with.config->profile.sampling);
  how.quality_retries =
      what.quality_retries.value_or(with.config->profile.sampling.quality_retries);
  how.cls = what.wanted_class.value_or(default_class(what));
  if (what.deadline)
    how.deadline = what.arrived + *what.deadline;
  if (auto why = fit(how, what, words))
    return std::move(*why);
  if (!with.config->profile.phases.analysis) {
    how.plan_reason = "analysis is off";
    return how;
  }
  if (what.is_batch) // compared among its items
    how.skeleton = skeleton_of(how.cache_text);
  choose_strategy(how, words);
  if (auto why = estimate(how, what, with))
    return std::move(*why);
  return how;
}

void analyze_batch(std::vector<traits*>& items) {
  std::vector<std::vector<engine::token_id>> tokens;
  std::map<hash128, std::size_t> same_skeleton;
  for (const auto* item : items) {
    tokens.push_back(item->tokens);
    ++same_skeleton[item->skeleton];
  }
  const auto similarity = batch_similarity(tokens);
  for (std::size_t i = 0; i < items.size(); ++i) {
    items[i]->similarity = similarity[i];
    const auto alike = same_skeleton[items[i]->skeleton];
    if (alike >= 4 && items[i]->plan == strategy::direct) {
      items[i]->plan = strategy::grouped_batch;
      items[i]->plan_reason = fmt::format("{} items of one template run together", alike);
    }
  }
}

} // namespace bitnetd::actors
