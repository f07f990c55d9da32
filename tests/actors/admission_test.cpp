// SPDX-License-Identifier: MIT
#include "actors/admission.h"

#include <catch2/catch.hpp>

#include <string>

using namespace bitnetd;
using namespace bitnetd::actors;

namespace {

const hash128 partition = hash_bytes("partition");

hash128 key_of(int number) { return hash_bytes("question " + std::to_string(number)); }

} // namespace

TEST_CASE("what is asked a second time is worth its room", "[actors][admission]") {
  admission room;
  room.asked(partition, key_of(1));
  CHECK(room.times(partition, key_of(1)) == 1);
  CHECK_FALSE(room.admits(partition, key_of(1), 10));
  room.asked(partition, key_of(1));
  CHECK(room.admits(partition, key_of(1), 10));
  CHECK_FALSE(room.admits(hash_bytes("another partition"), key_of(1), 10));
}

TEST_CASE("of a flood of single questions hardly one is taken for a repeated one",
          "[actors][admission]") {
  admission room;
  std::size_t admitted = 0;
  constexpr int n = 5000;
  for (int i = 0; i < n; ++i) {
    room.asked(partition, key_of(i));
    admitted += room.admits(partition, key_of(i), 10);
  }
  CHECK(admitted < n / 50);
}

TEST_CASE("the dearest quarter is worth its room at once", "[actors][admission]") {
  admission room;
  room.asked(partition, key_of(1));
  CHECK_FALSE(room.admits(partition, key_of(1), 1e9)); // nothing to compare with yet
  for (int i = 0; i < 256; ++i)
    room.computes(i);
  CHECK(room.admits(partition, key_of(1), 250));
  CHECK_FALSE(room.admits(partition, key_of(1), 150));
  for (int i = 0; i < 256; ++i) // what is dear is measured by the last ones
    room.computes(1000 + i);
  CHECK_FALSE(room.admits(partition, key_of(1), 250));
}

TEST_CASE("what was asked long ago counts less and less", "[actors][admission]") {
  admission room;
  for (int i = 0; i < 8; ++i)
    room.asked(partition, key_of(-1));
  CHECK(room.times(partition, key_of(-1)) == 8);
  for (int i = 0; i < 200'000; ++i) // everything is halved at least once
    room.asked(partition, key_of(i % 100));
  CHECK(room.times(partition, key_of(-1)) < 8);
  CHECK(room.times(partition, key_of(5)) == 255);
}
