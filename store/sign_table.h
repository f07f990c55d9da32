// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace bitnetd::store {

/// Finds rows that lie in nearly the direction of a query without walking a graph: in one of a
/// million rows the walk passes by what is near in some searches of a hundred, whose links all lead
/// elsewhere.
///
/// Method   each row under the signs of its products with 24 random planes (Charikar 2002,
///          doi:10.1145/509907.509965); a query looks under its own signs and under those with the
///          least certain turned round (multi-probe: Lv et al. 2007, VLDB).
/// Memory   8 bytes per row.
/// Threads  filled and sealed by one, then only read, by any.
class sign_table {
public:
  static constexpr std::size_t max_found = 64;

  explicit sign_table(std::size_t dimension);

  /// `row` is padded (fine_query.h), as all rows here.
  void add(std::uint32_t slot, const std::int8_t* row);
  void seal();

  /// Slots that may be near, each once, at most max_found. Sealed tables only.
  [[nodiscard]] std::vector<std::uint32_t> find(const std::int8_t* row) const;

  [[nodiscard]] std::size_t bytes() const noexcept;

private:
  struct place {
    std::uint32_t signs = 0, slot = 0;
    auto operator<=>(const place&) const = default;
  };
  [[nodiscard]] std::int32_t product(std::size_t plane, const std::int8_t* row) const;

  std::size_t stride_;
  std::vector<std::int8_t> planes_; ///< n_planes rows of stride_
  std::vector<place> places_;       ///< sealed: in order
};

} // namespace bitnetd::store
