// SPDX-License-Identifier: MIT
#include "engine/kernels/ternary_layout.h"
#include "engine/repack.h"
#include "engine/row_checksum.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstring>
#include <random>

using namespace bitnetd::engine;

namespace {

/// A tensor of a ternary type with random bytes, made valid: no code of 3, and scales of 1.5 but
/// for some TQ blocks, which have 0.
std::vector<std::byte> random_ternary(tensor_type type, std::size_t rows, std::size_t cols) {
  std::vector<std::byte> raw(tensor_bytes(type, rows, cols).value());
  std::mt19937 random{static_cast<std::uint32_t>(rows * cols)};
  const bool base3 = type == tensor_type::tq1_0 || type == tensor_type::iq1_bn;
  for (auto& byte : raw) {
    auto codes = random() & 255u;
    if (!base3)
      codes &= ~(codes >> 1 & 0x55u); // 3 becomes 2
    byte = static_cast<std::byte>(codes);
  }
  const float whole = 1.5f;
  const std::uint16_t half = 0x3e00, none = 0;
  const auto put = [&](std::size_t at, const auto& scale) {
    std::memcpy(raw.data() + at, &scale, sizeof scale);
  };
  const auto row_bytes = raw.size() / rows, block_bytes = std::size_t{info(type).block_bytes};
  if (info(type).has_tensor_scale())
    put(rows * cols / 4, whole);
  for (std::size_t at = 0; type == tensor_type::iq2_bn && at < raw.size(); at += row_bytes)
    put(at, whole);
  for (std::size_t at = 0; type == tensor_type::iq1_bn && at < raw.size(); at += row_bytes)
    put(at, half);
  if (type == tensor_type::tq1_0 || type == tensor_type::tq2_0)
    for (std::size_t at = block_bytes; at <= raw.size(); at += block_bytes)
      put(at - 2, at / block_bytes % 5 == 2 ? none : half);
  return raw;
}

void require_the_definition(tensor_type type, std::size_t rows, std::size_t cols) {
  CAPTURE(info(type).name, rows, cols);
  const auto raw = random_ternary(type, rows, cols);
  std::vector<std::int8_t> codes(rows * cols);
  std::vector<float> scales(rows), got_scales(rows);
  REQUIRE(decode_ternary(type, raw, rows, cols, codes.data(), scales.data()) ==
          ternary_error::no_error);
  std::vector<std::byte> packed(packed_bytes(rows, cols)), got(packed.size());
  const auto zeros = pack_ternary(codes, rows, cols, 0, packed);
  std::uint64_t checksum = 0;
  for (std::size_t row = 0; row < rows; ++row) {
    std::vector<std::uint32_t> words(ternary_row_words(cols), ternary_zero_word);
    words_of_codes(std::span{codes}.subspan(row * cols, cols), words.data());
    checksum += row_checksum(words, cols);
  }
  const auto facts = repack_ternary(type, raw, rows, cols, got);
  CHECK(got == packed);
  CHECK(facts.zeros == zeros);
  CHECK(zeros == static_cast<std::uint64_t>(std::ranges::count(codes, 0)));
  CHECK(facts.checksum == checksum);
  CHECK(ternary_scales(type, raw, rows, cols, got_scales) == ternary_error::no_error);
  CHECK(got_scales == scales);
}

} // namespace

TEST_CASE("repacking gives what decoding and packing give, in every layout and shape",
          "[engine][repack]") {
  using enum tensor_type;
  for (const auto type : {i2_s, i2_s_lanes16, i2_s_rows4, hf_packed, iq1_bn, iq2_bn, tq1_0, tq2_0})
    for (const auto& [rows, cols] : {std::pair<std::size_t, std::size_t>{4, 256}, {20, 512}})
      require_the_definition(type, rows, cols);
  for (const auto type : {iq1_bn, iq2_bn, i2_s_lanes16}) // groups of 64: half of what is padded to
    require_the_definition(type, 17, 192);
  for (const auto type : {i2_s, i2_s_lanes16, i2_s_rows4, hf_packed}) // rows that begin in a group
    require_the_definition(type, 36, 96);
  for (const auto type : {i2_s_rows4, hf_packed}) // no whole words
    require_the_definition(type, 32, 100);
  require_the_definition(i2_s, 16, 4224); // more lines than are counted at once
}

TEST_CASE("scales are refused without looking at codes", "[engine][repack]") {
  auto raw = random_ternary(tensor_type::tq2_0, 2, 512);
  float scales[2];
  const auto run = [&] { return ternary_scales(tensor_type::tq2_0, raw, 2, 512, scales); };
  REQUIRE(run() == ternary_error::no_error);
  const std::uint16_t other = 0x4000, infinite = 0x7c00;
  std::memcpy(raw.data() + 64, &other, 2);
  std::memcpy(raw.data() + 130, &other, 2);
  CHECK(run() == ternary_error::no_error);
  CHECK(scales[0] == 2.0f);
  const std::uint16_t half = 0x3e00;
  std::memcpy(raw.data() + 64, &half, 2);
  CHECK(run() == ternary_error::mixed_scales);
  std::memcpy(raw.data() + 64, &infinite, 2);
  CHECK(run() == ternary_error::scale_not_finite);
}
