// SPDX-License-Identifier: MIT
#include "clients/bitnetctl/admin.h"

#include "clients/bitnetctl/exit_codes.h"
#include "clients/bitnetctl/show.h"
#include "daemon/wire_json.h"

#include <algorithm>
#include <iostream>
#include <thread>

namespace bitnetd::ctl {

namespace {

using namespace std::chrono_literals;

// Asks once; prints an error or the JSON, else calls `show` with the body.
template <class Show>
int ask_and_show(const session& with, connection daemon, const char* type, const json& body,
                 Show show) {
  const auto reply = daemon.ask(type, body, with.answer_time());
  if (with.as_json)
    print_json(reply.body);
  if (reply.is_error())
    return report_error(reply.body);
  if (!with.as_json)
    show(reply.body);
  return exit_code::ok;
}

void show_changes(const json& body) {
  std::vector<std::vector<std::string>> rows{{"key", "was", "is", "acts"}};
  const auto text = [](const json& value) {
    return value.is_string() ? value.get<std::string>() : value.dump();
  };
  for (const auto& change : body.value("changed", json::array()))
    rows.push_back(
        {text(change["path"]), text(change["old"]), text(change["new"]), text(change["effect"])});
  if (rows.size() == 1)
    std::cout << "nothing changed\n";
  else
    show_table(std::cout, rows);
  std::cout << (body.value("applied", false) ? "applied: version " : "not applied: version ")
            << body.value("version", 0) << '\n';
}

} // namespace

int run_ping(const session& with) {
  auto daemon = with.front();
  const auto began = std::chrono::steady_clock::now();
  const auto reply = daemon.ask("ping", json::object(), with.answer_time());
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - began;
  if (with.as_json)
    print_json(reply.body);
  if (reply.is_error())
    return report_error(reply.body);
  if (!with.as_json)
    std::cout << reply.body.value("state", std::string()) << " in " << duration_text(took.count())
              << ", epoch " << reply.body.value("epoch", std::string()) << '\n';
  return exit_code::ok;
}

int run_models(const session& with) {
  return ask_and_show(with, with.front(), "models", json::object(), [](const json& body) {
    std::vector<std::vector<std::string>> rows{
        {"name", "kind", "architecture", "parameters", "context", "hash"}};
    for (const auto& model : body.value("models", json::array()))
      rows.push_back({model.value("name", std::string()),
                      model.value("embedding", false) ? "embedding" : "text",
                      model.value("architecture", std::string()),
                      std::to_string(model.value("parameters", std::uint64_t{0})),
                      std::to_string(model.value("context", std::uint64_t{0})),
                      model.value("model_hash", std::string()).substr(0, 12)});
    show_table(std::cout, rows);
  });
}

int run_stats(const session& with, bool brief) {
  return ask_and_show(with, with.front(), "stats", json::object(), [brief](const json& body) {
    std::cout << (brief ? brief_stats(body) : body.dump(2) + '\n');
  });
}

int run_metrics(const session& with) {
  return ask_and_show(with, with.front(), "metrics", json::object(),
                      [](const json& body) { std::cout << body.value("text", std::string()); });
}

int run_reload(const session& with, bool dry_run) {
  return ask_and_show(with, with.admin(), "reload", {{"dry_run", dry_run}}, show_changes);
}

int run_profile(const session& with, const std::string& action, const std::string& name) {
  if (action == "use" && name.empty())
    throw bad_input("profile use: expected the name of a profile (bitnetctl profile list)");
  const json body = action == "use" ? json{{"name", name}} : json::object();
  return ask_and_show(with, with.admin(), "profile", body, [&](const json& reply) {
    const auto active = reply.value("active", std::string());
    if (action == "list")
      for (const auto& one : reply.value("available", json::array()))
        std::cout << (one == active ? "* " : "  ") << one.get<std::string>() << '\n';
    else
      std::cout << active << '\n';
    if (action == "use")
      show_changes(reply);
  });
}

int run_drain(const session& with, std::optional<std::chrono::seconds> wait) {
  auto daemon = with.admin();
  auto reply = daemon.ask("drain", json::object(), with.answer_time());
  if (reply.is_error())
    return report_error(reply.body);
  const auto until = std::chrono::steady_clock::now() + wait.value_or(0s);
  while (wait && reply.body.value("open_jobs", 0) > 0 && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(200ms);
    reply = daemon.ask("drain", json::object(), with.answer_time());
    if (reply.is_error())
      return report_error(reply.body);
  }
  const auto open = reply.body.value("open_jobs", 0);
  if (with.as_json)
    print_json(reply.body);
  else
    std::cout << "draining, " << open << " jobs open\n";
  return wait && open > 0 ? exit_code::no_daemon : exit_code::ok;
}

int run_undrain(const session& with) {
  return ask_and_show(with, with.admin(), "undrain", json::object(), [](const json& body) {
    std::cout << body.value("state", std::string()) << '\n';
  });
}

int run_dead(const session& with, const std::string& action, const std::vector<std::string>& jobs) {
  if (action == "ls")
    return ask_and_show(with, with.admin(), "dead.list", {{"limit", 500}},
                        [](const json& body) { show_jobs(std::cout, body["jobs"]); });
  if (action == "purge" && jobs.empty())
    return ask_and_show(with, with.admin(), "dead.purge", json::object(), [](const json& body) {
      std::cout << body.value("removed", 0) << " removed\n";
    });
  if (jobs.empty())
    throw bad_input("dead retry: expected the ids of jobs");
  int status = exit_code::ok;
  for (const auto& job : jobs)
    status = std::max(
        status, ask_and_show(with, with.admin(), action == "retry" ? "dead.retry" : "dead.purge",
                             {{"job", job}}, [&job](const json& body) {
                               std::cout << job << ' '
                                         << body.value("state", std::string("removed")) << '\n';
                             }));
  return status;
}

int run_requeue(const session& with, const std::vector<std::string>& jobs) {
  int status = exit_code::ok;
  for (const auto& job : jobs)
    status = std::max(status, ask_and_show(with, with.admin(), "job.requeue", {{"job", job}},
                                           [&job](const json& body) {
                                             std::cout << job << " again as "
                                                       << body.value("job", std::string()) << '\n';
                                           }));
  return status;
}

int run_raw(const session& with, const std::string& type, const std::string& body, bool admin) {
  const auto text = body == "-" ? read_input("-") : body;
  auto parsed = wire::parse_object(text);
  if (const auto* why = std::get_if<wire::refusal>(&parsed))
    throw bad_input("body: " + why->message);
  auto daemon = admin ? with.admin() : with.front();
  const auto& request = std::get<json>(parsed);
  daemon.send(type, request);
  // A submit may be answered more than once, and so may an attach.
  const bool submits = type == "submit" || type == "attach";
  const bool ends_with_accept = request.value("mode", json("job")) == "job" &&
                                request.value("wait", json("accept")) == "accept";
  for (;;) {
    const auto reply = daemon.receive(submits ? std::max<milliseconds>(with.answer_time(), 300s)
                                              : with.answer_time());
    print_json({{"type", reply.type}, {"body", reply.body}});
    if (reply.is_error())
      return report_error(reply.body);
    const bool partial = reply.type == "delta" || reply.type == "item" ||
                         reply.type == "progress" || reply.type == "rewound";
    const bool more = partial || (reply.type == "accepted" && !ends_with_accept);
    if (!submits || !more)
      return exit_code::ok;
  }
}

std::string brief_stats(const json& stats) {
  const auto& metrics = stats.contains("metrics") ? stats["metrics"] : json::object();
  const auto sum = [&metrics](std::string_view family, std::string_view label = "") {
    double total = 0;
    for (const auto& [key, value] : metrics.items())
      if (key.starts_with(family) && key.find(label) != std::string::npos && value.is_number())
        total += value.get<double>();
    return static_cast<std::uint64_t>(total);
  };
  const auto number = [](const json& object, const char* name) {
    return object.is_object() && object.contains(name) && object[name].is_number()
               ? object[name].get<double>()
               : 0.0;
  };
  const auto& batcher = stats.contains("batcher") ? stats["batcher"] : json::object();
  const auto& cache = stats.contains("cache") ? stats["cache"] : json::object();
  std::ostringstream out;
  out << stats.value("state", std::string()) << ", up " << stats.value("uptime_s", 0)
      << " s, profile " << stats.value("profile", std::string()) << " (version "
      << stats.value("config_version", 0) << "), kernels " << stats.value("isa", std::string())
      << '\n';
  out << "jobs     " << sum("bitnetd_jobs_accepted_total") << " accepted, "
      << sum("bitnetd_jobs_total", "\"done\"") << " done, " << sum("bitnetd_open_jobs") << " open; "
      << sum("bitnetd_rejected_total") << " requests refused\n";
  out << "batching " << number(batcher, "waiting") << " waiting, " << number(batcher, "running")
      << " running; " << sum("bitnetd_steps_total") << " steps\n";
  for (const char* kind : {"prompt", "cached", "output"})
    out << (std::string_view(kind) == "prompt" ? "tokens   " : ", ")
        << sum("bitnetd_tokens_total", std::string("\"") + kind + '"') << ' ' << kind;
  out << "\ncache    " << number(cache, "lookups") << " lookups, " << number(cache, "hits")
      << " hits, " << number(cache, "entries") << " entries, " << bytes_text(number(cache, "bytes"))
      << '\n';
  for (const auto& worker : stats.value("workers", json::array()))
    out << "worker " << number(worker, "worker") << ' ' << number(worker, "open") << " open, "
        << number(worker, "steps") << " steps, "
        << duration_text(number(worker, "compute_seconds") * 1000) << " computed, "
        << number(worker, "threads") << " threads\n";
  return out.str();
}

} // namespace bitnetd::ctl
