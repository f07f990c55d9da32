// SPDX-License-Identifier: MIT
#pragma once

#include "actors/supervisor.h"
#include "tests/actors/recorder.h"
#include "tests/actors/request_maker.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/tiny_model.h"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>
#include <nlohmann/json.hpp>

#include <memory>
#include <optional>
#include <string>

namespace bitnetd::actors::testing {

/// CAF as the daemon configures it.
class pipeline_system_config : public caf::actor_system_config {
public:
  pipeline_system_config() {
    add_message_types<caf::id_block::bitnetd>();
    set("scheduler.policy", caf::atom("sharing"));
    set("scheduler.max-threads", std::size_t{2});
  }
};

/// What stands in bitnetd.yaml and the profile besides the models.
struct pipeline_setup {
  std::string nodes = "[{cpus: [0]}, {cpus: [1]}]";
  std::string main;    ///< more lines of bitnetd.yaml
  std::string profile; ///< profiles/balanced.yaml
};

/// Models, directories and configuration of a pipeline; several may run in it one after the other.
class pipeline_home {
public:
  explicit pipeline_home(pipeline_setup setup = {}) : setup_{std::move(setup)} {
    tests::tiny_model chat;
    chat.write(folder_.path() / "chat.gguf");
    tests::tiny_model embed;
    embed.pooling = 1;
    embed.seed = 2;
    embed.write(folder_.path() / "embed.gguf");
    write();
  }

  void change(pipeline_setup setup) {
    setup_ = std::move(setup);
    write();
  }
  [[nodiscard]] pipeline_setup& setup() { return setup_; }
  [[nodiscard]] const std::filesystem::path& path() const { return folder_.path(); }
  std::string models = "  - {name: chat, path: chat.gguf, template: bitnet-2b4t}\n"
                       "  - {name: embed, path: embed.gguf, embedding: true}\n";

  /// Writes the files anew, as an operator's editor does.
  void write() const {
    std::filesystem::create_directories(folder_.path() / "profiles");
    folder_.file("profiles/balanced.yaml", setup_.profile.empty() ? "{}\n" : setup_.profile);
    folder_.file("bitnetd.yaml",
                 "models:\n" + models +
                     "hardware: {kv_bytes: 4MiB, max_sequences: 8, nodes: " + setup_.nodes +
                     "}\nlog: {level: \"off\"}\n" + setup_.main + "profile: balanced\n");
  }
  [[nodiscard]] std::shared_ptr<conf::configuration> settings() const {
    const conf::directories where{folder_.path() / "state", folder_.path() / "cache",
                                  folder_.path() / "run"};
    std::filesystem::create_directories(where.state);
    std::filesystem::create_directories(where.cache);
    return std::make_shared<conf::configuration>(folder_.path() / "bitnetd.yaml", where,
                                                 conf::machine{});
  }

private:
  tests::scratch_folder folder_;
  pipeline_setup setup_;
};

/// The whole pipeline on real threads, without the daemon's sockets.
class running_pipeline {
public:
  explicit running_pipeline(const pipeline_home& home) : system_{config_} {
    gate_ = system_.spawn(gate, heard);
    supervisor_options options;
    options.settings = settings = home.settings();
    options.outbox = gate_;
    options.door = gate_;
    options.decode = decode;
    options.encode = encode;
    try {
      supervisor = spawn_supervisor(system_, std::move(options));
    } catch (...) {
      caf::anon_send_exit(gate_, caf::exit_reason::user_shutdown);
      throw;
    }
    if (!heard->wait([](const recorder& r) { return r.peers_now() != nullptr; }))
      throw std::runtime_error("the door was not opened");
  }
  ~running_pipeline() {
    stop();
    caf::anon_send_exit(gate_, caf::exit_reason::user_shutdown);
  }
  running_pipeline(const running_pipeline&) = delete;
  running_pipeline& operator=(const running_pipeline&) = delete;

  /// Ends everything but the gate; waits for it.
  void stop(std::uint32_t limit_s = 0) {
    if (!supervisor)
      return;
    caf::scoped_actor self{system_};
    caf::anon_send(supervisor, stop_atom_v, limit_s);
    self->wait_for(supervisor);
    supervisor = nullptr;
    heard->forget_peers();
  }

  /// Hands a request to the analyzer, as the front does; returns its tag.
  std::string submit(const request_maker& what) {
    const auto tag = "r" + std::to_string(++n_requests_);
    caf::anon_send(heard->peers_now()->analyzer, submit_atom_v, what.make(tag, system_clock{}));
    return tag;
  }
  /// What was said until the end of this request.
  conversation ended(const std::string& tag, seconds limit = seconds{60}) {
    (void)heard->wait([&](const recorder& r) { return r.of(tag).ends > 0; }, limit);
    return heard->of(tag);
  }
  conversation ask(const request_maker& what) { return ended(submit(what)); }

  /// One administrator's question, and the document that answered it.
  nlohmann::json administer(const std::string& type, const std::string& name = {}) {
    admin_request what;
    what.type = type;
    what.name = name;
    what.reply_to.peer = "admin";
    what.reply_to.tag = "a" + std::to_string(++n_requests_);
    caf::anon_send(supervisor, admin_atom_v, what);
    const auto told = ended(what.reply_to.tag);
    return told.document()
               ? nlohmann::json::parse(told.document()->body)
               : nlohmann::json{{"error", told.error_name()},
                                {"message", told.error() ? told.error()->why.message : ""}};
  }
  /// A figure of `stats.metrics`, zero when it was never counted.
  double metric(const std::string& name) { return administer("stats")["metrics"].value(name, 0.0); }
  [[nodiscard]] peers_ptr peers_now() const { return heard->peers_now(); }
  caf::actor_system& system() { return system_; }

  std::shared_ptr<recorder> heard = std::make_shared<recorder>();
  std::shared_ptr<conf::configuration> settings;
  supervisor_actor supervisor;

private:
  pipeline_system_config config_;
  caf::actor_system system_;
  gate_actor gate_;
  std::uint64_t n_requests_ = 0;
};

} // namespace bitnetd::actors::testing
