// SPDX-License-Identifier: MIT
#include "actors/cache.h"
#include "actors/errors.h"
#include "actors/replies.h"
#include "base/log.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

// What people tell the cache: look at an entry, delete it, flush a part, report a wrong hit.

namespace bitnetd::actors {

using nlohmann::json;

void cache_state::tell(cache_actor::pointer self, const admin_request& who, std::string type,
                       std::string body) {
  mail.send(self, others->outbox, document_for(who, std::move(type), std::move(body)));
}

void cache_state::refuse(cache_actor::pointer self, const admin_request& who, std::string why) {
  mail.send(self, others->outbox, error_for(who, bad_field("entry", "entry: " + std::move(why))));
}

void cache_state::report(cache_actor::pointer self, const admin_request& asked) {
  const auto& what = asked.cache;
  // Another tenant's entry and one that does not exist are told alike: a report is no way to ask
  // what others have asked.
  const auto hit = judges.reported(asked.principal, what.entry, !what.wrong);
  if (!hit)
    return refuse(self, asked,
                  "no recent similarity hit of yours was answered by it; a result's cache.entry "
                  "names the entry");
  if (what.wrong) {
    log::warn("cache: {} reports entry {} as wrong (similarity {:.3f}, confidence {:.2f}): it is "
              "removed",
              asked.principal, what.entry, hit->similarity, hit->confidence);
    similar.remove(what.entry); // at once; the store follows
    std::erase_if(fresh, [&](const entry_ptr& one) { return one->id == what.entry; });
    return mail.send(self, others->keeper, erase_atom_v, what.entry, asked);
  }
  tell(self, asked, "ok", json{{"entry", std::to_string(what.entry)}}.dump());
}

void cache_state::flush(cache_actor::pointer self, const admin_request& asked) {
  const auto& what = asked.cache;
  auto scope = all_scope();
  if (!what.tag.empty())
    scope = tag_scope(what.principal, what.tag);
  else if (!what.name_space.empty())
    scope = namespace_scope(what.principal, what.name_space);
  else if (!what.model.empty())
    scope = model_scope(what.model);
  else if (!what.principal.empty())
    scope = tenant_scope(what.principal);
  ++flushes;
  std::erase_if(fresh, [&](const entry_ptr& one) {
    return std::ranges::find(one->tags, scope) != one->tags.end();
  });
  hash128 scope_name;
  std::copy(scope.begin(), scope.end(), scope_name.bytes.begin());
  mail.send(self, others->keeper, flush_atom_v, scope_name,
            asked); // it answers when it is on the disk
}

void cache_state::pin(cache_actor::pointer self, const admin_request& asked,
                      store::cache_entry entry) {
  const auto now_us = to_wall_us(time->wall());
  if (answers->is_invalidated(entry.id, entry.tags) || entry.expires_us <= now_us)
    return refuse(self, asked, "entry " + std::to_string(entry.id) + " is not served any more");
  const bool stays = asked.cache.what == cache_order::action::pin;
  entry.expires_us =
      stays ? store::pinned_us : now_us + config->profile.cache.ttl.count() * 1'000'000;
  mail.send(self, others->keeper, pin_atom_v, entry.id, entry.expires_us, asked);
  const auto recent = std::ranges::find(fresh, entry.id, &store::cache_entry::id);
  if (recent != fresh.end())
    *recent = std::make_shared<const store::cache_entry>(std::move(entry));
}

void cache_state::order(cache_actor::pointer self, const admin_request& asked) {
  if (!answers)
    return refuse(self, asked, "the cache's store could not be opened");
  const auto& what = asked.cache;
  switch (what.what) {
  case cache_order::action::report:
    return report(self, asked);
  case cache_order::action::flush:
    return flush(self, asked);
  case cache_order::action::del: {
    if (!held(what.entry))
      return refuse(self, asked, "there is no entry " + std::to_string(what.entry));
    similar.remove(what.entry);
    std::erase_if(fresh, [&](const entry_ptr& one) { return one->id == what.entry; });
    return mail.send(self, others->keeper, erase_atom_v, what.entry, asked);
  }
  case cache_order::action::get:
  case cache_order::action::pin:
  case cache_order::action::unpin:
    break;
  }
  auto entry = held(what.entry);
  if (!entry)
    return refuse(self, asked, "there is no entry " + std::to_string(what.entry));
  if (what.what != cache_order::action::get)
    return pin(self, asked, std::move(*entry));
  const bool pinned = entry->expires_us == store::pinned_us;
  json told{{"entry", std::to_string(entry->id)},
            {"prompt", entry->prompt},
            {"text", entry->answer.text},
            {"finish", entry->answer.finish_reason},
            {"created_us", entry->created_us},
            {"pinned", pinned},
            {"hits", entry->hits},
            {"cost_ms", entry->cost_ms},
            {"similar", entry->vector.has_value()},
            {"invalidated", answers->is_invalidated(entry->id, entry->tags)}};
  if (!pinned)
    told["expires_us"] = entry->expires_us;
  tell(self, asked, "entry", told.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

} // namespace bitnetd::actors
