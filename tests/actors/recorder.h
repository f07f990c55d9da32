// SPDX-License-Identifier: MIT
#pragma once

#include "actors/outgoing.h"

#include <caf/event_based_actor.hpp>

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace bitnetd::actors::testing {

/// OUTBOX and DOOR in one, as in the daemon.
using gate_actor = caf::typed_actor<
    caf::reacts_to<reply>, caf::reacts_to<event>, caf::reacts_to<connect_atom, peers_ptr>,
    caf::reacts_to<configure_atom, conf::config_ptr>, caf::reacts_to<drain_atom, bool>,
    caf::reacts_to<lost_atom, std::string>, caf::reacts_to<message_group>>;

/// Everything that was said to one client request, told by its tag.
struct conversation {
  std::vector<reply> all;
  std::optional<reply_accepted> accepted;
  std::vector<reply_delta> deltas;
  std::optional<reply> last; ///< result, error, document: what ends it
  std::size_t ends = 0;
  std::uint32_t released_jobs = 0;
  std::uint64_t released_bytes = 0;

  [[nodiscard]] result_ptr result() const {
    const auto* found = last ? std::get_if<result_ptr>(&last->what) : nullptr;
    return found ? *found : nullptr;
  }
  [[nodiscard]] const reply_error* error() const {
    return last ? std::get_if<reply_error>(&last->what) : nullptr;
  }
  [[nodiscard]] const reply_document* document() const {
    return last ? std::get_if<reply_document>(&last->what) : nullptr;
  }
  /// Text of the result; a word that no answer has when there is none.
  [[nodiscard]] std::string text() const {
    const auto found = result();
    return found && found->what ? found->what->text : "<no answer>";
  }
  [[nodiscard]] std::string error_name() const { return error() ? error()->why.name : ""; }
  [[nodiscard]] std::string delta_text() const {
    std::string out;
    for (const auto& delta : deltas)
      out += delta.text;
    return out;
  }
  void add(const reply& what) {
    all.push_back(what);
    released_jobs += what.release_jobs;
    released_bytes += what.release_bytes;
    if (const auto* said = std::get_if<reply_accepted>(&what.what)) {
      accepted = *said;
    } else if (const auto* delta = std::get_if<reply_delta>(&what.what)) {
      deltas.push_back(*delta);
    } else if (const auto* text = std::get_if<reply_document>(&what.what);
               text == nullptr || !text->type.empty()) {
      last = what;
      ++ends;
    }
  }
};

/// What the pipeline said to the outside. Any thread may ask, and wait for what is to come.
class recorder {
public:
  void add(const reply& what) {
    const std::lock_guard lock{mutex_};
    told_[what.to.tag].add(what);
    changed_.notify_all();
  }
  void add(const event& what) {
    const std::lock_guard lock{mutex_};
    events_.push_back(what);
    changed_.notify_all();
  }
  void add(const peers_ptr& all) {
    const std::lock_guard lock{mutex_};
    peers_ = all;
    changed_.notify_all();
  }

  [[nodiscard]] conversation of(const std::string& tag) const {
    const std::lock_guard lock{mutex_};
    const auto found = told_.find(tag);
    return found == told_.end() ? conversation{} : found->second;
  }
  [[nodiscard]] std::vector<event> events(const std::string& topic) const {
    const std::lock_guard lock{mutex_};
    std::vector<event> out;
    for (const auto& one : events_)
      if (one.topic == topic)
        out.push_back(one);
    return out;
  }
  /// Lets go of the actors: the system waits for those that somebody still holds.
  void forget_peers() {
    const std::lock_guard lock{mutex_};
    peers_ = nullptr;
  }
  [[nodiscard]] peers_ptr peers_now() const {
    const std::lock_guard lock{mutex_};
    return peers_;
  }
  /// Waits until `holds(*this)`, asked after every message; false when it does not in time.
  template <class Condition> [[nodiscard]] bool wait(Condition holds, seconds limit = seconds{60}) {
    const auto until = std::chrono::steady_clock::now() + limit;
    while (!holds(*this)) {
      std::unique_lock lock{mutex_};
      // Conditions may look at more than messages: ask again soon.
      changed_.wait_for(lock, milliseconds{20});
      if (std::chrono::steady_clock::now() > until)
        return false;
    }
    return true;
  }

private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, conversation> told_;
  std::vector<event> events_;
  peers_ptr peers_;
};

struct gate_state {
  grouping groups;
};

inline gate_actor::behavior_type gate(gate_actor::stateful_pointer<gate_state> self,
                                      std::shared_ptr<recorder> into) {
  return in_groups<gate_actor>(
      self, self->state.groups, [into](const reply& what) { into->add(what); },
      [into](const event& what) { into->add(what); },
      [into](connect_atom, const peers_ptr& all) { into->add(all); },
      [](configure_atom, const conf::config_ptr&) {}, [](drain_atom, bool) {},
      [](lost_atom, const std::string&) {});
}

} // namespace bitnetd::actors::testing
