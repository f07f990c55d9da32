// SPDX-License-Identifier: MIT
#include "actors/learned_rows.h"

#include <catch2/catch.hpp>

using namespace bitnetd;
using namespace bitnetd::actors;

namespace {

learned_rule some_rule() {
  learned_rule out;
  out.principal = "alice";
  out.embedder = hash_bytes("embedder");
  out.counts = {7, 6, 5, 4, 3, 2, 1};
  for (int i = 0; i < 600; ++i) { // enough for 2 %
    out.calibrator.decided(0.9);
    out.calibrator.audited(0.9, false);
  }
  return out;
}

learned_entry some_entry() {
  learned_entry out;
  out.entry = 17;
  out.principal = "alice";
  out.embedder = hash_bytes("embedder");
  out.seen = {{hit_features_of(0.9, 1, 2, 1), true}, {hit_features_of(0.5, 0, 0, 1), false}};
  return out;
}

} // namespace

TEST_CASE("a rule comes back from the store with its evidence", "[actors][learned]") {
  const auto row = to_row(some_rule());
  CHECK(row.entry == 0);
  auto back = rule_of(row);
  REQUIRE(back);
  CHECK(back->principal == "alice");
  CHECK(back->embedder == hash_bytes("embedder"));
  CHECK(back->counts == rule_counts{7, 6, 5, 4, 3, 2, 1});
  CHECK_FALSE(back->calibrator.open()); // until it is computed again
  back->calibrator.recompute(0.02);
  CHECK(back->calibrator.serves(0.9));
}

TEST_CASE("rules of different principals and embedders have rows of their own",
          "[actors][learned]") {
  auto one = some_rule(), other = some_rule();
  other.principal = "bob";
  CHECK(to_row(one).name != to_row(other).name);
  other = some_rule();
  other.embedder = hash_bytes("another");
  CHECK(to_row(one).name != to_row(other).name);
}

TEST_CASE("an entry comes back with what was seen of it", "[actors][learned]") {
  const auto row = to_row(some_entry());
  CHECK(row.entry == 17);
  const auto back = entry_of(row);
  REQUIRE(back);
  CHECK(back->entry == 17);
  CHECK(back->principal == "alice");
  REQUIRE(back->seen.size() == 2);
  CHECK(back->seen[0].right);
  CHECK(back->seen[0].x[1] == Approx(0.05));
  CHECK(back->seen[0].x[2] == 1);
  CHECK(back->seen[0].x[3] == 2);
  CHECK_FALSE(back->seen[1].right);
}

TEST_CASE("bytes that are no such row are left out", "[actors][learned]") {
  for (const auto& row : {to_row(some_rule()), to_row(some_entry())})
    for (std::size_t n = 0; n < row.bytes.size(); n += 7) {
      auto cut = row;
      cut.bytes.resize(n);
      CHECK_FALSE(rule_of(cut));
      CHECK_FALSE(entry_of(cut));
    }
  auto other_version = to_row(some_rule());
  other_version.bytes[0] = 9;
  CHECK_FALSE(rule_of(other_version));
  auto not_finite = some_entry();
  not_finite.seen[0].x[1] = INFINITY;
  CHECK_FALSE(entry_of(to_row(not_finite)));
}
