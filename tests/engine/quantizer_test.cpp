// SPDX-License-Identifier: MIT
#include "engine/quantizer.h"
#include "tests/support/fixtures.h"
#include "tests/support/scratch_folder.h"

#include <catch2/catch.hpp>

#include <cmath>
#include <limits>
#include <random>

using namespace bitnetd;
using namespace bitnetd::engine;

namespace {

std::vector<std::int8_t> random_codes(std::size_t n, std::uint32_t seed) {
  std::mt19937 random{seed};
  std::vector<std::int8_t> t(n);
  for (auto& value : t)
    value = static_cast<std::int8_t>(static_cast<int>(random() % 3) - 1);
  return t;
}

} // namespace

TEST_CASE("absmean rounds half to even at half the scale", "[engine][quantizer]") {
  // mean|W| = 1: 0.5 is the tie and goes to 0, a little more to 1, -1.5 is clamped.
  const std::vector<float> w = {0.5f, -0.5f, 0.75f, -1.5f, 2.25f, 0.0f, 1.0f, -1.5f};
  const auto out = ternarise(w, 2, 4, ternary_threshold::absmean);
  CHECK(out.t == std::vector<std::int8_t>{0, 0, 1, -1, 1, 0, 1, -1});
  CHECK(out.row_scales == std::vector<float>{1.0f, 1.0f});
}

TEST_CASE("absmean of zeros keeps the published floor of the scale", "[engine][quantizer]") {
  const auto out = ternarise(std::vector<float>(4, 0.0f), 1, 4, ternary_threshold::absmean);
  CHECK(out.t == std::vector<std::int8_t>{0, 0, 0, 0});
  CHECK(out.row_scales[0] == 1e-5f);
}

TEST_CASE("the threshold form keeps what exceeds 0.7 of the mean, per tensor or per row",
          "[engine][quantizer]") {
  const std::vector<float> w = {4.0f, -4.0f, 2.0f, 0.0f, 1.0f, -1.0f, 0.5f, -0.5f};
  // Tensor: mean 13/8 = 1.625, threshold 1.1375; kept 4, 4, 2 with mean 10/3.
  const auto tensor = ternarise(w, 2, 4, ternary_threshold::twn_tensor);
  CHECK(tensor.t == std::vector<std::int8_t>{1, -1, 1, 0, 0, 0, 0, 0});
  CHECK(tensor.row_scales[0] == Approx(10.0 / 3));
  CHECK(tensor.row_scales[1] == tensor.row_scales[0]);
  // Rows: means 2.5 and 0.75, thresholds 1.75 and 0.525; kept means 10/3 and 1.
  const auto rows = ternarise(w, 2, 4, ternary_threshold::twn_row);
  CHECK(rows.t == std::vector<std::int8_t>{1, -1, 1, 0, 1, -1, 0, 0});
  CHECK(rows.row_scales[0] == Approx(10.0 / 3));
  CHECK(rows.row_scales[1] == 1.0f);
}

TEST_CASE("what the ternary writers store is read back unchanged", "[engine][quantizer]") {
  for (const auto type : {tensor_type::i2_s, tensor_type::tq1_0, tensor_type::tq2_0}) {
    INFO(info(type).name);
    const std::size_t rows = 8, cols = 768;
    auto t = random_codes(rows * cols, 5);
    std::fill_n(t.begin(), 256, std::int8_t{0}); // a whole block of zeros
    const auto raw = encode_ternary(type, t, rows, cols, 0.0625f);
    std::vector<std::int8_t> back(t.size());
    std::vector<float> scales(rows);
    REQUIRE(decode_ternary(type, raw, rows, cols, back.data(), scales.data()) ==
            ternary_error::no_error);
    CHECK(back == t);
    CHECK(scales == std::vector<float>(rows, 0.0625f));
  }
}

TEST_CASE("the ternary writers give the bytes of the projects that own the formats",
          "[engine][quantizer]") {
  const auto folder = tests::fixtures();
  if (!folder)
    return;
  const std::pair<const char*, tensor_type> cases[] = {
      {"i2_s", tensor_type::i2_s}, {"tq1_0", tensor_type::tq1_0}, {"tq2_0", tensor_type::tq2_0}};
  for (const auto& [name, type] : cases) {
    INFO(name);
    const auto text = tests::read_bytes(*folder / "codecs" / (std::string{name} + ".bin"));
    const auto raw = std::as_bytes(std::span{text.data(), text.size()});
    const std::size_t rows = 4, cols = 512;
    std::vector<std::int8_t> t(rows * cols);
    std::vector<float> scales(rows);
    REQUIRE(decode_ternary(type, raw, rows, cols, t.data(), scales.data()) ==
            ternary_error::no_error);
    const auto again = encode_ternary(type, t, rows, cols, scales[0]);
    CHECK(std::equal(again.begin(), again.end(), raw.begin(), raw.end()));
  }
}

TEST_CASE("a dense matrix of -a, 0 and a is recognised exactly", "[engine][quantizer]") {
  CHECK(dense_is_ternary(std::vector<float>{0.5f, 0.0f, -0.5f, -0.0f}) == 0.5f);
  CHECK(dense_is_ternary(std::vector<float>{0.0f, -0.0f}) == 1.0f);
  CHECK_FALSE(dense_is_ternary(std::vector<float>{0.5f, std::nextafter(0.5f, 1.0f)}).has_value());
  CHECK_FALSE(dense_is_ternary(std::vector<float>{std::nanf("")}).has_value());
  CHECK_FALSE(
      dense_is_ternary(std::vector<float>{std::numeric_limits<float>::infinity()}).has_value());
}
