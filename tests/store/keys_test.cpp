// SPDX-License-Identifier: MIT
#include "store/jobs_columns.h"
#include "store/keys.h"
#include "tests/store/store_support.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <limits>
#include <random>
#include <tuple>
#include <vector>

using namespace bitnetd;
using namespace bitnetd::store;

namespace {

std::mt19937_64& random_source() {
  static std::mt19937_64 source(7);
  return source;
}

/// Short texts over an alphabet that holds the bytes with a meaning of their own.
std::string random_text() {
  constexpr std::string_view alphabet{"\0\1ab\xFE\xFF", 6};
  std::string out;
  for (auto n = random_source()() % 5; n > 0; --n)
    out.push_back(alphabet[random_source()() % alphabet.size()]);
  return out;
}

std::int64_t random_time() {
  const auto shift = random_source()() % 64;
  return static_cast<std::int64_t>(random_source()()) >> shift;
}

job_id random_id() {
  job_id id;
  for (auto& byte : id.bytes)
    byte = static_cast<std::uint8_t>(random_source()());
  return id;
}

} // namespace

TEST_CASE("the order of keys is the order of what they mean", "[store][keys]") {
  using meaning = std::tuple<std::uint8_t, std::int64_t, std::string, std::uint32_t, job_id>;
  std::vector<std::pair<meaning, std::string>> all;
  for (int i = 0; i < 600; ++i) {
    const meaning one{static_cast<std::uint8_t>(random_source()() % 3), random_time(),
                      random_text(), static_cast<std::uint32_t>(random_source()() >> (i % 64)),
                      random_id()};
    all.emplace_back(one, key_writer()
                              .byte(std::get<0>(one))
                              .time(std::get<1>(one))
                              .text(std::get<2>(one))
                              .number(std::get<3>(one))
                              .id(std::get<4>(one))
                              .take());
  }
  for (const auto& a : all)
    for (const auto& b : all)
      REQUIRE((a.first < b.first) == (a.second < b.second));
}

TEST_CASE("texts in keys sort as texts, whatever follows them", "[store][keys]") {
  for (int i = 0; i < 20'000; ++i) {
    const auto a = random_text(), b = random_text();
    const auto key = [](const std::string& text) {
      return key_writer().text(text).number(static_cast<std::uint64_t>(random_source()())).take();
    };
    if (a != b)
      REQUIRE((a < b) == (key(a) < key(b)));
  }
}

TEST_CASE("a key is read back as it was written", "[store][keys]") {
  for (int i = 0; i < 2000; ++i) {
    const auto text = random_text();
    const auto time = random_time();
    const auto id = random_id();
    const auto wide = random_source()();
    const auto hash = hash_bytes(text);
    const auto key = key_writer()
                         .text(text)
                         .time(time)
                         .id(id)
                         .number(static_cast<std::uint64_t>(wide))
                         .hash(hash)
                         .rest("tail")
                         .take();
    key_reader reader(key);
    REQUIRE(reader.text() == text);
    REQUIRE(reader.time() == time);
    REQUIRE(reader.id() == id);
    REQUIRE(reader.number64() == wide);
    REQUIRE(reader.hash() == hash);
    REQUIRE(reader.rest() == "tail");
    REQUIRE(reader.done());
    for (std::size_t cut = 0; cut + 4 < key.size(); ++cut) {
      key_reader torn(std::string_view(key).substr(0, cut));
      (void)torn.text();
      (void)torn.time();
      (void)torn.id();
      (void)torn.number64();
      (void)torn.hash();
      REQUIRE_FALSE(torn.done());
    }
  }
}

TEST_CASE("the end of a prefix is above all that starts with it and below all else above it",
          "[store][keys]") {
  CHECK(prefix_end("ab") == "ac");
  CHECK(prefix_end("a\xFF\xFF") == "b");
  CHECK(prefix_end("\xFF\xFF").empty());
  for (int i = 0; i < 5000; ++i) {
    const auto prefix = random_text(), key = random_text();
    const auto end = prefix_end(prefix);
    const bool in_range = key >= prefix && (end.empty() || key < end);
    REQUIRE(in_range == (key.compare(0, prefix.size(), prefix) == 0));
  }
}

TEST_CASE("open jobs sort by class, deadline with none last, principal, id", "[store][keys]") {
  std::vector<open_job> jobs;
  for (int i = 0; i < 500; ++i) {
    open_job job;
    job.cls = static_cast<job_class>(random_source()() % n_job_classes);
    job.deadline_us = i % 3 == 0 ? 0 : static_cast<std::int64_t>(random_source()() % 5) + 1;
    job.principal = random_text() + "p";
    job.not_before_us = static_cast<std::int64_t>(random_source()() % 1000);
    job.id = random_id();
    jobs.push_back(job);
  }
  const auto rank = [](const open_job& job) {
    const auto deadline =
        job.deadline_us == 0 ? std::numeric_limits<std::int64_t>::max() : job.deadline_us;
    return std::tuple(job.cls, deadline, job.principal, job.id);
  };
  for (const auto& a : jobs) {
    const auto read = jobs::read_open(jobs::open_key(a), jobs::open_value(a));
    REQUIRE(read);
    REQUIRE(*read == a);
    for (const auto& b : jobs)
      REQUIRE((rank(a) < rank(b)) == (jobs::open_key(a) < jobs::open_key(b)));
  }
}

TEST_CASE("a row of the order index that does not decode is corrupt", "[store][keys]") {
  const open_job job{tests::job_number(1), job_class::batch, 5, 6, "ann"};
  auto key = jobs::open_key(job);
  CHECK(jobs::read_open(key.substr(1), jobs::open_value(job)).why().code() == errc::corrupt);
  CHECK(jobs::read_open(key, "short").why().code() == errc::corrupt);
  key.front() = 4; // no such class
  CHECK(jobs::read_open(key, jobs::open_value(job)).why().code() == errc::corrupt);
}
