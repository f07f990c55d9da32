// SPDX-License-Identifier: MIT
#include "clients/bitnetctl/top.h"

#include "clients/bitnetctl/admin.h"
#include "clients/bitnetctl/exit_codes.h"
#include "clients/bitnetctl/show.h"

#include <csignal>
#include <iostream>
#include <poll.h>
#include <sstream>
#include <termios.h>
#include <unistd.h>

namespace bitnetd::ctl {

namespace {

volatile std::sig_atomic_t interrupted = 0;
void on_interrupt(int) { interrupted = 1; }

// The terminal as top needs it: keys at once and not echoed; put back at the end.
class raw_terminal {
public:
  raw_terminal() : is_one_(::tcgetattr(STDIN_FILENO, &before_) == 0) {
    if (!is_one_)
      return;
    auto raw = before_;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    ::tcsetattr(STDIN_FILENO, TCSANOW, &raw);
  }
  ~raw_terminal() {
    if (is_one_)
      ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }
  raw_terminal(const raw_terminal&) = delete;
  raw_terminal& operator=(const raw_terminal&) = delete;

  // True when q was pressed within the time.
  [[nodiscard]] bool quit_within(std::chrono::milliseconds time) const {
    pollfd input{is_one_ ? STDIN_FILENO : -1, POLLIN, 0};
    if (::poll(&input, 1, static_cast<int>(time.count())) <= 0 || (input.revents & POLLIN) == 0)
      return interrupted != 0;
    char key = 0;
    return ::read(STDIN_FILENO, &key, 1) == 1 && (key == 'q' || key == 'Q');
  }

private:
  termios before_{};
  bool is_one_;
};

// Counters of the last screen, for rates.
struct rates {
  double tokens = 0, jobs = 0;
  std::chrono::steady_clock::time_point at{};

  std::string text(const json& stats) {
    const auto& metrics = stats.contains("metrics") ? stats["metrics"] : json::object();
    double tokens_now = 0, jobs_now = 0;
    for (const auto& [key, value] : metrics.items()) {
      if (!value.is_number())
        continue;
      if (key.starts_with("bitnetd_tokens_total") && key.find("output") != std::string::npos)
        tokens_now += value.get<double>();
      if (key.starts_with("bitnetd_jobs_total"))
        jobs_now += value.get<double>();
    }
    const auto now = std::chrono::steady_clock::now();
    const std::chrono::duration<double> gap = now - at;
    std::ostringstream out;
    out.precision(1);
    out << std::fixed;
    if (at.time_since_epoch().count() != 0)
      out << "now      " << (tokens_now - tokens) / gap.count() << " tokens/s, "
          << (jobs_now - jobs) / gap.count() << " jobs/s\n";
    tokens = tokens_now;
    jobs = jobs_now;
    at = now;
    return out.str();
  }
};

std::string screen(const json& stats, const json& jobs, rates& last) {
  std::ostringstream out;
  out << brief_stats(stats) << last.text(stats) << '\n';
  if (!jobs.empty())
    show_jobs(out, jobs);
  return out.str();
}

} // namespace

int run_top(const session& with, const top_options& options) {
  auto daemon = with.front();
  rates last;
  const bool live = !options.once && !with.as_json;
  std::optional<raw_terminal> terminal;
  if (live) {
    terminal.emplace();
    std::signal(SIGINT, on_interrupt);
  }
  for (;;) {
    const auto stats = daemon.ask("stats", json::object(), with.answer_time());
    if (stats.is_error())
      return report_error(stats.body);
    const json open{{"state", {"accepted", "queued", "scheduled", "running"}}, {"limit", 20}};
    const auto jobs = daemon.ask("list", open, with.answer_time());
    if (jobs.is_error())
      return report_error(jobs.body);
    if (with.as_json)
      print_json({{"stats", stats.body}, {"jobs", jobs.body["jobs"]}});
    else
      // Home, the screen, and nothing of the last one behind it: no flicker.
      std::cout << (live ? "\x1b[H\x1b[2J" : "") << screen(stats.body, jobs.body["jobs"], last)
                << (live ? "\nq quits\n" : "") << std::flush;
    if (!live || terminal->quit_within(options.interval))
      return exit_code::ok;
  }
}

} // namespace bitnetd::ctl
