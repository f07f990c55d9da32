// SPDX-License-Identifier: MIT
#include "clients/bitnetctl/show.h"

#include "base/utf8.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <ostream>

namespace bitnetd::ctl {

namespace {

using nlohmann::json;

// Width on a screen, near enough: one column per code point.
std::size_t width(std::string_view text) {
  std::size_t n = 0;
  while (!text.empty()) {
    text.remove_prefix(std::max<std::size_t>(1, utf8_decode(text).size));
    ++n;
  }
  return n;
}

std::string printed(const char* format, double value, const char* unit) {
  std::array<char, 48> out{};
  std::snprintf(out.data(), out.size(), format, value, unit);
  return out.data();
}

std::string text_at(const json& object, const char* name) {
  return object.contains(name) && object[name].is_string() ? object[name].get<std::string>() : "";
}

std::string cache_text(const json& cache) {
  auto out = text_at(cache, "status");
  if (const auto tier = text_at(cache, "tier"); !tier.empty())
    out += ' ' + tier;
  if (cache.contains("similarity"))
    out += printed(" similarity %.3f%s", cache["similarity"].get<double>(), "");
  if (cache.contains("confidence"))
    out += printed(" confidence %.2f%s", cache["confidence"].get<double>(), "");
  if (const auto veto = text_at(cache, "veto"); !veto.empty())
    out += ", held back by " + veto;
  return out;
}

} // namespace

void show_table(std::ostream& out, const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], width(row[i]));
  }
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      out << row[i];
      if (i + 1 < row.size())
        out << std::string(widths[i] - width(row[i]) + 2, ' ');
    }
    out << '\n';
  }
}

void show_trace(std::ostream& out, const json& trace) {
  std::vector<std::vector<std::string>> rows{{"phase", "at", "took", "decision"}};
  for (const auto& line : trace)
    rows.push_back({text_at(line, "phase"), duration_text(line.value("started_us", 0.0) / 1000),
                    duration_text(line.value("took_us", 0.0) / 1000), text_at(line, "decision")});
  show_table(out, rows);
}

std::string summary(const json& result) {
  const auto& times = result.contains("timing") ? result["timing"] : json::object();
  std::string out = text_at(result, "state");
  if (result.contains("usage")) {
    const auto& usage = result["usage"];
    out += ": " + std::to_string(usage.value("prompt", 0)) + " prompt and " +
           std::to_string(usage.value("completion", 0)) + " new tokens";
  }
  out += " in " + duration_text(times.value("total_ms", 0.0));
  if (const double first = times.value("ttft_ms", 0.0); first > 0)
    out += ", first after " + duration_text(first);
  if (result.contains("cache"))
    out += "; cache " + cache_text(result["cache"]);
  if (result.contains("failed_checks"))
    out += "; failed checks " + result["failed_checks"].dump();
  return out;
}

void show_jobs(std::ostream& out, const json& jobs) {
  std::vector<std::vector<std::string>> rows{
      {"job", "state", "class", "model", "created", "details"}};
  for (const auto& job : jobs) {
    std::string details;
    if (job.contains("children"))
      details = std::to_string(job["children"].value("done", 0)) + " of " +
                std::to_string(job["children"].value("total", 0)) + " done, " +
                std::to_string(job["children"].value("failed", 0)) + " failed";
    if (job.contains("error"))
      details += (details.empty() ? "" : "; ") + text_at(job["error"], "msg");
    rows.push_back({text_at(job, "job"), text_at(job, "state"), text_at(job, "class"),
                    text_at(job, "model"),
                    job.contains("created_us") ? time_text(job["created_us"]) : "", details});
  }
  show_table(out, rows);
}

std::string duration_text(double ms) {
  if (ms < 1)
    return printed("%.0f %s", ms * 1000, "µs");
  if (ms < 1000)
    return printed(ms < 10 ? "%.1f %s" : "%.0f %s", ms, "ms");
  if (ms < 120'000)
    return printed("%.1f %s", ms / 1000, "s");
  return printed("%.0f %s", ms / 60'000, "min");
}

std::string bytes_text(double bytes) {
  constexpr std::array units{"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  for (; bytes >= 1024 && unit + 1 < units.size(); ++unit)
    bytes /= 1024;
  return printed(unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
}

std::string time_text(std::int64_t wall_us) {
  const std::time_t seconds = wall_us / 1'000'000;
  std::tm parts{};
  ::localtime_r(&seconds, &parts);
  std::array<char, 32> out{};
  std::strftime(out.data(), out.size(), "%F %T", &parts);
  return out.data();
}

} // namespace bitnetd::ctl
