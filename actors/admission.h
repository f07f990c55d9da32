// SPDX-License-Identifier: MIT
#pragma once

#include "base/hash.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace bitnetd::actors {

/// Whether an answer is worth room in a full cache: what is asked a second time is, and what is
/// expensive. Questions that are asked once, however many, push nothing out.
///
/// How often something was asked is counted in a sketch (count-min, Cormode and Muthukrishnan 2005)
/// of 64 KiB that is halved now and then, as TinyLFU does (Einziger et al. 2017): it may take a
/// first request for a second one, never a second for a first, until it is halved.
class admission {
public:
  admission();

  /// Somebody asks this.
  void asked(const hash128& partition, const hash128& key);
  /// It is computed for this long, by prediction: what the expensive ones are measured by.
  void computes(double predicted_ms);

  /// Whether its answer may take another's room: asked before, or among the dearest quarter of the
  /// last 256. The request itself was told to `asked`.
  [[nodiscard]] bool admits(const hash128& partition, const hash128& key,
                            double predicted_ms) const;
  /// How often it was asked of late, itself included; at most 255.
  [[nodiscard]] unsigned times(const hash128& partition, const hash128& key) const;

private:
  static constexpr std::size_t n_rows = 4, width = 16384, halve_after = 10 * width, n_costs = 256;
  [[nodiscard]] static std::array<std::size_t, n_rows> places(const hash128& partition,
                                                              const hash128& key);

  std::vector<std::uint8_t> counts_;
  std::size_t since_halved_ = 0;
  std::vector<double> costs_; ///< the last n_costs, in a ring
  std::size_t next_cost_ = 0;
};

} // namespace bitnetd::actors
