// SPDX-License-Identifier: MIT
#include "engine/sampler.h"

#include "engine/counter_rng.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace bitnetd::engine {

namespace {

constexpr std::size_t penalty_window = 64;
constexpr double minus_infinity = -std::numeric_limits<double>::infinity();

struct candidate {
  double logit;
  token_id id;
  double weight = 0; ///< exp(logit - the largest logit)
};

/// Best first; ties by id. A strict order: no two candidates share an id.
bool before(const candidate& a, const candidate& b) noexcept {
  return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

bool by_id(const candidate& a, const candidate& b) noexcept { return a.id < b.id; }

/// Index of the first largest logit, or -1 when one is NaN or +Inf or none is finite.
template <class Items, class Value> std::ptrdiff_t first_largest(const Items& items, Value value) {
  auto best = minus_infinity;
  std::ptrdiff_t at = -1;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const double now = value(items[i]);
    if (!(now <= std::numeric_limits<double>::max())) // NaN compares with nothing
      return -1;
    if (now > best) {
      best = now;
      at = static_cast<std::ptrdiff_t>(i);
    }
  }
  return at;
}

/// log-softmax at `token`. The largest logit is taken off first, so that nothing overflows and
/// large logits keep their differences.
double log_softmax(std::span<const float> logits, token_id token, token_id best) noexcept {
  const double largest = logits[static_cast<std::size_t>(best)];
  double sum = 0;
  for (const float l : logits)
    sum += std::exp(l - largest);
  return logits[static_cast<std::size_t>(token)] - largest - std::log(sum);
}

/// The candidate with this id, or nullptr; candidates stand by id.
candidate* find(std::vector<candidate>& candidates, token_id id) noexcept {
  const auto at = std::lower_bound(candidates.begin(), candidates.end(), id,
                                   [](const candidate& c, token_id of) { return c.id < of; });
  return at != candidates.end() && at->id == id ? &*at : nullptr;
}

void add_bias(std::vector<candidate>& candidates, const sampling_params& params) {
  for (const auto& [id, bias] : params.logit_bias)
    if (auto* c = find(candidates, id))
      c->logit += bias;
}

/// The last 64 tokens, each once, ascending.
std::vector<token_id> penalized(std::span<const token_id> recent) {
  const auto window = recent.last(std::min(recent.size(), penalty_window));
  std::vector<token_id> distinct(window.begin(), window.end());
  std::sort(distinct.begin(), distinct.end());
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  return distinct;
}

void penalize_repetition(std::vector<candidate>& candidates, float penalty,
                         std::span<const token_id> recent) {
  if (penalty == 1.0f)
    return;
  for (const auto id : penalized(recent))
    if (auto* c = find(candidates, id))
      c->logit = c->logit > 0 ? c->logit / penalty : c->logit * penalty;
}

void keep_top_k(std::vector<candidate>& candidates, std::size_t k) {
  if (k == 0 || k >= candidates.size())
    return;
  std::nth_element(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(k),
                   candidates.end(), before);
  candidates.resize(k);
  // In an order of their own: sums over them must not depend on who else was there.
  std::sort(candidates.begin(), candidates.end(), before);
}

double total_weight(const std::vector<candidate>& candidates) noexcept {
  double total = 0;
  for (const auto& c : candidates)
    total += c.weight;
  return total;
}

/// Sorts only as much of the front as the share needs: of 128,000 candidates usually a few hundred.
void keep_top_p(std::vector<candidate>& candidates, double top_p) {
  if (top_p >= 1)
    return;
  const double enough = top_p * total_weight(candidates);
  double share = 0;
  std::size_t sorted = 0;
  for (std::size_t wanted = 64; sorted < candidates.size(); wanted *= 4) {
    const auto end = std::min(wanted, candidates.size());
    const auto from = candidates.begin() + static_cast<std::ptrdiff_t>(sorted);
    const auto to = candidates.begin() + static_cast<std::ptrdiff_t>(end);
    if (to != candidates.end())
      std::nth_element(from, to, candidates.end(), before);
    std::sort(from, to, before);
    for (; sorted < end; ++sorted) {
      share += candidates[sorted].weight;
      if (share >= enough) {
        candidates.resize(sorted + 1);
        return;
      }
    }
  }
}

void keep_min_p(std::vector<candidate>& candidates, double min_p) {
  if (min_p > 0)
    std::erase_if(candidates, [&](const candidate& c) { return c.weight < min_p; });
}

token_id pick(std::vector<candidate>& candidates, double uniform) {
  if (!std::is_sorted(candidates.begin(), candidates.end(), by_id)) // unfiltered ones are
    std::sort(candidates.begin(), candidates.end(), by_id);
  const double reach = uniform * total_weight(candidates);
  double sum = 0;
  for (const auto& c : candidates) {
    sum += c.weight;
    if (sum > reach)
      return c.id;
  }
  return candidates.back().id; // the product was rounded up to the whole sum
}

/// Steps 1 to 7, from candidates by id.
token_id draw_from(std::vector<candidate> candidates, const sampling_params& params,
                   std::span<const token_id> recent, std::uint64_t token_index) {
  add_bias(candidates, params);
  penalize_repetition(candidates, params.repetition_penalty, recent);
  const auto best = first_largest(candidates, [](const candidate& c) { return c.logit; });
  if (best < 0)
    return -1;
  const auto& first = candidates[static_cast<std::size_t>(best)];
  if (params.temperature <= 0)
    return first.id;

  const auto largest = first.logit / params.temperature;
  std::erase_if(candidates, [](const candidate& c) { return !(c.logit > minus_infinity); });
  for (auto& c : candidates)
    c.logit /= params.temperature;
  keep_top_k(candidates, params.top_k);
  for (auto& c : candidates)
    c.weight = std::exp(c.logit - largest);
  keep_top_p(candidates, params.top_p);
  keep_min_p(candidates, params.min_p);
  return pick(candidates, uniform_draw(params.seed, token_index));
}

bool modifies(const sampling_params& params) noexcept {
  return !params.logit_bias.empty() || params.repetition_penalty != 1.0f;
}

} // namespace

sample draw(std::span<const float> logits, const sampling_params& params,
            std::span<const token_id> recent, std::uint64_t token_index) {
  const auto best = static_cast<token_id>(first_largest(logits, [](float l) { return double{l}; }));
  if (best < 0)
    return {};
  auto token = best;
  if (params.temperature > 0 || modifies(params)) {
    std::vector<candidate> candidates;
    candidates.reserve(logits.size());
    for (std::size_t i = 0; i < logits.size(); ++i)
      candidates.push_back({double{logits[i]}, static_cast<token_id>(i)});
    token = draw_from(std::move(candidates), params, recent, token_index);
  }
  if (token < 0)
    return {};
  return {token, static_cast<float>(log_softmax(logits, token, best))};
}

sample draw_screened(const head_answer& answer, const sampling_params& params,
                     std::span<const token_id> recent, std::uint64_t token_index) {
  std::vector<candidate> candidates;
  candidates.reserve(answer.logits.size());
  for (const auto& [row, logit] : answer.logits)
    candidates.push_back({double{logit}, static_cast<token_id>(row)});
  const auto token = draw_from(candidates, params, recent, token_index);
  if (token < 0)
    return {};
  const auto logprob = find(candidates, token)->logit - answer.log_sum_estimate;
  return {token, static_cast<float>(std::min(logprob, 0.0))};
}

std::optional<head_query> screened_query(const sampling_params& params,
                                         std::span<const token_id> recent) {
  // More than that, and choosing the rows costs what it saves.
  constexpr std::size_t most_best = 1024, most_biases = 1024;
  head_query query;
  if (params.temperature <= 0) {
    query.best = 1;
  } else if (params.top_k > 0 && params.top_k <= most_best) {
    query.best = params.top_k;
  } else if (params.top_k == 0 && params.top_p >= 1 && params.min_p > 0) {
    const double within = -std::log(double{params.min_p}) * double{params.temperature};
    query.within = static_cast<float>(within * (1 + 1e-6) + 1e-6);
  } else {
    return {};
  }
  if (params.logit_bias.size() > most_biases)
    return {};
  const auto add = [&](token_id id) {
    if (id >= 0)
      query.always.push_back(static_cast<std::uint32_t>(id));
  };
  for (const auto& [id, bias] : params.logit_bias)
    add(id);
  if (params.repetition_penalty != 1.0f)
    for (const auto id : penalized(recent))
      add(id);
  std::sort(query.always.begin(), query.always.end());
  query.always.erase(std::unique(query.always.begin(), query.always.end()), query.always.end());
  return query;
}

} // namespace bitnetd::engine
