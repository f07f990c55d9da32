// SPDX-License-Identifier: MIT
#include "actors/ngram_embedding.h"

#include <cmath>
#include <cstdint>
#include <string>

namespace bitnetd::actors {

namespace {

// Chosen on tests/bench/families/development.families: words carry the question, pairs its order,
// pieces forgive endings and typing errors.
constexpr float word_weight = 1.0f, short_word_weight = 0.5f, pair_weight = 0.5f,
                piece_weight = 0.35f;
constexpr std::size_t short_word = 3, piece_letters = 3;

bool is_word_byte(char c) noexcept {
  const auto b = static_cast<unsigned char>(c);
  return b >= 0x80 || (b >= '0' && b <= '9') || (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z');
}

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

/// FNV-1a (Fowler, Noll, Vo), then the finalizer of SplitMix64: FNV alone leaves its high bits
/// poor.
std::uint64_t hash_of(std::string_view text, std::uint64_t seed) noexcept {
  std::uint64_t h = 14695981039346656037u ^ seed;
  for (const char c : text)
    h = (h ^ static_cast<unsigned char>(c)) * 1099511628211u;
  h = (h ^ (h >> 30)) * 0xBF58476D1CE4E5B9u;
  h = (h ^ (h >> 27)) * 0x94D049BB133111EBu;
  return h ^ (h >> 31);
}

/// Two places per feature: that two features share both is unlikely.
void add(std::vector<float>& to, std::uint64_t hash, float weight) noexcept {
  const auto sign = [](std::uint64_t bit) { return (bit & 1) != 0 ? 1.0f : -1.0f; };
  to[(hash >> 2) % ngram_dimension] += sign(hash) * weight;
  to[(hash >> 34) % ngram_dimension] += sign(hash >> 1) * weight;
}

void add_word(std::vector<float>& to, const std::string& word) {
  add(to, hash_of(word, 1), word.size() <= short_word ? short_word_weight : word_weight);
  const auto framed = '<' + word + '>';
  for (std::size_t i = 0; i + piece_letters <= framed.size(); ++i)
    add(to, hash_of(std::string_view(framed).substr(i, piece_letters), 3), piece_weight);
}

} // namespace

const hash128& ngram_embedder() {
  static const hash128 name = hash_bytes("bitnetd hashed n-grams, version 1");
  return name;
}

std::vector<float> ngram_embedding(std::string_view text) {
  std::vector<float> out(ngram_dimension, 0.0f);
  std::string word, before;
  const auto end_word = [&] {
    if (word.empty())
      return;
    add_word(out, word);
    if (!before.empty())
      add(out, hash_of(before + ' ' + word, 2), pair_weight);
    before.swap(word);
    word.clear();
  };
  for (const char c : text) {
    if (is_word_byte(c))
      word += lower(c);
    else
      end_word();
  }
  end_word();
  double sum = 0;
  for (const float x : out)
    sum += static_cast<double>(x) * static_cast<double>(x);
  if (sum < 1e-12)
    return {};
  const auto scale = static_cast<float>(1 / std::sqrt(sum));
  for (auto& x : out)
    x *= scale;
  return out;
}

} // namespace bitnetd::actors
