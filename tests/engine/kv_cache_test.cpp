// SPDX-License-Identifier: MIT
#include "engine/kv_cache.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <set>
#include <vector>

using namespace bitnetd;
using namespace bitnetd::engine;

namespace {

/// 3 layers, 2 key-value heads of 4 values.
model small_model(std::uint8_t hash = 1) {
  model description;
  description.shape.n_layer = 3;
  description.shape.n_head_kv = 2;
  description.shape.head_dim = 4;
  description.model_hash.bytes[0] = hash;
  return description;
}

kv_cache small_cache(std::size_t pages, kv_type type = kv_type::f16, std::uint8_t hash = 1,
                     activation_quantization activations = activation_quantization::absmax) {
  return kv_cache{small_model(hash), type, activations, pages, std::nullopt};
}

std::vector<token_id> ids(std::size_t n, token_id first = 0) {
  std::vector<token_id> out(n);
  std::iota(out.begin(), out.end(), first);
  return out;
}

std::span<const token_id, page_tokens> page_of(const std::vector<token_id>& tokens,
                                               std::size_t index) {
  return std::span{tokens}.subspan(index * page_tokens).first<page_tokens>();
}

} // namespace

TEST_CASE("a pool gives each page once and takes it back with its last owner",
          "[engine][kv_cache]") {
  auto cache = small_cache(3);
  std::set<page_id> given;
  for (int i = 0; i < 3; ++i)
    given.insert(*cache.allocate());
  CHECK(given == std::set<page_id>{0, 1, 2});
  CHECK_FALSE(cache.allocate());
  cache.retain(1);
  CHECK(cache.owners(1) == 2);
  cache.release(1);
  CHECK(cache.free_pages() == 0);
  cache.release(1);
  CHECK(cache.free_pages() == 1);
  CHECK(cache.allocate() == page_id{1});
}

TEST_CASE("keys and values of every layer and page lie apart and can all be written",
          "[engine][kv_cache]") {
  const auto type = GENERATE(kv_type::f32, kv_type::f16, kv_type::q8);
  auto cache = small_cache(2, type);
  const std::size_t bytes = 2 * kv_head_bytes(type, 4);
  std::vector<std::byte*> slabs;
  for (page_id page = 0; page < 2; ++page)
    for (std::size_t layer = 0; layer < 3; ++layer) {
      slabs.push_back(cache.keys(layer, page));
      slabs.push_back(cache.values(layer, page));
    }
  for (std::size_t i = 0; i < slabs.size(); ++i)
    std::memset(slabs[i], static_cast<int>(i + 1), bytes);
  for (std::size_t i = 0; i < slabs.size(); ++i)
    CHECK(std::all_of(slabs[i], slabs[i] + bytes,
                      [&](std::byte b) { return b == static_cast<std::byte>(i + 1); }));
}

TEST_CASE("a head's part of a page is a multiple of 64 bytes, and has room for scales with 8 bits",
          "[engine][kv_cache]") {
  CHECK(kv_head_bytes(kv_type::f32, 128) == 32 * 128 * 4);
  CHECK(kv_head_bytes(kv_type::f16, 128) == 32 * 128 * 2);
  CHECK(kv_head_bytes(kv_type::q8, 128) == 32 * (4 + 128));
  CHECK(kv_head_bytes(kv_type::q8, 7) == 128 + 256); // 224 bytes of codes
  for (std::size_t dim = 1; dim < 100; ++dim)
    for (const auto type : {kv_type::f32, kv_type::f16, kv_type::q8})
      CHECK(kv_head_bytes(type, dim) % 64 == 0);
  auto model = small_model(); // 3 layers, 2 heads of 4, keys and values
  CHECK(model.kv_bytes_per_token(kv_type::f16) == 3 * 2 * 2 * 4 * 2);
  CHECK(model.kv_bytes_per_token(kv_type::q8) == 3 * 2 * 2 * (4 + 4));
  CHECK(find_kv_type("q8") == kv_type::q8);
  CHECK(find_kv_type("f16") == kv_type::f16);
  CHECK(find_kv_type("f32") == kv_type::f32);
  CHECK_FALSE(find_kv_type("q4"));
}

TEST_CASE("a page table reserves all of its pages or none", "[engine][kv_cache]") {
  auto cache = small_cache(4);
  const auto two = page_table::reserve(cache, page_tokens + 1);
  REQUIRE(two);
  CHECK(two->pages().size() == 2);
  CHECK(two->capacity_tokens() == 64);
  CHECK_FALSE(page_table::reserve(cache, 3 * page_tokens));
  CHECK(cache.free_pages() == 2);
  {
    auto rest = page_table::reserve(cache, 2 * page_tokens);
    REQUIRE(rest);
    CHECK(cache.free_pages() == 0);
    const auto moved = std::move(*rest);
    CHECK(moved.pages().size() == 2);
    CHECK(rest->pages().empty());
  }
  CHECK(cache.free_pages() == 2);
}

TEST_CASE("two sequences with the same ids share their full pages", "[engine][kv_cache]") {
  auto cache = small_cache(8);
  const auto tokens = ids(70);
  auto first = page_table::reserve(cache, 70);
  auto second = page_table::reserve(cache, 70);
  first->seal_full_pages(tokens);
  CHECK(first->n_sealed() == 2);
  CHECK(cache.free_pages() == 2);
  second->seal_full_pages(std::span{tokens}.first(40)); // one page now, the other later
  CHECK(second->n_sealed() == 1);
  second->seal_full_pages(tokens);
  CHECK(second->pages()[0] == first->pages()[0]);
  CHECK(second->pages()[1] == first->pages()[1]);
  CHECK(second->pages()[2] != first->pages()[2]); // not full: each has its own
  CHECK(cache.free_pages() == 4);
  CHECK(cache.owners(first->pages()[1]) == 2);
  const auto shared = first->pages()[1];
  first.reset();
  CHECK(cache.owners(shared) == 1);
  CHECK(cache.find(second->pages()[0], page_of(tokens, 1)) == shared);
  second.reset();
  CHECK(cache.free_pages() == 8);
  CHECK_FALSE(cache.find(std::nullopt, page_of(tokens, 0)));
}

TEST_CASE("the same ids after another beginning are another page", "[engine][kv_cache]") {
  auto cache = small_cache(8);
  auto one = ids(64);
  auto other = one;
  other[5] = 999;
  auto first = page_table::reserve(cache, 64);
  auto second = page_table::reserve(cache, 64);
  first->seal_full_pages(one);
  second->seal_full_pages(other);
  CHECK(first->pages()[1] != second->pages()[1]);
  CHECK(cache.identity(first->pages()[1]) != cache.identity(second->pages()[1]));
  CHECK(cache.find(first->pages()[0], page_of(one, 1)) == first->pages()[1]);
  CHECK(cache.find(second->pages()[0], page_of(one, 1)) == second->pages()[1]);
  CHECK_FALSE(cache.find(std::nullopt, page_of(one, 1)));
}

TEST_CASE("an identity depends on model, KV type, activations and ids, and on nothing else",
          "[engine][kv_cache]") {
  const auto identity = [](kv_cache cache, token_id first) {
    const auto unused = cache.allocate(); // another page number for the same content
    const auto page = *cache.allocate();
    const auto tokens = ids(page_tokens, first);
    const auto sealed = cache.seal(page, std::nullopt, page_of(tokens, 0));
    CHECK(sealed != unused);
    return cache.identity(sealed);
  };
  const auto base = identity(small_cache(2), 0);
  CHECK(identity(small_cache(5), 0) == base);
  CHECK(identity(small_cache(2, kv_type::f32), 0) != base);
  CHECK(identity(small_cache(2, kv_type::q8), 0) != base);
  CHECK(identity(small_cache(2, kv_type::f16, 2), 0) != base);
  CHECK(identity(small_cache(2, kv_type::f16, 1, activation_quantization::none), 0) != base);
  CHECK(identity(small_cache(2), 1) != base);
}
