// SPDX-License-Identifier: MIT
#pragma once

#include "base/log.h"
#include "engine/container.h"
#include "engine/kernels/kernel_table.h"
#include "tests/fuzz/must.h"

#include <string_view>

// Shared by the targets over model files.

namespace bitnetd::fuzz {

/// Warnings about damaged files would be all that a run prints.
inline void be_quiet() {
  static const bool quiet = [] {
    log::set_level("off");
    return true;
  }();
  (void)quiet;
}

/// A refusal is one line with words.
inline void check(const engine::load_error& refusal) {
  const std::string_view words = refusal.what();
  must(words.size() > 8 && words.size() < 65536 && words.find('\n') == std::string_view::npos);
}

/// What is accepted must encode and decode any text.
inline void use(const engine::tokenizer& words) {
  (void)words.decode(words.encode("ab <s> \xC3\xA9\xFF 12", true, true), true);
}

/// Inspects, and loads what is whole, as a daemon would.
inline void inspect_and_load(const std::filesystem::path& path) {
  be_quiet();
  try {
    if (engine::inspect_container(path).whole == nullptr)
      return;
    const auto loaded =
        engine::load_model(path, {engine::node_description{}}, engine::best_kernels());
    if (loaded.description->words != nullptr)
      use(*loaded.description->words);
  } catch (const engine::load_error& refusal) { // the one way to refuse a file
    check(refusal);
  }
}

} // namespace bitnetd::fuzz
