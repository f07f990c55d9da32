// SPDX-License-Identifier: MIT
#include "actors/job_options.h"

#include "engine/model.h"
#include "engine/text_stream.h"

#include <nlohmann/json.hpp>
#include <spdlog/fmt/fmt.h>

#include <iterator>
#include <type_traits>

namespace bitnetd::actors {

job_options options_of(const job& what) {
  job_options out;
  if (!what.how)
    return out;
  out.model_hash = what.how->model->description->model_hash.hex();
  out.sampling = what.how->sampling;
  out.max_new_tokens = what.how->max_new_tokens;
  return out;
}

// Every job pays for these bytes: short names, and nothing that has its default.
std::string to_text(const job_options& what) {
  std::string out;
  const job_options unset;
  const auto put = [&out](std::string_view name, const auto& value, const auto& unless) {
    if (value == unless)
      return;
    out += out.empty() ? '{' : ',';
    if constexpr (std::is_floating_point_v<std::decay_t<decltype(value)>>)
      fmt::format_to(std::back_inserter(out), R"("{}":{})", name, static_cast<double>(value));
    else if constexpr (std::is_arithmetic_v<std::decay_t<decltype(value)>>)
      fmt::format_to(std::back_inserter(out), R"("{}":{})", name, value);
    else // hexadecimal digits
      fmt::format_to(std::back_inserter(out), R"("{}":"{}")", name, value);
  };
  put("model", what.model_hash, unset.model_hash);
  put("seed", what.sampling.seed, unset.sampling.seed);
  put("t", what.sampling.temperature, unset.sampling.temperature);
  put("k", what.sampling.top_k, unset.sampling.top_k);
  put("p", what.sampling.top_p, unset.sampling.top_p);
  put("m", what.sampling.min_p, unset.sampling.min_p);
  put("r", what.sampling.repetition_penalty, unset.sampling.repetition_penalty);
  put("n", what.max_new_tokens, unset.max_new_tokens);
  put("retries", what.retries, unset.retries);
  put("read", what.read, unset.read);
  put("base", what.base, unset.base);
  return out.empty() ? out : out + '}';
}

std::optional<job_options> read_options(const std::string& text) {
  const auto from = nlohmann::json::parse(text, nullptr, false);
  if (!from.is_object())
    return std::nullopt;
  try {
    job_options out;
    const auto get = [&from](const char* name, auto& value) { value = from.value(name, value); };
    get("model", out.model_hash);
    get("seed", out.sampling.seed);
    get("t", out.sampling.temperature);
    get("k", out.sampling.top_k);
    get("p", out.sampling.top_p);
    get("m", out.sampling.min_p);
    get("r", out.sampling.repetition_penalty);
    get("n", out.max_new_tokens);
    get("retries", out.retries);
    get("read", out.read);
    get("base", out.base);
    return out;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

void apply(const job_options& what, request& to) {
  if (what.model_hash.empty())
    return;
  auto& params = to.params;
  params.seed = what.sampling.seed;
  params.temperature = what.sampling.temperature;
  params.top_k = what.sampling.top_k;
  params.top_p = what.sampling.top_p;
  params.min_p = what.sampling.min_p;
  params.repetition_penalty = what.sampling.repetition_penalty;
  if (what.max_new_tokens > 0)
    params.max_tokens = what.max_new_tokens;
}

std::size_t text_given_out(const engine::model& by, const std::vector<std::string>& stops,
                           const std::vector<engine::token_id>& tokens) {
  if (!by.words)
    return 0;
  engine::text_stream stream{stops};
  std::size_t out = 0;
  for (const auto token : tokens)
    out += stream.feed(by.words->piece(token)).size();
  return out;
}

} // namespace bitnetd::actors
