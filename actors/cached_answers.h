// SPDX-License-Identifier: MIT
#pragma once

#include "actors/messages.h"
#include "store/cache_entry.h"

namespace bitnetd::actors {

/// An answer as the store keeps it, and back. An embedding is kept as its float32 values,
/// little-endian, in place of the text.
[[nodiscard]] store::cached_answer to_stored(const answer& what);
[[nodiscard]] answer from_stored(const store::cached_answer& what, bool embedding);

} // namespace bitnetd::actors
