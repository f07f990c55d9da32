// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace bitnetd::bench {

/// Words that may stand in a slot, and what kind of near miss another one is.
struct word_list {
  std::string name, kind;
  std::vector<std::string> words;
};

struct slot {
  std::string name;
  std::size_t list = no_list; ///< index into family_file::lists
  int from = 0, to = 0;       ///< of a number

  static constexpr std::size_t no_list = static_cast<std::size_t>(-1);
  [[nodiscard]] bool is_number() const noexcept { return list == no_list; }
};

/// What is asked, in several wordings.
struct sense {
  std::string name;
  std::string kind; ///< of the near miss that it is to the first sense; empty for the first
  bool exchangeable = false; ///< the slots `same` may change places
  std::pair<std::size_t, std::size_t> same{};
  std::vector<std::string> wordings;
};

struct family {
  std::string name;
  std::vector<slot> slots;
  std::vector<sense> senses;
};

struct family_file {
  std::vector<word_list> lists;
  std::vector<family> families;
};

/// Reads a file of families (families/README.md). Throws std::runtime_error with place and reason.
[[nodiscard]] family_file read_families(const std::filesystem::path& path);

} // namespace bitnetd::bench
