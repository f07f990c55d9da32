// SPDX-License-Identifier: MIT
#include "store/answers_impl.h"
#include "store/envelope.h"
#include "store/keys.h"

#include <algorithm>
#include <utility>

// Whose bytes these are, what is pinned, and what the user of the store has learned.

namespace bitnetd::store {

// ---- owners

void answers_db::impl::change_owners(const std::map<hash128, std::int64_t>& by) {
  const std::lock_guard lock(totals_mutex);
  for (const auto& [owner, bytes] : by) {
    const auto before = static_cast<std::int64_t>(owner_bytes[owner]);
    owner_bytes[owner] = static_cast<std::uint64_t>(std::max<std::int64_t>(before + bytes, 0));
    if (owner_bytes[owner] == 0)
      owner_bytes.erase(owner);
  }
}

status answers_db::impl::count_owners() {
  std::map<hash128, std::uint64_t> counted;
  auto row = rows->rows(answers::meta);
  for (; row.valid(); row.next())
    if (const auto found = decode_meta(row.key(), row.value()))
      counted[found->head.owner] += found->head.bytes;
  if (auto ended = row.state(); !ended)
    return ended;
  const std::lock_guard lock(totals_mutex);
  owner_bytes = std::move(counted);
  return {};
}

std::optional<hash128> answers_db::impl::largest_owner_above(std::uint64_t limit) const {
  const std::lock_guard lock(totals_mutex);
  const auto most = std::ranges::max_element(
      owner_bytes, [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == owner_bytes.end() || most->second <= limit ? std::nullopt
                                                            : std::optional{most->first};
}

std::uint64_t answers_db::bytes_of(const hash128& owner) const {
  const std::lock_guard lock(impl_->totals_mutex);
  const auto found = impl_->owner_bytes.find(owner);
  return found == impl_->owner_bytes.end() ? 0 : found->second;
}

// ---- pinned

status answers_db::set_expiry(std::uint64_t id, std::int64_t expires_us) {
  const auto place = impl_->place_of(id);
  if (!place)
    return place.why();
  auto found = impl_->find_meta(place->partition, id);
  if (!found)
    return found.why();
  if (expires_us < found->head.created_us)
    return {errc::invalid, "an entry cannot expire before it was created"};
  const auto key = answers::entry_key(place->partition, id);
  write_batch batch;
  batch.erase(*impl_->rows, answers::ttl, answers::ttl_key(found->head.expires_us, id));
  found->head.expires_us = expires_us;
  batch.put(*impl_->rows, answers::ttl, answers::ttl_key(expires_us, id), {});
  batch.put(*impl_->rows, answers::meta, key, encode_meta(key, *found));
  return impl_->synced(impl_->rows->write(batch, /*sync=*/true));
}

// ---- learned

status answers_db::learn(std::span<const learned_row> rows) {
  write_batch batch;
  for (const auto& row : rows) {
    if (row.bytes.size() > max_learned_bytes)
      return {errc::invalid, "a learned row of " + std::to_string(row.bytes.size()) +
                                 " bytes: expected at most " + std::to_string(max_learned_bytes)};
    if (row.entry != 0 && !impl_->place_of(row.entry))
      continue;
    const auto key = answers::learned_key(row.entry, row.name);
    batch.put(*impl_->rows, answers::learned, key, seal(cache_schema, key, row.bytes));
  }
  return batch.size() == 0 ? status{} : impl_->rows->write(batch, /*sync=*/false);
}

status answers_db::for_each_learned(const std::function<bool(const learned_row&)>& visit) const {
  auto row = impl_->rows->rows(answers::learned);
  for (; row.valid(); row.next()) {
    const auto opened = unseal(cache_schema, row.key(), row.value());
    key_reader parts(row.key());
    learned_row out;
    out.entry = parts.number64();
    out.name = parts.rest();
    if (!opened || !parts.ok())
      continue;
    out.bytes = opened->payload;
    if (!visit(out))
      return {};
  }
  return row.state();
}

} // namespace bitnetd::store
