// SPDX-License-Identifier: MIT
#pragma once

#include "base/hash.h"
#include "engine/kv_type.h"
#include "engine/model.h"
#include "engine/node.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

namespace bitnetd::engine {

using page_id = std::uint32_t;

/// Pages that hold `tokens` positions.
[[nodiscard]] constexpr std::size_t pages_for(std::size_t tokens) noexcept {
  return (tokens + page_tokens - 1) / page_tokens;
}

/// Keys and values of every sequence on one node, in pages of 32 tokens.
///
/// A page holds the keys and values of 32 positions for all layers, in one piece of memory, so
/// that it can be shared or moved as a whole: per layer a block of keys, then one of values, each
/// n_head_kv * kv_head_bytes(). How a block is laid out inside is the business of attention.h,
/// which writes and reads it.
///
/// Pages are counted: `allocate` gives a page with one owner, `retain` adds one, `release` takes
/// one away, and the last one returns the page to the pool. A page that is full and computed is
/// *sealed*: from then on it is never written again and has an identity, the hash chain
///
///   identity(page) = H(identity(predecessor), token ids)
///   identity(before the first) = H(model hash, KV type, activation quantization)
///
/// A hash only finds a page; what it holds is decided by comparing token ids along the chain.
/// Not thread-safe, except that different threads may fill different positions.
class kv_cache {
public:
  /// Reserves `pages` pages, bound to `memory_node` where one is given.
  kv_cache(const model& description, kv_type type, activation_quantization activations,
           std::size_t pages, std::optional<int> memory_node);

  [[nodiscard]] kv_type type() const noexcept { return type_; }
  [[nodiscard]] std::size_t size() const noexcept { return pages_.size(); }
  [[nodiscard]] std::size_t free_pages() const noexcept { return free_.size(); }
  [[nodiscard]] bool bound() const noexcept { return memory_.bound(); }

  /// A page with one owner and no identity; empty when none is free.
  [[nodiscard]] std::optional<page_id> allocate() noexcept;
  void retain(page_id page) noexcept;
  void release(page_id page) noexcept;
  [[nodiscard]] std::uint32_t owners(page_id page) const noexcept { return pages_[page].owners; }

  /// The block of keys (of values) of one layer of a page, 64-byte aligned.
  [[nodiscard]] std::byte* keys(std::size_t layer, page_id page) noexcept;
  [[nodiscard]] std::byte* values(std::size_t layer, page_id page) noexcept;

  /// Gives a full page its identity. `predecessor`: the sealed page before it in its sequence,
  /// empty for the first. Returns the page that stands for this content: `page`, or one with the
  /// same identity and the same ids that was sealed before. In that case the caller's ownership
  /// has moved over to the returned page.
  [[nodiscard]] page_id seal(page_id page, std::optional<page_id> predecessor,
                             std::span<const token_id, page_tokens> tokens);
  /// The sealed page that follows `predecessor` with these ids, if there is one.
  [[nodiscard]] std::optional<page_id> find(std::optional<page_id> predecessor,
                                            std::span<const token_id, page_tokens> tokens) const;
  /// Identity of a sealed page.
  [[nodiscard]] const hash128& identity(page_id page) const noexcept {
    return pages_[page].identity;
  }

private:
  struct page_state {
    std::uint32_t owners = 0;
    bool sealed = false, listed = false; ///< listed: `sealed_` leads here
    std::optional<page_id> predecessor;
    std::array<token_id, page_tokens> tokens{};
    hash128 identity;
  };
  [[nodiscard]] hash128 chain(std::optional<page_id> predecessor,
                              std::span<const token_id, page_tokens> tokens) const;
  [[nodiscard]] std::optional<page_id> find(const hash128& identity,
                                            std::optional<page_id> predecessor,
                                            std::span<const token_id, page_tokens> tokens) const;

  kv_type type_;
  std::size_t block_bytes_; ///< keys, or values, of one layer of a page
  std::size_t page_bytes_;
  hash128 root_; ///< identity before the first page
  node_memory memory_;
  std::vector<page_state> pages_;
  std::vector<page_id> free_;
  std::unordered_map<hash128, page_id> sealed_;
};

/// The pages of one sequence, in order of position. Owns its share of each page; movable.
class page_table {
public:
  page_table() = default;
  /// Room for `tokens` positions, or empty when the pool cannot give it.
  [[nodiscard]] static std::optional<page_table> reserve(kv_cache& cache, std::size_t tokens);
  ~page_table();
  page_table(page_table&& other) noexcept;
  page_table& operator=(page_table&& other) noexcept;

  [[nodiscard]] std::span<const page_id> pages() const noexcept { return pages_; }
  [[nodiscard]] std::size_t capacity_tokens() const noexcept { return pages_.size() * page_tokens; }
  /// Seals every page that is full now. `tokens`: all ids computed so far, from position 0.
  void seal_full_pages(std::span<const token_id> tokens);
  [[nodiscard]] std::size_t n_sealed() const noexcept { return n_sealed_; }

private:
  void release_all() noexcept;

  kv_cache* cache_ = nullptr;
  std::vector<page_id> pages_;
  std::size_t n_sealed_ = 0;
};

} // namespace bitnetd::engine
