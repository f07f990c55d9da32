// SPDX-License-Identifier: MIT
#pragma once

#include "actors/wording.h"
#include "tests/bench/cachebench/policies.h"
#include "tests/bench/cachebench/stream.h"

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace bitnetd::bench {

/// Makes a unit vector of a text.
using embedder = std::function<std::vector<float>(const std::string&)>;

/// A stream with everything that does not depend on the rule, made once.
struct prepared_stream {
  stream what;
  std::vector<std::size_t> text_of;        ///< request -> text
  std::vector<std::vector<float>> vectors; ///< by text
  std::vector<actors::wording> wordings;   ///< by text
  bool knows_meaning = false;              ///< of the embedder
};
[[nodiscard]] prepared_stream prepare(stream what, const embedder& embed, bool knows_meaning);

/// What a rule came to on a stream. Repetitions letter by letter are the exact tier's and count
/// nowhere but in `exact`.
struct outcome {
  std::size_t exact = 0, asked = 0, eligible = 0, hits = 0, wrong = 0, entries = 0, labels = 0;
  std::map<std::string, std::size_t> wrong_by_kind;
  std::array<double, 10> confidence_sum{}; ///< by decile of the confidence of hits
  std::array<std::size_t, 10> confidence_n{}, confidence_right{};

  [[nodiscard]] double hit_rate() const noexcept;
  [[nodiscard]] double wrong_share() const noexcept; ///< of hits
  /// Expected calibration error of the confidence of hits.
  [[nodiscard]] double calibration_error() const noexcept;
};

[[nodiscard]] outcome simulate(const family_file& from, const prepared_stream& on, policy& rule,
                               bool guards);

/// Upper end of the one-sided 95 % Clopper and Pearson interval.
[[nodiscard]] double upper95(std::size_t wrong, std::size_t n);

} // namespace bitnetd::bench
