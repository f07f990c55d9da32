// SPDX-License-Identifier: MIT
#pragma once

#include "store/answers_db.h"
#include "store/cache_records.h"
#include "store/database.h"
#include "store/witness.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <unordered_map>

namespace bitnetd::store {

// Inside of answers_db, shared by answers_db.cpp (open, read) and answers_write.cpp.

namespace answers {

// Column families; docs/store.md has the table. P = partition, I = entry id, K = exact key.
enum column_index : std::size_t {
  sys,     // schema, next_id, totals
  exact,   // P K -> I, canonical bytes
  meta,    // P I -> times, counters, key, tags; no meta row = no entry
  vec,     // P I -> int8 vector
  text,    // I -> prompt
  resp,    // I -> answer
  ttl,     // expires I -> nothing
  where,   // mixed I -> I, P
  owner,   // owner, mixed I -> I, P
  bound,   // scope -> the first id that a flush of it left valid
  learned, // I, name -> bytes
};

inline constexpr std::array<column, 11> columns = {{{"default", column_kind::index},
                                                    {"exact", column_kind::lookup},
                                                    {"meta", column_kind::lookup},
                                                    {"vec", column_kind::numbers},
                                                    {"text", column_kind::text},
                                                    {"resp", column_kind::text},
                                                    {"ttl", column_kind::index},
                                                    {"where", column_kind::lookup},
                                                    {"owner", column_kind::index},
                                                    {"bound", column_kind::index},
                                                    {"learned", column_kind::lookup}}};

inline constexpr std::string_view schema_key = "schema";
inline constexpr std::string_view next_id_key = "next_id";
inline constexpr std::string_view totals_key = "totals";

[[nodiscard]] std::string exact_key(const hash128& partition, const hash128& key);
[[nodiscard]] std::string entry_key(const hash128& partition, std::uint64_t id); ///< meta, vec
[[nodiscard]] std::string id_key(std::uint64_t id);                              ///< text, resp
[[nodiscard]] std::string ttl_key(std::int64_t expires_us, std::uint64_t id);
/// Ids in an order that has nothing to do with their age: rows after any point are a fair sample.
[[nodiscard]] std::string where_key(std::uint64_t id);

/// Likewise, owner by owner.
[[nodiscard]] std::string owner_key(const hash128& owner, std::uint64_t id);
/// Rows of one entry follow each other.
[[nodiscard]] std::string learned_key(std::uint64_t entry, std::string_view name);

[[nodiscard]] std::string encode_totals(const answer_totals& totals);

} // namespace answers

struct answers_db::impl {
  // What watch_files needs lives longer than `rows`, whose threads call it to the end.
  std::filesystem::path folder;
  std::unique_ptr<witness> seen; ///< its `accepted` is not used
  std::mutex files_mutex;
  std::unique_ptr<database> rows;
  std::string wiped;
  std::mutex id_mutex;           // next_id may be called from any thread
  std::uint64_t next_id = 0;     // the next to be given out
  std::uint64_t reserved_id = 0; // up to here ids can be given out without a write
  mutable std::mutex totals_mutex;
  answer_totals totals;
  std::map<hash128, std::uint64_t> owner_bytes; ///< under totals_mutex too
  mutable std::mutex bounds_mutex;
  std::unordered_map<std::string, std::uint64_t> bounds; ///< scope -> first valid id
  std::mt19937_64 random{std::random_device{}()};

  void open(const std::filesystem::path& directory, database_options options);
  /// Tells the witness how far the log is synced, if it was. For the thread that writes only: what
  /// others wrote meanwhile may not be.
  status synced(status done);
  /// Tells it of new files; on threads of RocksDB.
  void watch_files();
  void load(const std::filesystem::path& directory);
  status write_next_id(std::uint64_t value, bool sync);
  status reserve_ids();

  result<cache_meta> find_meta(const hash128& partition, std::uint64_t id) const;
  /// Where the rows of an entry are: partition and owner.
  struct place {
    hash128 partition, owner;
  };
  result<place> place_of(std::uint64_t id) const;
  result<cache_entry> read(const hash128& partition, std::uint64_t id, bool whole) const;
  void set_totals(const answer_totals& now);
  /// A write has changed what owners hold: bytes to add, or to take away.
  void change_owners(const std::map<hash128, std::int64_t>& by);
  /// Reads every entry's row to count what owners hold.
  status count_owners();
  /// The owner that holds most, if that is more than `limit`.
  [[nodiscard]] std::optional<hash128> largest_owner_above(std::uint64_t limit) const;
  status load_bounds();
};

} // namespace bitnetd::store
