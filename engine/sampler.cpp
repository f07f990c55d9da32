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

/// Index of the first largest value, or -1 when a value is NaN or +Inf or none is finite.
template <class Value> token_id first_largest(std::span<const Value> values) noexcept {
  auto best = static_cast<Value>(minus_infinity);
  token_id at = -1;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!(values[i] <= std::numeric_limits<Value>::max())) // NaN compares with nothing
      return -1;
    if (values[i] > best) {
      best = values[i];
      at = static_cast<token_id>(i);
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

void add_bias(std::vector<double>& logits, const sampling_params& params) {
  for (const auto& [id, bias] : params.logit_bias)
    if (id >= 0 && static_cast<std::size_t>(id) < logits.size())
      logits[static_cast<std::size_t>(id)] += bias;
}

void penalize_repetition(std::vector<double>& logits, float penalty,
                         std::span<const token_id> recent) {
  if (penalty == 1.0f)
    return;
  const auto window = recent.last(std::min(recent.size(), penalty_window));
  std::vector<token_id> distinct(window.begin(), window.end());
  std::sort(distinct.begin(), distinct.end());
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  for (const auto id : distinct) {
    if (id < 0 || static_cast<std::size_t>(id) >= logits.size())
      continue;
    auto& l = logits[static_cast<std::size_t>(id)];
    l = l > 0 ? l / penalty : l * penalty;
  }
}

void keep_top_k(std::vector<candidate>& candidates, std::size_t k) {
  if (k == 0 || k >= candidates.size())
    return;
  std::nth_element(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(k),
                   candidates.end(), before);
  candidates.resize(k);
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

token_id draw_modified(std::span<const float> logits, const sampling_params& params,
                       std::span<const token_id> recent, std::uint64_t token_index) {
  std::vector<double> modified(logits.begin(), logits.end());
  add_bias(modified, params);
  penalize_repetition(modified, params.repetition_penalty, recent);
  const auto best = first_largest(std::span<const double>{modified});
  if (best < 0 || params.temperature <= 0)
    return best;

  const auto largest = modified[static_cast<std::size_t>(best)] / params.temperature;
  std::vector<candidate> candidates;
  candidates.reserve(modified.size());
  for (std::size_t i = 0; i < modified.size(); ++i)
    if (modified[i] > minus_infinity)
      candidates.push_back({modified[i] / params.temperature, static_cast<token_id>(i)});
  keep_top_k(candidates, params.top_k);
  for (auto& c : candidates)
    c.weight = std::exp(c.logit - largest);
  keep_top_p(candidates, params.top_p);
  keep_min_p(candidates, params.min_p);
  return pick(candidates, uniform_draw(params.seed, token_index));
}

} // namespace

sample draw(std::span<const float> logits, const sampling_params& params,
            std::span<const token_id> recent, std::uint64_t token_index) {
  const auto best = first_largest(logits);
  if (best < 0)
    return {};
  const bool untouched =
      params.temperature <= 0 && params.logit_bias.empty() && params.repetition_penalty == 1.0f;
  const auto token = untouched ? best : draw_modified(logits, params, recent, token_index);
  if (token < 0)
    return {};
  return {token, static_cast<float>(log_softmax(logits, token, best))};
}

} // namespace bitnetd::engine
