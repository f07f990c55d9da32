// SPDX-License-Identifier: MIT
#pragma once

#include "engine/tokenizer.h"

#include <cstddef>
#include <filesystem>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

namespace bitnetd::model_tool {

using token_list = std::vector<engine::token_id>;

/// Decimal token ids separated by white space. Throws refused, beginning with `where`, for anything
/// else and for ids of `n_vocab` and above.
[[nodiscard]] token_list parse_tokens(std::string_view text, std::size_t n_vocab,
                                      const std::string& where);

/// A file of token ids, one sequence per line, none of them empty. Throws refused with file and
/// line.
[[nodiscard]] std::vector<token_list> read_token_file(const std::filesystem::path& path,
                                                      std::size_t n_vocab);

/// Length of the longest sequence.
[[nodiscard]] std::size_t longest(const std::vector<token_list>& sequences) noexcept;

/// All of a stream or file, at most 64 MiB. Throws refused.
[[nodiscard]] std::string read_all(std::istream& in, const std::string& name);
[[nodiscard]] std::string read_all(const std::filesystem::path& path);

} // namespace bitnetd::model_tool
