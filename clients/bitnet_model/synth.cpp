// SPDX-License-Identifier: MIT
#include "clients/bitnet_model/commands.h"
#include "clients/bitnet_model/random_weights.h"
#include "clients/bitnet_model/synth_shapes.h"
#include "engine/gguf_writer.h"
#include "engine/hyperparameters.h"
#include "engine/quantizer.h"

#include <CLI/CLI.hpp>

#include <chrono>
#include <cmath>
#include <iostream>

namespace bitnetd::model_tool {

namespace {

using engine::tensor_type;

struct options {
  std::string shape, threshold = "absmean";
  std::filesystem::path out;
  std::uint64_t seed = 1;
  float embedding_deviation = 0.05f; ///< logits of a few units: neither flat nor one-sided
};

/// The printable character that stands for a byte in byte-level BPE, in UTF-8.
std::string byte_character(unsigned byte, unsigned& next_free) {
  const bool itself = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  const unsigned point = itself ? byte : next_free++;
  if (point < 0x80)
    return std::string(1, static_cast<char>(point));
  return {static_cast<char>(0xc0 | (point >> 6)), static_cast<char>(0x80 | (point & 0x3f))};
}

/// A word of letters that no other number gives.
std::string filler_word(unsigned number) {
  std::string word;
  for (; number > 0 || word.size() < 4; number /= 26)
    word.insert(word.begin(), static_cast<char>('a' + number % 26));
  return word;
}

/// A vocabulary that text goes through: bytes, made-up words, and the control tokens that the
/// dialogue of the 2B-4T family needs.
void add_vocabulary(engine::gguf_writer& out, std::uint32_t n_vocab) {
  constexpr std::int32_t normal = 1, control = 3;
  std::vector<std::string> tokens;
  unsigned next_free = 0x100;
  for (unsigned byte = 0; byte < 256; ++byte)
    tokens.push_back(byte_character(byte, next_free));
  const std::vector<std::string> controls = {"<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"};
  for (unsigned i = 0; tokens.size() + controls.size() < n_vocab; ++i)
    tokens.push_back(filler_word(i));
  std::vector<std::int32_t> kinds(tokens.size(), normal);
  for (const auto& text : controls) {
    tokens.push_back(text);
    kinds.push_back(control);
  }
  out.add("tokenizer.ggml.model", "gpt2");
  out.add("tokenizer.ggml.pre", "llama-bpe");
  out.add("tokenizer.ggml.tokens", tokens);
  out.add("tokenizer.ggml.token_type", kinds);
  out.add("tokenizer.ggml.merges", std::vector<std::string>{});
  out.add("tokenizer.ggml.bos_token_id", n_vocab - 3);
  out.add("tokenizer.ggml.eos_token_id", n_vocab - 2);
  out.add("tokenizer.ggml.eot_token_id", n_vocab - 1);
  out.add("tokenizer.ggml.add_bos_token", true);
}

void add_metadata(engine::gguf_writer& out, const engine::hyperparameters& shape,
                  const std::string& name) {
  out.add("general.architecture", shape.arch_name);
  out.add("general.name", "random " + name);
  const auto key = [&](const char* rest) { return shape.arch_name + "." + rest; };
  out.add(key("vocab_size"), shape.n_vocab);
  out.add(key("context_length"), shape.n_context);
  out.add(key("embedding_length"), shape.n_embd);
  out.add(key("block_count"), shape.n_layer);
  out.add(key("feed_forward_length"), shape.n_ff);
  out.add(key("attention.head_count"), shape.n_head);
  out.add(key("attention.head_count_kv"), shape.n_head_kv);
  out.add(key("rope.dimension_count"), shape.rope_dims);
  out.add(key("rope.freq_base"), shape.rope_theta);
  out.add(key("attention.layer_norm_rms_epsilon"), shape.rms_eps);
  out.add("general.file_type", std::uint32_t{40}); // I2_S
  out.add("general.quantization_version", std::uint32_t{2});
  add_vocabulary(out, shape.n_vocab);
}

/// Norms F32, the embedding and the head F16, everything else I2_S.
tensor_type type_of(const engine::expected_tensor& tensor) {
  if (tensor.dims.size() == 1)
    return tensor_type::f32;
  return tensor.name.starts_with("blk.") ? tensor_type::i2_s : tensor_type::f16;
}

class tensor_maker {
public:
  explicit tensor_maker(const options& chosen)
      : how_{chosen.threshold == "twn" ? engine::ternary_threshold::twn_tensor
                                       : engine::ternary_threshold::absmean},
        weights_{chosen.seed, 1.0f}, embeddings_{chosen.seed ^ 0x5eed, chosen.embedding_deviation} {
  }

  void write(engine::gguf_writer& out, const engine::expected_tensor& tensor) {
    switch (type_of(tensor)) {
    case tensor_type::f32: {
      const std::vector<float> ones(tensor.dims[0], 1.0f);
      return out.write(std::as_bytes(std::span{ones}));
    }
    case tensor_type::f16: {
      std::vector<std::uint16_t> halves(tensor.dims[0] * tensor.dims[1]);
      embeddings_.fill_half(halves);
      return out.write(std::as_bytes(std::span{halves}));
    }
    default:
      return out.write(projection(tensor.dims[1], tensor.dims[0]));
    }
  }

private:
  /// The initialization of a BitLinear layer: float weights of deviation 1 / sqrt(inputs), their
  /// threshold, signs, and alpha.
  std::vector<std::byte> projection(std::size_t rows, std::size_t cols) {
    std::vector<float> drawn(rows * cols);
    weights_.fill(drawn);
    const auto made = engine::ternarise(drawn, rows, cols, how_);
    // Drawn with deviation 1: threshold and signs are the same at any scale, alpha is scaled.
    const float alpha = made.row_scales[0] / std::sqrt(static_cast<float>(cols));
    return engine::encode_ternary(tensor_type::i2_s, made.t, rows, cols, alpha);
  }

  engine::ternary_threshold how_;
  normal_source weights_, embeddings_;
};

void run(const options& chosen) {
  const auto start = std::chrono::steady_clock::now();
  const auto& shape = find_shape(chosen.shape);
  const auto tensors = engine::expected_tensors(shape);
  engine::gguf_writer out{chosen.out};
  add_metadata(out, shape, chosen.shape);
  for (const auto& tensor : tensors)
    out.declare(tensor.name, type_of(tensor), tensor.dims);
  tensor_maker maker{chosen};
  for (const auto& tensor : tensors)
    maker.write(out, tensor);
  out.finish();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  std::cout << chosen.out.string() << ": " << std::filesystem::file_size(chosen.out)
            << " bytes, shape " << chosen.shape << ", seed " << chosen.seed << ", " << took.count()
            << " s\n";
}

} // namespace

void add_synth(CLI::App& app) {
  auto* command =
      app.add_subcommand("synth", "writes a model of a published shape with random weights, to "
                                  "measure with: its answers mean nothing");
  const auto chosen = std::make_shared<options>();
  command->add_option("--shape", chosen->shape, "shape of the model")
      ->required()
      ->check(CLI::IsMember(shape_names()));
  command->add_option("--out", chosen->out, "file to write")->required();
  command->add_option("--seed", chosen->seed, "of the weights")->capture_default_str();
  command
      ->add_option(
          "--embedding-deviation", chosen->embedding_deviation,
          "of the embedding's values; the larger, the more the last token's own row stands "
          "out among the logits")
      ->check(CLI::Range(0.001f, 100.0f))
      ->capture_default_str();
  command->add_option("--threshold", chosen->threshold, "how floats become ternary")
      ->check(CLI::IsMember({"absmean", "twn"}))
      ->capture_default_str();
  command->callback([chosen] { run(*chosen); });
}

} // namespace bitnetd::model_tool
