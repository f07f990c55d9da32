// SPDX-License-Identifier: MIT
#include "engine/kernels/kernel_table.h"
#include "engine/memory_estimate.h"
#include "engine/weights.h"
#include "engine/weights_layout.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/tiny_model.h"

#include <catch2/catch.hpp>

using namespace bitnetd::engine;
using namespace bitnetd::tests;

TEST_CASE("the estimate is what a loaded model's matrices take", "[engine][memory]") {
  const scratch_folder scratch;
  tiny_model shape;
  shape.embedding = tensor_type::f16;
  shape.arch = GENERATE("bitnet-b1.58", "llama");
  const auto form = GENERATE(ternary_form::two_bits, ternary_form::base3);
  const auto loaded = load_model(shape.write(scratch.path() / "m.gguf"), {node_description{}},
                                 best_kernels(), {.ternary = form});
  const auto expected = estimate_memory(*loaded.description, 100, kv_type::f16, 512, form);
  // matrix_bytes counts codes and dense values; row scales are beside them.
  const std::uint64_t rows = 2 * (256 + 128 + 128 + 256 + 512 + 512 + 256);
  CHECK(expected.ternary + expected.dense ==
        loaded.per_node[0]->matrix_bytes() + rows * sizeof(float));
  CHECK(expected.dense == 260 * 256 * 2);
  CHECK(expected.screen == 0); // a head so small comes from a cache anyway
  CHECK(expected.kv == 100 * 2 * 128 * 2 * 2);
  CHECK(expected.total() == expected.weights() + expected.buffers + expected.kv);
}

TEST_CASE("a large head's screen is counted", "[engine][memory]") {
  const scratch_folder scratch;
  tiny_model shape;
  shape.embedding = tensor_type::f16;
  shape.n_vocab = 16'400; // of 256 values: 8.4 MB
  const auto loaded =
      load_model(shape.write(scratch.path() / "m.gguf"), {node_description{}}, best_kernels());
  const auto expected = estimate_memory(*loaded.description, 0, kv_type::f16, 512);
  REQUIRE(loaded.per_node[0]->screen.has_value());
  // Its scale per row is counted, too.
  CHECK(expected.screen == loaded.per_node[0]->screen->bytes() + 16'400 * sizeof(float));
}
