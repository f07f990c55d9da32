// SPDX-License-Identifier: MIT
#include "tests/conformance/measure.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <stdexcept>

namespace bitnetd::conformance {

double relative_l2(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size())
    return HUGE_VAL;
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference += (double{a[i]} - double{b[i]}) * (double{a[i]} - double{b[i]});
    size += double{b[i]} * double{b[i]};
  }
  return difference == 0 ? 0 : std::sqrt(difference / size);
}

double cosine(std::span<const float> a, std::span<const float> b) {
  double product = 0, size_a = 0, size_b = 0;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    product += double{a[i]} * double{b[i]};
    size_a += double{a[i]} * double{a[i]};
    size_b += double{b[i]} * double{b[i]};
  }
  return product / std::sqrt(size_a * size_b);
}

std::size_t top1(std::span<const float> values) {
  return static_cast<std::size_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

double margin(std::span<const float> values) {
  float first = -HUGE_VALF, second = -HUGE_VALF;
  for (const float value : values) {
    second = std::max(second, std::min(first, value));
    first = std::max(first, value);
  }
  return double{first} - double{second};
}

std::string read_bytes(const std::filesystem::path& path) {
  std::ifstream in{path, std::ios::binary};
  if (!in)
    throw std::runtime_error{path.string() + ": cannot be read"};
  return {std::istreambuf_iterator<char>{in}, {}};
}

nlohmann::json read_json(const std::filesystem::path& path) {
  try {
    return nlohmann::json::parse(read_bytes(path));
  } catch (const nlohmann::json::exception& reason) {
    throw std::runtime_error{path.string() + ": " + reason.what()};
  }
}

} // namespace bitnetd::conformance
