// SPDX-License-Identifier: MIT
#pragma once

#include "actors/messages.h"

#include <optional>
#include <string>

namespace bitnetd::actors {

/// How a prompt's answer depends on chance.
enum class sampling_class : std::uint8_t {
  greedy, ///< the same answer every time
  seeded, ///< drawn, but the request fixed the seed: exact tier only
  drawn,  ///< drawn anew each time: cached only for a client that allows it
};

/// What a job's answer is looked up by.
struct cache_key {
  hash128 partition;     ///< all that must be equal before two prompts are compared at all
  hash128 key;           ///< hash of `canonical`
  std::string canonical; ///< the words themselves
  sampling_class sampling = sampling_class::greedy;
};

/// The partition holds tenant, namespace, model hash, tokenizer, chat template, system prompts,
/// history, kind, sampling class with its parameters, end-of-text handling and stop strings. Two
/// prompts of different partitions are never compared, by any code. The similarity tier adds the
/// embedder to it (see cache.cpp); the exact tier does without.
///
/// The canonical form changes nothing that can change meaning: a chat's last user turn has CRLF
/// turned to LF and outer white space removed (the template removes it too); other prompts are
/// taken byte for byte.
[[nodiscard]] cache_key cache_key_of(const job& what);

/// What an entry can be invalidated by: tags of fixed length in its record. `all` is every entry's;
/// tenant, namespace and model are of the job that made it, and so are the tags it asked for.
[[nodiscard]] std::string all_scope();
[[nodiscard]] std::string tenant_scope(std::string_view principal);
[[nodiscard]] std::string namespace_scope(std::string_view principal, std::string_view name);
[[nodiscard]] std::string model_scope(std::string_view model_name);
[[nodiscard]] std::string tag_scope(std::string_view principal, std::string_view tag);
/// All of these for what this job makes.
[[nodiscard]] std::vector<std::string> scopes_of(const job& what);

/// Whether an answer that was computed for another request fits this one's max_tokens: one that
/// stopped by itself fits where it is not longer, one that was cut off only where the same length
/// was asked for.
[[nodiscard]] bool fits_length(std::string_view finish, std::uint32_t completion_tokens,
                               std::uint32_t max_new_tokens) noexcept;

/// How likely a neighbour at this cosine has the right answer, before anything was learned of it:
/// the posterior predictive mean of a logistic rule whose threshold is uncertain (sd 0.08) around
/// the operator's, with steepness 40 (sd 15). 0.5 at the threshold.
[[nodiscard]] double prior_confidence(double cosine, double threshold) noexcept;

} // namespace bitnetd::actors
