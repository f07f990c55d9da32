// SPDX-License-Identifier: MIT
#pragma once

#include "tests/bench/cachebench/family_file.h"

#include <filesystem>

namespace bitnetd::bench {

/// The questions that the shipped models are judged by (models/heldout), as families: every topic
/// is one, its wordings of all sets are those of one sense; a pair that looks alike and is not is a
/// family of two senses; a question out of scope stands alone. Throws std::runtime_error.
[[nodiscard]] family_file shipped_families(const std::filesystem::path& models);

} // namespace bitnetd::bench
