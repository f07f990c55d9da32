// SPDX-License-Identifier: MIT
#include "actors/run_order.h"

#include <catch2/catch.hpp>

#include <map>
#include <string>

using namespace bitnetd;
using namespace bitnetd::actors;
using namespace std::chrono_literals;

namespace {

job_id numbered(std::uint8_t n) {
  job_id id;
  id.bytes[15] = n;
  return id;
}

waiting_job waiting(std::uint8_t n, job_class cls, mono_time arrived, double ms = 10,
                    std::string principal = "a") {
  return {numbered(n), std::move(principal), cls, arrived, std::nullopt, ms};
}

conf::profile_config weighted() {
  conf::profile_config profile;
  profile.classes["interactive"] = {8, std::chrono::seconds{30}};
  profile.classes["normal"] = {4, std::chrono::seconds{60}};
  profile.classes["batch"] = {2, std::chrono::seconds{60}};
  profile.classes["background"] = {1, std::chrono::seconds{600}};
  return profile;
}

const mono_time t0{1h};

} // namespace

TEST_CASE("classes share compute time by their weights while both wait", "[actors][run_order]") {
  run_order order;
  order.configure(weighted());
  std::uint8_t n = 0;
  for (int i = 0; i < 60; ++i) {
    order.push(waiting(n++, job_class::interactive, t0));
    order.push(waiting(n++, job_class::batch, t0));
  }
  std::map<bool, int> started; // by "is interactive"
  for (int i = 0; i < 50; ++i) {
    const auto next = order.next(t0);
    REQUIRE(next);
    ++started[next->id.bytes[15] % 2 == 0];
    order.start(next->id);
  }
  CHECK(started[true] == 40); // 8 : 2 of 50
  CHECK(started[false] == 10);
}

TEST_CASE("principals of one class share equally, whatever one of them floods",
          "[actors][run_order]") {
  run_order order;
  order.configure(weighted());
  for (std::uint8_t i = 0; i < 100; ++i)
    order.push(waiting(i, job_class::normal, t0, 10, "flood"));
  for (std::uint8_t i = 100; i < 110; ++i)
    order.push(waiting(i, job_class::normal, t0 + 1s, 10, "quiet"));
  int quiet = 0;
  for (int i = 0; i < 20; ++i) {
    const auto next = order.next(t0 + 1s);
    quiet += next->id.bytes[15] >= 100;
    order.start(next->id);
  }
  CHECK(quiet == 10);
}

TEST_CASE("a principal's weight is its share against the others", "[actors][run_order]") {
  run_order order;
  order.configure(weighted(), {{"heavy", conf::role::submit, 3, 0, 0, ""}});
  for (std::uint8_t i = 0; i < 100; ++i) {
    order.push(waiting(i, job_class::normal, t0, 10, "heavy"));
    order.push(waiting(static_cast<std::uint8_t>(100 + i), job_class::normal, t0, 10, "light"));
  }
  int heavy = 0;
  for (int i = 0; i < 40; ++i) {
    const auto next = order.next(t0);
    heavy += next->id.bytes[15] < 100;
    order.start(next->id);
  }
  CHECK(heavy == 30); // 3 : 1 of 40
}

TEST_CASE("what waited longer than its class allows goes before every class",
          "[actors][run_order]") {
  run_order order;
  order.configure(weighted());
  order.push(waiting(1, job_class::batch, t0));
  order.push(waiting(2, job_class::interactive, t0 + 61s));
  CHECK(order.next(t0 + 59s)->id != numbered(9));
  const auto next = order.next(t0 + 62s);
  CHECK(next->id == numbered(1));
  CHECK(next->reason == "waited longer than its class allows");
}

TEST_CASE("within a principal the earlier deadline goes first, then the shorter job",
          "[actors][run_order]") {
  run_order order;
  order.configure(weighted());
  order.push(waiting(1, job_class::normal, t0, 50));
  auto urgent = waiting(2, job_class::normal, t0, 50);
  urgent.deadline = t0 + 500ms;
  order.push(urgent);
  order.push(waiting(3, job_class::normal, t0, 5));
  std::string sequence;
  while (const auto next = order.next(t0)) {
    sequence += static_cast<char>('0' + next->id.bytes[15]);
    order.start(next->id);
  }
  CHECK(sequence == "231");
}

TEST_CASE("a passed deadline is taken out, once", "[actors][run_order]") {
  run_order order;
  auto job = waiting(1, job_class::normal, t0);
  job.deadline = t0 + 1s;
  order.push(job);
  order.push(waiting(2, job_class::normal, t0));
  CHECK(order.take_expired(t0 + 999ms).empty());
  CHECK(order.take_expired(t0 + 1s) == std::vector{numbered(1)});
  CHECK(order.take_expired(t0 + 2s).empty());
  CHECK(order.size() == 1);
}

TEST_CASE("a removed job is gone and its time with it", "[actors][run_order]") {
  run_order order;
  order.push(waiting(1, job_class::normal, t0, 30));
  order.push(waiting(2, job_class::background, t0, 12));
  CHECK(order.waiting_ms() == Approx(42));
  CHECK(order.remove(numbered(1)));
  CHECK_FALSE(order.remove(numbered(1)));
  CHECK(order.waiting_ms() == Approx(12));
  CHECK(order.next(t0)->id == numbered(2));
  CHECK(order.per_class() == std::array<std::size_t, 4>{0, 0, 0, 1});
}
