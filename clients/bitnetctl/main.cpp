// SPDX-License-Identifier: MIT
#include "clients/bitnetctl/admin.h"
#include "clients/bitnetctl/batch.h"
#include "clients/bitnetctl/cache.h"
#include "clients/bitnetctl/exit_codes.h"
#include "clients/bitnetctl/jobs.h"
#include "clients/bitnetctl/keys.h"
#include "clients/bitnetctl/submit.h"
#include "clients/bitnetctl/top.h"
#include "clients/bitnetctl/validate.h"

#include <CLI/CLI.hpp>

#include <functional>
#include <iostream>
#include <memory>

// bitnetctl: everything one asks or tells a running bitnetd from a shell. The command line, and
// what became of it as an exit status.

namespace {

using namespace bitnetd::ctl;

/// The commands: each sets `run` when it is the one that was named.
class command_line {
public:
  command_line() {
    app_.set_version_flag("--version", "bitnetctl " BITNETD_VERSION);
    app_.require_subcommand(1);
    app_.fallthrough(); // --json may stand behind the command, too
    app_.add_option("--socket", with_.socket,
                    "the front's socket or its directory; else $BITNETD_SOCKET, "
                    "$RUNTIME_DIRECTORY, $XDG_RUNTIME_DIR/bitnetd, /run/bitnetd");
    app_.add_option(
        "--key", with_.key,
        "file of this client's secret key, for sockets that want one; else $BITNETD_KEY");
    app_.add_option("--server-key", with_.server_key,
                    "the server's public key, or a file with it; else $BITNETD_SERVER_KEY");
    app_.add_flag("--json", with_.as_json, "JSON, one object per line");
    app_.add_option("--timeout", with_.timeout, "seconds to wait for an answer");
    app_.add_option("--wait-ready", with_.wait_ready, "first wait so many seconds for the daemon");
    app_.footer("Exit status: 0 ok, 1 the daemon said error, 2 usage, 3 the input was refused,\n"
                "4 no daemon or no answer in time, 5 the job failed.");
    add_job_commands();
    add_admin_commands();
    add_key_commands();
  }

  CLI::App& app() { return app_; }
  [[nodiscard]] int run() const { return run_(); }

private:
  CLI::App* command(const char* name, const char* about, std::function<int()> run,
                    CLI::App* under = nullptr) {
    auto* const added = (under != nullptr ? *under : app_).add_subcommand(name, about);
    added->callback([this, run = std::move(run)] { run_ = run; });
    return added;
  }

  void add_job_commands() {
    submit_.add_to(
        *command("submit", "run a prompt", [this] { return run_submit(with_, submit_); }));
    auto* const batch = app_.add_subcommand("batch", "run a file of prompts");
    batch->require_subcommand(1);
    batch_.add_to(*command(
        "run", "IN.jsonl -o OUT.jsonl", [this] { return run_batch(with_, batch_); }, batch));
    command("status", "how jobs are", [this] { return run_status(with_, jobs_); })
        ->add_option("jobs", jobs_, "job ids")
        ->required();
    auto* const result =
        command("result", "the answer of a job", [this] { return run_result(with_, job_, wait_); });
    result->add_option("job", job_, "job id")->required();
    result->add_option("--wait", wait_, "seconds to wait for its end");
    auto* const tail = command("tail", "the output of a job as it comes",
                               [this] { return run_tail(with_, job_, offset_, silence_); });
    tail->add_option("job", job_, "job id")->required();
    tail->add_option("--from", offset_, "byte of the text to begin at");
    tail->add_option("--silence", silence_, "seconds to wait for its next word");
    auto* const list =
        command("ls", "jobs, newest first", [this] { return run_list(with_, list_); });
    list->add_option("--state", list_.states, "only these states; may be repeated")
        ->allow_extra_args(false);
    list->add_option("--batch", list_.batch, "only the items of this batch");
    list->add_option("--limit", list_.limit, "most jobs to show; 0 is all");
    command("cancel", "end jobs", [this] { return run_cancel(with_, jobs_); })
        ->add_option("jobs", jobs_, "job ids")
        ->required();
    command("ack", "results were received and may be dropped",
            [this] { return run_ack(with_, jobs_); })
        ->add_option("jobs", jobs_, "job ids")
        ->required();
  }

  void add_admin_commands() {
    auto* const top = command("top", "a live screen", [this] { return run_top(with_, top_); });
    top->add_flag("--once", top_.once, "one screen, then end");
    top->add_option_function<unsigned>(
        "--interval",
        [this](unsigned ms) { top_.interval = std::chrono::milliseconds(std::max(ms, 100u)); },
        "milliseconds between two screens");
    command("ping", "is it there", [this] { return run_ping(with_); });
    command("models", "what is served", [this] { return run_models(with_); });
    command("stats", "figures of every part", [this] {
      return run_stats(with_, brief_);
    })->add_flag("--brief", brief_, "a few lines");
    command("metrics", "for Prometheus", [this] { return run_metrics(with_); });
    command("reload", "read the configuration again", [this] {
      return run_reload(with_, dry_run_);
    })->add_flag("--dry-run", dry_run_, "only say what would change");
    auto* const validate = command("validate", "check a configuration file", [this] {
      if (schema_)
        return run_schema(with_.as_json);
      if (!file_.empty())
        return run_validate(file_, with_.as_json);
      std::cerr << "bitnetctl validate: expected a file, or --schema\n";
      return exit_code::usage;
    });
    auto* const file = validate->add_option("file", file_, "bitnetd.yaml");
    validate->add_flag("--schema", schema_, "list every key with its bounds")->excludes(file);
    auto* const profile = command("profile", "show, list or use profiles",
                                  [this] { return run_profile(with_, action_, name_); });
    profile->add_option("action", action_, "show, list or use")
        ->check(CLI::IsMember({"show", "list", "use"}));
    profile->add_option("name", name_, "of the profile to use");
    add_cache_commands();
    command("drain", "take no new jobs", [this] {
      return run_drain(with_, drain_wait_);
    })->add_option("--wait", drain_wait_, "seconds to wait until nothing is open");
    command("undrain", "take jobs again", [this] { return run_undrain(with_); });
    auto* const dead = command("dead", "jobs that were running in two crashes of the daemon",
                               [this] { return run_dead(with_, action_, jobs_); });
    dead->add_option("action", action_, "ls, retry or purge")
        ->required()
        ->check(CLI::IsMember({"ls", "retry", "purge"}));
    dead->add_option("jobs", jobs_, "job ids; purge without them removes all");
    command("requeue", "ended jobs once more, as new jobs",
            [this] { return run_requeue(with_, jobs_); })
        ->add_option("jobs", jobs_, "job ids")
        ->required();
    auto* const raw =
        command("raw", "send any request", [this] { return run_raw(with_, type_, body_, admin_); });
    raw->add_option("type", type_, "as in docs/protocol.md")->required();
    raw->add_option("body", body_, "JSON; - is standard input");
    raw->add_flag("--admin", admin_, "to the admin socket");
  }

  void add_key_commands() {
    auto* const keys = app_.add_subcommand("keys", "who may connect to sockets with curve");
    keys->require_subcommand(1);
    keys->add_option("--config", keys_.config,
                     "bitnetd.yaml, beside which the keys lie; else where the daemon finds it");
    command(
        "gen", "FILE: a new pair, the public half in FILE.pub",
        [this] { return run_keys_gen(with_, keys_); }, keys)
        ->add_option("file", keys_.file, "where the secret half goes")
        ->required();
    auto* const add = command(
        "add", "let a key connect as a principal", [this] { return run_keys_add(with_, keys_); },
        keys);
    add->add_option("principal", keys_.principal, "whose jobs these will be")->required();
    add->add_option("key", keys_.key, "public key, or a file with it")->required();
    auto* const revoke = command(
        "revoke", "take a principal's keys back, or one of them",
        [this] { return run_keys_revoke(with_, keys_); }, keys);
    revoke->add_option("principal", keys_.principal, "whose")->required();
    revoke->add_option("key", keys_.key, "only this one, or the one in this file");
    command(
        "ls", "principals and their keys", [this] { return run_keys_list(with_, keys_); }, keys);
  }

  void add_cache_commands() {
    auto* const cache = app_.add_subcommand("cache", "look into the cache of answers");
    cache->require_subcommand(1);
    command(
        "stats", "what it serves, and what similarity would serve with which error",
        [this] { return run_cache_stats(with_); }, cache);
    auto* const explain = command(
        "explain", "why a question hits or misses; nothing is computed",
        [this] { return run_cache_explain(with_, cache_); }, cache);
    explain->add_option("question", cache_.text, "as a chat of one turn")->required();
    explain->add_option("--namespace", cache_.name_space, "of the request");
    const auto with_entry = [this, cache](const char* name, const char* help, auto run) {
      auto* const out = command(name, help, run, cache);
      out->add_option("entry", cache_.entry, "id, as in a result's cache.entry")->required();
      return out;
    };
    with_entry("get", "show an entry", [this] { return run_cache_get(with_, cache_); });
    with_entry("del", "delete an entry", [this] { return run_cache_del(with_, cache_); });
    with_entry("pin", "keep an entry until it is unpinned",
               [this] { return run_cache_pin(with_, cache_, true); });
    with_entry("unpin", "let an entry expire again, after the profile's ttl",
               [this] { return run_cache_pin(with_, cache_, false); });
    with_entry("report", "a similarity hit was wrong: remove its entry",
               [this] { return run_cache_report(with_, cache_); })
        ->add_option("--verdict", cache_.verdict, "wrong or right")
        ->check(CLI::IsMember({"wrong", "right"}));
    auto* const flush = command(
        "flush", "invalidate answers, however many",
        [this] { return run_cache_flush(with_, cache_); }, cache);
    flush->add_option("--principal", cache_.principal, "whose");
    flush->add_option("--namespace", cache_.name_space, "one namespace of --principal");
    flush->add_option("--tag", cache_.tag, "one tag of --principal");
    flush->add_option("--model", cache_.model, "of one model, by its name");
    flush->add_flag("--all", cache_.everything, "everything");
  }

  CLI::App app_{"bitnetctl: submits jobs to bitnetd, asks for them, and operates it.", "bitnetctl"};
  session with_;
  std::function<int()> run_;

  submit_options submit_;
  batch_options batch_;
  list_options list_;
  top_options top_;
  keys_options keys_;
  cache_options cache_;
  std::vector<std::string> jobs_;
  std::string job_, file_, action_ = "show", name_, type_, body_ = "{}";
  std::uint64_t offset_ = 0;
  std::chrono::seconds wait_{0}, silence_{3600};
  std::optional<std::chrono::seconds> drain_wait_;
  bool brief_ = false, dry_run_ = false, schema_ = false, admin_ = false;
};

} // namespace

int main(int argc, char** argv) {
  command_line commands;
  try {
    commands.app().parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return commands.app().exit(error) == 0 ? exit_code::ok : exit_code::usage;
  }
  try {
    return commands.run();
  } catch (const bad_input& why) {
    std::cerr << "bitnetctl: " << why.what() << '\n';
    return exit_code::refused;
  } catch (const no_daemon& why) {
    std::cerr << "bitnetctl: " << why.what() << '\n';
    return exit_code::no_daemon;
  } catch (const std::exception& why) {
    std::cerr << "bitnetctl: " << why.what() << '\n';
    return exit_code::daemon_error;
  }
}
