// SPDX-License-Identifier: MIT
#include "clients/bitnetctl/cache.h"

#include "clients/bitnetctl/exit_codes.h"
#include "clients/bitnetctl/show.h"

#include <array>
#include <cstdio>
#include <iostream>
#include <sstream>

namespace bitnetd::ctl {

namespace {

using nlohmann::json;

double number(const json& object, const char* name) {
  return object.contains(name) && object[name].is_number() ? object[name].get<double>() : 0.0;
}

std::string percent(double share) {
  std::array<char, 32> out{};
  std::snprintf(out.data(), out.size(), "%.2f %%", 100 * share);
  return out.data();
}

} // namespace

std::string cache_report(const json& cache) {
  std::ostringstream out;
  out << number(cache, "lookups") << " lookups, " << number(cache, "hits") << " hits, "
      << number(cache, "shadow_hits") << " more in mode on\n"
      << number(cache, "entries") << " entries, " << bytes_text(number(cache, "bytes")) << "; "
      << number(cache, "vectors") << " vectors, " << bytes_text(number(cache, "vector_bytes"))
      << " of memory\n";
  for (const auto& rule : cache.value("rules", json::array())) {
    out << "similar questions of " << rule.value("principal", std::string()) << ": "
        << number(rule, "neighbours") << " passed the guards, " << number(rule, "over_threshold")
        << " of them over the threshold, " << number(rule, "served")
        << " served\n  compared with what was computed: " << number(rule, "compared")
        << "; over the threshold " << number(rule, "over_threshold_right") << " were right and "
        << number(rule, "over_threshold_wrong") << " wrong\n";
    if (rule.value("rule_open", false))
      out << "  a rule that promises 2 % would serve " << percent(number(rule, "rule_share_served"))
          << " of them; wrong: " << percent(number(rule, "rule_wrong_measured"))
          << " measured, at most " << percent(number(rule, "rule_wrong_bound")) << " (99 %)\n";
    else
      out << "  a rule that promises 2 % wrong answers would serve nothing yet\n";
  }
  return out.str();
}

std::string explained(const json& reply) {
  std::ostringstream out;
  const auto cache = reply.value("cache", json::object());
  out << cache.value("status", std::string("NOT_CACHED"));
  if (cache.contains("entry"))
    out << ", entry " << cache["entry"].get<std::string>() << ", " << number(cache, "age_s")
        << " s old, " << number(cache, "ttl_s") << " s to live";
  out << '\n';
  for (const auto& line : reply.value("trace", json::array()))
    if (line.value("phase", std::string()) == "cache")
      out << line.value("decision", std::string()) << '\n';
  return out.str();
}

int run_cache_stats(const session& with) {
  const auto reply = with.front().ask("stats", json::object(), with.answer_time());
  if (reply.is_error())
    return report_error(reply.body);
  const auto cache = reply.body.value("cache", json::object());
  if (with.as_json)
    print_json(cache);
  else
    std::cout << cache_report(cache);
  return exit_code::ok;
}

int run_cache_explain(const session& with, const std::string& question) {
  const json body{{"messages", json::array({{{"role", "user"}, {"content", question}}})},
                  {"mode", "sync"},
                  {"trace", true},
                  {"cache", {{"only-if-cached", true}}}};
  const auto reply = with.front().ask("submit", body, with.answer_time());
  if (reply.is_error() && reply.body.value("name", std::string()) != "E_NOT_CACHED")
    return report_error(reply.body);
  if (with.as_json)
    print_json(reply.body);
  else
    std::cout << explained(reply.body);
  return exit_code::ok;
}

} // namespace bitnetd::ctl
