// SPDX-License-Identifier: MIT
#include "store/segment_file.h"
#include "store/segmented_index.h"
#include "tests/support/scratch_folder.h"

#include <catch2/catch.hpp>

#include <chrono>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <thread>

using namespace bitnetd;
using namespace bitnetd::store;
namespace fs = std::filesystem;

namespace {

constexpr std::size_t dimension = 48;

std::vector<float> around(std::mt19937& random, const std::vector<float>& centre, float spread) {
  std::normal_distribution<float> noise(0, spread);
  auto out = centre;
  for (auto& x : out)
    x += noise(random);
  return out;
}

/// Vectors in groups, as questions are.
std::vector<std::vector<float>> grouped(std::size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::vector<float>> centres, out;
  for (int i = 0; i < 20; ++i)
    centres.push_back(around(random, std::vector<float>(dimension, 0.0f), 1));
  for (std::size_t i = 0; i < n; ++i)
    out.push_back(around(random, centres[random() % centres.size()], 0.4f));
  return out;
}

struct workplace {
  std::shared_ptr<segment_workshop> shop = std::make_shared<segment_workshop>();
  std::vector<std::vector<float>> vectors = grouped(3000, 1);

  workplace() { shop->niceness = 0; } // a busy machine must not starve the build for minutes

  [[nodiscard]] quantized_vector row(std::size_t i) const { return *quantize(vectors[i]); }
  void add(segmented_index& to, std::size_t from, std::size_t end) const {
    for (auto i = from; i < end; ++i)
      REQUIRE(to.add(i + 1, row(i)).ok()); // entry ids begin at one
  }
};

std::vector<neighbour> found_by(const segmented_index& index, std::span<const float> query,
                                std::size_t k) {
  auto found = index.search(query, k);
  REQUIRE(found.ok());
  return std::move(*found);
}

/// Until nothing is built and nothing is due.
void finish(segmented_index& index) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::minutes{5};
  do {
    index.settle();
    REQUIRE(std::chrono::steady_clock::now() < limit);
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  } while (index.is_building());
}

/// Beside each of these rows the index finds what a flat search of all `held` finds.
void check_near(const segmented_index& index, const workplace& place,
                const std::set<std::size_t>& held) {
  vector_index flat(dimension);
  for (const auto i : held)
    REQUIRE(flat.add(i + 1, place.row(i)).ok());
  std::mt19937 random(7);
  std::size_t asked = 0, same = 0;
  for (const auto i : held) {
    if (++asked > 300)
      break;
    const auto query = around(random, place.vectors[i], 0.01f);
    const auto expected = flat.search(query, 1), found = index.search(query, 1);
    REQUIRE(found.ok());
    REQUIRE(found->size() == 1);
    same += found->front().entry == expected->front().entry &&
            found->front().cosine == Approx(expected->front().cosine).margin(1e-6);
  }
  CHECK(same >= std::min<std::size_t>(asked, 300) * 999 / 1000);
}

std::set<std::size_t> numbers(std::size_t from, std::size_t end) {
  std::set<std::size_t> out;
  for (auto i = from; i < end; ++i)
    out.insert(i);
  return out;
}

} // namespace

TEST_CASE("a tail becomes a segment, and everything near is found before and after",
          "[store][segments]") {
  const workplace place;
  segmented_index index(dimension, place.shop, "p", 500);
  place.add(index, 0, 400);
  finish(index);
  CHECK(index.segments() == 0); // small ones stay flat
  place.add(index, 400, 700);
  index.settle();
  check_near(index, place, numbers(0, 700)); // while it is built, or just after
  finish(index);
  CHECK(index.segments() == 1);
  CHECK(index.sealed_rows() == 700);
  CHECK(index.size() == 700);
  check_near(index, place, numbers(0, 700));
  place.add(index, 700, 800); // in the tail again
  CHECK(index.sealed_rows() == 700);
  CHECK(index.size() == 800);
  check_near(index, place, numbers(0, 800));
}

TEST_CASE("the k nearest of tail and segments come in one order", "[store][segments]") {
  const workplace place;
  segmented_index index(dimension, place.shop, "p", 500);
  place.add(index, 0, 600);
  finish(index);
  place.add(index, 600, 900);
  const auto found = index.search(place.vectors[10], 20);
  REQUIRE(found.ok());
  REQUIRE(found->size() == 20);
  CHECK(found->front().entry == 11);
  std::set<std::uint64_t> once;
  for (std::size_t i = 0; i < found->size(); ++i) {
    once.insert((*found)[i].entry);
    if (i > 0)
      CHECK_FALSE(nearer((*found)[i], (*found)[i - 1]));
  }
  CHECK(once.size() == 20);
}

TEST_CASE("what is removed is not found, in the tail, in a segment and while one is built",
          "[store][segments]") {
  const workplace place;
  segmented_index index(dimension, place.shop, "p", 500);
  place.add(index, 0, 800);
  index.settle(); // being built
  auto held = numbers(0, 800);
  for (std::size_t i = 0; i < 50; ++i) {
    CHECK(index.remove(i + 1));
    held.erase(i);
  }
  finish(index);
  CHECK(index.size() == 750);
  check_near(index, place, held);
  for (std::size_t i = 100; i < 200; ++i) {
    CHECK(index.remove(i + 1));
    CHECK_FALSE(index.remove(i + 1));
    held.erase(i);
  }
  CHECK(index.size() == 650);
  check_near(index, place, held);
  for (std::size_t i = 0; i < 200; ++i)
    for (const auto& one : found_by(index, place.vectors[i], 8))
      CHECK(held.contains(one.entry - 1));
}

TEST_CASE("a segment with 30 % of its rows removed is made anew", "[store][segments]") {
  const workplace place;
  segmented_index index(dimension, place.shop, "p", 500);
  place.add(index, 0, 600);
  finish(index);
  const auto full = index.bytes();
  auto held = numbers(0, 600);
  for (std::size_t i = 0; i < 180; ++i) {
    index.remove(i + 1);
    held.erase(i);
  }
  index.settle();
  CHECK_FALSE(index.is_building()); // exactly 30 %
  index.remove(181);
  held.erase(180);
  finish(index);
  CHECK(index.segments() == 1);
  CHECK(index.sealed_rows() == 419);
  CHECK(index.bytes() < full * 8 / 10);
  check_near(index, place, held);
  for (const auto i : held)
    index.remove(i + 1);
  CHECK(index.segments() == 0);
  CHECK(index.size() == 0);
  CHECK(index.search(place.vectors[0], 3)->empty());
}

TEST_CASE("a fifth segment makes one of all", "[store][segments]") {
  const workplace place;
  segmented_index index(dimension, place.shop, "p", 300);
  for (std::size_t i = 0; i < 4; ++i) {
    place.add(index, 300 * i, 300 * (i + 1));
    finish(index);
    CHECK(index.segments() == i + 1);
  }
  place.add(index, 1200, 1500);
  finish(index);
  CHECK(index.segments() == 1);
  CHECK(index.sealed_rows() == 1500);
  check_near(index, place, numbers(0, 1500));
}

TEST_CASE("one segment is built at a time", "[store][segments]") {
  const workplace place;
  segmented_index one(dimension, place.shop, "a", 500), other(dimension, place.shop, "b", 500);
  place.add(one, 0, 1500);
  place.add(other, 0, 600);
  one.settle();
  REQUIRE(one.is_building());
  other.settle();
  CHECK_FALSE(other.is_building());
  finish(one);
  finish(other);
  CHECK(other.segments() == 1);
}

TEST_CASE("an index that ends stops its build and lets others begin", "[store][segments]") {
  const workplace place;
  {
    segmented_index one(dimension, place.shop, "a", 500);
    place.add(one, 0, 3000);
    one.settle();
    REQUIRE(one.is_building());
  }
  CHECK_FALSE(place.shop->busy);
}

TEST_CASE("vectors of another length, zero or NaN are refused", "[store][segments]") {
  const workplace place;
  segmented_index index(dimension, place.shop, "p", 500);
  place.add(index, 0, 600);
  finish(index);
  CHECK(index.add(9999, *quantize(std::vector<float>(7, 1.0f))).code() == errc::invalid);
  CHECK(index.search(std::vector<float>(7, 1.0f), 1).why().code() == errc::invalid);
  CHECK(index.search(std::vector<float>(dimension, 0.0f), 1).why().code() == errc::invalid);
  CHECK(index.search(std::vector<float>(dimension, NAN), 1).why().code() == errc::invalid);
}

// ---- saved segments

namespace {

struct saved_place : workplace {
  tests::scratch_folder folder;
  saved_place() { shop->directory = folder.path(); }

  /// An index with 700 sealed rows, as it was saved.
  void make() const {
    segmented_index index(dimension, shop, "p", 500);
    add(index, 0, 700);
    finish(index);
  }
  [[nodiscard]] fs::path header() const { return folder.path() / "p-1.segment"; }
  [[nodiscard]] std::size_t n_files() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator{}));
  }
};

} // namespace

TEST_CASE("a saved segment is taken up again", "[store][segments]") {
  const saved_place place;
  place.make();
  REQUIRE(fs::exists(place.header()));
  segmented_index index(dimension, place.shop, "p", 500);
  SECTION("with the same rows") {
    place.add(index, 0, 700);
    CHECK(index.load_saved() == 700);
    check_near(index, place, numbers(0, 700));
  }
  SECTION("rows that came later are in the tail, rows that went are gone") {
    place.add(index, 100, 900);
    CHECK(index.load_saved() == 600);
    CHECK(index.size() == 800);
    check_near(index, place, numbers(100, 900));
    for (std::size_t i = 0; i < 100; ++i)
      for (const auto& one : found_by(index, place.vectors[i], 8))
        CHECK(one.entry > 100);
  }
  SECTION("numbers of files go on") {
    place.add(index, 0, 1300);
    (void)index.load_saved();
    finish(index);
    CHECK(index.segments() == 2);
    CHECK(place.n_files() == 4);
  }
  SECTION("of another name it is left alone") {
    segmented_index other(dimension, place.shop, "q", 500);
    place.add(other, 0, 700);
    CHECK(other.load_saved() == 0);
    CHECK(place.n_files() == 2);
  }
}

TEST_CASE("a saved segment that does not agree with the store is removed", "[store][segments]") {
  const saved_place place;
  place.make();
  segmented_index index(dimension, place.shop, "p", 500);
  SECTION("other vectors under the same entries") {
    for (std::size_t i = 0; i < 700; ++i)
      REQUIRE(index.add(i + 1, place.row(i + 700)).ok());
  }
  SECTION("one of them") {
    place.add(index, 0, 699);
    REQUIRE(index.add(700, place.row(2000)).ok());
  }
  SECTION("none of its rows is there") { place.add(index, 700, 900); }
  CHECK(index.load_saved() == 0);
  CHECK(place.n_files() == 0);
  CHECK(index.size() >= 200);
}

TEST_CASE("a damaged segment is left out, wherever a byte is wrong", "[store][segments]") {
  const saved_place place;
  place.make();
  const auto damage = [&](const fs::path& file, std::size_t at) {
    std::fstream bytes(file, std::ios::binary | std::ios::in | std::ios::out);
    bytes.seekg(static_cast<std::streamoff>(at));
    const char was = static_cast<char>(bytes.get());
    bytes.seekp(static_cast<std::streamoff>(at));
    bytes.put(static_cast<char>(was ^ 1));
  };
  const auto graph = graph_file_of(place.header());
  SECTION("in the header") { damage(place.header(), GENERATE(0, 18, 25, 40, 5000)); }
  SECTION("in the graph") { damage(graph, GENERATE(0, 90, 100'000)); }
  SECTION("the header cut") { fs::resize_file(place.header(), GENERATE(0, 300)); }
  SECTION("the graph cut") { fs::resize_file(graph, GENERATE(0, 5000)); }
  SECTION("no graph") { fs::remove(graph); }
  SECTION("no header: ended while it was written") { fs::remove(place.header()); }
  segmented_index index(dimension, place.shop, "p", 500);
  place.add(index, 0, 700);
  CHECK(index.load_saved() == 0);
  CHECK(place.n_files() == 0);
  CHECK(index.size() == 700);
  check_near(index, place, numbers(0, 700));
}

TEST_CASE("an old segment beside the one that replaced it counts once", "[store][segments]") {
  const saved_place place;
  place.make();
  const tests::scratch_folder aside;
  const auto kept = aside.path() / "kept";
  fs::copy(place.header(), kept);
  fs::copy(graph_file_of(place.header()), graph_file_of(kept));
  { // the same rows in a newer one; the old one is removed
    segmented_index index(dimension, place.shop, "p", 500);
    place.add(index, 0, 700);
    REQUIRE(index.load_saved() == 700);
    for (std::size_t i = 0; i < 250; ++i)
      index.remove(i + 1);
    finish(index);
    REQUIRE_FALSE(fs::exists(place.header()));
  }
  fs::copy(kept, place.header()); // the daemon ended before that
  fs::copy(graph_file_of(kept), graph_file_of(place.header()));
  segmented_index index(dimension, place.shop, "p", 500);
  place.add(index, 250, 700);
  CHECK(index.load_saved() == 450);
  CHECK(index.size() == 450);
  const auto found = index.search(place.vectors[400], 10);
  std::set<std::uint64_t> once;
  for (const auto& one : *found)
    once.insert(one.entry);
  CHECK(once.size() == found->size());
  check_near(index, place, numbers(250, 700));
}

TEST_CASE("where nothing can be written segments work without being saved", "[store][segments]") {
  const workplace place;
  place.shop->directory = "/proc/nothing/can/be/written/here";
  segmented_index index(dimension, place.shop, "p", 500);
  place.add(index, 0, 600);
  finish(index);
  CHECK(index.segments() == 1);
  check_near(index, place, numbers(0, 600));
}
