// SPDX-License-Identifier: MIT
#include "clients/bitnetctl/submit.h"

#include "clients/bitnetctl/exit_codes.h"
#include "clients/bitnetctl/show.h"

#include <CLI/CLI.hpp>

#include <iostream>
#include <utility>

namespace bitnetd::ctl {

namespace {

// With less than this much credit left the next half is granted, so that a stream never stalls.
constexpr int credit_window = 256;

json body_of(const submit_options& options) {
  auto text = options.file.empty() ? options.text : read_input(options.file);
  if (options.file.empty() && text.empty())
    throw bad_input("nothing to do: give a text, or -f FILE (- is standard input)");
  json body = json::object();
  if (options.embed) {
    body["input"] = std::move(text);
  } else if (options.chat || !options.system.empty()) {
    body["messages"] = json::array();
    if (!options.system.empty())
      body["messages"].push_back({{"role", "system"}, {"content", options.system}});
    body["messages"].push_back({{"role", "user"}, {"content", std::move(text)}});
  } else {
    body["prompt"] = std::move(text);
  }
  options.request.put_into(body);
  if (options.durable)
    body["durable"] = *options.durable;
  if (options.no_wait)
    return body;
  if (options.wait) {
    body["wait"] = "result";
  } else if (options.embed) {
    body["mode"] = "sync";
  } else {
    body["mode"] = "stream";
    body["credit"] = credit_window;
  }
  return body;
}

// Prints deltas as they come and keeps the credit up.
class stream_printer {
public:
  stream_printer(connection& to, bool quiet, std::uint64_t from = 0)
      : to_(to), quiet_(quiet), shown_(from) {}

  void take(const json& delta) {
    const auto text = delta.value("text", std::string());
    const auto offset = delta.value("off", std::uint64_t{0});
    if (offset != shown_)
      gap_ = true; // something was left out: the result has it
    if (!quiet_ && !gap_)
      std::cout << text << std::flush;
    if (!gap_)
      shown_ = offset + text.size();
    if (++unpaid_ >= credit_window / 2) {
      to_.send("credit", {{"job", delta["job"]}, {"n", unpaid_}});
      unpaid_ = 0;
    }
  }
  // What was not shown yet, and the end of the line.
  void finish(const std::string& whole) {
    if (quiet_)
      return;
    if (whole.size() > shown_)
      std::cout << std::string_view(whole).substr(shown_);
    if (!whole.ends_with('\n'))
      std::cout << '\n';
    std::cout << std::flush;
  }
  [[nodiscard]] bool anything() const { return shown_ > 0; }

private:
  connection& to_;
  bool quiet_, gap_ = false;
  std::uint64_t shown_;
  int unpaid_ = 0;
};

int show_result(const session& with, const submit_options& options, const json& result,
                stream_printer& printer) {
  if (with.as_json) {
    print_json(result);
  } else {
    if (result.contains("embedding"))
      std::cout << result["embedding"].dump() << '\n' << std::flush;
    else
      printer.finish(result.value("text", std::string()));
    if (options.request.trace) {
      std::cerr << '\n' << summary(result) << '\n';
      if (result.contains("trace"))
        show_trace(std::cerr, result["trace"]);
    }
  }
  if (result.value("state", std::string()) == "done")
    return exit_code::ok;
  if (!with.as_json)
    (void)report_error(result.value("error", json::object()));
  return exit_code::job_failed;
}

} // namespace

void submit_options::add_to(CLI::App& command) {
  command.add_option("text", text, "the prompt");
  command.add_option("-f,--file", file, "take the prompt from this file; - is standard input");
  command.add_flag("--chat", chat, "the text is a user's turn of a chat");
  command.add_option("--system", system, "system message of a chat");
  command.add_flag("--embed", embed, "compute the embedding of the text");
  auto* const streamed = command.add_flag("--stream", stream, "print as it is generated (default)");
  auto* const waited = command.add_flag("--wait", wait, "a durable job; wait for its result");
  auto* const left =
      command.add_flag("--no-wait", no_wait, "a durable job; print its id and leave");
  waited->excludes(streamed);
  left->excludes(streamed)->excludes(waited);
  command.add_option("--durable", durable, "true or false: keep the job on disk");
  command.add_option("--silence", silence, "seconds to wait for the next word of the job");
  request.add_to(command);
}

int run_tail(const session& with, const std::string& job, std::uint64_t offset,
             std::chrono::seconds silence) {
  auto daemon = with.front();
  daemon.send("attach", {{"job", job}, {"off", offset}, {"credit", credit_window}});
  stream_printer printer(daemon, with.as_json, offset);
  for (;;) {
    const auto reply = daemon.receive(silence);
    if (reply.id.empty() && !reply.is_error())
      continue;
    if (with.as_json)
      print_json(reply.body);
    if (reply.type == "delta")
      printer.take(reply.body);
    else if (reply.is_error())
      return report_error(reply.body);
    if (reply.type != "result")
      continue;
    if (!with.as_json)
      printer.finish(reply.body.value("text", std::string()));
    return reply.body.value("state", std::string()) == "done" ? exit_code::ok
                                                              : exit_code::job_failed;
  }
}

int run_submit(const session& with, const submit_options& options) {
  const auto body = body_of(options);
  auto daemon = with.front();
  daemon.send("submit", body);
  stream_printer printer(daemon, with.as_json);
  for (;;) {
    const auto reply = daemon.receive(options.silence);
    if (with.as_json && reply.type == "delta")
      print_json(reply.body);
    if (reply.type == "delta") {
      printer.take(reply.body);
    } else if (reply.type == "result") {
      return show_result(with, options, reply.body, printer);
    } else if (reply.is_error()) {
      if (printer.anything() && !with.as_json)
        std::cout << std::endl;
      if (with.as_json)
        print_json(reply.body);
      if (options.request.trace && reply.body.contains("trace"))
        show_trace(std::cerr, reply.body["trace"]);
      return report_error(reply.body);
    } else if (reply.type == "accepted" && options.no_wait) {
      if (with.as_json)
        print_json(reply.body);
      else
        std::cout << reply.body.value("job", std::string()) << '\n';
      return exit_code::ok;
    }
  }
}

} // namespace bitnetd::ctl
