// SPDX-License-Identifier: MIT
#include "actors/partition.h"

#include <bit>
#include <cmath>
#include <numbers>

namespace bitnetd::actors {

namespace {

constexpr std::uint64_t schema = 1; ///< raised when what a partition means changes

std::string canonical_turn(std::string_view text) {
  constexpr std::string_view space = " \t\r\n";
  const auto first = text.find_first_not_of(space);
  if (first == std::string_view::npos)
    return {};
  text = text.substr(first, text.find_last_not_of(space) - first + 1);
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i)
    if (text[i] != '\r' || i + 1 == text.size() || text[i + 1] != '\n')
      out += text[i];
  return out;
}

/// Index of the last user message, or the number of messages.
std::size_t last_user(const std::vector<engine::chat_message>& messages) {
  for (auto i = messages.size(); i-- > 0;)
    if (messages[i].role == "user")
      return i;
  return messages.size();
}

/// System prompts and history: everything but the last user turn, in order, with roles.
void add_history(hasher& h, const prompt& words) {
  const auto asked = last_user(words.messages);
  h.field(std::uint64_t{words.messages.size()});
  for (std::size_t i = 0; i < words.messages.size(); ++i) {
    h.field(words.messages[i].role);
    if (i != asked)
      h.field(words.messages[i].content);
  }
}

void add_sampling(hasher& h, const traits& how, sampling_class cls) {
  const auto number = [&h](float x) { h.field(std::uint64_t{std::bit_cast<std::uint32_t>(x)}); };
  const auto& p = how.sampling;
  h.field(static_cast<std::uint64_t>(cls));
  number(p.repetition_penalty);
  h.field(std::uint64_t{p.logit_bias.size()});
  for (const auto& [token, bias] : p.logit_bias) {
    h.field(static_cast<std::uint64_t>(token));
    number(bias);
  }
  if (cls == sampling_class::greedy)
    return;
  number(p.temperature);
  number(p.top_p);
  number(p.min_p);
  h.field(std::uint64_t{p.top_k});
  if (cls == sampling_class::seeded)
    h.field(p.seed);
}

/// Whose answers these are: the principal's own, or those of all who name the same namespace in the
/// configuration. No principal's name is empty, so the two never meet.
void add_owner(hasher& h, const job& what) {
  const auto& principal = what.what->principal;
  const auto shared = what.how->config
                          ? conf::settings_of(*what.how->config, principal).cache_namespace
                          : std::string{};
  if (shared.empty())
    h.field(principal);
  else
    h.field(std::string_view{}).field(shared);
}

sampling_class class_of(const job& what) noexcept {
  if (what.how->sampling.temperature <= 0 || what.words().kind == job_kind::embedding)
    return sampling_class::greedy;
  return what.what->params.seed ? sampling_class::seeded : sampling_class::drawn;
}

} // namespace

cache_key cache_key_of(const job& what) {
  const auto& how = *what.how;
  const auto& words = what.words();
  const auto& description = *how.model->description;
  cache_key out;
  out.sampling = class_of(what);
  hasher h;
  h.field(schema);
  add_owner(h, what);
  h.field(what.what->cache.name_space)
      .field(description.model_hash.hex())
      .field(description.tokenizer_hash.hex())
      .field(words.kind == job_kind::chat ? description.dialogue->name() : std::string_view{})
      .field(static_cast<std::uint64_t>(words.kind));
  add_history(h, words);
  add_sampling(h, how, out.sampling);
  h.field(std::uint64_t{what.what->params.ignore_eos});
  h.field(std::uint64_t{what.what->params.stop.size()});
  for (const auto& stop : what.what->params.stop)
    h.field(stop);
  out.partition = h.finish();
  if (words.kind == job_kind::chat) {
    const auto asked = last_user(words.messages);
    if (asked < words.messages.size())
      out.canonical = canonical_turn(words.messages[asked].content);
  } else {
    out.canonical = words.text;
  }
  out.key = hash_bytes(out.canonical);
  return out;
}

namespace {

/// 16 bytes, whatever the name: a record's tags are short.
std::string scope(std::string_view kind, std::string_view first, std::string_view second = {}) {
  hasher h;
  h.field(kind).field(first).field(second);
  const auto name = h.finish();
  return {reinterpret_cast<const char*>(name.bytes.data()), name.bytes.size()};
}

} // namespace

std::string all_scope() { return scope("all", {}); }
std::string tenant_scope(std::string_view principal) { return scope("tenant", principal); }
std::string namespace_scope(std::string_view principal, std::string_view name) {
  return scope("namespace", principal, name);
}
std::string model_scope(std::string_view model_name) { return scope("model", model_name); }
std::string tag_scope(std::string_view principal, std::string_view tag) {
  return scope("tag", principal, tag);
}

std::vector<std::string> scopes_of(const job& what) {
  const auto& asked = what.what->cache;
  std::vector<std::string> out{all_scope(), tenant_scope(what.what->principal),
                               model_scope(what.how->model->name)};
  if (!asked.name_space.empty())
    out.push_back(namespace_scope(what.what->principal, asked.name_space));
  for (const auto& tag : asked.tags)
    out.push_back(tag_scope(what.what->principal, tag));
  return out;
}

bool fits_length(std::string_view finish, std::uint32_t completion_tokens,
                 std::uint32_t max_new_tokens) noexcept {
  return finish == "length" ? completion_tokens == max_new_tokens
                            : completion_tokens <= max_new_tokens;
}

double prior_confidence(double cosine, double threshold) noexcept {
  constexpr double steepness = 40, sd_steepness = 15, sd_threshold = 0.08;
  const double x = cosine - threshold;
  const double variance = std::pow(steepness * sd_threshold, 2) + std::pow(x * sd_steepness, 2);
  const double z = steepness * x / std::sqrt(1 + std::numbers::pi * variance / 8);
  return 1 / (1 + std::exp(-z));
}

} // namespace bitnetd::actors
