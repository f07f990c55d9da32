// SPDX-License-Identifier: MIT
#include "actors/outgoing.h"

#include <caf/mailbox_element.hpp>

#include <algorithm>

namespace bitnetd::actors {

void message_run::enqueue(caf::execution_unit* from) {
  if (messages.size() == 1)
    to->enqueue(nullptr, caf::make_message_id(), std::move(messages.front()), from);
  else if (!messages.empty())
    to->enqueue(caf::make_mailbox_element(nullptr, caf::make_message_id(), {},
                                          message_group{std::move(messages)}),
                from);
}

void outgoing_run::add(caf::abstract_actor* to, caf::message what) {
  if (!run_.messages.empty() && run_.to->get() != to)
    flush();
  if (run_.messages.empty())
    run_.to = caf::actor_cast<caf::strong_actor_ptr>(to);
  run_.messages.push_back(std::move(what));
}

void outgoing_groups::add(caf::abstract_actor* to, std::size_t rank, caf::message what) {
  auto found =
      std::ranges::find_if(runs_, [&](const auto& one) { return one.second.to->get() == to; });
  if (found == runs_.end()) {
    const auto behind =
        std::ranges::find_if(runs_, [&](const auto& one) { return one.first > rank; });
    found = runs_.insert(behind, {rank, message_run{caf::actor_cast<caf::strong_actor_ptr>(to)}});
  }
  found->second.messages.push_back(std::move(what));
}

void outgoing_groups::flush(caf::execution_unit* from) {
  for (auto& [rank, run] : std::exchange(runs_, {}))
    run.enqueue(from);
}

} // namespace bitnetd::actors
