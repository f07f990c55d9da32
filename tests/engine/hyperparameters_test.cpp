// SPDX-License-Identifier: MIT
#include "engine/gguf.h"
#include "engine/hyperparameters.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/small_model_file.h"

#include <catch2/catch.hpp>

using namespace bitnetd;
using namespace bitnetd::engine;
using namespace bitnetd::tests;
using Catch::Matchers::Contains;

namespace {

hyperparameters read(const small_model_file& model) {
  const scratch_folder folder;
  const auto file = gguf_file::open(folder.file("m.gguf", model.bytes()));
  const auto shape = read_hyperparameters(file);
  check_tensors(file, shape);
  return shape;
}

/// The message, after "incomplete: " where only something is missing.
std::string refusal(const small_model_file& model) {
  try {
    (void)read(model);
    return "accepted";
  } catch (const incomplete_model& reason) {
    return std::string{"incomplete: "} + reason.what();
  } catch (const load_error& reason) {
    return reason.what();
  }
}

using file = small_model_file;

} // namespace

TEST_CASE("the shape of each family follows from its architecture", "[engine][hyperparameters]") {
  const auto b158 = read(file{"bitnet-b1.58"});
  CHECK(b158.arch == architecture::bitnet_b158);
  CHECK(b158.gate == gate_activation::squared_relu);
  CHECK(b158.rope == rope_style::half_split);
  CHECK(b158.sub_norms);
  CHECK(b158.tied_head);
  CHECK(b158.n_vocab == 8);
  CHECK(b158.n_context == 64);
  CHECK(b158.n_head == 2);
  CHECK(b158.n_head_kv == 1);
  CHECK(b158.head_dim == 64);
  CHECK(b158.rope_dims == 64);
  CHECK(b158.kv_width() == 64);
  CHECK(b158.activations == activation_quantization::absmax);
  CHECK(b158.pool == pooling::none);
  CHECK(read(file{"bitnet-25"}).gate == gate_activation::squared_relu);
  CHECK(read(file{"bitnet"}).gate == gate_activation::silu);
  const auto llama = read(file{"llama"});
  CHECK(llama.rope == rope_style::interleaved);
  CHECK(llama.gate == gate_activation::silu);
  CHECK_FALSE(llama.sub_norms);
}

TEST_CASE("what a file leaves out has the documented default", "[engine][hyperparameters]") {
  auto model = file{"llama"};
  model.drop_key("attention.head_count_kv").drop_key("rope.freq_base");
  model.ternary(file::block("attn_k"), {128, 128}).ternary(file::block("attn_v"), {128, 128});
  const auto shape = read(model);
  CHECK(shape.n_head_kv == 2);
  CHECK(shape.rope_theta == 10000.0f);
  CHECK(shape.rope_scale == 1.0f);
}

TEST_CASE("a file may have its own head, and sub-norms where the family leaves it open",
          "[engine][hyperparameters]") {
  CHECK_FALSE(read(file{"llama"}.floats("output.weight", {128, 8})).tied_head);
  auto with_sub_norms = file{"llama"};
  with_sub_norms.floats(file::block("attn_sub_norm"), {128});
  CHECK_THAT(refusal(with_sub_norms), Contains("incomplete") && Contains("ffn_sub_norm"));
  CHECK(read(with_sub_norms.floats(file::block("ffn_sub_norm"), {256})).sub_norms);
  auto without = file{"bitnet-b1.58"};
  without.tensors.erase(file::block("attn_sub_norm"));
  without.tensors.erase(file::block("ffn_sub_norm"));
  CHECK_THAT(refusal(without), Contains("incomplete") && Contains("attn_sub_norm"));
}

TEST_CASE("llama files are quantized per token unless nothing is ternary or they say TriLM",
          "[engine][hyperparameters]") {
  CHECK(read(file{"llama"}).activations == activation_quantization::absmax);
  CHECK(read(file{"llama"}.text("general.name", "Spectra TRILM 3.9B")).activations ==
        activation_quantization::none);
  auto dense = file{"llama"};
  for (auto& [name, tensor] : dense.tensors)
    if (tensor.type == 36)
      dense.floats(name, tensor.dims);
  CHECK(read(dense).activations == activation_quantization::none);
}

TEST_CASE("linear RoPE scaling, pooling and key length are read", "[engine][hyperparameters]") {
  auto model = file{"bitnet"};
  model.text("bitnet.rope.scaling.type", "linear").number("rope.scaling.factor", 4.0f);
  CHECK(read(model).rope_scale == 4.0f);
  CHECK(read(file{}.count("pooling_type", 1)).pool == pooling::mean);
  CHECK(read(file{}.count("pooling_type", 3)).pool == pooling::last);
  auto wide = file{"llama"};
  wide.count("attention.key_length", 128).count("attention.value_length", 128);
  wide.ternary(file::block("attn_q"), {128, 256}).ternary(file::block("attn_output"), {256, 128});
  wide.ternary(file::block("attn_k"), {128, 128}).ternary(file::block("attn_v"), {128, 128});
  CHECK(read(wide).head_dim == 128);
}

TEST_CASE("impossible hyperparameters are refused with their key", "[engine][hyperparameters]") {
  const auto counted = [](const char* key, std::uint32_t value) {
    return refusal(file{}.count(key, value));
  };
  CHECK_THAT(counted("block_count", 0), Contains("'bitnet-b1.58.block_count'") && Contains("1024"));
  CHECK_THAT(counted("block_count", 1025), Contains("block_count"));
  CHECK_THAT(counted("context_length", 0), Contains("context_length"));
  CHECK_THAT(counted("context_length", (1u << 24) + 1), Contains("context_length"));
  CHECK_THAT(counted("embedding_length", 70'000), Contains("embedding_length"));
  CHECK_THAT(counted("attention.head_count", 0), Contains("head_count"));
  CHECK_THAT(counted("attention.head_count", 3), Contains("does not divide"));
  CHECK_THAT(counted("attention.head_count", 128), Contains("heads of 1 values"));
  CHECK_THAT(counted("attention.head_count_kv", 3), Contains("does not divide"));
  CHECK_THAT(counted("attention.value_length", 32), Contains("differs from the key length"));
  CHECK_THAT(counted("rope.dimension_count", 63), Contains("even"));
  CHECK_THAT(counted("rope.dimension_count", 66), Contains("from 2 to 64"));
  CHECK_THAT(counted("pooling_type", 2), Contains("pooling_type"));
  CHECK_THAT(counted("vocab_size", 9), Contains("token_embd.weight has 8 rows"));
  CHECK_THAT(refusal(file{}.number("rope.freq_base", std::nanf(""))), Contains("freq_base"));
  CHECK_THAT(refusal(file{}.number("rope.freq_base", 0.0f)), Contains("freq_base"));
  CHECK_THAT(refusal(file{}.number("attention.layer_norm_rms_epsilon", -1.0f)),
             Contains("rms_epsilon"));
  CHECK_THAT(refusal(file{}.text("bitnet-b1.58.block_count", "one")), Contains("block_count"));
  CHECK_THAT(refusal(file{"llama"}.text("llama.rope.scaling.type", "yarn")), Contains("'yarn'"));
  CHECK_THAT(refusal(file{"llama"}.count("expert_count", 8)), Contains("expert_count"));
  CHECK(refusal(file{"llama"}.count("expert_count", 0)) == "accepted");
  auto words = file{};
  words.keys["tokenizer.ggml.tokens"] = {9, gguf_bytes::raw(std::uint32_t{8}) +
                                                gguf_bytes::raw(std::uint64_t{1}) +
                                                gguf_bytes::text("x")};
  CHECK_THAT(refusal(words), Contains("1 tokens, but token_embd.weight has 8 rows"));
}

TEST_CASE("a missing key or tensor is told apart from a wrong one", "[engine][hyperparameters]") {
  CHECK_THAT(refusal(file{}.drop_key("block_count")),
             Contains("incomplete") && Contains("block_count"));
  auto no_arch = file{};
  no_arch.keys.erase("general.architecture");
  CHECK_THAT(refusal(no_arch), Contains("incomplete") && Contains("general.architecture"));
  auto no_tensors = file{"falcon"}; // a vocabulary of any architecture is no model
  no_tensors.tensors.clear();
  CHECK_THAT(refusal(no_tensors), Contains("incomplete") && Contains("no tensors"));
  auto no_down = file{};
  no_down.tensors.erase(file::block("ffn_down"));
  CHECK_THAT(refusal(no_down), Contains("incomplete") && Contains("'blk.0.ffn_down.weight'"));
  auto no_embedding = file{};
  no_embedding.tensors.erase("token_embd.weight");
  CHECK_THAT(refusal(no_embedding), Contains("incomplete") && Contains("token_embd"));
}

TEST_CASE("architectures that are not read are refused by name", "[engine][hyperparameters]") {
  CHECK_THAT(refusal(file{"qwen2"}), Contains("'qwen2' is not supported"));
  CHECK_THAT(refusal(file{"gpt2"}), Contains("'gpt2'") && Contains("bitnet-b1.58, bitnet-25"));
}

TEST_CASE("every tensor must have the shape that the hyperparameters imply",
          "[engine][hyperparameters]") {
  for (const auto& [name, tensor] : file{}.tensors) {
    INFO(name);
    auto model = file{};
    auto dims = tensor.dims;
    dims.front() *= 2;
    if (tensor.type == 36)
      model.ternary(name, dims);
    else
      model.floats(name, dims);
    CHECK_THAT(refusal(model), Contains("'" + name + "'") && Contains("imply"));
  }
  auto trailing = file{};
  trailing.floats(file::block("attn_norm"), {128, 1});
  CHECK(refusal(trailing) == "accepted");
  auto ternary_norm = file{};
  ternary_norm.ternary(file::block("attn_norm"), {128});
  CHECK_THAT(refusal(ternary_norm), Contains("a norm of type I2_S"));
}

TEST_CASE("tensors that would change the result are never ignored", "[engine][hyperparameters]") {
  CHECK_THAT(refusal(file{}.floats("blk.0.attn_q.bias", {128})), Contains("biases"));
  CHECK_THAT(refusal(file{"llama"}.floats("rope_freqs.weight", {32})), Contains("RoPE factors"));
  CHECK_THAT(refusal(file{}.floats("blk.0.attn_q_norm.weight", {64})), Contains("does not belong"));
  CHECK_THAT(refusal(file{}.floats("blk.1.attn_norm.weight", {128})), Contains("does not belong"));
  CHECK(refusal(file{"bitnet"}.floats("blk.0.attn_q.scale", {1})) == "accepted");
  CHECK_THAT(refusal(file{"bitnet"}.floats("blk.0.attn_q.scale", {2})), Contains("belong"));
  CHECK_THAT(refusal(file{"llama"}.floats("blk.0.attn_q.scale", {1})), Contains("belong"));
}
