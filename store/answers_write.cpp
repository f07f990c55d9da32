// SPDX-License-Identifier: MIT
#include "base/log.h"
#include "store/answers_impl.h"
#include "store/eviction.h"
#include "store/keys.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace bitnetd::store {
namespace {

constexpr std::size_t n_candidates = 16, n_looked_at = 1024;
constexpr std::size_t victims_per_write = 256;
constexpr std::size_t max_entry_bytes = 64 << 20;
constexpr std::size_t max_tags = 16, max_tag_bytes = 64;

status invalid(const cache_entry& entry, std::string_view why) {
  return {errc::invalid, "cache entry " + std::to_string(entry.id) + ": " + std::string(why)};
}

status check(const cache_entry& entry) {
  if (entry.created_us < 0 || entry.expires_us < entry.created_us)
    return invalid(entry, "expires before it was created");
  if (entry.canonical.size() + entry.prompt.size() + entry.answer.text.size() +
          4 * entry.answer.tokens.size() >
      max_entry_bytes)
    return invalid(entry, "is larger than 64 MiB");
  if (entry.vector && (entry.vector->values.empty() || entry.vector->values.size() > max_dimension))
    return invalid(entry, "its vector has a wrong length");
  if (entry.tags.size() > max_tags)
    return invalid(entry, "has more than 16 tags");
  for (const auto& tag : entry.tags)
    if (tag.size() > max_tag_bytes)
      return invalid(entry, "has a tag of more than 64 bytes");
  return {};
}

/// Rows that go in one write, and what they change in the totals.
class change {
public:
  change(database& rows, const answer_totals& totals) : rows_(rows), after_(totals) {}

  void add(const cache_entry& entry);
  void drop(const cache_entry_head& head);
  /// An entry whose meta row cannot be read: what can be found by id. The totals are wrong then.
  void drop_unreadable(const hash128& partition, const hash128& owner, std::uint64_t id);
  void drop_row(std::size_t column, std::string_view key) { batch_.erase(rows_, column, key); }
  void subtract(std::uint64_t bytes) { after_.bytes -= std::min(bytes, after_.bytes); }

  [[nodiscard]] bool has_dropped(std::uint64_t id) const { return gone_.contains(id); }
  [[nodiscard]] const answer_totals& after() const noexcept { return after_; }
  [[nodiscard]] std::vector<erased_entry>& erased() noexcept { return erased_; }
  [[nodiscard]] bool needs_recount() const noexcept { return needs_recount_; }
  /// Bytes that each owner has more, or less, after this.
  [[nodiscard]] const std::map<hash128, std::int64_t>& owners() const noexcept { return owners_; }

  status commit(bool sync) { return finish() ? rows_.write(batch_, sync) : status{}; }
  status erase_for_good() { return finish() ? rows_.erase_for_good(batch_) : status{}; }

private:
  /// Whether there is anything to write.
  [[nodiscard]] bool finish() {
    if (batch_.size() == 0)
      return false;
    batch_.put(rows_, answers::sys, answers::totals_key, answers::encode_totals(after_));
    return true;
  }
  std::uint64_t put(std::size_t column, std::string_view key, std::string_view value) {
    batch_.put(rows_, column, key, value);
    return key.size() + value.size();
  }

  database& rows_;
  answer_totals after_;
  write_batch batch_;
  std::vector<erased_entry> erased_;
  std::set<std::uint64_t> gone_;
  std::map<hash128, std::int64_t> owners_;
  bool needs_recount_ = false;
};

void change::add(const cache_entry& entry) {
  const auto by_partition = answers::entry_key(entry.partition, entry.id);
  const auto by_id = answers::id_key(entry.id);
  const auto by_request = answers::exact_key(entry.partition, entry.key);
  auto bytes = put(answers::exact, by_request, encode_exact(by_request, entry.id, entry.canonical));
  bytes += put(answers::text, by_id, encode_prompt(by_id, entry.prompt));
  bytes += put(answers::resp, by_id, encode_answer(by_id, entry.answer));
  bytes += put(answers::ttl, answers::ttl_key(entry.expires_us, entry.id), {});
  const auto place = key_writer().number(entry.id).hash(entry.partition).hash(entry.owner).take();
  bytes += put(answers::where, answers::where_key(entry.id), place);
  bytes += put(answers::owner, answers::owner_key(entry.owner, entry.id), place);
  if (entry.vector)
    bytes += put(answers::vec, by_partition, encode_vector(by_partition, *entry.vector));

  cache_meta meta;
  meta.head.key = entry.key;
  meta.head.embedder = entry.embedder;
  meta.head.created_us = entry.created_us;
  meta.head.expires_us = entry.expires_us;
  meta.head.last_used_us = entry.last_used_us;
  meta.head.hits = entry.hits;
  meta.head.cost_ms = entry.cost_ms;
  meta.head.owner = entry.owner;
  meta.tags = entry.tags;
  // The row counts itself: its size does not depend on the number.
  meta.head.bytes = bytes + by_partition.size() + encode_meta(by_partition, meta).size();
  put(answers::meta, by_partition, encode_meta(by_partition, meta));
  ++after_.entries;
  after_.bytes += meta.head.bytes;
  owners_[entry.owner] += static_cast<std::int64_t>(meta.head.bytes);
}

void change::drop(const cache_entry_head& head) {
  if (!gone_.insert(head.id).second)
    return;
  drop_row(answers::exact, answers::exact_key(head.partition, head.key));
  drop_row(answers::ttl, answers::ttl_key(head.expires_us, head.id));
  drop_row(answers::meta, answers::entry_key(head.partition, head.id));
  drop_row(answers::vec, answers::entry_key(head.partition, head.id));
  drop_row(answers::text, answers::id_key(head.id));
  drop_row(answers::resp, answers::id_key(head.id));
  drop_row(answers::where, answers::where_key(head.id));
  drop_row(answers::owner, answers::owner_key(head.owner, head.id));
  drop_row(answers::learned, answers::learned_key(head.id, {}));
  --after_.entries;
  subtract(head.bytes);
  owners_[head.owner] -= static_cast<std::int64_t>(head.bytes);
  erased_.push_back({head.id, head.partition});
}

void change::drop_unreadable(const hash128& partition, const hash128& owner, std::uint64_t id) {
  if (!gone_.insert(id).second)
    return;
  // Its rows in `exact` and `ttl` cannot be named: they lead to nothing now, and go when the same
  // request is stored again, and when their time has come.
  drop_row(answers::meta, answers::entry_key(partition, id));
  drop_row(answers::vec, answers::entry_key(partition, id));
  drop_row(answers::text, answers::id_key(id));
  drop_row(answers::resp, answers::id_key(id));
  drop_row(answers::where, answers::where_key(id));
  drop_row(answers::owner, answers::owner_key(owner, id));
  drop_row(answers::learned, answers::learned_key(id, {}));
  erased_.push_back({id, partition});
  needs_recount_ = true;
}

/// What was written counts from now on.
template <class Parts> void settle(const answers_db& all, Parts& parts, const change& writes) {
  parts.set_totals(writes.after());
  parts.change_owners(writes.owners());
  if (!writes.needs_recount())
    return;
  if (const auto counted = all.recount())
    parts.set_totals(*counted);
  if (auto counted = parts.count_owners(); !counted)
    log::warn("cache: what each principal holds could not be counted: {}", counted.text());
}

} // namespace

result<std::vector<erased_entry>> answers_db::put(std::span<const cache_entry> entries) {
  std::map<std::pair<hash128, hash128>, std::uint64_t> latest; // which entry a request ends with
  const auto given_out = [this] {
    const std::lock_guard lock(impl_->id_mutex);
    return impl_->next_id;
  }();
  for (const auto& entry : entries) {
    if (auto checked = check(entry); !checked)
      return checked;
    if (entry.id == 0 || entry.id >= given_out)
      return invalid(entry, "its id was never given out");
    if (const auto known = impl_->place_of(entry.id); known)
      return status(errc::exists, "cache entry " + std::to_string(entry.id) + " is stored");
    latest[{entry.partition, entry.key}] = entry.id;
  }

  change writes(*impl_->rows, totals());
  for (const auto& entry : entries) {
    if (latest[{entry.partition, entry.key}] != entry.id) {
      writes.erased().push_back({entry.id, entry.partition});
      continue;
    }
    const auto key = answers::exact_key(entry.partition, entry.key);
    const auto stored = impl_->rows->get(answers::exact, key);
    if (stored) {
      const auto row = decode_exact(key, *stored);
      const auto old =
          row ? impl_->find_meta(entry.partition, row->id) : result<cache_meta>(row.why());
      if (old)
        writes.drop(old->head);
      else // it leads to nothing, or cannot be read: only the row itself is written over
        writes.subtract(key.size() + stored->size());
    } else if (stored.why().code() != errc::not_found) {
      return stored.why();
    }
    writes.add(entry);
  }
  if (auto written = writes.commit(/*sync=*/false); !written)
    return written;
  settle(*this, *impl_, writes);
  return std::move(writes.erased());
}

status answers_db::touch(std::span<const cache_touch> touches) {
  std::map<std::uint64_t, std::pair<hash128, cache_meta>> touched; // an id may come twice
  for (const auto& one : touches) {
    auto at = touched.find(one.id);
    if (at == touched.end()) {
      const auto place = impl_->place_of(one.id);
      if (!place)
        continue;
      auto found = impl_->find_meta(place->partition, one.id);
      if (!found)
        continue;
      at = touched.emplace(one.id, std::pair(place->partition, std::move(*found))).first;
    }
    auto& head = at->second.second.head;
    head.hits += std::min(one.hits, UINT32_MAX - head.hits);
    head.last_used_us = std::max(head.last_used_us, one.last_used_us);
  }
  if (touched.empty())
    return {};
  write_batch batch;
  for (const auto& [id, row] : touched) {
    const auto key = answers::entry_key(row.first, id);
    batch.put(*impl_->rows, answers::meta, key, encode_meta(key, row.second));
  }
  return impl_->rows->write(batch, /*sync=*/false);
}

result<std::vector<erased_entry>> answers_db::erase(std::span<const std::uint64_t> ids) {
  change writes(*impl_->rows, totals());
  for (const auto id : ids) {
    const auto place = impl_->place_of(id);
    if (!place)
      continue; // also when this row is damaged: without its partition nobody finds the entry
    const auto found = impl_->find_meta(place->partition, id);
    if (found)
      writes.drop(found->head);
    else
      writes.drop_unreadable(place->partition, place->owner, id);
  }
  if (auto written = impl_->synced(writes.erase_for_good()); !written)
    return written;
  settle(*this, *impl_, writes);
  return std::move(writes.erased());
}

result<std::vector<erased_entry>> answers_db::expire(std::int64_t now_us, std::size_t limit) {
  change writes(*impl_->rows, totals());
  const auto upper = key_writer().time(now_us + 1).take();
  auto row = impl_->rows->rows(answers::ttl, {}, upper);
  for (; row.valid() && limit > 0; row.next(), --limit) {
    key_reader parts(row.key());
    (void)parts.time();
    const auto id = parts.number64();
    const auto place = impl_->place_of(id);
    const auto found =
        place ? impl_->find_meta(place->partition, id) : result<cache_meta>(place.why());
    if (found) {
      writes.drop(found->head);
    } else { // the row of an entry that is gone
      writes.drop_row(answers::ttl, row.key());
      writes.subtract(row.key().size());
    }
  }
  if (auto ended = row.state(); !ended)
    return ended;
  if (auto written = writes.commit(/*sync=*/false); !written)
    return written;
  settle(*this, *impl_, writes);
  return std::move(writes.erased());
}

namespace {

/// Up to n_candidates entries in an order that has nothing to do with their age, from a random
/// point behind `prefix` on, and on from its start. At most n_looked_at rows are read: where nearly
/// everything is pinned, little is found.
template <class Look>
std::vector<eviction_candidate> draw(cursor row, const std::string& prefix, std::uint64_t from,
                                     const change& writes, const Look& look) {
  std::vector<eviction_candidate> out;
  std::size_t looked_at = 0;
  row.seek(prefix + key_writer().number(from).take());
  for (int round = 0; round < 2 && out.size() < n_candidates; ++round) {
    for (; row.valid() && row.key().starts_with(prefix); row.next()) {
      if (out.size() == n_candidates || ++looked_at > n_looked_at)
        return out;
      key_reader parts(row.value());
      const auto id = parts.number64();
      const auto partition = parts.hash();
      const auto owner = parts.hash();
      if (parts.done() && !writes.has_dropped(id))
        look(partition, owner, id, out);
    }
    row.seek(prefix);
  }
  return out;
}

} // namespace

result<std::vector<erased_entry>> answers_db::evict_to(std::uint64_t bytes, std::int64_t now_us,
                                                       double share) {
  const auto limit = static_cast<std::uint64_t>(share * static_cast<double>(bytes));
  std::vector<erased_entry> erased;
  bool nothing_to_give = false;
  while (totals().bytes > bytes && totals().entries > 0) {
    const auto owner = nothing_to_give ? std::nullopt : impl_->largest_owner_above(limit);
    const auto prefix = owner ? key_writer().hash(*owner).take() : std::string{};
    const auto column = owner ? answers::owner : answers::where;
    // Down to the share and no further: then it is another's turn, or everybody's.
    const auto spare = owner ? bytes_of(*owner) - limit : UINT64_MAX;
    change writes(*impl_->rows, totals());
    std::uint64_t freed = 0;
    std::map<std::uint64_t, cache_entry_head> heads;
    const auto look = [&](const hash128& partition, const hash128& whose, std::uint64_t id,
                          std::vector<eviction_candidate>& out) {
      const auto found = impl_->find_meta(partition, id);
      if (!found) {
        writes.drop_unreadable(partition, whose, id);
        return;
      }
      const auto& head = found->head;
      if (head.expires_us == pinned_us)
        return;
      heads[id] = head;
      out.push_back({id, head.expires_us, head.last_used_us, head.hits, head.cost_ms, head.bytes});
    };
    while (writes.after().bytes > bytes && freed < spare &&
           writes.erased().size() < victims_per_write) {
      const auto candidates =
          draw(impl_->rows->rows(column), prefix, impl_->random(), writes, look);
      if (candidates.empty())
        break;
      const auto& victim = heads[candidates[pick_victim(candidates, now_us)].entry];
      freed += victim.bytes;
      writes.drop(victim);
    }
    if (writes.erased().empty()) {
      if (!owner)
        break;
      nothing_to_give = true; // all of it is pinned
      continue;
    }
    if (auto written = writes.commit(/*sync=*/false); !written)
      return written;
    settle(*this, *impl_, writes);
    erased.insert(erased.end(), writes.erased().begin(), writes.erased().end());
  }
  return erased;
}

} // namespace bitnetd::store
