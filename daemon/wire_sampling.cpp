// SPDX-License-Identifier: MIT
#include "daemon/wire_fields.h"
#include "daemon/wire_submit.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <string_view>

namespace bitnetd::wire {

namespace {

using nlohmann::json;

std::optional<std::uint32_t> as_u32(std::optional<std::int64_t> value) {
  return value ? std::optional(static_cast<std::uint32_t>(*value)) : std::nullopt;
}

std::vector<std::string> read_stops(const json& list, const std::string& path) {
  std::vector<std::string> stops;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto here = path + '[' + std::to_string(i) + ']';
    if (!list[i].is_string())
      refuse_field(here, "expected a text, got " + shown(list[i]));
    const auto& text = list[i].get_ref<const std::string&>();
    if (text.empty() || text.size() > 256)
      refuse_field(here, "expected a text of 1 to 256 bytes, got " + shown(list[i]), 256);
    stops.push_back(text);
  }
  return stops;
}

std::vector<std::pair<std::int32_t, double>> read_bias(const json& object,
                                                       const std::string& path) {
  std::vector<std::pair<std::int32_t, double>> out;
  for (const auto& [key, value] : object.items()) {
    std::int32_t token = -1;
    const auto* const end = key.data() + key.size();
    const auto [stop, problem] = std::from_chars(key.data(), end, token);
    const bool canonical = problem == std::errc{} && stop == end && token >= 0 &&
                           (key.size() == 1 || key.front() != '0');
    if (!canonical)
      refuse_field(path, "expected token ids as keys (decimal, from 0), got " + shown(json(key)));
    if (!value.is_number() || !(std::abs(value.get<double>()) <= 100))
      refuse_field(path + '.' + key, "expected a number from -100 to 100, got " + shown(value));
    out.emplace_back(token, value.get<double>());
  }
  std::ranges::sort(out);
  return out;
}

} // namespace

sampling decode_sampling(const json& params, const std::string& path, const submit_bounds& bounds) {
  // 2^53 - 1: the largest whole number that every JSON reader keeps.
  constexpr std::int64_t max_seed = 9'007'199'254'740'991;
  for (const auto* later : {"grammar", "json_schema"})
    if (params.contains(later))
      refuse_field(path + '.' + later, "not supported yet");
  const field_reader fields(params, path,
                            {"max_tokens", "temperature", "top_k", "top_p", "min_p",
                             "repetition_penalty", "seed", "stop", "logit_bias", "ignore_eos"});
  sampling out;
  out.max_tokens = as_u32(fields.integer("max_tokens", 1, bounds.max_tokens));
  out.temperature = fields.number("temperature", 0, 100);
  out.top_k = as_u32(fields.integer("top_k", 0, 1'000'000));
  out.top_p = fields.number("top_p", 0, 1, /*least_open=*/true);
  out.min_p = fields.number("min_p", 0, 1, false, /*most_open=*/true);
  out.repetition_penalty = fields.number("repetition_penalty", 0.01, 100);
  if (const auto seed = fields.integer("seed", 0, max_seed))
    out.seed = static_cast<std::uint64_t>(*seed);
  if (const json* stops = fields.array("stop", 0, 16))
    out.stop = read_stops(*stops, fields.path_of("stop"));
  if (const json* bias = fields.object("logit_bias", 1024))
    out.logit_bias = read_bias(*bias, fields.path_of("logit_bias"));
  out.ignore_eos = fields.boolean("ignore_eos").value_or(false);
  return out;
}

} // namespace bitnetd::wire
