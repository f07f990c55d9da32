// SPDX-License-Identifier: MIT
#pragma once

#include "actors/wording.h"

#include <optional>
#include <string>
#include <vector>

namespace bitnetd::actors {

// What is denied in a text, and whether two texts deny the same.

/// Takes negations that deny nothing for plain words: those of a question tag ("…, isn't it?"), of
/// an offered alternative ("or not", "whether or not"), and "not only". For `wording_of`.
void drop_idle_negations(std::vector<word>& words);

/// What keeps them apart: one denies more often than the other, or they deny each other's words
/// ("fly but not swim", "swim but not fly"), or one writes a word with a prefix or ending that
/// denies it ("unsafe", "seedless") where the other has the bare one.
[[nodiscard]] std::optional<std::string> negation_differs(const wording& a, const wording& b);

} // namespace bitnetd::actors
