// SPDX-License-Identifier: MIT
#pragma once

#include "actors/messages.h"

#include <string>
#include <string_view>
#include <vector>

namespace bitnetd::actors {

/// Checks a computed answer before it is delivered and kept. Returns the names of the checks that
/// failed; empty: all passed.
///
///   utf8         the text is valid UTF-8
///   empty        a completion with tokens asked for has text, an embedding has values
///   finish       the reason is stop or length, and length means that max_tokens were drawn
///   numeric      log-probability and embedding are finite; an embedding has length 1
///   repetition   the end of the text does not repeat one short piece over and over
///   logprob      the mean log-probability is above the floor: the model was not guessing blindly
///   usage        the token counts agree with what was drawn
[[nodiscard]] std::vector<std::string> failed_checks(const answer& what, const traits& how,
                                                     job_kind kind);

/// Whether the last half of a text of at least 64 bytes is one piece of at most 32 bytes, again
/// and again (at least 6 times): what a model in a loop writes.
[[nodiscard]] bool degenerate_repetition(std::string_view text);

/// A mean log-probability below this is what random tokens of a large vocabulary get.
constexpr double least_mean_logprob = -6.0;

} // namespace bitnetd::actors
