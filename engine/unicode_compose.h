// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>

namespace bitnetd::engine {

/// The text in Unicode's normalization form C (canonical composition), by Unicode 15.0: "e" and a
/// combining acute accent become "é". Some tokenizers were trained on texts of this form.
///
/// Bytes that are not valid UTF-8 stay as they are, and nothing is composed across them. The result
/// is at most three times as long as the text, and at least a third. Time is linear but for long
/// runs of combining marks, which are sorted.
[[nodiscard]] std::string compose_nfc(std::string_view text);

} // namespace bitnetd::engine
