// SPDX-License-Identifier: MIT
#include "actors/similarity.h"

#include "base/utf8.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <unordered_map>
#include <utility>

namespace bitnetd::actors {

namespace {

constexpr std::size_t n_hashes = 16, n_bands = 8;
using signature = std::array<std::uint64_t, n_hashes>;

/// Finalizer of SplitMix64: every input bit reaches every output bit.
std::uint64_t mix(std::uint64_t x) noexcept {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

signature signature_of(const std::vector<engine::token_id>& tokens) {
  signature out;
  out.fill(UINT64_MAX);
  const std::size_t width = std::min<std::size_t>(3, tokens.size());
  for (std::size_t at = 0; at + width <= tokens.size() && width > 0; ++at) {
    std::uint64_t shingle = 0;
    for (std::size_t i = 0; i < width; ++i)
      shingle = mix(shingle + 0x9e3779b97f4a7c15ull + static_cast<std::uint64_t>(tokens[at + i]));
    for (std::size_t i = 0; i < n_hashes; ++i)
      out[i] = std::min(out[i], mix(shingle + (i + 1) * 0x9e3779b97f4a7c15ull));
  }
  return out;
}

double share_equal(const signature& a, const signature& b) noexcept {
  std::size_t equal = 0;
  for (std::size_t i = 0; i < n_hashes; ++i)
    equal += a[i] == b[i];
  return static_cast<double>(equal) / n_hashes;
}

} // namespace

hash128 skeleton_of(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (is_digit(c)) {
      while (at < text.size() && (is_digit(text[at]) || text[at] == '.' || text[at] == ','))
        ++at;
      out += '\x01';
      continue;
    }
    if (c == '"' || c == '`') {
      const auto end = text.find(c, at + 1);
      if (end != std::string_view::npos) {
        at = end + 1;
        out += '\x02';
        continue;
      }
    }
    out += c;
    ++at;
  }
  return hash_bytes(out);
}

std::vector<double> batch_similarity(std::span<const std::vector<engine::token_id>> items) {
  std::vector<signature> signatures;
  signatures.reserve(items.size());
  for (const auto& item : items)
    signatures.push_back(signature_of(item));
  std::vector<double> best(items.size(), 0);
  std::unordered_map<std::uint64_t, std::size_t> last_with_band;
  for (std::size_t i = 0; i < items.size(); ++i) {
    for (std::size_t band = 0; band < n_bands; ++band) {
      const auto key = mix(signatures[i][2 * band] + 3 * mix(signatures[i][2 * band + 1] + band));
      const auto [found, fresh] = last_with_band.try_emplace(key, i);
      if (fresh)
        continue;
      const auto other = std::exchange(found->second, i);
      if (other == i || items[i].empty())
        continue;
      const auto similarity = share_equal(signatures[i], signatures[other]);
      best[i] = std::max(best[i], similarity);
      best[other] = std::max(best[other], similarity);
    }
  }
  return best;
}

} // namespace bitnetd::actors
