// SPDX-License-Identifier: MIT
#include "engine/kv_cache.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace bitnetd::engine {

kv_cache::kv_cache(const model& description, kv_type type, activation_quantization activations,
                   std::size_t pages, std::optional<int> memory_node)
    : type_{type}, block_bytes_{description.shape.n_head_kv *
                                kv_head_bytes(type, description.shape.head_dim)},
      page_bytes_{2 * block_bytes_ * description.shape.n_layer},
      root_{hasher{}
                .field(description.model_hash.hex())
                .field(static_cast<std::uint64_t>(type))
                .field(static_cast<std::uint64_t>(activations))
                .finish()},
      memory_{pages * page_bytes_, memory_node}, pages_(pages) {
  free_.reserve(pages);
  sealed_.reserve(pages);
  for (std::size_t i = pages; i > 0; --i) // the lowest page is given first
    free_.push_back(static_cast<page_id>(i - 1));
}

std::optional<page_id> kv_cache::allocate() noexcept {
  if (free_.empty())
    return {};
  const auto page = free_.back();
  free_.pop_back();
  pages_[page].owners = 1;
  return page;
}

void kv_cache::retain(page_id page) noexcept {
  assert(pages_[page].owners > 0);
  ++pages_[page].owners;
}

void kv_cache::release(page_id page) noexcept {
  auto& state = pages_[page];
  assert(state.owners > 0);
  if (--state.owners > 0)
    return;
  if (state.listed)
    sealed_.erase(state.identity);
  state.sealed = state.listed = false;
  free_.push_back(page); // within the capacity reserved at construction: cannot throw
}

std::byte* kv_cache::keys(std::size_t layer, page_id page) noexcept {
  return memory_.data() + page * page_bytes_ + 2 * layer * block_bytes_;
}

std::byte* kv_cache::values(std::size_t layer, page_id page) noexcept {
  return keys(layer, page) + block_bytes_;
}

page_id kv_cache::seal(page_id page, std::optional<page_id> predecessor,
                       std::span<const token_id, page_tokens> tokens) {
  assert(!pages_[page].sealed && (!predecessor || pages_[*predecessor].sealed));
  const auto identity = chain(predecessor, tokens);
  if (const auto twin = find(identity, predecessor, tokens)) {
    retain(*twin);
    release(page);
    return *twin;
  }
  auto& state = pages_[page];
  state.sealed = true;
  state.identity = identity;
  state.predecessor = predecessor;
  std::copy(tokens.begin(), tokens.end(), state.tokens.begin());
  // Two contents with one hash: the first keeps its entry, the second is only never found.
  state.listed = sealed_.emplace(identity, page).second;
  return page;
}

std::optional<page_id> kv_cache::find(std::optional<page_id> predecessor,
                                      std::span<const token_id, page_tokens> tokens) const {
  return find(chain(predecessor, tokens), predecessor, tokens);
}

hash128 kv_cache::chain(std::optional<page_id> predecessor,
                        std::span<const token_id, page_tokens> tokens) const {
  const auto& before = predecessor ? pages_[*predecessor].identity : root_;
  return hasher{}
      .field(std::as_bytes(std::span{before.bytes}))
      .field(std::as_bytes(tokens))
      .finish();
}

// Whoever owns a sealed page owns its predecessor as well (a table is a chain from the first page
// on), so equal page ids mean equal ids all the way back.
std::optional<page_id> kv_cache::find(const hash128& identity, std::optional<page_id> predecessor,
                                      std::span<const token_id, page_tokens> tokens) const {
  const auto found = sealed_.find(identity);
  if (found == sealed_.end())
    return {};
  const auto& state = pages_[found->second];
  if (state.predecessor != predecessor || !std::ranges::equal(state.tokens, tokens))
    return {};
  return found->second;
}

std::optional<page_table> page_table::reserve(kv_cache& cache, std::size_t tokens) {
  const auto n = pages_for(tokens);
  if (n > cache.free_pages())
    return {};
  page_table table;
  table.cache_ = &cache;
  table.pages_.reserve(n);
  for (std::size_t i = 0; i < n; ++i)
    table.pages_.push_back(*cache.allocate());
  return table;
}

page_table::~page_table() { release_all(); }

page_table::page_table(page_table&& other) noexcept
    : cache_{other.cache_}, pages_{std::exchange(other.pages_, {})}, n_sealed_{std::exchange(
                                                                         other.n_sealed_, 0)} {}

page_table& page_table::operator=(page_table&& other) noexcept {
  if (this == &other)
    return *this;
  release_all();
  cache_ = other.cache_;
  pages_ = std::exchange(other.pages_, {});
  n_sealed_ = std::exchange(other.n_sealed_, 0);
  return *this;
}

void page_table::release_all() noexcept {
  for (const auto page : pages_)
    cache_->release(page);
  pages_.clear();
}

void page_table::seal_full_pages(std::span<const token_id> tokens) {
  while ((n_sealed_ + 1) * page_tokens <= tokens.size()) {
    const auto ids = tokens.subspan(n_sealed_ * page_tokens).first<page_tokens>();
    const auto before = n_sealed_ > 0 ? std::optional{pages_[n_sealed_ - 1]} : std::nullopt;
    pages_[n_sealed_] = cache_->seal(pages_[n_sealed_], before, ids);
    ++n_sealed_;
  }
}

} // namespace bitnetd::engine
