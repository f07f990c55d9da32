// SPDX-License-Identifier: MIT
#include "base/clock.h"
#include "store/job_id.h"

#include <catch2/catch.hpp>

#include <set>

using namespace bitnetd;
using namespace bitnetd::store;
using namespace std::chrono_literals;

namespace {

wall_time at_ms(std::uint64_t ms) { return wall_time{} + std::chrono::milliseconds(ms); }

} // namespace

TEST_CASE("the example of RFC 9562 is read and written", "[store][job_id]") {
  // Appendix A.6: 2022-02-22 19:22:22 GMT, 0x017F22E279B0 ms.
  const auto id = job_id::parse("017F22E2-79B0-7CC3-98C4-DC0C0C07398F");
  REQUIRE(id);
  CHECK(id->unix_ms() == 0x017F22E279B0);
  CHECK(id->text() == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
}

TEST_CASE("anything but a UUID of version 7 is not a job id", "[store][job_id]") {
  CHECK_FALSE(job_id::parse(""));
  CHECK_FALSE(job_id::parse("017f22e2-79b0-7cc3-98c4-dc0c0c07398"));   // short
  CHECK_FALSE(job_id::parse("017f22e2-79b0-7cc3-98c4-dc0c0c07398ff")); // long
  CHECK_FALSE(job_id::parse("017f22e279b0-7cc3-98c4-dc0c0c07398f0000"));
  CHECK_FALSE(job_id::parse("017f22e2-79b0-7cc3-98c4-dc0c0c07398g"));
  CHECK_FALSE(job_id::parse("017f22e2-79b0-4cc3-98c4-dc0c0c07398f")); // version 4
  CHECK_FALSE(job_id::parse("017f22e2-79b0-7cc3-18c4-dc0c0c07398f")); // another variant
  CHECK_FALSE(job_id::parse("00000000-0000-0000-0000-000000000000"));
}

TEST_CASE("ids rise within a millisecond and when the clock goes backwards", "[store][job_id]") {
  job_id_source source;
  std::set<std::string> texts;
  job_id last;
  const auto take = [&](wall_time now) {
    const auto id = source.next(now);
    REQUIRE(id > last);
    REQUIRE(job_id::parse(id.text()) == id);
    texts.insert(id.text());
    last = id;
  };
  for (int i = 0; i < 10'000; ++i) // more than the 4,096 that one millisecond holds
    take(at_ms(1'767'225'600'000));
  for (int i = 0; i < 100; ++i)
    take(at_ms(1'767'225'000'000)); // ten minutes back
  take(at_ms(1'767'225'700'000));
  CHECK(texts.size() == 10'101);
  CHECK(last.unix_ms() == 1'767'225'700'000);
}

TEST_CASE("ids go on above the newest one in the store", "[store][job_id]") {
  job_id_source before;
  const auto newest = before.next(at_ms(1'767'225'600'000));
  job_id_source after(newest);
  CHECK(after.next(at_ms(1'000)) > newest); // the clock was set to 1970 in between
}

TEST_CASE("two ids of the same millisecond differ in their random half", "[store][job_id]") {
  job_id_source a, b;
  const auto now = at_ms(1'767'225'600'000);
  CHECK(a.next(now) != b.next(now));
}
