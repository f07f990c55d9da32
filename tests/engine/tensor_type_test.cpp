// SPDX-License-Identifier: MIT
#include "engine/tensor_type.h"
#include "tests/support/fixtures.h"
#include "tests/support/npy.h"
#include "tests/support/scratch_folder.h"

#include <catch2/catch.hpp>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

using namespace bitnetd;
using namespace bitnetd::engine;

namespace {

/// What a half means, by the definition of the format.
double half_value(unsigned h) {
  const double sign = (h & 0x8000u) != 0 ? -1 : 1;
  const int exponent = static_cast<int>((h >> 10) & 31u), mantissa = static_cast<int>(h & 1023u);
  return exponent == 0 ? sign * std::ldexp(mantissa, -24)
                       : sign * std::ldexp(1024 + mantissa, exponent - 25);
}

bool is_finite_half(unsigned h) { return (h & 0x7c00u) != 0x7c00u; }

std::vector<std::byte> bytes_of(const std::string& text) {
  const auto* begin = reinterpret_cast<const std::byte*>(text.data());
  return {begin, begin + text.size()};
}

std::vector<float> decode(tensor_type type, std::span<const std::byte> raw, std::uint64_t rows,
                          std::uint64_t cols, std::uint64_t first, std::uint64_t n) {
  std::vector<float> out(n * cols);
  decode_rows(type, raw, rows, cols, first, n, out.data());
  return out;
}

constexpr tensor_type all_types[] = {tensor_type::f32,    tensor_type::f16,    tensor_type::bf16,
                                     tensor_type::q4_0,   tensor_type::q8_0,   tensor_type::q4_k,
                                     tensor_type::q6_k,   tensor_type::tq1_0,  tensor_type::tq2_0,
                                     tensor_type::i2_s,   tensor_type::iq4_nl, tensor_type::q2_0,
                                     tensor_type::iq1_bn, tensor_type::iq2_bn};

} // namespace

TEST_CASE("every half becomes the float of the same value", "[engine][tensor_type]") {
  for (unsigned h = 0; h < 65'536; ++h) {
    const float value = half_to_float(static_cast<std::uint16_t>(h));
    if (is_finite_half(h)) {
      REQUIRE(static_cast<double>(value) == half_value(h));
      REQUIRE(std::signbit(value) == ((h & 0x8000u) != 0));
    } else {
      REQUIRE(std::isnan(value) == ((h & 1023u) != 0));
      REQUIRE_FALSE(std::isfinite(value));
    }
  }
}

TEST_CASE("floats become the nearest half, ties to even", "[engine][tensor_type]") {
  for (std::uint16_t h = 0; h < 0x7c00; ++h) {
    REQUIRE(float_to_half(half_to_float(h)) == h);
    REQUIRE(float_to_half(-half_to_float(h)) == (h | 0x8000));
    if (h == 0x7bff)
      break;
    // Exactly between two halves, and one float to either side of it.
    const auto middle = static_cast<float>((half_value(h) + half_value(h + 1u)) / 2);
    REQUIRE(float_to_half(middle) == (h % 2 == 0 ? h : h + 1));
    REQUIRE(float_to_half(std::nextafter(middle, 0.0f)) == h);
    REQUIRE(float_to_half(std::nextafter(middle, 1e9f)) == h + 1);
  }
  CHECK(float_to_half(65519.0f) == 0x7bff);
  CHECK(float_to_half(65520.0f) == 0x7c00);
  CHECK(float_to_half(-std::numeric_limits<float>::infinity()) == 0xfc00);
  CHECK(float_to_half(1e-10f) == 0);
  CHECK(std::isnan(half_to_float(float_to_half(std::nanf("")))));
}

TEST_CASE("tensor sizes follow the block layouts and never overflow", "[engine][tensor_type]") {
  CHECK(tensor_bytes(tensor_type::f32, 3, 5) == 60u);
  CHECK(tensor_bytes(tensor_type::q4_0, 2, 64) == 72u);
  CHECK(tensor_bytes(tensor_type::q8_0, 1, 32) == 34u);
  CHECK(tensor_bytes(tensor_type::q4_k, 2, 256) == 288u);
  CHECK(tensor_bytes(tensor_type::q6_k, 1, 512) == 420u);
  CHECK(tensor_bytes(tensor_type::tq1_0, 1, 256) == 54u);
  CHECK(tensor_bytes(tensor_type::tq2_0, 1, 256) == 66u);
  CHECK(tensor_bytes(tensor_type::i2_s, 4, 96) == 128u); // 384 / 4 + 32: groups run over rows
  CHECK(tensor_bytes(tensor_type::i2_s_lanes16, 1, 64) == 48u);
  CHECK(tensor_bytes(tensor_type::i2_s_rows4, 4, 3) == 35u);
  CHECK_FALSE(tensor_bytes(tensor_type::i2_s_rows4, 3, 4).has_value());
  CHECK(tensor_bytes(tensor_type::iq1_bn, 3, 128) == 3 * (2 + 26u));
  CHECK(tensor_bytes(tensor_type::iq2_bn, 3, 128) == 3 * (4 + 32u));
  CHECK(tensor_bytes(tensor_type::q2_0, 2, 64) == 36u);
  CHECK_FALSE(tensor_bytes(tensor_type::iq2_bn, std::uint64_t{1} << 57, 64).has_value());
  CHECK_FALSE(tensor_bytes(tensor_type::i2_s, 1, 64).has_value());
  CHECK_FALSE(tensor_bytes(tensor_type::q4_0, 2, 16).has_value());
  CHECK_FALSE(tensor_bytes(tensor_type::f32, 0, 16).has_value());
  CHECK_FALSE(tensor_bytes(tensor_type::f32, std::uint64_t{1} << 62, 1).has_value());
  CHECK_FALSE(tensor_bytes(tensor_type::i2_s, std::uint64_t{1} << 40, 1ull << 40).has_value());
}

TEST_CASE("only the ids that are read are known", "[engine][tensor_type]") {
  for (const auto type : all_types) {
    const auto* known = find_tensor_type(static_cast<std::uint32_t>(type));
    REQUIRE(known != nullptr);
    CHECK(known->type == type);
  }
  for (const std::uint32_t id : {3u, 31u, 37u, 38u, 39u, 335u, 0x10024u, 0x20024u, 0xffffffffu})
    CHECK(find_tensor_type(id) == nullptr);
}

TEST_CASE("any range of rows decodes as in the whole tensor", "[engine][tensor_type]") {
  std::mt19937 random{3};
  for (const auto type : all_types) {
    INFO(info(type).name);
    const std::uint64_t rows = 6, cols = type == tensor_type::i2_s ? 192 : 512;
    std::vector<std::byte> raw(*tensor_bytes(type, rows, cols));
    for (auto& byte : raw)
      byte = static_cast<std::byte>(random() & 0x3f); // finite scales, no code of 3 in the top
    const auto whole = decode(type, raw, rows, cols, 0, rows);
    for (std::uint64_t first = 0; first < rows; ++first) {
      const auto part = decode(type, raw, rows, cols, first, 2 - first / 5);
      REQUIRE(std::memcmp(part.data(), whole.data() + first * cols, part.size() * 4) == 0);
    }
  }
}

TEST_CASE("ternary decoding gives codes and one scale per row", "[engine][tensor_type]") {
  // Two rows of one TQ2_0 block each: all codes 2 with scale 0.5, all codes 0 with scale 2.
  std::string raw(132, '\xaa');
  std::fill_n(raw.begin() + 66, 64, '\0');
  const std::uint16_t half = 0x3800, two = 0x4000;
  std::memcpy(raw.data() + 64, &half, 2);
  std::memcpy(raw.data() + 130, &two, 2);
  std::vector<std::int8_t> t(512);
  float scales[2] = {};
  const auto run = [&] {
    return decode_ternary(tensor_type::tq2_0, bytes_of(raw), 2, 256, t.data(), scales);
  };
  REQUIRE(run() == ternary_error::no_error);
  CHECK(std::count(t.begin(), t.begin() + 256, 1) == 256);
  CHECK(std::count(t.begin() + 256, t.end(), -1) == 256);
  CHECK(scales[0] == 0.5f);
  CHECK(scales[1] == 2.0f);

  SECTION("a code of 3 is refused") {
    raw[70] = '\xc0';
    CHECK(run() == ternary_error::code_three);
  }
  SECTION("an infinite scale is refused") {
    raw[131] = '\x7c';
    raw[130] = '\0';
    CHECK(run() == ternary_error::scale_not_finite);
  }
  SECTION("a block with scale 0 holds zeros") {
    raw[64] = raw[65] = '\0';
    REQUIRE(run() == ternary_error::no_error);
    CHECK(std::count(t.begin(), t.begin() + 256, 0) == 256);
  }
  SECTION("blocks of one row with different scales have no row scale") {
    std::vector<std::int8_t> row(512);
    CHECK(decode_ternary(tensor_type::tq2_0, bytes_of(raw), 1, 512, row.data(), scales) ==
          ternary_error::mixed_scales);
  }
}

TEST_CASE("I2_S has the first lane in the high bits and one scale at the end",
          "[engine][tensor_type]") {
  // Rows of 96: the second row begins in the last lane of the first group.
  std::string raw(384 / 4 + 32, '\x55'); // all zeros
  raw[0] = '\x55' | '\x80';              // code 1 | 2 = 3 in lane 0: refused below
  const float scale = -1.5f;
  std::memcpy(raw.data() + 96, &scale, 4);
  std::vector<std::int8_t> t(384);
  float scales[4] = {};
  const auto run = [&] {
    return decode_ternary(tensor_type::i2_s, bytes_of(raw), 4, 96, t.data(), scales);
  };
  CHECK(run() == ternary_error::code_three);
  raw[0] = '\x95'; // lane 0: 2, lanes 1 to 3: 1
  raw[3] = '\x54'; // lane 3: 0
  REQUIRE(run() == ternary_error::no_error);
  CHECK(t[0] == 1);
  CHECK(t[96 + 3] == -1);
  CHECK(std::count(t.begin(), t.end(), 0) == 382);
  CHECK(scales[3] == -1.5f);
  CHECK(decode(tensor_type::i2_s, bytes_of(raw), 4, 96, 1, 1)[3] == 1.5f);
  const float infinite = std::numeric_limits<float>::infinity();
  std::memcpy(raw.data() + 96, &infinite, 4);
  CHECK(run() == ternary_error::scale_not_finite);
}

TEST_CASE("the other two I2_S layouts hold the same matrix in other places",
          "[engine][tensor_type]") {
  // Written here from their description, for a matrix whose codes all differ in pattern.
  constexpr std::size_t rows = 8, cols = 96;
  std::mt19937 random{7};
  std::vector<std::int8_t> t(rows * cols);
  for (auto& value : t)
    value = static_cast<std::int8_t>(static_cast<int>(random() % 3) - 1);
  const auto code = [&](std::size_t at) { return static_cast<unsigned>(t[at] + 1); };
  std::vector<std::byte> raw(t.size() / 4 + 32);
  const float scale = 0.75f;
  std::memcpy(raw.data() + t.size() / 4, &scale, sizeof scale);
  const auto layout = GENERATE(i2s_layout::lanes16, i2s_layout::rows4);
  for (std::size_t byte = 0; byte < t.size() / 4; ++byte) {
    const bool lanes = layout == i2s_layout::lanes16;
    const auto first = lanes ? byte / 16 * 64 + byte % 16 : byte / cols * 4 * cols + byte % cols;
    const auto step = lanes ? 16 : cols;
    raw[byte] = static_cast<std::byte>(code(first) << 6 | code(first + step) << 4 |
                                       code(first + 2 * step) << 2 | code(first + 3 * step));
  }
  std::vector<std::int8_t> decoded(t.size());
  std::vector<float> scales(rows);
  REQUIRE(decode_ternary(i2s_type(layout), raw, rows, cols, decoded.data(), scales.data()) ==
          ternary_error::no_error);
  CHECK(decoded == t);
  CHECK(scales == std::vector<float>(rows, scale));
  const auto values = decode(i2s_type(layout), raw, rows, cols, 5, 2);
  for (std::size_t i = 0; i < values.size(); ++i)
    REQUIRE(values[i] == scale * static_cast<float>(t[5 * cols + i]));
}

TEST_CASE("Q2_0 has four codes, lowest bits first, and 3 means +2", "[engine][tensor_type]") {
  std::string raw(18, '\0');
  raw[1] = '\x38'; // 0.5
  raw[2] = '\xe4'; // 0, 1, 2, 3 from the low bits up
  const auto values = decode(tensor_type::q2_0, bytes_of(raw), 1, 64, 0, 1);
  CHECK(std::vector<float>(values.begin(), values.begin() + 5) ==
        std::vector<float>{-0.5f, 0, 0.5f, 1, -0.5f});
}

TEST_CASE("IQ rows carry their own scale, which must be finite", "[engine][tensor_type]") {
  std::vector<std::byte> raw(2 * 20); // IQ2_BN: float, then 16 bytes
  const float scales[2] = {0.5f, -3.0f};
  std::memcpy(raw.data(), scales, 4);
  std::memcpy(raw.data() + 20, scales + 1, 4);
  raw[4] = std::byte{0x24}; // codes 0, 1, 2, 0 in the four lanes
  std::vector<std::int8_t> t(128);
  float got[2] = {};
  const auto run = [&] { return decode_ternary(tensor_type::iq2_bn, raw, 2, 64, t.data(), got); };
  REQUIRE(run() == ternary_error::no_error);
  CHECK(got[0] == 0.5f);
  CHECK(got[1] == -3.0f);
  CHECK(std::vector<std::int8_t>{t[0], t[16], t[32], t[48]} ==
        std::vector<std::int8_t>{-1, 0, 1, -1});
  raw[25] = std::byte{0xc0};
  CHECK(run() == ternary_error::code_three);
  raw[23] = std::byte{0x7f};
  raw[22] = std::byte{0x80};
  CHECK(run() == ternary_error::scale_not_finite);
}

TEST_CASE("decoded values equal those of the projects that wrote the bytes",
          "[engine][tensor_type]") {
  const auto folder = tests::fixtures();
  if (!folder)
    return;
  const std::pair<const char*, tensor_type> cases[] = {
      {"q4_0", tensor_type::q4_0},     {"q8_0", tensor_type::q8_0},
      {"q4_k", tensor_type::q4_k},     {"q6_k", tensor_type::q6_k},
      {"bf16", tensor_type::bf16},     {"f16", tensor_type::f16},
      {"tq1_0", tensor_type::tq1_0},   {"tq2_0", tensor_type::tq2_0},
      {"i2_s", tensor_type::i2_s},     {"iq4_nl", tensor_type::iq4_nl},
      {"iq1_bn", tensor_type::iq1_bn}, {"iq2_bn", tensor_type::iq2_bn}};
  for (const auto& [name, type] : cases) {
    INFO(name);
    const auto raw = bytes_of(tests::read_bytes(*folder / "codecs" / (std::string{name} + ".bin")));
    const auto expected =
        tests::read_npy<float>(*folder / "codecs" / (std::string{name} + ".values.npy"));
    const auto rows = expected.shape.at(0), cols = expected.shape.at(1);
    REQUIRE(raw.size() == tensor_bytes(type, rows, cols));
    const auto values = decode(type, raw, rows, cols, 0, rows);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const float want = expected.values[i];
      const float ulp = std::nextafter(std::fabs(want), 1e30f) - std::fabs(want);
      REQUIRE(std::fabs(values[i] - want) <= (info(type).ternary ? 0.0f : ulp));
    }
  }
}
