// SPDX-License-Identifier: MIT
#include "store/disk_room.h"

#include <catch2/catch.hpp>

using namespace bitnetd::store;

TEST_CASE("a disk is short of bytes or of inodes, and says of which", "[store][disk_room]") {
  constexpr std::uint64_t mib = 1 << 20, reserve = 64 * mib;
  CHECK(disk_room{reserve, disk_room::reserved_files}.shortage(reserve).empty());
  CHECK(disk_room{reserve - 1, 1000}.shortage(reserve) ==
        "the journal's disk has 63 MiB left, less than limits.disk_reserve");
  CHECK(disk_room{10 * reserve, 63}.shortage(reserve) ==
        "the journal's disk has inodes for 63 files left, less than 64");
  CHECK(disk_room{0, 1000}.shortage(0).empty());
}

TEST_CASE("the room of a folder is that of its file system", "[store][disk_room]") {
  const auto here = std::filesystem::temp_directory_path();
  const auto room = room_on_disk(here);
  REQUIRE(room);
  const auto bytes = static_cast<double>(std::filesystem::space(here).available);
  CHECK(static_cast<double>(room->bytes) == Approx(bytes).epsilon(0.1)); // others write meanwhile
  CHECK(room->files > 0);
  CHECK_FALSE(room_on_disk(here / "there is no such folder"));
}
