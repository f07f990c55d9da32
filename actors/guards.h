// SPDX-License-Identifier: MIT
#pragma once

#include "actors/wording.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bitnetd::actors {

/// Why a similar question is not the same question. A cosine does not tell: "5 miles in km" and
/// "6 miles in km" are nearer to each other than most paraphrases.
enum class guard : std::uint8_t {
  numbers,
  negation,
  literals, ///< quotations, code, paths, addresses, options
  units,
  names,
  opposites,
  order, ///< the same things in other parts: from A to B, from B to A
  format,
  asks,     ///< why or who against something else
  replaced, ///< one word put in another's place
  length,
  language,
  volatility, ///< speaks of now: no answer but its own will do
  words,      ///< words of its own on each side, where the embedder knows nothing of meaning
};
inline constexpr std::size_t n_guards = 14;

/// The word in configuration, replies, metrics and logs.
[[nodiscard]] std::string_view to_string(guard which) noexcept;

/// A veto: which guard, and what it saw ("5 against 6").
struct veto {
  guard which = guard::numbers;
  std::string why;
};

/// The first guard, in the order above, by which these two may not share an answer; nothing when
/// all pass. It does not matter which of the two was asked first. `embedder_knows_meaning`: the
/// similarity that brought them together comes from a model; hashed n-grams cannot tell a synonym
/// from another word, so that there every exchanged word is a veto.
[[nodiscard]] std::optional<veto> find_veto(const wording& a, const wording& b,
                                            bool embedder_knows_meaning);

} // namespace bitnetd::actors
