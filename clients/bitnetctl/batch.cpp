// SPDX-License-Identifier: MIT
#include "clients/bitnetctl/batch.h"

#include "base/hash.h"
#include "clients/bitnetctl/exit_codes.h"
#include "clients/bitnetctl/show.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

namespace bitnetd::ctl {

namespace {

using namespace std::chrono_literals;

// Small enough that a body is not near its limit, and that an item's place is soon known.
constexpr std::size_t items_per_batch = 2000;

struct running_batch {
  std::string job;
  std::size_t first = 0, n_items = 0; ///< of the input
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

  /// `before`: items that an earlier run had computed; the time left is judged without them.
  void show(std::size_t ended, std::size_t all, std::size_t failed, std::size_t before) {
    const auto now = std::chrono::steady_clock::now();
    const bool often = shown_ && now - shown_at_ < (is_terminal_ ? 100ms : 2000ms);
    if (quiet_ || (often && ended < all) || (shown_ && ended == last_))
      return;
    last_ = ended;
    shown_ = true;
    shown_at_ = now;
    const std::chrono::duration<double, std::milli> took = now - began_;
    if (is_terminal_)
      std::cerr << "\r\x1b[K" << bar(ended, all) << ' ';
    std::cerr << ended << " of " << all << " done";
    if (before > 0)
      std::cerr << " (" << before << " by an earlier run)";
    if (failed > 0)
      std::cerr << ", " << failed << " failed";
    std::cerr << ", " << duration_text(took.count());
    if (ended > before && ended < all)
      std::cerr << ", about "
                << duration_text(took.count() * static_cast<double>(all - ended) /
                                 static_cast<double>(ended - before))
                << " left";
    std::cerr << (is_terminal_ ? "" : "\n") << std::flush;
  }

private:
  static std::string bar(std::size_t ended, std::size_t all) {
    constexpr std::size_t width = 30;
    const auto full = all == 0 ? width : ended * width / all;
    return "[" + std::string(full, '#') + std::string(width - full, '.') + "]";
  }

  bool quiet_, is_terminal_, shown_ = false;
  std::size_t last_ = 0;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now(), shown_at_{};
};

/// Reads the items of the batches in the order of the input and writes each as it comes, so that
/// what a broken-off run leaves is a beginning of the output. A connection that is lost is made
/// again: the daemon has the jobs, and where we are is known.
class output_writer {
public:
  output_writer(const session& with, const batch_options& options,
                std::vector<running_batch> batches, std::size_t n_items, std::ostream& out)
      : with_(with), options_(options), batches_(std::move(batches)), n_items_(n_items), out_(out),
        progress_(options.quiet) {}

  /// How many items failed.
  std::size_t run(connection& daemon) {
    count_ended(daemon);
    for (const auto& batch : batches_) {
      std::size_t off = 0;
      if (read(daemon, batch, off))
        continue;
      for (auto until = std::chrono::steady_clock::now() + options_.silence;;) {
        auto again = reconnect(until);
        const auto before = off;
        if (read(again, batch, off))
          break;
        if (off > before)
          until = std::chrono::steady_clock::now() + options_.silence;
      }
    }
    progress_.show(n_items_, n_items_, failed_, before_);
    return failed_;
  }

private:
  static constexpr std::uint32_t window = 256; // items under way

  /// True when the batch's last item was written; false when the connection was lost.
  bool read(connection& daemon, const running_batch& batch, std::size_t& off) try {
    const auto id = daemon.send("attach", {{"job", batch.job},
                                           {"off", off},
                                           {"order", "input"},
                                           {"credit", window},
                                           {"progress", true}});
    std::uint32_t unpaid = 0;
    for (;;) {
      const auto reply = daemon.receive(options_.silence);
      if (reply.is_error() && (reply.id == id || reply.id.empty()))
        throw refused_by_daemon{report_error(reply.body)};
      if (reply.id != id)
        continue;
      if (reply.type == "result")
        return true;
      if (reply.type == "progress")
        show(reply.body.value("children", json::object()), batch);
      if (reply.type != "item")
        continue;
      write(reply.body.at("item"), batch.first + off);
      off = reply.body.at("off").get<std::size_t>() + 1;
      if (++unpaid >= window / 2) {
        daemon.send("credit", {{"job", batch.job}, {"n", unpaid}});
        unpaid = 0;
      }
    }
  } catch (const no_daemon& why) {
    if (!options_.quiet)
      std::cerr << "\nbitnetctl: " << why.what() << "; the batch goes on when it is back\n";
    return false;
  }

  connection reconnect(std::chrono::steady_clock::time_point until) const {
    for (;;) {
      try {
        auto daemon = with_.front();
        const auto pong = daemon.ask("ping", json::object(), with_.answer_time());
        if (pong.body.value("state", std::string()) != "starting")
          return daemon;
      } catch (const no_daemon&) {
        if (std::chrono::steady_clock::now() > until)
          throw;
      }
      if (std::chrono::steady_clock::now() > until)
        throw no_daemon("the daemon did not come back");
      std::this_thread::sleep_for(200ms);
    }
  }

  void write(json item, std::size_t index) {
    failed_ += item.value("state", std::string()) != "done";
    item["index"] = index; // within the whole input
    out_ << item.dump(-1, ' ', false, json::error_handler_t::replace) << '\n' << std::flush;
    if (!out_)
      throw bad_input(options_.output + ": cannot be written: " + std::strerror(errno));
    written_ = index + 1;
  }

  /// Items that have ended in all batches, before anything is read.
  void count_ended(connection& daemon) {
    for (const auto& batch : batches_) {
      const auto reply = daemon.ask("status", {{"job", batch.job}}, with_.answer_time());
      if (reply.is_error())
        throw refused_by_daemon{report_error(reply.body)};
      const auto children = reply.body.at("jobs").at(0).value("children", json::object());
      before_ += children.value("done", std::size_t{0}) + children.value("failed", std::size_t{0});
    }
    progress_.show(before_, n_items_, 0, before_);
  }

  void show(const json& children, const running_batch& batch) {
    // Batches are read one after the other, and mostly run so.
    const auto ended =
        children.value("done", std::size_t{0}) + children.value("failed", std::size_t{0});
    progress_.show(std::max({batch.first + ended, written_, before_}), n_items_, failed_, before_);
  }

  const session& with_;
  const batch_options& options_;
  std::vector<running_batch> batches_;
  std::size_t n_items_;
  std::ostream& out_;
  progress_line progress_;
  std::size_t failed_ = 0, written_ = 0, before_ = 0;
};

} // namespace

void batch_options::add_to(CLI::App& command) {
  command
      .add_option("input", input,
                  "JSONL: objects with prompt, messages or input, or texts; - is standard input")
      ->required();
  command.add_option("-o,--output", output, "JSONL of results, in the order of the input")
      ->required();
  auto* const chat =
      command.add_flag("--chat", lines.chat, "a line that is a text is a user's turn of a chat");
  command.add_flag("--embed", lines.embed, "a line that is a text is to be embedded")
      ->excludes(chat);
  command.add_flag("--lines", lines.plain, "every line is a text as it stands, no JSON");
  command.add_flag("--fresh", fresh, "run anew what was run before");
  command.add_flag("-q,--quiet", quiet, "no progress line");
  command.add_option("--silence", silence, "seconds to wait without progress");
  request.add_to(command);
}

int run_batch(const session& with, const batch_options& options) {
  const auto items = read_items(read_input(options.input, 1u << 30), options.lines);
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
      batches.push_back({accept(daemon, with, options, body_of(options, items, first, last)), first,
                         last - first});
    const auto failed =
        output_writer(with, options, std::move(batches), items.size(), out).run(daemon);
    if (failed > 0)
      std::cerr << "bitnetctl: " << failed << " of " << items.size() << " items failed\n";
    return failed > 0 ? exit_code::job_failed : exit_code::ok;
  } catch (const refused_by_daemon& why) {
    return why.status;
  }
}

} // namespace bitnetd::ctl
