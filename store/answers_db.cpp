// SPDX-License-Identifier: MIT
#include "store/answers_db.h"

#include "base/clock.h"
#include "base/log.h"
#include "store/answers_impl.h"
#include "store/byte_io.h"
#include "store/keys.h"

#include <utility>

namespace bitnetd::store {

namespace answers {

std::string exact_key(const hash128& partition, const hash128& key) {
  return key_writer().hash(partition).hash(key).take();
}

std::string entry_key(const hash128& partition, std::uint64_t id) {
  return key_writer().hash(partition).number(id).take();
}

std::string id_key(std::uint64_t id) { return key_writer().number(id).take(); }

std::string ttl_key(std::int64_t expires_us, std::uint64_t id) {
  return key_writer().time(expires_us).number(id).take();
}

std::string where_key(std::uint64_t id) {
  // The finalizer of SplitMix64 (Steele, Lea, Flood 2014): one to one, and every bit counts.
  id = (id ^ (id >> 30)) * 0xBF58476D1CE4E5B9u;
  id = (id ^ (id >> 27)) * 0x94D049BB133111EBu;
  return key_writer().number(id ^ (id >> 31)).take();
}

std::string owner_key(const hash128& owner, std::uint64_t id) {
  return key_writer().hash(owner).rest(where_key(id)).take();
}

std::string learned_key(std::uint64_t entry, std::string_view name) {
  return key_writer().number(entry).rest(name).take();
}

std::string encode_totals(const answer_totals& totals) {
  std::string out;
  byte_writer(out).number(totals.entries).number(totals.bytes);
  return out;
}

} // namespace answers

namespace {

constexpr std::uint64_t id_block = 65536; // ids reserved by one write
constexpr const char* witness_name = "witness";
constexpr std::chrono::seconds witness_interval{1};

/// Where a new database starts to count: by the clock, so that an id from before a wipe does not
/// come again. Below 2^53 until 2248: JSON keeps it exact.
std::uint64_t first_id() {
  return static_cast<std::uint64_t>(to_wall_us(system_clock{}.wall()) / 1000) << 10;
}

/// Whether an open failed because of what is in the files, not of who may read or hold them.
bool is_damage(const open_error& error) { return error.code() == errc::corrupt; }

} // namespace

// ---- open

void answers_db::impl::load(const std::filesystem::path& directory) {
  const auto fail = [&](const status& why) {
    throw open_error(why.code(), directory.string() + ": cannot read the cache: " + why.text());
  };
  const auto known = std::to_string(cache_schema);
  const auto schema = rows->get(answers::sys, answers::schema_key);
  if (schema && schema->size() == 1 && *schema < known) // one digit: that is how many there were
    fail({errc::corrupt, "it has schema " + *schema + ", which is older than " + known +
                             ": answers are computed again"});
  if (schema && *schema != known)
    throw open_error(errc::newer_schema,
                     directory.string() + ": the cache has schema " + *schema +
                         ", this program knows up to " + known +
                         "; start the newer version of bitnetd, or remove the directory");
  if (!schema && schema.why().code() != errc::not_found)
    fail(schema.why());
  if (!schema) {
    write_batch batch;
    batch.put(*rows, answers::sys, answers::schema_key, known);
    if (auto written = rows->write(batch, true); !written)
      fail(written);
  }
  if (const auto stored = rows->get(answers::sys, answers::totals_key)) {
    byte_reader reader(*stored);
    totals.entries = reader.number<std::uint64_t>();
    totals.bytes = reader.number<std::uint64_t>();
    if (!reader.done())
      fail({errc::corrupt, "the totals do not decode"});
  } else if (stored.why().code() != errc::not_found) {
    fail(stored.why());
  }
  if (const auto stored = rows->get(answers::sys, answers::next_id_key)) {
    byte_reader reader(*stored);
    // After a crash: ids that were reserved and not used are skipped, one may have been seen.
    next_id = reserved_id = reader.number<std::uint64_t>();
    if (!reader.done() || next_id == 0)
      fail({errc::corrupt, "the next id does not decode"});
  } else if (stored.why().code() == errc::not_found) {
    next_id = reserved_id = first_id();
  } else {
    fail(stored.why());
  }
}

void answers_db::impl::open(const std::filesystem::path& directory, database_options options) {
  folder = directory;
  seen = std::make_unique<witness>(directory / witness_name, witness_interval);
  const auto before = seen->last();
  // An older state would look whole: what was deleted or flushed since would be served again.
  if (!manifest_holds(directory, seen->manifest()))
    throw open_error(errc::corrupt,
                     directory.string() + ": its MANIFEST is not as it was synced: it is older");
  options.on_files_changed = [this] { watch_files(); };
  rows = std::make_unique<database>(directory, answers::columns, options);
  if (const auto now = rows->sequence(); now < before.sequence)
    throw open_error(errc::corrupt, directory.string() + ": it ends " +
                                        std::to_string(before.sequence - now) +
                                        " rows before its last sync");
  load(directory);
  auto read = load_bounds();
  if (read)
    read = count_owners();
  if (!read)
    throw open_error(read.code(), directory.string() + ": cannot read the cache: " + read.text());
  watch_files(); // opening began a new MANIFEST
}

// What the witness cannot be told makes later damage harder to see, no more.

status answers_db::impl::synced(status done) {
  if (done)
    if (auto told = seen->update({rows->sequence(), 0}); !told)
      log::warn("cache: {}", told.text());
  return done;
}

void answers_db::impl::watch_files() {
  const std::lock_guard lock(files_mutex);
  const auto now = mark_manifest(folder, seen->manifest());
  if (auto told = now ? seen->update_manifest(*now) : now.why(); !told)
    log::warn("cache: {}", told.text());
}

answers_db::answers_db(const std::filesystem::path& directory, const answers_options& options)
    : impl_(std::make_unique<impl>()) {
  const database_options settings{
      options.shared ? options.shared : std::make_shared<const resources>(), options.max_log_bytes};
  try {
    impl_->open(directory, settings);
  } catch (const open_error& error) {
    if (!is_damage(error))
      throw;
    impl_ = std::make_unique<impl>();
    auto gone = database::destroy(directory, answers::columns);
    if (std::error_code why; gone && !std::filesystem::remove(directory / witness_name, why) && why)
      gone = {errc::io_error, why.message()};
    if (!gone)
      throw open_error(gone.code(), directory.string() + ": the cache is damaged (" + error.what() +
                                        ") and cannot be removed: " + gone.text());
    impl_->open(directory, settings);
    impl_->wiped = error.what();
    log::warn("cache: started empty: {}", error.what());
  }
  if (auto reserved = impl_->reserve_ids(); !reserved)
    throw open_error(reserved.code(),
                     directory.string() + ": cannot write to the cache: " + reserved.text());
}

answers_db::~answers_db() {
  // No gap in the ids after a clean stop. If it fails, the reservation stands.
  if (impl_ && impl_->rows)
    (void)impl_->write_next_id(impl_->next_id, false);
}

std::filesystem::path answers_db::index_directory() const { return impl_->folder / "vectors"; }

const std::string& answers_db::wiped() const noexcept { return impl_->wiped; }

// ---- ids

status answers_db::impl::write_next_id(std::uint64_t value, bool sync) {
  std::string number;
  byte_writer(number).number(value);
  write_batch batch;
  batch.put(*rows, answers::sys, answers::next_id_key, number);
  return rows->write(batch, sync);
}

status answers_db::impl::reserve_ids() {
  auto written = write_next_id(next_id + id_block, true);
  if (written)
    reserved_id = next_id + id_block;
  return written;
}

result<std::uint64_t> answers_db::next_id() {
  const std::lock_guard lock(impl_->id_mutex);
  if (impl_->next_id == impl_->reserved_id)
    if (auto reserved = impl_->reserve_ids(); !reserved)
      return reserved;
  return impl_->next_id++;
}

// ---- reads

result<cache_meta> answers_db::impl::find_meta(const hash128& partition, std::uint64_t id) const {
  const auto key = answers::entry_key(partition, id);
  const auto stored = rows->get(answers::meta, key);
  if (!stored)
    return stored.why();
  auto found = decode_meta(key, *stored);
  if (found) {
    found->head.id = id;
    found->head.partition = partition;
  }
  return found;
}

result<answers_db::impl::place> answers_db::impl::place_of(std::uint64_t id) const {
  const auto stored = rows->get(answers::where, answers::where_key(id));
  if (!stored)
    return stored.why();
  key_reader reader(*stored);
  const auto same = reader.number64() == id;
  place out;
  out.partition = reader.hash();
  out.owner = reader.hash();
  if (!same || !reader.done())
    return status(errc::corrupt, "the place of an entry does not decode");
  return out;
}

result<cache_entry> answers_db::impl::read(const hash128& partition, std::uint64_t id,
                                           bool whole) const {
  auto found = find_meta(partition, id);
  if (!found)
    return found.why();
  const auto& head = found->head;
  cache_entry entry;
  entry.id = id;
  entry.partition = partition;
  entry.key = head.key;
  entry.embedder = head.embedder;
  entry.created_us = head.created_us;
  entry.expires_us = head.expires_us;
  entry.last_used_us = head.last_used_us;
  entry.hits = head.hits;
  entry.cost_ms = head.cost_ms;
  entry.owner = head.owner;
  entry.tags = std::move(found->tags);

  const auto key = answers::id_key(id);
  const auto stored = rows->get(answers::resp, key);
  if (!stored)
    return stored.why();
  auto answer = decode_answer(key, *stored);
  if (!answer)
    return answer.why();
  entry.answer = std::move(*answer);
  if (!whole)
    return entry;

  const auto stored_prompt = rows->get(answers::text, key);
  if (!stored_prompt)
    return stored_prompt.why();
  auto prompt = decode_prompt(key, *stored_prompt);
  if (!prompt)
    return prompt.why();
  entry.prompt = std::move(*prompt);

  const auto exact_row_key = answers::exact_key(partition, entry.key);
  const auto stored_exact = rows->get(answers::exact, exact_row_key);
  if (!stored_exact)
    return stored_exact.why();
  auto row = decode_exact(exact_row_key, *stored_exact);
  if (!row)
    return row.why();
  entry.canonical = std::move(row->canonical);

  const auto vector_key = answers::entry_key(partition, id);
  const auto stored_vector = rows->get(answers::vec, vector_key);
  if (!stored_vector && stored_vector.why().code() == errc::not_found)
    return entry;
  if (!stored_vector)
    return stored_vector.why();
  auto vector = decode_vector(vector_key, *stored_vector);
  if (!vector)
    return vector.why();
  entry.vector = std::move(*vector);
  return entry;
}

result<cache_entry> answers_db::get_exact(const hash128& partition, const hash128& key,
                                          std::string_view canonical) const {
  const auto row_key = answers::exact_key(partition, key);
  const auto stored = impl_->rows->get(answers::exact, row_key);
  if (!stored)
    return stored.why();
  const auto row = decode_exact(row_key, *stored);
  if (!row)
    return row.why();
  if (row->canonical != canonical)
    return status(errc::not_found, "another request has the same hash");
  auto entry = impl_->read(partition, row->id, /*whole=*/false);
  if (entry)
    entry->canonical = canonical;
  return entry;
}

result<cache_entry> answers_db::get(std::uint64_t id) const {
  const auto place = impl_->place_of(id);
  if (!place)
    return place.why();
  return impl_->read(place->partition, id, /*whole=*/true);
}

result<std::size_t>
answers_db::for_each(const std::function<bool(const cache_entry_head&)>& visit) const {
  // Two families with the same keys in the same order, walked side by side.
  auto head_row = impl_->rows->rows(answers::meta);
  auto vector_row = impl_->rows->rows(answers::vec);
  std::size_t unreadable = 0;
  for (; head_row.valid(); head_row.next()) {
    key_reader parts(head_row.key());
    const auto partition = parts.hash();
    const auto id = parts.number64();
    auto found = decode_meta(head_row.key(), head_row.value());
    if (!found || !parts.done()) {
      ++unreadable;
      continue;
    }
    auto& head = found->head;
    head.id = id;
    head.partition = partition;
    while (vector_row.valid() && vector_row.key() < head_row.key())
      vector_row.next();
    if (vector_row.valid() && vector_row.key() == head_row.key()) {
      auto vector = decode_vector(vector_row.key(), vector_row.value());
      if (!vector) {
        ++unreadable;
        continue;
      }
      head.vector = std::move(*vector);
    }
    if (!visit(head))
      return unreadable;
  }
  if (auto ended = head_row.state(); !ended)
    return ended;
  if (auto ended = vector_row.state(); !ended)
    return ended;
  return unreadable;
}

void answers_db::impl::set_totals(const answer_totals& now) {
  const std::lock_guard lock(totals_mutex);
  totals = now;
}

answer_totals answers_db::totals() const {
  const std::lock_guard lock(impl_->totals_mutex);
  return impl_->totals;
}

result<answer_totals> answers_db::recount() const {
  answer_totals counted;
  for (std::size_t column = answers::exact; column < answers::bound; ++column) {
    auto row = impl_->rows->rows(column);
    for (; row.valid(); row.next()) {
      counted.bytes += row.key().size() + row.value().size();
      counted.entries += column == answers::meta ? 1u : 0u;
    }
    if (auto ended = row.state(); !ended)
      return ended;
  }
  return counted;
}

std::uint64_t answers_db::disk_bytes() const { return impl_->rows->disk_bytes(); }

status answers_db::sync() { return impl_->synced(impl_->rows->sync()); }

status answers_db::resume() { return impl_->rows->resume(); }

} // namespace bitnetd::store
