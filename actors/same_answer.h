// SPDX-License-Identifier: MIT
#pragma once

#include <string_view>

namespace bitnetd::actors {

enum class answer_match { same, different, unknown };

/// Whether two answers say the same, as far as their words can tell: equal apart from case, spaces
/// and punctuation, or nearly the same words with the same numbers, negations, names and
/// quotations. What lies between is unknown: an audit does not count it.
[[nodiscard]] answer_match same_answer(std::string_view a, std::string_view b);

} // namespace bitnetd::actors
