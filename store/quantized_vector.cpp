// SPDX-License-Identifier: MIT
#include "store/quantized_vector.h"

#include "store/dot_product.h"
#include "store/fine_query.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace bitnetd::store {
namespace {

constexpr float query_limit = 8191;

/// The largest magnitude, if the vector can be quantized.
result<float> absmax(std::span<const float> vector) {
  if (vector.empty() || vector.size() > max_dimension)
    return status(errc::invalid, "a vector of " + std::to_string(vector.size()) +
                                     " values: expected 1 to " + std::to_string(max_dimension));
  float largest = 0;
  for (const auto value : vector) {
    if (!std::isfinite(value))
      return status(errc::invalid, "a vector holds NaN or infinity");
    largest = std::max(largest, std::fabs(value));
  }
  // Below the least normal number the division by it is no longer exact enough to round by.
  if (largest < 1e-30f)
    return status(errc::invalid, "a vector is zero");
  return largest;
}

template <class T> double norm(std::span<const T> values) {
  double sum = 0;
  for (const auto value : values)
    sum += static_cast<double>(value) * static_cast<double>(value);
  return std::sqrt(sum);
}

} // namespace

result<quantized_vector> quantize(std::span<const float> vector) {
  const auto largest = absmax(vector);
  if (!largest)
    return largest.why();
  quantized_vector out;
  out.scale = *largest / 127;
  out.values.reserve(vector.size());
  for (const auto value : vector)
    out.values.push_back(static_cast<std::int8_t>(std::lround(value / *largest * 127)));
  return out;
}

result<fine_query> refine(std::span<const float> query, std::size_t dimension) {
  const auto largest = absmax(query);
  if (!largest)
    return largest.why();
  if (query.size() != dimension)
    return status(errc::invalid, "a vector of " + std::to_string(query.size()) +
                                     " values: this index holds " + std::to_string(dimension));
  fine_query out;
  out.values.resize(padded(dimension), 0);
  for (std::size_t i = 0; i < query.size(); ++i)
    out.values[i] = static_cast<std::int16_t>(std::lround(query[i] / *largest * query_limit));
  out.inverse_norm = 1 / norm<std::int16_t>(out.values);
  return out;
}

std::size_t padded(std::size_t dimension) noexcept {
  return (dimension + dot_alignment - 1) / dot_alignment * dot_alignment;
}

double inverse_norm(std::span<const std::int8_t> row) noexcept { return 1 / norm(row); }

} // namespace bitnetd::store
