// SPDX-License-Identifier: MIT
#include "base/log.h"
#include "engine/container.h"
#include "engine/kernels/kernel_table.h"
#include "engine/weights.h"
#include "tests/support/hf_files.h"
#include "tests/support/scratch_folder.h"

#include <catch2/catch.hpp>

#include <map>
#include <random>

using namespace bitnetd::engine;
using namespace bitnetd::tests;

namespace {

/// Whole models of one layer, width 8, with a tokenizer: the files of a folder by name.
std::map<std::string, std::string> small_folder(bool packed) {
  nlohmann::json config = {{"model_type", "bitnet"}, {"hidden_act", "relu2"},
                           {"vocab_size", 8},        {"max_position_embeddings", 16},
                           {"hidden_size", 8},       {"intermediate_size", 8},
                           {"num_hidden_layers", 1}, {"num_attention_heads", 2},
                           {"rms_norm_eps", 1e-5},   {"eos_token_id", {2, 4}}};
  if (packed)
    config["quantization_config"] = {{"quant_method", "bitnet"}, {"linear_class", "autobitlinear"}};
  std::vector<hf_files::tensor> tensors;
  const auto ones = [&](const std::string& name, std::vector<std::uint64_t> shape, std::size_t n) {
    tensors.push_back({name, "F32", std::move(shape), hf_files::floats(std::vector(n, 1.0f))});
  };
  const std::string layer = "model.layers.0.";
  ones("model.embed_tokens.weight", {8, 8}, 64);
  for (const auto& name :
       {std::string{"model.norm"}, layer + "input_layernorm", layer + "post_attention_layernorm",
        layer + "self_attn.attn_sub_norm", layer + "mlp.ffn_sub_norm"})
    ones(name + ".weight", {8}, 8);
  for (const auto* name : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                           "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"}) {
    const auto weight = layer + name + ".weight";
    if (!packed) {
      tensors.push_back({weight, "BF16", {8, 8}, hf_files::brain_floats(std::vector(64, 0.5f))});
      continue;
    }
    tensors.push_back({weight, "U8", {2, 8}, std::string(16, '\x59')});
    tensors.push_back({weight + "_scale", "BF16", {1}, hf_files::brain_floats({0.5f})});
  }
  nlohmann::json index;
  for (const auto& one : tensors)
    index["weight_map"][one.name] = "a.safetensors";
  const nlohmann::json words = {
      {"model",
       {{"type", "BPE"},
        {"vocab", {{"a", 0}, {"b", 1}, {"ab", 2}, {"\xC4\xA0", 3}}},
        {"merges", {"a b"}},
        {"ignore_merges", true}}},
      {"added_tokens", {{{"id", 4}, {"content", "<s>"}, {"special", true}}}},
      {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
      {"post_processor",
       {{"type", "TemplateProcessing"},
        {"single", {{{"SpecialToken", {{"id", "<s>"}}}}, {{"Sequence", {{"id", "A"}}}}}}}}};
  return {{"config.json", config.dump()},
          {"a.safetensors", hf_files::safetensors(tensors)},
          {"model.safetensors.index.json", index.dump()},
          {"tokenizer.json", words.dump()},
          {"tokenizer_config.json",
           R"({"bos_token":{"content":"a"},"eos_token":"b","add_bos_token":true,)"
           R"("added_tokens_decoder":{"5":{"content":"<t>","special":true}},)"
           R"("chat_template":[{"name":"default","template":"x"}]})"},
          {"generation_config.json", R"({"eos_token_id":[2,4]})"}};
}

/// One to four changes: bytes flipped, cut out, repeated, or replaced by what parsers stumble over.
std::string damaged(std::string bytes, std::mt19937& random) {
  static const std::vector<std::string> stumbling = {"\"",
                                                     "{",
                                                     "}",
                                                     "[",
                                                     "]",
                                                     ",",
                                                     ":",
                                                     "null",
                                                     "-1",
                                                     "1e999",
                                                     "18446744073709551616",
                                                     "0.5",
                                                     "true",
                                                     "{}",
                                                     "[]",
                                                     "\"\"",
                                                     "\\u0000",
                                                     "\xFF",
                                                     "../",
                                                     "999999999",
                                                     "\\ud800",
                                                     "4294967295"};
  for (auto n = 1 + random() % 4; n > 0 && !bytes.empty(); --n) {
    const auto at = random() % bytes.size();
    const auto size = std::min<std::size_t>(bytes.size() - at, 1 + random() % 16);
    switch (random() % 5) {
    case 0:
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << random() % 8));
      break;
    case 1:
      bytes.erase(at, size);
      break;
    case 2:
      bytes.insert(at, bytes.substr(at, size));
      break;
    case 3:
      bytes.replace(at, size, stumbling[random() % stumbling.size()]);
      break;
    default:
      bytes.insert(at, stumbling[random() % stumbling.size()]);
    }
  }
  return bytes;
}

} // namespace

TEST_CASE("a folder damaged anywhere is read or refused with one line, never anything else",
          "[engine][hugging_face][hostile]") {
  const bool packed = GENERATE(true, false);
  const auto files = small_folder(packed);
  const scratch_folder scratch;
  for (const auto& [name, bytes] : files)
    (void)scratch.file(name, bytes);
  REQUIRE(inspect_container(scratch.path()).whole != nullptr);
  std::mt19937 random{packed ? 1u : 2u};
  bitnetd::log::set_level("off");
  std::size_t refused = 0, read = 0;
  for (const auto& [name, bytes] : files)
    for (int i = 0; i < 150; ++i) {
      (void)scratch.file(name, damaged(bytes, random));
      try {
        const auto seen = inspect_container(scratch.path());
        ++read;
        if (seen.whole != nullptr)
          (void)load_model(scratch.path(), {node_description{}}, best_kernels());
      } catch (const load_error& reason) {
        ++refused;
        const std::string said = reason.what();
        if (said.empty() || said.find('\n') != std::string::npos)
          FAIL(name << ": not one line: " << said);
      } catch (const std::exception& reason) {
        FAIL(name << ": another exception: " << reason.what());
      }
      (void)scratch.file(name, bytes);
    }
  bitnetd::log::set_level("info");
  CHECK(refused > 300);
  CHECK(read > 15); // some changes mean nothing
}
