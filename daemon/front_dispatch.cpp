// SPDX-License-Identifier: MIT
#include "base/fault.h"
#include "daemon/front_loop.h"

#include <caf/send.hpp>

#include <algorithm>
#include <optional>
#include <type_traits>
#include <utility>

namespace bitnetd::daemon {

namespace {

wire::role to_wire(conf::role may) {
  switch (may) {
  case conf::role::admin:
    return wire::role::admin;
  case conf::role::submit:
    return wire::role::submit;
  case conf::role::read:
    break;
  }
  return wire::role::read;
}

wire::refusal unknown_type(std::string_view type) {
  std::vector<std::string_view> names;
  for (const auto& kind : wire::request_kinds())
    names.push_back(kind.type);
  const auto meant = wire::nearest(type, names);
  return {wire::errors::frame,
          "unknown message type " + std::string(type) +
              (meant.empty() ? "" : "; did you mean " + std::string(meant) + "?"),
          {}};
}

wire::refusal wrong_role(const wire::request_kind& kind, wire::role may, bool by_key) {
  return {wire::errors::role,
          std::string(kind.type) + " needs the role " + std::string(to_string(kind.needs)) +
              "; this " + (by_key ? "key" : "socket") + " has " + std::string(to_string(may)) +
              (kind.needs == wire::role::admin ? ": use the admin socket" : ""),
          {}};
}

wire::refusal too_big(std::size_t bytes, std::uint64_t limit) {
  return {wire::errors::too_big,
          "the body has " + std::to_string(bytes) + " bytes and limits.body is " +
              std::to_string(limit),
          {},
          static_cast<std::int64_t>(limit)};
}

} // namespace

// Who asks and what he may: as the socket says, or as the key of the client. The handshake was won
// with a key that was good then; it may have been taken back since.
std::optional<wire::refusal> front_loop::identify(const router_socket& socket, origin& who) {
  const auto& settings = socket.settings();
  who.principal = settings.principal;
  who.may = settings.may;
  if (!settings.curve)
    return {};
  const auto known = config_->client_keys.find(who.reply_to.key);
  if (known == config_->client_keys.end()) {
    who.reply_to.key.clear(); // this one reply goes out
    return wire::refusal{wire::errors::auth, "this client's key was taken back", {}};
  }
  who.principal = known->second;
  who.may = std::min(settings.may, conf::settings_of(*config_, who.principal).may);
  return {};
}

// Checks in the order of docs/protocol.md: frames, key, type, role, size, ready, JSON and fields,
// limits of the principal. The body is not looked at before the first four.
void front_loop::on_message(std::uint32_t socket, const incoming& message) {
  origin from;
  from.reply_to.socket = socket;
  from.reply_to.peer = message.peer_id();
  from.reply_to.key = message.client_key();
  from.arrived = options_.time->mono();
  from.arrived_wall = options_.time->wall();

  auto read = wire::read_envelope(message.views());
  if (auto* bad = std::get_if<wire::bad_envelope>(&read)) {
    from.reply_to.delimiter = bad->delimiter;
    from.reply_to.tag = bad->id;
    return refuse(from.reply_to, bad->why);
  }
  const auto& envelope = std::get<wire::envelope>(read);
  from.reply_to.delimiter = envelope.delimiter;
  from.reply_to.tag = envelope.id;

  if (const auto why = identify(routers_[socket], from))
    return refuse(from.reply_to, *why);
  // Ids that libzmq assigns begin with 0; one that a client chose could be another client's.
  if (from.reply_to.peer.front() != '\0')
    return refuse(from.reply_to,
                  {wire::errors::frame, "do not set a routing id on the client's socket", {}});
  const auto* kind = wire::find_request_kind(envelope.type);
  if (kind == nullptr)
    return refuse(from.reply_to, unknown_type(envelope.type));
  const auto may = to_wire(from.may);
  if (may < kind->needs)
    return refuse(from.reply_to, wrong_role(*kind, may, !from.reply_to.key.empty()));
  const auto limit = config_->limits.body_bytes;
  if (envelope.body.size() > limit)
    return refuse(from.reply_to, too_big(envelope.body.size(), limit));
  const bool answered_here = kind->type == "hello" || kind->type == "ping";
  if (!actors_ && !answered_here)
    return refuse(from.reply_to, {wire::errors::starting, "the daemon is loading", {}, {}, 1000});

  auto decoded = wire::decode_request(envelope.type, envelope.body,
                                      {config_->limits.max_tokens, config_->limits.batch_items});
  if (const auto* why = std::get_if<wire::refusal>(&decoded))
    return refuse(from.reply_to, *why);
  on_request(from, std::move(std::get<wire::request>(decoded)), kind->type, envelope.body);
}

void front_loop::on_request(const origin& from, wire::request&& request, std::string_view type,
                            std::string_view body) {
  std::visit(
      [&](auto&& what) {
        using kind = std::decay_t<decltype(what)>;
        if constexpr (std::is_same_v<kind, wire::hello> || std::is_same_v<kind, wire::ping>)
          on(from, what);
        else if constexpr (std::is_same_v<kind, wire::submit>)
          on_submit(from, std::move(what), body);
        else if constexpr (std::is_same_v<kind, wire::credit>)
          mail_.send(actors_->responder, actors::credit_atom_v, to_query(what, from));
        else if constexpr (std::is_same_v<kind, wire::attach>)
          on_attach(from, what);
        else if constexpr (std::is_same_v<kind, wire::detach>)
          on_detach(from, what);
        else if constexpr (std::is_same_v<kind, wire::dead_query> ||
                           std::is_same_v<kind, wire::dead_order>)
          mail_.send(actors_->ledger, actors::manage_atom_v, std::string(type),
                     to_query(what, from));
        else if constexpr (std::is_same_v<kind, wire::status_query>)
          mail_.send(actors_->ledger, actors::status_atom_v, to_query(what, from));
        else if constexpr (std::is_same_v<kind, wire::result_query>)
          mail_.send(actors_->ledger, actors::result_atom_v, to_query(what, from));
        else if constexpr (std::is_same_v<kind, wire::list_query>)
          mail_.send(actors_->ledger, actors::list_atom_v, to_query(what, from));
        else if constexpr (std::is_same_v<kind, wire::ack>)
          mail_.send(actors_->ledger, actors::ack_atom_v, to_query(what, from));
        else if constexpr (std::is_same_v<kind, wire::cancel>)
          mail_.send(actors_->analyzer, actors::cancel_atom_v, to_query(what, from));
        else if constexpr (std::is_same_v<kind, wire::tokenize> ||
                           std::is_same_v<kind, wire::detokenize>)
          on_tokens(from, to_query(std::move(what), from), body.size());
        else
          on_admin(from, type, request);
      },
      std::move(request));
}

void front_loop::on(const origin& from, const wire::hello& what) {
  const auto& limits = config_->limits;
  const auto mine = conf::settings_of(*config_, from.principal);
  wire::welcome out;
  out.server = "bitnetd/" + options_.version;
  out.epoch = epoch_;
  out.role = to_string(to_wire(from.may));
  out.principal = from.principal;
  out.state = state_text();
  for (const auto& model : config_->models)
    out.models.push_back(model.name);
  out.body_bytes = limits.body_bytes;
  out.frame_bytes = routers_[from.reply_to.socket].most_frame_bytes();
  out.max_tokens = limits.max_tokens;
  out.batch_items = limits.batch_items;
  out.open_jobs = mine.open_jobs;
  out.open_bytes = mine.open_bytes;
  out.heartbeat_ms = heartbeat_ms;
  if (what.wants_events)
    out.events = events_endpoint_;
  answer(from.reply_to, "welcome", encode(out));
}

void front_loop::on(const origin& from, const wire::ping& what) {
  answer(from.reply_to, "pong", encode(wire::pong{what.t, epoch_, std::string(state_text())}));
}

void front_loop::on_submit(const origin& from, wire::submit&& what, std::string_view body) {
  auto made = to_request(std::move(what), from, body);
  if (const auto* why = std::get_if<wire::refusal>(&made))
    return refuse(from.reply_to, *why);
  auto& request = std::get<actors::request_ptr>(made);
  if (!count(from, request->items.size(), body.size()))
    return;

  open_request open;
  open.principal = from.principal;
  open.key = from.reply_to.key;
  open.ends_with_accept = request->mode == actors::reply_mode::job && !request->wait_result;
  open.cancel_if_gone = request->cancel_on_disconnect;
  open.durable = request->durable;
  peers_.opened({from.reply_to.socket, from.reply_to.peer}, from.reply_to.tag, std::move(open));
  BITNETD_FAULT_POINT("front.submit");
  mail_.send(actors_->analyzer, actors::submit_atom_v, std::move(request));
}

bool front_loop::count(const origin& from, std::size_t jobs, std::size_t bytes) {
  const auto allowed = conf::settings_of(*config_, from.principal);
  const auto why =
      accounts_.open(from.principal, {allowed.open_jobs, allowed.open_bytes}, jobs, bytes);
  if (why)
    refuse(from.reply_to, *why);
  return !why;
}

void front_loop::on_tokens(const origin& from, actors::token_query what, std::size_t body_bytes) {
  if (!count(from, 1, body_bytes))
    return;
  what.bytes = body_bytes;
  mail_.send(actors_->analyzer, std::move(what));
}

void front_loop::on_attach(const origin& from, const wire::attach& what) {
  auto query = to_query(what, from);
  open_request open;
  open.principal = from.principal;
  open.key = from.reply_to.key;
  open.durable = true; // for `goodbye`: it can be attached to again
  open.reads = query.jobs.front();
  peers_.opened({from.reply_to.socket, from.reply_to.peer}, from.reply_to.tag, std::move(open));
  mail_.send(actors_->ledger, actors::attach_atom_v, std::move(query));
}

void front_loop::on_detach(const origin& from, const wire::detach& what) {
  auto query = to_query(what, from);
  peers_.detached({from.reply_to.socket, from.reply_to.peer}, query.jobs.front());
  mail_.send(actors_->ledger, actors::detach_atom_v, std::move(query));
}

void front_loop::on_admin(const origin& from, std::string_view type, const wire::request& request) {
  actors::admin_request out;
  out.reply_to = from.reply_to;
  out.principal = from.principal;
  out.type = type;
  if (const auto* what = std::get_if<wire::reload>(&request))
    out.dry_run = what->dry_run;
  if (const auto* what = std::get_if<wire::profile>(&request))
    out.name = what->name;
  if (const auto* what = std::get_if<wire::drain>(&request); what != nullptr && what->timeout_s)
    out.timeout = std::chrono::seconds{*what->timeout_s};
  if (const auto* what = std::get_if<wire::cache_order>(&request)) {
    out.cache = to_order(*what);
    return mail_.send(actors_->cache, actors::admin_atom_v, std::move(out));
  }
  mail_.flush(); // it holds for what comes after it
  caf::anon_send(actors_->supervisor, actors::admin_atom_v, std::move(out));
}

std::string_view front_loop::state_text() const noexcept {
  switch (state_.load()) {
  case front_state::starting:
    return "starting";
  case front_state::draining:
    return "draining";
  case front_state::ready:
    break;
  }
  return damaged_ ? "degraded" : "ready";
}

} // namespace bitnetd::daemon
