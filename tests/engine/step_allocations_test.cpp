// SPDX-License-Identifier: MIT
//
// Counts what this program takes from the heap: operator new is replaced for all tests here. Not
// under AddressSanitizer, which has its own and wants every kind of it replaced, or none.
#ifndef __SANITIZE_ADDRESS__
#include "engine/evaluator.h"
#include "engine/forward.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/tiny_model.h"

#include <catch2/catch.hpp>

#include <atomic>
#include <cstdlib>
#include <new>
#include <vector>

using namespace bitnetd::engine;
using namespace bitnetd::tests;

namespace {

std::atomic<std::size_t> allocations{0};

} // namespace

// Not inlined: GCC warns where it sees one of a pair beside malloc or free.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  ++allocations;
  if (auto* memory = std::malloc(bytes == 0 ? 1 : bytes))
    return memory;
  throw std::bad_alloc{};
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

TEST_CASE("a step of decoding allocates nothing", "[engine][forward]") {
  const auto threads = GENERATE(as<std::size_t>{}, 1, 2);
  const auto type = GENERATE(kv_type::f32, kv_type::f16, kv_type::q8);
  const auto form = GENERATE(ternary_form::two_bits, ternary_form::base3);
  scratch_folder scratch;
  const auto loaded = load_model(tiny_model{}.write(scratch.path() / "tiny.gguf"), {{}},
                                 best_kernels(), {.ternary = form});
  compute_node node{node_description{}, threads};
  kv_cache cache{*loaded.description, type, loaded.description->shape.activations, 8, {}};
  forward_pass pass{loaded.description, loaded.per_node[0], cache, node, best_kernels()};
  std::vector<page_table> sequences;
  for (int i = 0; i < 3; ++i)
    sequences.push_back(*page_table::reserve(cache, 60));
  std::vector<step_row> rows;
  for (const auto& sequence : sequences)
    rows.push_back({7, 0, sequence.pages(), row_output::logits});

  const auto step = [&](std::uint32_t position) {
    for (auto& row : rows)
      row.position = position;
    pass.run(rows);
  };
  step(0); // buffers grow, angles of 64 positions are computed
  step(33);
  const auto before = allocations.load();
  for (std::uint32_t position = 1; position < 60; ++position) // over the border of a page
    step(position);
  CHECK(allocations == before);
  REQUIRE(std::vector<int>(1).size() == 1);
  CHECK(allocations > before); // they are counted
}

#endif
