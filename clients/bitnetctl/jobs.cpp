// SPDX-License-Identifier: MIT
#include "clients/bitnetctl/jobs.h"

#include "clients/bitnetctl/exit_codes.h"
#include "clients/bitnetctl/show.h"

#include <algorithm>
#include <iostream>

namespace bitnetd::ctl {

namespace {

using namespace std::chrono_literals;

int failed(const session& with, const message& reply) {
  if (with.as_json)
    print_json(reply.body);
  return report_error(reply.body);
}

void show_one(const json& result) {
  if (result.contains("embedding"))
    std::cout << result["embedding"].dump() << '\n';
  else
    std::cout << result.value("text", std::string()) << '\n';
}

// The same request for each job; the worst exit status.
int for_each_job(const session& with, const char* type, const std::vector<std::string>& jobs) {
  auto daemon = with.front();
  int status = exit_code::ok;
  for (const auto& job : jobs) {
    const auto reply = daemon.ask(type, {{"job", job}}, with.answer_time());
    if (reply.is_error()) {
      status = std::max(status, failed(with, reply));
      continue;
    }
    if (with.as_json)
      print_json(reply.body);
    else
      std::cout << job << ' ' << reply.body.value("state", std::string()) << '\n';
  }
  return status;
}

} // namespace

int run_status(const session& with, const std::vector<std::string>& jobs) {
  auto daemon = with.front();
  for (std::size_t at = 0; at < jobs.size(); at += 100) { // as many as one request may name
    const auto end = jobs.begin() + static_cast<std::ptrdiff_t>(std::min(at + 100, jobs.size()));
    const std::vector<std::string> some(jobs.begin() + static_cast<std::ptrdiff_t>(at), end);
    const auto reply = daemon.ask("status", {{"jobs", some}}, with.answer_time());
    if (reply.is_error())
      return failed(with, reply);
    if (with.as_json)
      print_json(reply.body);
    else
      show_jobs(std::cout, reply.body["jobs"]);
  }
  return exit_code::ok;
}

message wait_for_result(connection& daemon, const std::string& job, std::chrono::seconds wait,
                        milliseconds answer_time) {
  const auto until = std::chrono::steady_clock::now() + wait;
  for (;;) {
    const auto left =
        std::chrono::duration_cast<milliseconds>(until - std::chrono::steady_clock::now());
    const auto step = std::clamp<milliseconds>(left, 0ms, 60'000ms);
    auto reply =
        daemon.ask("result", {{"job", job}, {"wait_ms", step.count()}}, step + answer_time);
    if (reply.type != "status" || std::chrono::steady_clock::now() >= until)
      return reply;
  }
}

int run_result(const session& with, const std::string& job, std::chrono::seconds wait) {
  auto daemon = with.front();
  const auto reply = wait_for_result(daemon, job, wait, with.answer_time());
  if (reply.is_error())
    return failed(with, reply);
  if (with.as_json)
    print_json(reply.body);
  if (reply.type == "status") {
    if (!with.as_json)
      show_jobs(std::cerr, reply.body["jobs"]);
    return exit_code::no_daemon; // in time, that is
  }
  const auto& result = reply.body;
  if (!with.as_json) {
    if (result.contains("items"))
      for (const auto& item : result["items"])
        show_one(item);
    else if (result.value("state", std::string()) == "done")
      show_one(result);
  }
  if (result.value("state", std::string()) == "done")
    return exit_code::ok;
  if (!with.as_json)
    (void)report_error(result.value("error", json::object()));
  return exit_code::job_failed;
}

int run_list(const session& with, const list_options& options) {
  auto daemon = with.front();
  json jobs = json::array();
  json body = json::object();
  if (!options.states.empty())
    body["state"] = options.states;
  if (!options.batch.empty())
    body["batch"] = options.batch;
  for (;;) {
    const auto left = options.limit == 0 ? 500 : options.limit - jobs.size();
    body["limit"] = std::min<std::size_t>(left, 500);
    const auto reply = daemon.ask("list", body, with.answer_time());
    if (reply.is_error())
      return failed(with, reply);
    for (const auto& job : reply.body["jobs"])
      jobs.push_back(job);
    const bool enough = options.limit > 0 && jobs.size() >= options.limit;
    if (enough || !reply.body.contains("cursor"))
      break;
    body["cursor"] = reply.body["cursor"];
  }
  if (with.as_json)
    for (const auto& job : jobs)
      print_json(job);
  else
    show_jobs(std::cout, jobs);
  return exit_code::ok;
}

int run_cancel(const session& with, const std::vector<std::string>& jobs) {
  return for_each_job(with, "cancel", jobs);
}

int run_ack(const session& with, const std::vector<std::string>& jobs) {
  return for_each_job(with, "ack", jobs);
}

} // namespace bitnetd::ctl
