// SPDX-License-Identifier: MIT
#include "clients/bitnetctl/batch.h"

#include "base/hash.h"
#include "clients/bitnetctl/exit_codes.h"
#include "clients/bitnetctl/jobs.h"
#include "clients/bitnetctl/show.h"

#include <CLI/CLI.hpp>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <thread>
#include <unistd.h>

namespace bitnetd::ctl {

namespace {

using namespace std::chrono_literals;

// Small enough that a batch's result and its progress stay handy.
constexpr std::size_t items_per_batch = 2000;

struct running_batch {
  std::string job;
  std::size_t n_items = 0, ended = 0, failed = 0;
};

// A reply that is an error ends the run with its exit status.
struct refused_by_daemon {
  int status;
};

json body_of(const batch_options& options, const std::vector<json>& items, std::size_t first,
             std::size_t last) {
  json body{{"items", json::array()}};
  for (auto i = first; i < last; ++i)
    body["items"].push_back(items[i]);
  options.request.put_into(body);
  // The same lines with the same options are the same job: a repeated run takes it up.
  auto key = "batch-" + hash_bytes(body.dump()).hex();
  if (options.fresh)
    key += '-' + std::to_string(std::chrono::system_clock::now().time_since_epoch().count());
  body["key"] =
      options.request.key.empty() ? key : options.request.key + '-' + std::to_string(first);
  return body;
}

std::string accept(connection& daemon, const session& with, const batch_options& options,
                   const json& body) {
  const auto until = std::chrono::steady_clock::now() + options.silence;
  for (;;) {
    const auto reply = daemon.ask("submit", body, std::max<milliseconds>(with.answer_time(), 60s));
    if (!reply.is_error())
      return reply.body.at("job");
    const auto again = reply.body.value("retry_after_ms", 0);
    const bool later = reply.body.value("retry", std::string()) == "later" && again > 0;
    if (!later || std::chrono::steady_clock::now() > until)
      throw refused_by_daemon{report_error(reply.body)};
    std::this_thread::sleep_for(milliseconds(again));
  }
}

class progress_line {
public:
  explicit progress_line(bool quiet) : quiet_(quiet), is_terminal_(::isatty(STDERR_FILENO) == 1) {}
  ~progress_line() {
    if (shown_ && is_terminal_)
      std::cerr << '\n';
  }
  progress_line(const progress_line&) = delete;
  progress_line& operator=(const progress_line&) = delete;

  void show(std::size_t ended, std::size_t all, std::size_t failed) {
    if (quiet_ || (shown_ && ended == last_))
      return;
    last_ = ended;
    shown_ = true;
    const std::chrono::duration<double, std::milli> took =
        std::chrono::steady_clock::now() - began_;
    std::cerr << (is_terminal_ ? "\r\x1b[K" : "") << ended << " of " << all << " done";
    if (failed > 0)
      std::cerr << ", " << failed << " failed";
    std::cerr << ", " << duration_text(took.count());
    if (ended > 0 && ended < all)
      std::cerr << ", about "
                << duration_text(took.count() * static_cast<double>(all - ended) /
                                 static_cast<double>(ended))
                << " left";
    std::cerr << (is_terminal_ ? "" : "\n") << std::flush;
  }

private:
  bool quiet_, is_terminal_, shown_ = false;
  std::size_t last_ = 0;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

// Follows the batches to their end.
void follow(connection& daemon, const session& with, const batch_options& options,
            std::vector<running_batch>& batches, std::size_t n_items) {
  progress_line progress(options.quiet);
  auto moved = std::chrono::steady_clock::now();
  std::size_t before = 0;
  for (;;) {
    std::size_t ended = 0, failed = 0;
    bool all_over = true;
    for (auto& batch : batches) {
      if (batch.ended < batch.n_items) {
        const auto reply = daemon.ask("status", {{"job", batch.job}}, with.answer_time());
        if (reply.is_error())
          throw refused_by_daemon{report_error(reply.body)};
        const auto& job = reply.body.at("jobs").at(0);
        const auto& children = job.value("children", json::object());
        batch.failed = children.value("failed", std::size_t{0});
        batch.ended = children.value("done", std::size_t{0}) + batch.failed;
        const auto state = job.value("state", std::string());
        const bool open =
            state == "accepted" || state == "queued" || state == "scheduled" || state == "running";
        if (!open)
          batch.ended = batch.n_items;
        else if (batch.ended >= batch.n_items)
          batch.ended = batch.n_items - 1; // its own end is still being written
      }
      ended += batch.ended;
      failed += batch.failed;
      all_over = all_over && batch.ended >= batch.n_items;
    }
    progress.show(ended, n_items, failed);
    if (all_over)
      return;
    const auto now = std::chrono::steady_clock::now();
    if (ended != before)
      moved = now;
    before = ended;
    if (now - moved > options.silence)
      throw no_daemon("no progress for " + std::to_string(options.silence.count()) + " s");
    std::this_thread::sleep_for(300ms);
  }
}

// Writes the results in order; how many items failed.
std::size_t write_results(connection& daemon, const session& with,
                          const std::vector<running_batch>& batches, std::ostream& out) {
  std::size_t failed = 0, index = 0;
  for (const auto& batch : batches) {
    const auto reply = wait_for_result(daemon, batch.job, 60s, with.answer_time());
    if (reply.type != "result")
      throw refused_by_daemon{reply.is_error() ? report_error(reply.body) : exit_code::no_daemon};
    for (auto item : reply.body.value("items", json::array())) {
      failed += item.value("state", std::string()) != "done";
      item["index"] = index++; // within the whole input
      out << item.dump(-1, ' ', false, json::error_handler_t::replace) << '\n';
    }
  }
  return failed;
}

} // namespace

void batch_options::add_to(CLI::App& command) {
  command.add_option("input", input, "JSONL: objects with prompt, messages or input, or texts")
      ->required();
  command.add_option("-o,--output", output, "JSONL of results, in the order of the input")
      ->required();
  command.add_flag("--chat", chat, "a line that is a text is a user's turn of a chat");
  command.add_flag("--fresh", fresh, "run anew what was run before");
  command.add_flag("-q,--quiet", quiet, "no progress line");
  command.add_option("--silence", silence, "seconds to wait without progress");
  request.add_to(command);
}

int run_batch(const session& with, const batch_options& options) {
  const auto items = read_items(read_input(options.input, 1u << 30), options.chat);
  if (items.empty())
    throw bad_input(options.input + ": no lines");
  // Opened before anything runs: a night's work must not end at a missing folder.
  std::ofstream file;
  if (options.output != "-") {
    file.open(options.output, std::ios::binary | std::ios::trunc);
    if (!file)
      throw bad_input(options.output + ": " + std::strerror(errno));
  }
  std::ostream& out = options.output == "-" ? std::cout : file;

  auto daemon = with.front();
  const auto hello = daemon.ask("hello", {{"client", "bitnetctl"}}, with.answer_time());
  const auto& limits = hello.body.value("limits", json::object());
  const auto most_items = std::min(items_per_batch, limits.value("batch_items", items_per_batch));
  const auto most_bytes = limits.value("body", std::size_t{1} << 20) / 10 * 9;
  try {
    std::vector<running_batch> batches;
    for (const auto& [first, last] : cut_batches(items, most_items, most_bytes))
      batches.push_back(
          {accept(daemon, with, options, body_of(options, items, first, last)), last - first});
    follow(daemon, with, options, batches, items.size());
    const auto failed = write_results(daemon, with, batches, out);
    if (!out.flush())
      throw bad_input(options.output + ": cannot be written: " + std::strerror(errno));
    if (failed > 0)
      std::cerr << "bitnetctl: " << failed << " of " << items.size() << " items failed\n";
    return failed > 0 ? exit_code::job_failed : exit_code::ok;
  } catch (const refused_by_daemon& why) {
    return why.status;
  }
}

} // namespace bitnetd::ctl
