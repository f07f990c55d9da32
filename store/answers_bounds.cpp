// SPDX-License-Identifier: MIT
#include "store/answers_impl.h"
#include "store/keys.h"

#include <algorithm>
#include <utility>
#include <vector>

// Invalidation: a row per tag that was flushed, holding the first id that is valid again. Ids rise,
// so that one number tells old entries from new ones, however many there are.

namespace bitnetd::store {
namespace {

constexpr std::size_t erased_at_once = 256;

} // namespace

status answers_db::impl::load_bounds() {
  auto row = rows->rows(answers::bound);
  for (; row.valid(); row.next()) {
    key_reader value(row.value());
    const auto first = value.number64();
    if (!value.done())
      return {errc::corrupt, "a bound of invalidation does not decode"};
    bounds.emplace(row.key(), first);
  }
  return row.state();
}

status answers_db::invalidate(const std::string& tag) {
  const auto first = [this] {
    const std::lock_guard lock(impl_->id_mutex);
    return impl_->next_id;
  }();
  {
    const std::lock_guard lock(impl_->bounds_mutex);
    auto& bound = impl_->bounds[tag];
    bound = std::max(bound, first);
  }
  write_batch batch;
  batch.put(*impl_->rows, answers::bound, tag, key_writer().number(first).take());
  return impl_->synced(impl_->rows->write(batch, /*sync=*/true));
}

bool answers_db::is_invalidated(std::uint64_t id, std::span<const std::string> tags) const {
  const std::lock_guard lock(impl_->bounds_mutex);
  if (impl_->bounds.empty())
    return false;
  return std::ranges::any_of(tags, [&](const std::string& tag) {
    const auto bound = impl_->bounds.find(tag);
    return bound != impl_->bounds.end() && id < bound->second;
  });
}

result<std::vector<erased_entry>> answers_db::purge() {
  std::vector<std::uint64_t> dead;
  auto row = impl_->rows->rows(answers::meta);
  for (; row.valid(); row.next()) {
    key_reader parts(row.key());
    (void)parts.hash();
    const auto id = parts.number64();
    const auto found = decode_meta(row.key(), row.value());
    if (found && is_invalidated(id, found->tags))
      dead.push_back(id);
  }
  if (auto ended = row.state(); !ended)
    return ended;
  std::vector<erased_entry> out;
  for (std::size_t from = 0; from < dead.size(); from += erased_at_once) {
    const auto n = std::min(erased_at_once, dead.size() - from);
    auto gone = erase(std::span(dead).subspan(from, n));
    if (!gone)
      return gone;
    out.insert(out.end(), gone->begin(), gone->end());
  }
  return out;
}

} // namespace bitnetd::store
