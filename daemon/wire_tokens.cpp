// SPDX-License-Identifier: MIT
#include "daemon/wire_tokens.h"

#include "daemon/wire_fields.h"

#include <nlohmann/json.hpp>

#include <limits>

namespace bitnetd::wire {

namespace {

constexpr std::size_t max_name_bytes = 128; // of a model, as in submit

std::int32_t token_at(const nlohmann::json& list, std::size_t i) {
  constexpr std::int64_t most = std::numeric_limits<std::int32_t>::max();
  const auto& one = list[i];
  // In this order: an unsigned number beyond int64 is not to be cast.
  if (one.is_number_unsigned() && one.get<std::uint64_t>() <= std::uint64_t{most})
    return one.get<std::int32_t>();
  refuse_field("tokens[" + std::to_string(i) + ']',
               "expected a whole number from 0 to " + std::to_string(most) + ", got " + shown(one));
}

} // namespace

tokenize read_tokenize(const nlohmann::json& body) {
  const field_reader fields(body, "", {"text", "model"});
  fields.require("text");
  return {*fields.text("text", 0, max_tokenized_bytes),
          fields.label("model", max_name_bytes).value_or("")};
}

detokenize read_detokenize(const nlohmann::json& body) {
  const field_reader fields(body, "", {"tokens", "model"});
  fields.require("tokens");
  const auto& list = *fields.array("tokens", 0, max_detokenized);
  detokenize out;
  out.tokens.reserve(list.size());
  for (std::size_t i = 0; i < list.size(); ++i)
    out.tokens.push_back(token_at(list, i));
  out.model = fields.label("model", max_name_bytes).value_or("");
  return out;
}

} // namespace bitnetd::wire
