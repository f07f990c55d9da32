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

std::string fixed(const char* format, double value) {
  std::array<char, 48> out{};
  std::snprintf(out.data(), out.size(), format, value);
  return out.data();
}

double number(const json& object, const char* name) {
  return object.contains(name) && object[name].is_number() ? object[name].get<double>() : 0.0;
}

std::string percent(double share) { return fixed("%.2f %%", 100 * share); }

/// Asks once, prints an error or the JSON; nothing when that was all.
std::optional<json> ask(const session& with, connection daemon, const char* type,
                        const json& body) {
  const auto reply = daemon.ask(type, body, with.answer_time());
  if (with.as_json)
    print_json(reply.body);
  if (reply.is_error()) {
    (void)report_error(reply.body);
    return std::nullopt;
  }
  return reply.body;
}

int order(const session& with, const json& body, const std::string& done) {
  const auto reply = ask(with, with.admin(), "cache", body);
  if (!reply)
    return exit_code::refused;
  if (!with.as_json)
    std::cout << done << (reply->contains("removed") ? (*reply)["removed"].dump() + " removed" : "")
              << '\n';
  return exit_code::ok;
}

} // namespace

std::string cache_report(const json& cache) {
  std::ostringstream out;
  out << number(cache, "lookups") << " lookups, " << number(cache, "hits") << " hits, "
      << number(cache, "shadow_hits") << " more in mode on\n"
      << number(cache, "entries") << " entries, " << bytes_text(number(cache, "bytes")) << "; "
      << number(cache, "vectors") << " vectors, " << bytes_text(number(cache, "vector_bytes"))
      << " of memory\n";
  if (number(cache, "not_admitted") > 0)
    out << number(cache, "not_admitted")
        << " answers were not kept: the cache was full, and they were asked for once\n";
  if (number(cache, "renewed_same") + number(cache, "renewed_other") > 0)
    out << "expired answers computed anew: " << number(cache, "renewed_same") << " the same, "
        << number(cache, "renewed_other") << " another\n";
  for (const auto& rule : cache.value("rules", json::array())) {
    out << "similarity for " << rule.value("principal", std::string()) << ": "
        << number(rule, "decisions") << " neighbours passed the guards, " << number(rule, "audits")
        << " compared with what was computed, " << number(rule, "served") << " served, "
        << number(rule, "reported_wrong") << " reported as wrong\n";
    if (rule.value("open", false))
      out << "  would serve " << percent(number(rule, "share_served"))
          << " of them, from confidence " << fixed("%.3f", number(rule, "least_confidence"))
          << " on; wrong: " << percent(number(rule, "wrong_measured")) << " measured, at most "
          << percent(number(rule, "wrong_bound")) << " (99 %)\n";
    else
      out << "  would serve nothing yet: the comparisons so far do not prove that few enough are "
             "wrong\n";
  }
  return out.str();
}

std::string explained(const json& cache) {
  std::ostringstream out;
  out << cache.value("status", std::string());
  if (cache.contains("tier"))
    out << ", " << cache["tier"].get<std::string>() << " tier, entry "
        << cache.value("entry", std::string("?")) << ", " << number(cache, "age_s") << " s old, "
        << number(cache, "ttl_s") << " s to live";
  out << '\n';
  if (cache.contains("reason"))
    out << "because: " << cache["reason"].get<std::string>() << '\n';
  if (cache.contains("wrong_bound"))
    out << "at most " << percent(number(cache, "wrong_bound")) << " of such hits are wrong\n";
  const auto seen = cache.value("explain", json::array());
  if (seen.empty() && !cache.contains("tier"))
    out << "no similar entry was there to compare with\n";
  for (const auto& one : seen) {
    out << fixed("%.3f  ", number(one, "similarity")) << one.value("prompt", std::string()) << '\n';
    if (one.contains("veto"))
      out << "       held back by the guard " << one["veto"].get<std::string>() << '\n';
    else
      out << fixed("       passed the guards, confidence %.3f\n", number(one, "confidence"));
  }
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

int run_cache_explain(const session& with, const cache_options& asked) {
  json directives{{"only-if-cached", true}, {"explain", true}};
  if (!asked.name_space.empty())
    directives["namespace"] = asked.name_space;
  const json body{{"messages", {{{"role", "user"}, {"content", asked.text}}}},
                  {"mode", "sync"},
                  {"cache", directives}};
  const auto reply = with.front().ask("submit", body, with.answer_time());
  const bool not_cached = reply.body.value("name", std::string()) == "E_NOT_CACHED";
  if (reply.is_error() && !not_cached)
    return report_error(reply.body);
  const auto cache = reply.body.value("cache", json::object());
  if (with.as_json)
    print_json(cache);
  else
    std::cout << explained(cache);
  return exit_code::ok;
}

int run_cache_get(const session& with, const cache_options& asked) {
  const auto reply = ask(with, with.admin(), "cache", {{"op", "get"}, {"entry", asked.entry}});
  if (!reply)
    return exit_code::refused;
  if (with.as_json)
    return exit_code::ok;
  const auto time = [&](const char* name) {
    return time_text(reply->value(name, std::int64_t{0}));
  };
  std::cout << "asked:   " << reply->value("prompt", std::string())
            << "\nanswer:  " << reply->value("text", std::string())
            << "\nkept:    " << time("created_us") << " to "
            << (reply->value("pinned", false) ? "whenever it is unpinned" : time("expires_us"))
            << (reply->value("invalidated", false) ? ", invalidated" : "")
            << "\nhits:    " << number(*reply, "hits") << ", each saves "
            << duration_text(number(*reply, "cost_ms")) << "\nsimilar: "
            << (reply->value("similar", false) ? "found by similarity too" : "exact tier only")
            << '\n';
  return exit_code::ok;
}

int run_cache_del(const session& with, const cache_options& asked) {
  return order(with, {{"op", "del"}, {"entry", asked.entry}}, "deleted");
}

int run_cache_pin(const session& with, const cache_options& asked, bool stays) {
  return order(with, {{"op", stays ? "pin" : "unpin"}, {"entry", asked.entry}},
               stays ? "pinned" : "unpinned");
}

int run_cache_flush(const session& with, const cache_options& asked) {
  json body{{"op", "flush"}};
  const auto put = [&body](const char* name, const std::string& value) {
    if (!value.empty())
      body[name] = value;
  };
  put("principal", asked.principal);
  put("namespace", asked.name_space);
  put("model", asked.model);
  put("tag", asked.tag);
  if (body.size() == 1 && !asked.everything)
    throw bad_input("cache flush: say what: --all, --principal, --namespace, --model or --tag");
  return order(with, body, "flushed, ");
}

int run_cache_report(const session& with, const cache_options& asked) {
  const auto reply =
      ask(with, with.front(), "cache.report", {{"entry", asked.entry}, {"verdict", asked.verdict}});
  if (!reply)
    return exit_code::refused;
  if (!with.as_json)
    std::cout << "noted\n";
  return exit_code::ok;
}

} // namespace bitnetd::ctl
