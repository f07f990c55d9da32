// SPDX-License-Identifier: MIT
#include "conf/reload.h"

#include "base/log.h"

#include <algorithm>
#include <utility>

namespace bitnetd::conf {

namespace {

std::string summary(const std::vector<problem>& problems) {
  auto out = problems.front().text();
  if (problems.size() > 1)
    out += " (and " + std::to_string(problems.size() - 1) + " more)";
  return out;
}

void log_applied(const reload_report& report) {
  for (const auto& c : report.changed)
    if (c.acts == scope::restart)
      log::warn("configuration: {} waits for a restart", c.text());
    else
      log::info("configuration: {}", c.text());
  if (report.applied)
    log::info("configuration: version {} is in effect", report.version);
}

} // namespace

config_error::config_error(std::vector<problem> list)
    : std::runtime_error(text(list)), problems(std::move(list)) {}

std::vector<std::string> reload_report::waiting_for_restart() const {
  std::vector<std::string> out;
  for (const auto& c : changed)
    if (c.acts == scope::restart)
      out.push_back(c.path);
  return out;
}

configuration::configuration(std::filesystem::path file, directories where, machine on,
                             std::optional<std::string> profile)
    : file_(std::move(file)), where_(std::move(where)), on_(std::move(on)),
      profile_(std::move(profile)) {
  auto first = load(file_, where_, on_, profile_);
  if (!first.value)
    throw config_error(std::move(first.problems));
  first.value->version = 1;
  file_hash_ = first.file_hash;
  current_ = std::make_shared<const config>(std::move(*first.value));
}

config_ptr configuration::current() const {
  const std::lock_guard lock(swapping_);
  return current_;
}

std::uint64_t configuration::failures() const {
  const std::lock_guard lock(swapping_);
  return failures_;
}

std::string configuration::last_failure() const {
  const std::lock_guard lock(swapping_);
  return last_failure_;
}

reload_report configuration::reload(bool dry_run) {
  const std::lock_guard lock(reloading_);
  auto loaded = load(file_, where_, on_, profile_);
  const bool file_wins = profile_.has_value() && loaded.file_hash != file_hash_;
  if (file_wins)
    loaded = load(file_, where_, on_);
  const bool good = loaded.value.has_value();
  auto report = take(std::move(loaded), dry_run);
  if (dry_run)
    return report;
  if (good && file_wins)
    profile_.reset();
  note(report);
  return report;
}

reload_report configuration::use_profile(const std::string& name, bool dry_run) {
  const std::lock_guard lock(reloading_);
  auto loaded = load(file_, where_, on_, name);
  const auto file_hash = loaded.file_hash;
  const bool good = loaded.value.has_value();
  auto report = take(std::move(loaded), dry_run);
  if (good && !dry_run) {
    profile_ = name;
    file_hash_ = file_hash;
    note(report);
  }
  return report; // a wrong name is its sender's mistake, no failure of the files
}

reload_report configuration::take(load_result loaded, bool dry_run) {
  const auto running = current();
  reload_report report{{}, std::move(loaded.problems), false, running->version};
  if (!loaded.value)
    return report;
  report.changed = difference(*running, *loaded.value);
  auto next = without_restart(std::move(*loaded.value), *running);
  if (dry_run || difference(*running, next).empty())
    return report;
  report.applied = true;
  report.version = next.version = running->version + 1;
  const std::lock_guard lock(swapping_);
  current_ = std::make_shared<const config>(std::move(next));
  return report;
}

void configuration::note(const reload_report& report) {
  if (report.problems.empty())
    log_applied(report);
  for (const auto& p : report.problems)
    log::error("configuration kept, the new one is refused: {}", p.text());
  const std::lock_guard lock(swapping_);
  last_failure_ = report.problems.empty() ? std::string{} : summary(report.problems);
  failures_ += report.problems.empty() ? 0 : 1;
}

} // namespace bitnetd::conf
