// SPDX-License-Identifier: MIT
#include "store/sign_table.h"

#include "store/dot_product.h"
#include "store/fine_query.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <utility>

namespace bitnetd::store {

namespace {

constexpr std::size_t n_planes = 24;
/// Of the least certain signs six are turned round alone, and three in pairs.
constexpr std::size_t turned_alone = 6, turned_in_pairs = 3;

} // namespace

sign_table::sign_table(std::size_t dimension)
    : stride_(padded(dimension)), planes_(n_planes * stride_, 0) {
  std::mt19937_64 random{0x5157}; // the same planes in every process and build
  for (std::size_t plane = 0; plane < n_planes; ++plane)
    for (std::size_t i = 0; i < dimension; ++i)
      planes_[plane * stride_ + i] =
          static_cast<std::int8_t>(static_cast<int>(random() % 255) - 127);
}

std::int32_t sign_table::product(std::size_t plane, const std::int8_t* row) const {
  return choose_row_dot()(planes_.data() + plane * stride_, row, stride_);
}

void sign_table::add(std::uint32_t slot, const std::int8_t* row) {
  place at{0, slot};
  for (std::size_t plane = 0; plane < n_planes; ++plane)
    at.signs |= static_cast<std::uint32_t>(product(plane, row) > 0) << plane;
  places_.push_back(at);
}

void sign_table::seal() {
  std::ranges::sort(places_);
  places_.shrink_to_fit();
}

std::vector<std::uint32_t> sign_table::find(const std::int8_t* row) const {
  std::uint32_t signs = 0;
  std::array<std::pair<std::int32_t, std::uint32_t>, n_planes>
      sure{}; // how far from the plane; bit
  for (std::size_t plane = 0; plane < n_planes; ++plane) {
    const auto from_plane = product(plane, row);
    const std::uint32_t bit = 1u << plane;
    signs |= from_plane > 0 ? bit : 0;
    sure[plane] = {std::abs(from_plane), bit};
  }
  std::ranges::partial_sort(sure, sure.begin() + turned_alone);

  std::vector<std::uint32_t> out;
  const auto look_under = [&](std::uint32_t looked_for) {
    auto at = std::ranges::lower_bound(places_, place{looked_for, 0});
    for (; at != places_.end() && at->signs == looked_for && out.size() < max_found; ++at)
      out.push_back(at->slot);
  };
  look_under(signs);
  for (std::size_t a = 0; a < turned_alone; ++a)
    look_under(signs ^ sure[a].second);
  for (std::size_t a = 0; a < turned_in_pairs; ++a)
    for (std::size_t b = 0; b < a; ++b)
      look_under(signs ^ sure[a].second ^ sure[b].second);
  return out;
}

std::size_t sign_table::bytes() const noexcept {
  return planes_.capacity() + places_.capacity() * sizeof(place);
}

} // namespace bitnetd::store
