// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace bitnetd::actors {

/// Rates at which the judge of audits errs: calls a right answer wrong, and a wrong one right.
struct judge_noise {
  double false_wrong = 0, false_right = 0;
};

/// What keeps the promise "at most this share of the hits is wrong": it knows nothing of how a
/// score came about, only how often answers with such a score were wrong when it was looked up.
/// From that it takes the lowest score at which an upper bound on the share of wrong answers holds,
/// and no score at all while there is too little evidence.
class hit_calibrator {
public:
  /// A decision with this score was made; whatever came of it.
  void decided(double score);
  /// One of them was computed all the same and compared. Which ones are, may depend on the score,
  /// but on nothing else.
  void audited(double score, bool wrong);

  /// Takes the lowest score whose bound is <= most_wrong; none below 0.5.
  void recompute(double most_wrong, const judge_noise& noise = {}) noexcept;

  /// Whether a hit with this score may be served. Never before recompute found a score.
  [[nodiscard]] bool serves(double score) const noexcept { return open_ && score >= least_; }
  [[nodiscard]] bool open() const noexcept { return open_; }
  [[nodiscard]] double least_score() const noexcept { return open_ ? least_ : 1.0; }
  /// Upper bound (99 %) on the share of wrong answers among hits; 1 while closed.
  [[nodiscard]] double bound() const noexcept { return open_ ? bound_ : 1.0; }
  /// The share itself, as measured.
  [[nodiscard]] double measured() const noexcept { return open_ ? measured_ : 0.0; }
  /// As many audits of a plain sample would prove as much.
  [[nodiscard]] double effective_audits() const noexcept { return effective_; }
  /// Share of the neighbours with evidence that would be served.
  [[nodiscard]] double share_served() const noexcept { return share_; }

  /// Fixed bytes for the store, and back; false for bytes that are not a calibrator's.
  [[nodiscard]] std::string encode() const;
  [[nodiscard]] bool decode(std::string_view bytes);

  static constexpr std::size_t n_bins = 80;

private:
  /// Decisions, audits and wrong ones among these, all fading with age.
  struct bin {
    double decided = 0, audited = 0, wrong = 0;
  };
  void fade();

  std::array<bin, n_bins> bins_{};
  double since_fade_ = 0;
  bool open_ = false;
  double least_ = 1, bound_ = 1, measured_ = 0, effective_ = 0, share_ = 0;
};

/// Upper end of the one-sided Wilson interval: `wrong` of `seen`, z standard deviations.
[[nodiscard]] double wilson_upper(double wrong, double seen, double z) noexcept;

} // namespace bitnetd::actors
