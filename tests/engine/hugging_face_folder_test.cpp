// SPDX-License-Identifier: MIT
#include "engine/container.h"
#include "engine/evaluator.h"
#include "engine/quantizer.h"
#include "engine/weights_layout.h"
#include "tests/support/hf_files.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/small_model_file.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <random>

using namespace bitnetd::engine;
using namespace bitnetd::tests;
using Catch::Matchers::Contains;

namespace {

constexpr std::size_t width = 128, ff = 256, n_vocab = 8;
constexpr float alpha = 0.125f;

struct projection {
  const char *hf, *gguf;
  std::size_t rows, cols;
};
constexpr projection projections_of_layer[] = {
    {"self_attn.q_proj", "attn_q", width, width}, {"self_attn.k_proj", "attn_k", 64, width},
    {"self_attn.v_proj", "attn_v", 64, width},    {"self_attn.o_proj", "attn_output", width, width},
    {"mlp.gate_proj", "ffn_gate", ff, width},     {"mlp.up_proj", "ffn_up", ff, width},
    {"mlp.down_proj", "ffn_down", width, ff},
};

/// How the projections of a folder are stored.
enum class form { bitlinear, autobitlinear, master };

/// The same random one-layer model of two heads as a folder and as a GGUF file.
struct twins {
  hf_files folder;
  small_model_file file;

  explicit twins(form how, const std::string& arch = "bitnet-b1.58") : file{arch} {
    const bool llama = arch == "llama";
    folder.config = {{"model_type", llama ? "llama" : "bitnet"},
                     {"hidden_act", llama ? "silu" : "relu2"},
                     {"vocab_size", n_vocab},
                     {"max_position_embeddings", 64},
                     {"hidden_size", width},
                     {"intermediate_size", ff},
                     {"num_hidden_layers", 1},
                     {"num_attention_heads", 2},
                     {"num_key_value_heads", 1},
                     {"rms_norm_eps", 1e-5},
                     {"rope_theta", 10000},
                     {"tie_word_embeddings", true}};
    if (how != form::master)
      folder.config["quantization_config"] = {
          {"quant_method", "bitnet"},
          {"linear_class", how == form::bitlinear ? "bitlinear" : "autobitlinear"}};
    add_floats("model.embed_tokens.weight", "token_embd.weight", {n_vocab, width});
    add_floats("model.norm.weight", "output_norm.weight", {width});
    const std::string layer = "model.layers.0.";
    add_floats(layer + "input_layernorm.weight", file.block("attn_norm"), {width});
    add_floats(layer + "post_attention_layernorm.weight", file.block("ffn_norm"), {width});
    if (!llama) {
      add_floats(layer + "self_attn.attn_sub_norm.weight", file.block("attn_sub_norm"), {width});
      add_floats(layer + "mlp.ffn_sub_norm.weight", file.block("ffn_sub_norm"), {ff});
    }
    for (const auto& one : projections_of_layer)
      add_projection(how, one, llama && (one.gguf[5] == 'q' || one.gguf[5] == 'k'));
  }

private:
  std::vector<float> random_floats(std::size_t n) {
    std::vector<float> values(n);
    for (auto& value : values)
      value = static_cast<float>(random() % 256) / 128 - 0.75f;
    return values;
  }

  void add_floats(const std::string& hf, const std::string& gguf,
                  std::vector<std::uint64_t> shape) {
    const auto values = random_floats(shape[0] * (shape.size() > 1 ? shape[1] : 1));
    folder.tensors.push_back({hf, "F32", shape, hf_files::floats(values)});
    file.tensors[gguf] = {{shape.rbegin(), shape.rend()}, 0, hf_files::floats(values)};
  }

  void add_projection(form how, const projection& one, bool permuted) {
    std::vector<std::int8_t> codes(one.rows * one.cols);
    for (auto& code : codes)
      code = static_cast<std::int8_t>(static_cast<int>(random() % 3) - 1);
    const auto name = "model.layers.0." + std::string{one.hf} + ".weight";
    float scale = alpha;
    if (how == form::master) {
      std::vector<float> values(codes.size());
      double sum = 0;
      for (std::size_t i = 0; i < codes.size(); ++i) {
        values[i] = alpha * static_cast<float>(codes[i]);
        sum += std::fabs(values[i]);
      }
      scale = static_cast<float>(sum / static_cast<double>(codes.size()));
      folder.tensors.push_back(
          {name, "BF16", {one.rows, one.cols}, hf_files::brain_floats(values)});
    } else {
      folder.tensors.push_back(
          {name, "U8", {one.rows / 4, one.cols}, hf_files::packed(codes, one.rows, one.cols)});
      folder.tensors.push_back(
          {name + "_scale",
           "BF16",
           {1},
           hf_files::brain_floats({how == form::bitlinear ? 1 / alpha : alpha})});
    }
    if (permuted)
      codes = interleaved(codes, one);
    const auto raw = encode_ternary(tensor_type::i2_s, codes, one.rows, one.cols, scale);
    file.tensors[file.block(one.gguf)] = {
        {one.cols, one.rows}, 36, {reinterpret_cast<const char*>(raw.data()), raw.size()}};
  }

  /// Row 2i + c of a GGUF head of 64 is row 32c + i of the Hugging Face head.
  static std::vector<std::int8_t> interleaved(const std::vector<std::int8_t>& codes,
                                              const projection& one) {
    std::vector<std::int8_t> out(codes.size());
    for (std::size_t row = 0; row < one.rows; ++row) {
      const auto head = row / 64 * 64, i = row % 64 / 2, c = row % 2;
      std::copy_n(codes.begin() + static_cast<std::ptrdiff_t>((head + 32 * c + i) * one.cols),
                  one.cols, out.begin() + static_cast<std::ptrdiff_t>(row * one.cols));
    }
    return out;
  }

  std::mt19937 random{11};
};

std::vector<float> logits_of(const std::filesystem::path& path,
                             std::optional<activation_quantization> act = {}) {
  const auto loaded = load_model(path, {node_description{}}, best_kernels());
  compute_node node{node_description{}, 1};
  evaluator eval{loaded.description,
                 loaded.per_node[0],
                 node,
                 best_kernels(),
                 {.activations = act, .max_tokens = 8}};
  eval.feed(std::vector<token_id>{3, 1, 4, 1, 5});
  return {eval.logits().begin(), eval.logits().end()};
}

std::string refusal(const hf_files& files) {
  const scratch_folder scratch;
  files.write(scratch.path() / "m");
  try {
    (void)inspect_container(scratch.path() / "m");
    return "accepted";
  } catch (const load_error& reason) {
    return reason.what();
  }
}

std::string refusal_with(const char* key, const nlohmann::json& value) {
  auto files = twins{form::autobitlinear}.folder;
  files.config[nlohmann::json::json_pointer{key}] = value;
  return refusal(files);
}

} // namespace

TEST_CASE("a folder computes the bits of the GGUF file of the same weights",
          "[engine][hugging_face]") {
  const auto how = GENERATE(form::bitlinear, form::autobitlinear, form::master);
  const std::size_t n_shards = GENERATE(1u, 3u);
  const twins both{how};
  const scratch_folder scratch;
  both.folder.write(scratch.path() / "folder", n_shards);
  const auto folder = logits_of(scratch.path() / "folder");
  CHECK(folder == logits_of(scratch.file("twin.gguf", both.file.bytes())));
  const auto seen = inspect_container(scratch.path() / "folder/");
  REQUIRE(seen.whole != nullptr);
  CHECK(seen.whole->name == "folder");
  CHECK(seen.format == (n_shards == 1 ? "Hugging Face folder with 1 safetensors file"
                                      : "Hugging Face folder with 3 safetensors files"));
  CHECK(seen.whole->model_hash ==
        load_model(scratch.path() / "folder", {}, best_kernels()).description->model_hash);
}

TEST_CASE("a Llama folder has rows for half-split RoPE, its GGUF twin interleaved ones",
          "[engine][hugging_face]") {
  const twins both{form::bitlinear, "llama"};
  const scratch_folder scratch;
  both.folder.write(scratch.path() / "folder");
  const auto gguf = scratch.file("twin.gguf", both.file.bytes());
  const auto ours = logits_of(scratch.path() / "folder", activation_quantization::none);
  const auto theirs = logits_of(gguf, activation_quantization::none);
  for (std::size_t i = 0; i < ours.size(); ++i)
    CHECK(ours[i] == Approx(theirs[i]).epsilon(1e-5).margin(1e-4)); // sums in another order
}

TEST_CASE("float weights of a Llama folder are masters only where config.json says so",
          "[engine][hugging_face]") {
  auto files = twins{form::master, "llama"}.folder;
  const auto load = [&] {
    const scratch_folder scratch;
    files.write(scratch.path() / "m");
    return load_model(scratch.path() / "m", {node_description{}}, best_kernels());
  };
  // TriLM's: the values themselves, which happen to be ternary, and float activations.
  const auto plain = load();
  CHECK(plain.description->shape.activations == activation_quantization::none);
  CHECK(plain.per_node[0]->layers[0].q.is_ternary());
  std::vector<float> row(width);
  plain.per_node[0]->layers[0].q.decode_row(0, row, best_kernels());
  CHECK(std::fabs(*std::max_element(row.begin(), row.end())) == alpha);

  files.config["quantization_config"] = {{"quant_method", "bitnet"},
                                         {"linear_class", "autobitlinear"},
                                         {"quantization_mode", "online"},
                                         {"modules_to_not_convert", {"lm_head", "up_proj"}}};
  const auto online = load();
  CHECK(online.description->shape.activations == activation_quantization::absmax);
  online.per_node[0]->layers[0].q.decode_row(0, row, best_kernels());
  CHECK(*std::max_element(row.begin(), row.end()) < 0.8f * alpha); // the mean of |w|
  online.per_node[0]->layers[0].up.decode_row(0, row, best_kernels());
  CHECK(*std::max_element(row.begin(), row.end()) == alpha); // kept as it is
}

TEST_CASE("an embedding folder has norms of inputs, and Gemma's own norms lack one",
          "[engine][hugging_face]") {
  auto files = twins{form::master, "llama"}.folder;
  files.config["model_type"] = "gemma3_text";
  files.config["hidden_act"] = "gelu_pytorch_tanh";
  files.config["head_dim"] = 64;
  files.config["query_pre_attn_scalar"] = 64;
  files.config["sliding_window"] = 32;
  for (auto& one : files.tensors) // as such models are published: without "model."
    one.name.erase(0, 6);
  const auto norm = [&](const std::string& name, std::size_t n, float value) {
    files.tensors.push_back({"layers.0." + name + ".weight",
                             "BF16",
                             {n},
                             hf_files::brain_floats(std::vector<float>(n, value))});
  };
  norm("pre_feedforward_layernorm", width, 0.25f);
  norm("post_feedforward_layernorm", width, 0.5f);
  norm("self_attn.q_norm", 64, -0.5f);
  norm("self_attn.k_norm", 64, 0.5f);
  for (const auto& one : projections_of_layer)
    norm(std::string{one.hf} + ".norm", one.cols, 0.75f);
  const scratch_folder scratch;
  files.write(scratch.path() / "m");
  std::filesystem::create_directory(scratch.path() / "m" / "1_Pooling");
  hf_files::put(scratch.path() / "m" / "1_Pooling" / "config.json",
                R"({"word_embedding_dimension": 128, "pooling_mode_lasttoken": true})");
  const auto loaded = load_model(scratch.path() / "m", {node_description{}}, best_kernels());
  const auto& shape = loaded.description->shape;
  CHECK(shape.arch == architecture::gemma3);
  CHECK(shape.pool == pooling::last);
  CHECK(shape.input_norms);
  CHECK(shape.embed_scale == Approx(std::sqrt(128.0)));
  CHECK(shape.window == 32);
  CHECK(shape.n_context > 32);
  CHECK(shape.activations == activation_quantization::absmax);
  const auto& layer = loaded.per_node[0]->layers[0];
  CHECK(layer.ffn_norm == std::vector<float>(width, 1.25f));
  CHECK(layer.post_ffw_norm == std::vector<float>(width, 1.5f));
  CHECK(layer.q_norm == std::vector<float>(64, 0.5f));
  CHECK(layer.down_norm_in == std::vector<float>(ff, 0.75f)); // stored plainly
  CHECK(layer.q.is_ternary());

  // Its only layer has a window: the last row sees the 32 last tokens, itself among them.
  compute_node node{node_description{}, 2};
  const auto embedding_with = [&](std::size_t changed, std::size_t chunk) {
    evaluator eval{loaded.description,
                   loaded.per_node[0],
                   node,
                   best_kernels(),
                   {.chunk = chunk, .max_tokens = 60}};
    std::vector<token_id> tokens;
    for (token_id i = 0; i < 60; ++i)
      tokens.push_back(i % 7);
    if (changed < tokens.size())
      tokens[changed] = 7;
    return eval.embed(tokens);
  };
  const auto plain = embedding_with(60, 128);
  CHECK(embedding_with(60, 1) == plain);
  CHECK(embedding_with(60 - 33, 128) == plain);
  CHECK(embedding_with(0, 16) == plain);
  CHECK(embedding_with(60 - 32, 128) != plain);
}

TEST_CASE("a folder that would give other results than its own is refused",
          "[engine][hugging_face]") {
  CHECK(refusal(twins{form::autobitlinear}.folder) == "accepted");
  CHECK_THAT(refusal_with("/model_type", "mamba"), Contains("model_type: 'mamba'"));
  CHECK_THAT(refusal_with("/hidden_act", "gelu"), Contains("hidden_act: 'gelu'"));
  CHECK_THAT(refusal_with("/attention_bias", true), Contains("attention_bias"));
  CHECK_THAT(refusal_with("/rope_scaling", {{"rope_type", "llama3"}}), Contains("'llama3'"));
  CHECK_THAT(refusal_with("/quantization_config/quant_method", "gptq"), Contains("'gptq'"));
  CHECK_THAT(refusal_with("/quantization_config/linear_class", "x"), Contains("autobitlinear"));
  CHECK_THAT(refusal_with("/hidden_size", 127), Contains("embedding length 127"));
  CHECK_THAT(refusal_with("/hidden_size", -1), Contains("config.json: hidden_size"));
  CHECK_THAT(refusal_with("/num_hidden_layers", 1e300), Contains("num_hidden_layers"));
  CHECK_THAT(refusal_with("/vocab_size", nullptr), Contains("vocab_size: is missing"));
  CHECK_THAT(refusal_with("/tie_word_embeddings", false), Contains("lm_head.weight is missing"));
}

TEST_CASE("tensors of a folder are checked as those of a file", "[engine][hugging_face]") {
  auto files = twins{form::bitlinear}.folder;
  const std::string q = "model.layers.0.self_attn.q_proj.weight";
  SECTION("a scale of zero, to divide by") {
    files.find(q + "_scale").bytes = std::string(2, '\0');
    CHECK_THAT(refusal(files), Contains("weight_scale") && Contains("other than zero"));
  }
  SECTION("a packed weight without scale") {
    files.find(q + "_scale").name = "model.layers.0.self_attn.q_proj.other";
    CHECK_THAT(refusal(files), Contains("without weight_scale"));
  }
  SECTION("a code of 3") {
    files.find(q).bytes[17] = '\xff';
    CHECK_THAT(refusal(files), Contains("a ternary code of 3"));
  }
  SECTION("packed weights where config.json knows nothing of them") {
    files.config.erase("quantization_config");
    CHECK_THAT(refusal(files), Contains("no quantization_config"));
  }
  SECTION("a tensor that nobody knows") {
    files.tensors.push_back({"model.layers.0.extra.weight", "F32", {1}, std::string(4, '\0')});
    CHECK_THAT(refusal(files), Contains("model.layers.0.extra.weight"));
  }
  SECTION("a bias") {
    files.tensors.push_back({"model.layers.0.mlp.up_proj.bias", "F32", {1}, std::string(4, '\0')});
    CHECK_THAT(refusal(files), Contains("biases are not supported"));
  }
  SECTION("one tensor under two names") {
    auto twice = files.find(q);
    twice.name.erase(0, 6);
    files.tensors.push_back(twice);
    CHECK_THAT(refusal(files), Contains("twice under different names"));
  }
  SECTION("another type") {
    files.find("model.norm.weight").dtype = "I32";
    CHECK_THAT(refusal(files), Contains("model.norm.weight") && Contains("F32, F16 or BF16"));
  }
}

TEST_CASE("an index leads nowhere out of its folder", "[engine][hugging_face]") {
  const scratch_folder scratch;
  const auto folder = scratch.path() / "m";
  twins{form::autobitlinear}.folder.write(folder, 2);
  const auto index_path = folder / "model.safetensors.index.json";
  auto index = nlohmann::json::parse(read_bytes(index_path));
  const auto answer = [&](const std::string& bytes) -> std::string {
    hf_files::put(index_path, bytes);
    try {
      (void)inspect_container(folder);
      return "accepted";
    } catch (const load_error& reason) {
      return reason.what();
    }
  };
  CHECK(answer(index.dump()) == "accepted");
  for (const auto* name : {"../model-0.safetensors", "/etc/passwd", "a/b.safetensors", "", "..",
                           "model-0.bin", "..\\x"}) {
    auto lying = index;
    lying["weight_map"]["model.norm.weight"] = name;
    INFO(name);
    CHECK_THAT(answer(lying.dump()), Contains("is no plain name"));
  }
  auto elsewhere = index;
  const std::string stated = index["weight_map"]["model.norm.weight"];
  elsewhere["weight_map"]["model.norm.weight"] =
      stated == "model-0.safetensors" ? "model-1.safetensors" : "model-0.safetensors";
  CHECK_THAT(answer(elsewhere.dump()), Contains("does not place it here"));
  auto more = index;
  more["weight_map"]["model.ghost"] = "model-0.safetensors";
  CHECK_THAT(answer(more.dump()), Contains("'model.ghost'") && Contains("is not in"));
  CHECK_THAT(answer(R"({"weight_map":{"a":"x.safetensors","a":"y.safetensors"}})"),
             Contains("'a' occurs twice"));
  CHECK_THAT(answer(R"({"weight_map":)" + std::string(100, '[') + std::string(100, ']') + "}"),
             Contains("nested deeper"));
  CHECK_THAT(answer(R"({"weight_map":{"a":1e999}})"), Contains("index.json"));
  CHECK_THAT(answer("{"), Contains("is not JSON from byte"));
  CHECK_THAT(answer("[]"), Contains("expected a JSON object"));
  CHECK_THAT(answer("{}"), Contains("weight_map: is missing"));
}

TEST_CASE("a folder without safetensors says what it has instead", "[engine][hugging_face]") {
  const scratch_folder scratch;
  const auto answer = [&]() -> std::string {
    try {
      (void)inspect_container(scratch.path());
      return "accepted";
    } catch (const load_error& reason) {
      return reason.what();
    }
  };
  CHECK_THAT(answer(), Contains("expected a Hugging Face folder or a GGUF file"));
  (void)scratch.file("pytorch_model.bin", "x");
  CHECK_THAT(answer(), Contains("pickled weights") && Contains("convert them to safetensors"));
}
