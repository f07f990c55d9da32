// SPDX-License-Identifier: MIT
#pragma once

#include "actors/interfaces.h"
#include "base/log.h"

#include <caf/behavior.hpp>
#include <caf/execution_unit.hpp>
#include <caf/make_message.hpp>
#include <caf/response_type.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <type_traits>
#include <utility>
#include <vector>

// Messages in groups. Waking an actor costs more than most messages do, so that what one message,
// or one group of them, gives rise to is enqueued once for each receiver. Nobody waits for a group
// to fill: it is what is there when it was looked, and a single message goes as itself.

namespace bitnetd::actors {

/// A group that takes longer to handle than this is handed on in parts: what is done early does not
/// wait for what comes late.
inline constexpr std::chrono::milliseconds longest_hold{1};

/// What handling in groups needs in an actor's state (in_groups); for one that only receives them.
struct grouping {
  caf::behavior handlers;
  int depth = 0; ///< of handlers in each other: a group's, and those of its messages

  void flush(caf::execution_unit*) {}
};

/// Messages to one actor, in order.
struct message_run {
  caf::strong_actor_ptr to{};
  std::vector<caf::message> messages{};

  /// The same as a message, if `Handle` takes it, and takes groups.
  template <class Handle, class... Ts> static caf::message make(Ts&&... what) {
    using types = caf::detail::type_list<caf::detail::strip_and_convert_t<Ts>...>;
    using groups = caf::detail::type_list<message_group>;
    using interface = caf::signatures_of_t<Handle>;
    static_assert(caf::response_type_unbox<interface, types>::valid, "not in the interface");
    static_assert(caf::response_type_unbox<interface, groups>::valid, "it takes no groups");
    return caf::make_message(std::forward<Ts>(what)...);
  }
  /// `from`: the thread that runs the sender, if it is one of CAF's.
  void enqueue(caf::execution_unit* from);
};

/// What a thread that is no actor sends: as long as it goes to one actor it is one group, so that
/// everything arrives in the order in which it was sent, whoever receives it.
class outgoing_run {
public:
  template <class Handle, class... Ts> void send(const Handle& to, Ts&&... what) {
    if (to)
      add(caf::actor_cast<caf::abstract_actor*>(to),
          message_run::make<Handle>(std::forward<Ts>(what)...));
  }
  void flush() { std::exchange(run_, {}).enqueue(nullptr); }

private:
  void add(caf::abstract_actor* to, caf::message what);

  message_run run_;
};

/// What an actor sends while it handles something, by receiver. One thread.
class outgoing_groups : public grouping {
public:
  void flush(caf::execution_unit* from);

protected:
  void add(caf::abstract_actor* to, std::size_t rank, caf::message what);

private:
  std::vector<std::pair<std::size_t, message_run>> runs_; ///< by rank, then by their first message
};

/// The same, typed. Between two actors order is kept, as CAF keeps it, when everything goes this
/// way. Among receivers `First` get theirs first, in this order, whatever was sent when: those who
/// have to know of something before it has consequences elsewhere.
template <class... First> class outgoing : public outgoing_groups {
public:
  /// Sends as `self` does; within a handler of in_groups at its end.
  template <class Self, class Handle, class... Ts>
  void send(Self* self, const Handle& to, Ts&&... what) {
    if (depth == 0)
      self->send(to, std::forward<Ts>(what)...);
    else if (to)
      add(caf::actor_cast<caf::abstract_actor*>(to), rank_of<Handle>(),
          message_run::make<Handle>(std::forward<Ts>(what)...));
  }

private:
  template <class Handle> static constexpr std::size_t rank_of() {
    std::size_t rank = 0;
    (void)((std::same_as<Handle, First> ? false : (++rank, true)) && ...);
    return rank;
  }
};

/// Flushes at the end of the outermost handler, also when that throws.
template <class Self, class Mail> class handling {
public:
  handling(Self* self, Mail& mail) : self_(self), mail_(mail) { ++mail_.depth; }
  ~handling() {
    if (--mail_.depth == 0)
      mail_.flush(self_->context());
  }
  handling(const handling&) = delete;
  handling& operator=(const handling&) = delete;

private:
  Self* self_;
  Mail& mail_;
};

namespace detail {

template <class Self, class Mail, class Handler, class Result, class... Ts>
auto then_flush(Self* self, Mail& mail, Handler handler, Result (Handler::*)(Ts...) const) {
  return [self, &mail, handler = std::move(handler)](Ts... what) -> Result {
    const handling now{self, mail};
    return handler(static_cast<Ts&&>(what)...);
  };
}

} // namespace detail

/// The behaviour of an actor that takes its messages one by one and in groups, and sends what came
/// of each, or of a whole group, through `mail` of its state.
template <class Handle, class Self, class Mail, class... Handlers>
typename Handle::behavior_type in_groups(Self* self, Mail& mail, Handlers... handlers) {
  typename Handle::behavior_type all{
      detail::then_flush(self, mail, std::move(handlers), &Handlers::operator())...,
      [self, &mail](message_group& group) {
        using clock_type = std::chrono::steady_clock; // of the hold only, never of a decision
        const handling now{self, mail};
        auto each = mail.handlers;
        auto since = clock_type::now();
        for (auto& message : group.messages) {
          if (!each(message))
            log::error("actor {}: nobody handles a message of a group", self->name());
          if (const auto at = clock_type::now(); at - since > longest_hold) {
            mail.flush(self->context());
            since = at;
          }
        }
      }};
  mail.handlers = all.unbox();
  return all;
}

} // namespace bitnetd::actors
