// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>

namespace bitnetd::bench {

/// A neighbour of a request. `right` is the truth: only the oracle may look at it before it has
/// decided, the others learn it of the answers they compute.
struct candidate {
  std::uint64_t entry = 0;
  double similarity = 0;
  std::size_t replaced = 0, added = 0, moved = 0; ///< content words
  bool right = false;
};

/// A rule that decides which similar request's answer is served. Told of every request in turn:
/// decide, and, when it does not serve, computed.
class policy {
public:
  virtual ~policy() = default;
  /// Index of the candidate to serve. They are sorted, nearest first, and at least one.
  virtual std::optional<std::size_t> decide(std::span<const candidate> near) = 0;
  /// The answer was computed. Whether the request becomes an entry of its own.
  virtual bool computed(std::span<const candidate> near) = 0;
  [[nodiscard]] virtual std::size_t labels() const { return 0; }
  /// Probability it gave its last decision, where it has one.
  [[nodiscard]] virtual std::optional<double> confidence() const { return {}; }
  /// The bound it claims for the share of wrong hits.
  [[nodiscard]] virtual std::optional<double> bound() const { return {}; }
};

/// Serves the nearest from this cosine on; adds every miss.
[[nodiscard]] std::unique_ptr<policy> static_threshold(double least);

/// vCache (Schroeder et al. 2025, arXiv 2502.03771): a sigmoid per entry, explored with the
/// probability that keeps the error of all requests below delta. Written from the mathematics. The
/// variance of a separable fit is 0.21 / n here. `add_every`: every computed request becomes an
/// entry, not only one whose neighbour was wrong.
[[nodiscard]] std::unique_ptr<policy> vcache(double delta, bool add_every, std::uint64_t seed);

/// Ours: actors/hit_rule.h. `false_wrong` and `false_right` are the judge's noise, known to it.
[[nodiscard]] std::unique_ptr<policy> trusted(double most_wrong, double false_wrong,
                                              double false_right, std::uint64_t seed);

/// Serves the first right candidate: what is possible at all with these neighbours.
[[nodiscard]] std::unique_ptr<policy> oracle();

} // namespace bitnetd::bench
