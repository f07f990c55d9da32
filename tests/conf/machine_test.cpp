// SPDX-License-Identifier: MIT
#include "conf/machine.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <unistd.h>

using namespace bitnetd::conf;

TEST_CASE("the kernel's lists of numbers are read", "[conf][machine]") {
  CHECK(read_number_list("0\n") == std::vector{0});
  CHECK(read_number_list("0-3,8,10-11\n") == std::vector{0, 1, 2, 3, 8, 10, 11});
  for (const auto* text :
       {"", "\n", "x", "3-1", "0-", "-1", "0,,1", "0 1", "0-70000", "0-99999999999999999999"}) {
    INFO(text);
    CHECK(read_number_list(text).empty());
  }
}

TEST_CASE("this machine has CPUs, a memory node and memory", "[conf][machine]") {
  const auto here = this_machine();
  CHECK(here.cpus.size() == static_cast<std::size_t>(::sysconf(_SC_NPROCESSORS_ONLN)));
  CHECK(std::is_sorted(here.cpus.begin(), here.cpus.end()));
  CHECK_FALSE(here.memory_nodes.empty());
  CHECK(here.memory_bytes > (64u << 20));
}
