// SPDX-License-Identifier: MIT
#include "tests/bench/cachebench/simulate.h"

#include "actors/guards.h"
#include "store/vector_index.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <unordered_set>

namespace bitnetd::bench {
namespace {

constexpr std::size_t neighbours = 8;

double share(std::size_t part, std::size_t whole) noexcept {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

} // namespace

double outcome::hit_rate() const noexcept { return share(hits, asked); }
double outcome::wrong_share() const noexcept { return share(wrong, hits); }

double outcome::calibration_error() const noexcept {
  double sum = 0;
  for (std::size_t i = 0; i < confidence_n.size(); ++i)
    sum += std::fabs(confidence_sum[i] - static_cast<double>(confidence_right[i]));
  return hits == 0 ? 0 : sum / static_cast<double>(hits);
}

prepared_stream prepare(stream what, const embedder& embed, bool knows_meaning) {
  prepared_stream out;
  out.what = std::move(what);
  out.knows_meaning = knows_meaning;
  std::unordered_map<std::string, std::size_t> known;
  for (const auto& request : out.what.requests) {
    const auto [at, fresh] = known.try_emplace(request.text, out.vectors.size());
    if (fresh) {
      out.vectors.push_back(embed(request.text));
      out.wordings.push_back(actors::wording_of(request.text));
    }
    out.text_of.push_back(at->second);
  }
  return out;
}

outcome simulate(const family_file& from, const prepared_stream& on, policy& rule, bool guards) {
  outcome out;
  store::vector_index index(on.vectors.front().size());
  std::vector<std::size_t> entry_request;   // entry -> request that made it
  std::unordered_set<std::size_t> answered; // texts that the exact tier knows
  std::unordered_set<std::size_t> truths;   // what has been computed before
  std::vector<candidate> near;
  for (std::size_t r = 0; r < on.what.requests.size(); ++r) {
    const auto text = on.text_of[r];
    const auto truth = on.what.requests[r].truth;
    if (answered.contains(text)) {
      ++out.exact;
      continue;
    }
    ++out.asked;
    out.eligible += truths.contains(truth);
    near.clear();
    const auto found_near = index.search(on.vectors[text], neighbours);
    for (const auto& found : *found_near) {
      const auto other = entry_request[found.entry];
      const auto& theirs = on.wordings[on.text_of[other]];
      if (guards && actors::find_veto(on.wordings[text], theirs, on.knows_meaning))
        continue;
      const auto words = actors::difference_of(on.wordings[text], theirs);
      near.push_back({found.entry, static_cast<double>(found.cosine), words.replaced, words.added, words.moved,
                      on.what.requests[other].truth == truth});
    }
    const auto served = near.empty() ? std::nullopt : rule.decide(near);
    if (served) {
      const auto& hit = near[*served];
      ++out.hits;
      if (const auto confidence = rule.confidence()) {
        const auto at = std::min<std::size_t>(static_cast<std::size_t>(*confidence * 10), 9);
        out.confidence_sum[at] += *confidence;
        ++out.confidence_n[at];
        out.confidence_right[at] += hit.right;
      }
      if (!hit.right) {
        ++out.wrong;
        const auto theirs = on.what.requests[entry_request[hit.entry]].truth;
        ++out.wrong_by_kind[difference(from, on.what.intents[truth], on.what.intents[theirs])];
      }
      continue;
    }
    answered.insert(text);
    truths.insert(truth);
    if (rule.computed(near)) {
      (void)index.add(entry_request.size(), std::span<const float>(on.vectors[text]));
      entry_request.push_back(r);
    }
  }
  out.entries = entry_request.size();
  out.labels = rule.labels();
  return out;
}

double upper95(std::size_t wrong, std::size_t n) {
  if (n == 0)
    return 1;
  if (wrong >= n)
    return 1;
  // The p at which `wrong` or fewer of n have a probability of 5 %, by bisection.
  const auto at_most = [&](double p) {
    double term = static_cast<double>(n) * std::log1p(-p), sum = std::exp(term);
    for (std::size_t k = 1; k <= wrong; ++k) {
      term += std::log(static_cast<double>(n - k + 1) / static_cast<double>(k)) + std::log(p) -
              std::log1p(-p);
      sum += std::exp(term);
    }
    return sum;
  };
  double low = 0, high = 1;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (at_most(middle) > 0.05 ? low : high) = middle;
  }
  return high;
}

} // namespace bitnetd::bench
