// SPDX-License-Identifier: MIT
#pragma once

#include "actors/interfaces.h"
#include "base/clock.h"
#include "conf/reload.h"

#include <caf/actor_system.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace bitnetd::actors {

/// Makes a request from a journalled body: the same parser as for a submit. Throws
/// std::runtime_error when the body no longer fits (the job then fails, named).
using stored_request_decoder =
    std::function<request_ptr(std::string_view principal, std::string_view body)>;

/// The body of a `result` message (JSON) for a result: what the journal keeps of an ended job and
/// sends later as reply_document{"result", body}.
using result_encoder = std::function<std::string(const reply_result&)>;

/// What the pipeline needs from the process.
struct supervisor_options {
  std::shared_ptr<conf::configuration> settings; ///< current, reloadable
  outbox_actor outbox;
  door_actor door; ///< is sent `connect` and `configure` like everyone else
  stored_request_decoder decode;
  result_encoder encode;
  /// The command line's level: holds instead of the configuration's `log.level`, after edits, too.
  std::optional<std::string> log_level;
  std::shared_ptr<const clock> time = std::make_shared<system_clock>();
};

/// Opens both stores, loads every model onto every node, measures step costs where no stored curve
/// is there, spawns the actors, connects them and starts the recovery of journalled jobs. Blocks
/// until the pipeline can answer. Throws engine::load_error (model refused), store::open_error
/// (store refused).
[[nodiscard]] supervisor_actor spawn_supervisor(caf::actor_system& system,
                                                supervisor_options options);

} // namespace bitnetd::actors
