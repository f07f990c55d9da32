// SPDX-License-Identifier: MIT
#include "actors/cache.h"
#include "actors/ngram_embedding.h"
#include "actors/same_answer.h"
#include "actors/sequences.h"
#include "base/log.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

// The similarity tier: vectors, guards, the confidence rule, and the audits that it learns from.

namespace bitnetd::actors {

namespace {

using conf::cache_mode;

constexpr std::chrono::milliseconds vector_timeout{2000};
constexpr std::size_t max_waiting = 256; // lookups that wait for a vector
constexpr std::size_t neighbours = 8;
/// Longer texts are not even tokenized: they would be over max_embedded_tokens.
constexpr std::size_t max_embedded_bytes = 16 * max_embedded_tokens;

} // namespace

bool cache_state::wants_similarity(const job& what, const cache_key& key) const {
  const auto mode = what.how->config->profile.cache.mode;
  return (mode == cache_mode::shadow || mode == cache_mode::on) &&
         key.sampling == sampling_class::greedy && !what.what->cache.exact_only &&
         what.words().kind != job_kind::embedding && !what.how->cache_text.empty() &&
         waiting.size() < max_waiting;
}

void cache_state::ask_for_vector(cache_actor::pointer self, job what, cache_key key,
                                 mono_time began) {
  const auto& text = what.how->cache_text;
  if (!embedder && text.size() <= max_embedded_bytes) { // no model: by the words alone, at once
    auto vector = ngram_embedding(text);
    waiting_lookup from{std::move(what), std::move(key), began, ngram_embedder(), {}};
    std::string nearest = "no words to compare";
    if (!vector.empty() && try_similar(self, from, vector, nearest))
      return;
    return miss(self, std::move(from), std::move(vector), "no exact entry; " + nearest);
  }
  embed_request request;
  if (text.size() <= max_embedded_bytes)
    request.tokens = embedder->description->words->encode(text, true, false);
  const auto worker = std::ranges::find_if(others->workers, [](const auto& w) { return !!w; });
  if (request.tokens.empty() || request.tokens.size() > max_embedded_tokens ||
      worker == others->workers.end())
    return miss(self, {std::move(what), std::move(key), began, {}, {}}, {},
                "no exact entry; the text is too long for the similarity tier");
  request.ticket = next_ticket++;
  request.model_hash = embedder->description->model_hash;
  waiting.emplace(request.ticket,
                  waiting_lookup{std::move(what), std::move(key), began, request.model_hash, {}});
  self->send(*worker, embed_atom_v, std::move(request));
}

std::optional<store::cache_entry> cache_state::held(std::uint64_t entry) const {
  const auto recent = std::ranges::find(fresh, entry, &store::cache_entry::id);
  if (recent != fresh.end())
    return **recent;
  auto stored = answers->get(entry);
  return stored ? std::optional{std::move(*stored)} : std::nullopt;
}

std::optional<std::pair<store::cache_entry, similar_answer>>
cache_state::find_similar(waiting_lookup& from, std::span<const store::neighbour> found) {
  auto& what = from.what;
  const bool knows_meaning = from.embedder != ngram_embedder();
  const auto asked = wording_of(what.how->cache_text);
  auto seen = nlohmann::json::array();
  std::optional<std::pair<store::cache_entry, similar_answer>> out;
  for (const auto& one : found) {
    auto entry = held(one.entry);
    if (!entry || !usable(what, *entry, what.what->cache.max_stale.value_or(seconds{0})))
      continue;
    const auto theirs = wording_of(entry->prompt);
    const auto& policy = config->profile.cache;
    const bool near_enough =
        policy.trust != conf::cache_trust::threshold || one.cosine >= policy.threshold;
    const auto against = find_veto(asked, theirs, knows_meaning);
    if (what.what->cache.explain)
      seen.push_back({{"entry", std::to_string(one.entry)},
                      {"similarity", one.cosine},
                      {"prompt", entry->prompt}});
    if (against) {
      const auto text = std::string(to_string(against->which)) + ": " + against->why;
      if (near_enough) { // else it would not have been served anyway
        counters->cache_veto(to_string(against->which));
        if (what.cache.veto.empty())
          what.cache.veto = text;
      }
      if (what.what->cache.explain)
        seen.back()["veto"] = text;
      continue;
    }
    auto judged = judges.judge(what, from.embedder, one.entry, static_cast<double>(one.cosine),
                               difference_of(asked, theirs), policy);
    if (what.what->cache.explain)
      seen.back()["confidence"] = judged.confidence;
    out.emplace(std::move(*entry), std::move(judged));
    break;
  }
  if (what.what->cache.explain)
    what.cache.explanation = seen.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return out;
}

bool cache_state::try_similar(cache_actor::pointer self, waiting_lookup& from,
                              std::span<const float> vector, std::string& nearest) {
  // Whether it is asked was decided when the job came; by which numbers, now.
  const auto mode = from.what.how->config->profile.cache.mode;
  const auto& policy = config->profile.cache;
  const auto found = similar.nearest(from.key.partition, from.embedder, vector, neighbours);
  if (found.empty()) {
    nearest = "nothing to compare with";
    return false;
  }
  nearest = fmt::format("nearest {:.3f}", found.front().cosine);
  auto best = find_similar(from, found);
  if (!best) {
    nearest += from.what.cache.veto.empty() ? ", none of them usable"
                                            : ", held back by " + from.what.cache.veto;
    return false;
  }
  auto& [entry, judged] = *best;
  from.what.cache.similarity = judged.similarity;
  from.what.cache.confidence = judged.confidence;
  from.rival = judged;
  nearest += policy.trust == conf::cache_trust::threshold
                 ? fmt::format(", threshold {:.3f}", policy.threshold)
                 : fmt::format(", confidence {:.3f}", judged.confidence);
  if (!judged.would_serve)
    return false;
  if (mode == cache_mode::shadow) {
    ++shadow_hits;
    counters->shadow_hit();
    log::info("cache: in mode on, job {} would have been answered by entry {} (similarity {:.3f}, "
              "confidence {:.2f})",
              from.what.id.text(), judged.entry, judged.similarity, judged.confidence);
    nearest += "; shadow: it would have been served";
    return false;
  }
  if (from.what.what->cache.no_cache)
    return false;
  if (judged.audited && !from.what.what->cache.only_if_cached) {
    nearest += "; good enough, computed all the same to measure that";
    return false;
  }
  judges.served(judged);
  auto how = from.what.cache;
  how.status = cache_status::hit;
  how.tier = "similarity";
  how.wrong_bound = judges.bound_of(judged, policy);
  how.veto.clear(); // of a nearer one that was passed over
  deliver(self, std::move(from.what), entry, std::move(how), from.began,
          fmt::format("similarity hit {:.3f}, confidence {:.2f}, entry {}", judged.similarity,
                      judged.confidence, judged.entry));
  return true;
}

void cache_state::vector_came(cache_actor::pointer self, const embedded& vector) {
  auto node = waiting.extract(vector.ticket);
  if (node.empty())
    return;
  auto& from = node.mapped();
  std::string nearest = "no vector in time";
  if (!vector.vector.empty() && try_similar(self, from, vector.vector, nearest))
    return;
  miss(self, std::move(from), vector.vector, "no exact entry; " + nearest);
}

void cache_state::compare(const computing& how, const answer& found) {
  const auto rival = held(how.rival->entry);
  if (!rival)
    return;
  switch (same_answer(found.text, rival->answer.text)) {
  case answer_match::unknown:
    return counters->cache_audit("unknown");
  case answer_match::different:
    counters->cache_audit("wrong");
    return judges.learn(*how.rival, false);
  case answer_match::same:
    counters->cache_audit("right");
    judges.learn(*how.rival, true);
  }
}

void cache_state::give_up_waiting(cache_actor::pointer self) {
  const auto now = time->mono();
  while (!waiting.empty() && now - waiting.begin()->second.began > vector_timeout)
    vector_came(self, embedded{waiting.begin()->first, {}});
}

} // namespace bitnetd::actors
