// SPDX-License-Identifier: MIT
#include "engine/evaluator.h"
#include "engine/gguf.h"
#include "engine/weights_layout.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/tiny_model.h"

#include <catch2/catch.hpp>

#include <fstream>
#include <limits>
#include <map>

using namespace bitnetd;
using namespace bitnetd::engine;
using namespace bitnetd::tests;

namespace {

using values_by_name = std::map<std::string, std::vector<float>>;

/// A model whose values are noted as they are written.
tiny_model recording(values_by_name& written, tiny_model model = {}) {
  model.change = [&written, before = model.change](const std::string& name, std::span<float> values,
                                                   std::size_t cols) {
    if (before)
      before(name, values, cols);
    written[name].assign(values.begin(), values.end());
  };
  return model;
}

std::vector<float> decoded(const linear& matrix) {
  std::vector<float> all(matrix.rows() * matrix.cols());
  for (std::size_t r = 0; r < matrix.rows(); ++r)
    matrix.decode_row(r, std::span{all}.subspan(r * matrix.cols(), matrix.cols()), best_kernels());
  return all;
}

loaded_model load(const std::filesystem::path& path, std::size_t n_nodes = 1,
                  const load_options& options = {}) {
  return load_model(path, std::vector<node_description>(n_nodes), best_kernels(), options);
}

std::vector<float> logits_of(const loaded_model& loaded, std::size_t node_index,
                             std::optional<activation_quantization> activations = {}) {
  compute_node node{node_description{}, 1};
  evaluator eval{loaded.description,
                 loaded.per_node[node_index],
                 node,
                 best_kernels(),
                 {.activations = activations}};
  eval.feed(std::vector<token_id>{3, 1, 4, 1, 5});
  return {eval.logits().begin(), eval.logits().end()};
}

} // namespace

TEST_CASE("every matrix holds the file's values, ternary or dense as the file says",
          "[engine][weights]") {
  scratch_folder scratch;
  values_by_name written;
  tiny_model mixed;
  mixed.embedding = tensor_type::f16;
  mixed.type_of = [](const std::string& name) {
    if (name == "blk.0.attn_q.weight")
      return tensor_type::f32; // ternary values in floats
    if (name == "blk.0.ffn_up.weight")
      return tensor_type::f16; // the same in halves
    if (name == "blk.1.ffn_down.weight" || name == "blk.1.attn_k.weight")
      return tensor_type::f32; // really dense
    return name.starts_with("blk.1") ? tensor_type::tq2_0 : tensor_type::i2_s;
  };
  mixed.change = [](const std::string& name, std::span<float> values, std::size_t) {
    if (name == "blk.1.ffn_down.weight")
      values[7] = 0.3f; // no half holds it exactly
    if (name == "blk.1.attn_k.weight")
      for (std::size_t i = 0; i < values.size(); ++i)
        values[i] = static_cast<float>(i % 7) / 64; // halves hold it exactly
    if (name == "token_embd.weight")
      for (auto& value : values)
        value = half_to_float(float_to_half(value));
  };
  const auto loaded = load(recording(written, mixed).write(scratch.path() / "mixed.gguf"));
  const auto& w = *loaded.per_node[0];
  for (const auto& [name, values] : written) {
    if (name.find("norm") != std::string::npos)
      continue;
    INFO(name);
    const auto* matrix = w.find(name);
    REQUIRE(matrix != nullptr);
    const bool dense = name == "token_embd.weight" || name == "blk.1.ffn_down.weight" ||
                       name == "blk.1.attn_k.weight";
    CHECK(matrix->is_ternary() != dense);
    const auto got = decoded(*matrix);
    REQUIRE(got.size() == values.size());
    // TQ2_0 keeps its scale in a half, and a ternary half is read back as one.
    const bool half_scale = name.starts_with("blk.1") || name == "blk.0.ffn_up.weight";
    for (std::size_t i = 0; i < got.size(); ++i)
      if (got[i] != Approx(values[i]).epsilon(half_scale && !dense ? 1e-3 : 0).margin(0))
        FAIL("element " << i << ": " << got[i] << " != " << values[i]);
  }
  CHECK(w.find("blk.1.ffn_down.weight")->weight_bytes() == 4 * 512 * 256);
  CHECK(w.find("blk.1.attn_k.weight")->weight_bytes() == 2 * 256 * 128);
  CHECK(w.find("token_embd.weight")->weight_bytes() == 2 * 256 * 260);
  CHECK(&w.head() == w.find("token_embd.weight"));
  CHECK(w.layers[1].ffn_sub_norm == written.at("blk.1.ffn_sub_norm.weight"));
  CHECK(w.output_norm == written.at("output_norm.weight"));
  CHECK(w.find("output.weight") == nullptr);
  CHECK(w.find("blk.2.attn_q.weight") == nullptr);
  CHECK(w.find("blk.0.attn_norm.weight") == nullptr);
  CHECK(w.find("nonsense") == nullptr);
}

TEST_CASE("a ternary matrix in disguise computes what it computes in its own type",
          "[engine][weights]") {
  scratch_folder scratch;
  tiny_model plain, disguised;
  disguised.type_of = [](const std::string&) { return tensor_type::f32; };
  const auto a = load(plain.write(scratch.path() / "a.gguf"));
  const auto b = load(disguised.write(scratch.path() / "b.gguf"));
  CHECK(logits_of(a, 0) == logits_of(b, 0));
  CHECK(a.description->model_hash != b.description->model_hash);
}

TEST_CASE("rows that end within a group of I2_S hold the file's values", "[engine][weights]") {
  scratch_folder scratch;
  values_by_name written;
  tiny_model plain;
  plain.n_layer = 1;
  plain.n_ff = GENERATE(5460u, 8640u); // of 1bitLLM's xl and 3B: 42.7 and 67.5 groups of 128
  CAPTURE(plain.n_ff);
  auto disguised = plain;
  disguised.type_of = [](const std::string&) { return tensor_type::f32; };
  const auto loaded = load(recording(written, plain).write(scratch.path() / "a.gguf"));
  for (const auto* name : {"blk.0.ffn_down.weight", "blk.0.ffn_gate.weight"})
    CHECK(decoded(*loaded.per_node[0]->find(name)) == written.at(name));
  CHECK(logits_of(loaded, 0) == logits_of(load(disguised.write(scratch.path() / "b.gguf")), 0));
}

TEST_CASE("base-3 weights take less memory and give the same logits, to the bit",
          "[engine][weights]") {
  scratch_folder scratch;
  values_by_name written;
  tiny_model model;
  model.n_ff = 650; // columns that are no whole lines
  const auto path = recording(written, model).write(scratch.path() / "a.gguf");
  const auto plain = load(path), dense = load(path, 1, {.ternary = ternary_form::base3});
  for (const auto mode : {activation_quantization::absmax, activation_quantization::none})
    CHECK(logits_of(dense, 0, mode) == logits_of(plain, 0, mode));
  for (const auto& name : {"blk.0.attn_q.weight", "blk.1.ffn_gate.weight", "blk.0.ffn_down.weight"})
    CHECK(decoded(*dense.per_node[0]->find(name)) == written.at(name));
  CHECK(dense.per_node[0]->find("blk.0.ffn_down.weight")->weight_bytes() == 256 * 4 * 33);
  CHECK(dense.description->model_hash == plain.description->model_hash); // answers are the same
  // A budget between both lets only the denser form in.
  const auto budget = (dense.weight_bytes + plain.weight_bytes) / 2;
  CHECK_NOTHROW(load(path, 1, {.ternary = ternary_form::base3, .max_weight_bytes = budget}));
  CHECK_THROWS_AS(load(path, 1, {.max_weight_bytes = budget}), load_error);
}

TEST_CASE("a factor per block of columns keeps a matrix ternary", "[engine][weights]") {
  const std::size_t block = GENERATE(as<std::size_t>{}, 256, 128, 64);
  CAPTURE(block);
  scratch_folder scratch;
  values_by_name written;
  tiny_model model;
  const std::string name = "blk.0.ffn_down.weight"; // 256 rows of 512
  model.type_of = [&](const std::string& tensor) {
    return tensor == name ? tensor_type::f32 : tensor_type::i2_s;
  };
  model.change = [&](const std::string& tensor, std::span<float> values, std::size_t) {
    for (std::size_t i = 0; tensor == name && i < values.size(); ++i) {
      const auto code = static_cast<float>((values[i] > 0) - (values[i] < 0));
      values[i] = code * static_cast<float>(1 + i % 512 / block + i / 512 % 3) / 64;
    }
  };
  const auto form = GENERATE(ternary_form::two_bits, ternary_form::base3); // has none for it
  const auto loaded =
      load(recording(written, model).write(scratch.path() / "blocks.gguf"), 1, {.ternary = form});
  const auto& matrix = *loaded.per_node[0]->find(name);
  CHECK(matrix.is_ternary() == (block != 64)); // finer than the panels: kept dense
  CHECK(decoded(matrix) == written.at(name));
  CHECK(matrix.weight_bytes() == (block == 64 ? 2 * 512 * 256 : 512 * 256 / 4));
}

TEST_CASE("blocks of a TQ2_0 row may differ in their factor", "[engine][weights]") {
  scratch_folder scratch;
  tiny_model model;
  const std::string name = "blk.0.ffn_down.weight"; // 256 rows of two blocks
  model.type_of = [&](const std::string&) { return tensor_type::tq2_0; };
  const auto path = model.write(scratch.path() / "tq2.gguf");
  const auto before = decoded(*load(path).per_node[0]->find(name));
  const auto tensor = *gguf_file::open(path).find_tensor(name);
  {
    std::fstream file{path, std::ios::in | std::ios::out | std::ios::binary};
    for (std::uint64_t at = tensor.offset + 66 + 64; at < tensor.offset + tensor.bytes;
         at += 2 * 66) { // the half behind the codes of each second block: doubled
      std::uint16_t half = 0;
      file.seekg(static_cast<std::streamoff>(at));
      file.read(reinterpret_cast<char*>(&half), 2);
      half = static_cast<std::uint16_t>(half + 0x400);
      file.seekp(static_cast<std::streamoff>(at));
      file.write(reinterpret_cast<const char*>(&half), 2);
    }
  }
  const auto loaded = load(path);
  const auto& matrix = *loaded.per_node[0]->find(name);
  CHECK(matrix.is_ternary());
  const auto after = decoded(matrix);
  for (std::size_t i = 0; i < after.size(); ++i)
    if (after[i] != before[i] * (i % 512 < 256 ? 1.0f : 2.0f))
      FAIL("element " << i << ": " << after[i] << " after " << before[i]);
}

TEST_CASE("each node has weights of its own that compute the same", "[engine][weights]") {
  scratch_folder scratch;
  tiny_model mixed;
  mixed.type_of = [](const std::string& name) {
    return name == "blk.0.ffn_down.weight" ? tensor_type::f32 : tensor_type::i2_s;
  };
  mixed.change = [](const std::string& name, std::span<float> values, std::size_t) {
    if (name == "blk.0.ffn_down.weight")
      values[0] = 0.125f;
  };
  const auto loaded = load(mixed.write(scratch.path() / "tiny.gguf"), 2);
  REQUIRE(loaded.per_node.size() == 2);
  CHECK(loaded.per_node[0] != loaded.per_node[1]);
  CHECK(loaded.per_node[0]->matrix_bytes() == loaded.per_node[1]->matrix_bytes());
  CHECK(logits_of(loaded, 0) == logits_of(loaded, 1));
}

TEST_CASE("a loaded model needs its file no more", "[engine][weights]") {
  scratch_folder scratch;
  const auto path = tiny_model{}.write(scratch.path() / "tiny.gguf");
  const auto loaded = load(path);
  const auto before = logits_of(loaded, 0);
  std::filesystem::resize_file(path, 0);
  std::filesystem::remove(path);
  CHECK(logits_of(loaded, 0) == before);
}

TEST_CASE("loading and describing agree on the model's identity", "[engine][weights]") {
  scratch_folder scratch;
  const auto path = tiny_model{}.write(scratch.path() / "tiny.gguf");
  const auto first = load(path).description->model_hash;
  CHECK(first == describe_model(path, true)->model_hash);
  CHECK(first != hash128{});
  CHECK(first !=
        load(tiny_model{.seed = 2}.write(scratch.path() / "other.gguf")).description->model_hash);
}

TEST_CASE("separate scales of architecture bitnet multiply what the projection gives",
          "[engine][weights]") {
  scratch_folder scratch;
  tiny_model apart, together;
  apart.arch = together.arch = "bitnet";
  apart.type_of = together.type_of = [](const std::string&) { return tensor_type::f32; };
  const auto one_in = [](const std::string& name) { return name == "blk.0.attn_q.weight"; };
  apart.change = [&](const std::string& name, std::span<float> values, std::size_t) {
    for (auto& value : values)
      if (one_in(name) && value != 0)
        value = value > 0 ? 1.0f : -1.0f;
  };
  together.change = [&](const std::string& name, std::span<float> values, std::size_t) {
    for (auto& value : values)
      if (one_in(name) && value != 0)
        value = value > 0 ? 0.375f : -0.375f;
  };
  apart.output_scales["blk.0.attn_q.scale"] = 0.375f;
  const auto a = load(apart.write(scratch.path() / "a.gguf"));
  const auto b = load(together.write(scratch.path() / "b.gguf"));
  CHECK(logits_of(a, 0) == logits_of(b, 0));
}

TEST_CASE("a payload that is not a number is refused with the tensor's name", "[engine][weights]") {
  scratch_folder scratch;
  const auto name = GENERATE(as<std::string>{}, "blk.1.ffn_norm.weight", "token_embd.weight",
                             "output_norm.weight");
  const float bad =
      GENERATE(std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity());
  tiny_model model;
  model.change = [&](const std::string& at, std::span<float> values, std::size_t) {
    if (at == name)
      values.back() = bad;
  };
  const auto path = model.write(scratch.path() / "tiny.gguf");
  CHECK_THROWS_AS(load(path), load_error);
  CHECK_THROWS_WITH(load(path), Catch::Contains(name) && Catch::Contains(path.string()));
}

TEST_CASE("a ternary code of 3 is refused with the tensor's name", "[engine][weights]") {
  scratch_folder scratch;
  const auto path = tiny_model{}.write(scratch.path() / "tiny.gguf");
  const auto offset = gguf_file::open(path).find_tensor("blk.1.ffn_up.weight")->offset;
  std::fstream file{path, std::ios::in | std::ios::out | std::ios::binary};
  file.seekp(static_cast<std::streamoff>(offset) + 100);
  file.put('\xC5');
  file.close();
  CHECK_THROWS_WITH(load(path), Catch::Contains("blk.1.ffn_up.weight"));
}
