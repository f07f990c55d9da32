// SPDX-License-Identifier: MIT
#include "daemon/wire_prompt.h"

#include <nlohmann/json.hpp>

#include <array>
#include <string>
#include <string_view>
#include <utility>

namespace bitnetd::wire {

namespace {

using nlohmann::json;

constexpr std::size_t max_text = 64u << 20; // what a frame can hold: limits.body decides

std::vector<chat_message> read_messages(const json& list, const std::string& path) {
  constexpr std::array<const char*, 3> roles{"system", "user", "assistant"};
  std::vector<chat_message> messages;
  messages.reserve(list.size());
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto here = path + '[' + std::to_string(i) + ']';
    if (!list[i].is_object())
      refuse_field(here, "expected an object {role, content}, got " + shown(list[i]));
    const field_reader one(list[i], here, {"role", "content"});
    one.require("role");
    one.require("content");
    const auto role = one.choice("role", {roles[0], roles[1], roles[2]});
    const bool is_last = i + 1 == list.size();
    messages.push_back({roles[*role], *one.text("content", is_last ? 1 : 0, max_text)});
  }
  return messages;
}

// The one form that is there, of `prompt`, `messages` and `input`.
prompt read_prompt(const field_reader& fields) {
  const int n_forms = fields.has("prompt") + fields.has("messages") + fields.has("input");
  if (n_forms != 1)
    fields.refuse("prompt", n_forms == 0 ? "one of prompt, messages or input is required"
                                         : "only one of prompt, messages and input may be there");
  if (auto text = fields.text("prompt", 1, max_text))
    return {prompt_kind::completion, std::move(*text), {}, {}};
  if (auto text = fields.text("input", 1, max_text))
    return {prompt_kind::embedding, std::move(*text), {}, {}};
  const json& list = *fields.array("messages", 1, 1024);
  return {prompt_kind::chat, {}, read_messages(list, fields.path_of("messages")), {}};
}

} // namespace

prompts decode_prompts(const json& body, const field_reader& fields, const submit_bounds& bounds) {
  if (!body.contains("items"))
    return {{read_prompt(fields)}, false};
  for (const auto* other : {"prompt", "messages", "input"})
    if (fields.has(other))
      fields.refuse(other, "not together with items");

  const bool only_ends = fields.has("job") && !fields.boolean("more").value_or(false);
  const json& list = *fields.array("items", only_ends ? 0 : 1, bounds.batch_items);
  prompts out{{}, true};
  out.items.reserve(list.size());
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto path = "items[" + std::to_string(i) + ']';
    if (!list[i].is_object())
      refuse_field(path,
                   "expected an object with prompt, messages or input, got " + shown(list[i]));
    const field_reader one(list[i], path, {"prompt", "messages", "input", "custom_id"});
    out.items.push_back(read_prompt(one));
    out.items[i].custom_id = one.label("custom_id", 128).value_or("");
    const auto is_input = [](const prompt& p) { return p.kind == prompt_kind::embedding; };
    if (is_input(out.items[i]) != is_input(out.items[0]))
      refuse_field(path, "items are all input, or none is: one batch runs on one model");
  }
  return out;
}

cache_directives decode_cache(const json& cache) {
  constexpr std::int64_t year_s = 31'536'000;
  constexpr std::int64_t max_stale_s = 3600; // expired entries are kept no longer
  constexpr std::size_t max_tags = 8;
  const field_reader fields(cache, "cache",
                            {"no-store", "no-cache", "only-if-cached", "exact-only",
                             "allow-sampled", "max-age", "max-stale", "stale-while-revalidate",
                             "ttl", "min-confidence", "namespace", "tags", "explain"});
  cache_directives out;
  out.no_store = fields.boolean("no-store").value_or(false);
  out.no_cache = fields.boolean("no-cache").value_or(false);
  out.only_if_cached = fields.boolean("only-if-cached").value_or(false);
  out.exact_only = fields.boolean("exact-only").value_or(false);
  out.allow_sampled = fields.boolean("allow-sampled").value_or(false);
  out.explain = fields.boolean("explain").value_or(false);
  out.max_age_s = fields.integer("max-age", 0, year_s);
  out.max_stale_s = fields.integer("max-stale", 0, max_stale_s);
  out.stale_while_revalidate_s = fields.integer("stale-while-revalidate", 0, max_stale_s);
  out.ttl_s = fields.integer("ttl", 1, year_s);
  out.min_confidence = fields.number("min-confidence", 0, 1);
  out.name_space = fields.text("namespace", 1, 64).value_or("");
  constexpr std::string_view allowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  if (out.name_space.find_first_not_of(allowed) != std::string::npos)
    fields.refuse("namespace", "expected letters, digits, dot, underscore and hyphen only");
  if (const json* tags = fields.array("tags", 0, max_tags))
    for (const auto& tag : *tags) {
      if (!tag.is_string() || tag.get_ref<const std::string&>().empty() ||
          tag.get_ref<const std::string&>().size() > 64)
        fields.refuse("tags", "expected texts of 1 to 64 bytes, got " + shown(tag), 64);
      out.tags.push_back(tag.get<std::string>());
    }
  if (out.no_cache && out.only_if_cached)
    fields.refuse("only-if-cached", "not together with no-cache");
  return out;
}

} // namespace bitnetd::wire
