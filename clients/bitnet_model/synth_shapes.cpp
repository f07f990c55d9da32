// SPDX-License-Identifier: MIT
#include "clients/bitnet_model/synth_shapes.h"

#include <array>
#include <stdexcept>

namespace bitnetd::model_tool {

namespace {

struct named_shape {
  std::string_view name;
  engine::hyperparameters shape;
};

struct sizes {
  std::uint32_t n_vocab, n_context, n_embd, n_layer, n_ff, n_head, n_head_kv;
};

engine::hyperparameters make(std::string_view arch, const sizes& of, float theta) {
  engine::hyperparameters shape;
  shape.arch_name = arch;
  shape.arch = arch == "llama"    ? engine::architecture::llama
               : arch == "bitnet" ? engine::architecture::bitnet
                                  : engine::architecture::bitnet_b158;
  shape.n_vocab = of.n_vocab;
  shape.n_context = of.n_context;
  shape.n_embd = of.n_embd;
  shape.n_layer = of.n_layer;
  shape.n_ff = of.n_ff;
  shape.n_head = of.n_head;
  shape.n_head_kv = of.n_head_kv;
  shape.head_dim = shape.rope_dims = of.n_embd / of.n_head;
  shape.rope_theta = theta;
  shape.sub_norms = shape.tied_head = shape.arch != engine::architecture::llama;
  return shape;
}

const std::array<named_shape, 5>& shapes() {
  static const std::array<named_shape, 5> all = {{
      {"tiny-random", make("bitnet-b1.58", {512, 1024, 256, 4, 768, 4, 2}, 10000)},
      {"large", make("bitnet", {32002, 2048, 1536, 24, 4096, 16, 16}, 10000)},
      {"3b", make("bitnet", {32002, 2048, 3200, 26, 8640, 32, 32}, 10000)},
      {"2b-4t", make("bitnet-b1.58", {128256, 4096, 2560, 30, 6912, 20, 5}, 500000)},
      {"8b", make("llama", {128256, 8192, 4096, 32, 14336, 32, 8}, 500000)},
  }};
  return all;
}

} // namespace

std::vector<std::string> shape_names() {
  std::vector<std::string> names;
  for (const auto& one : shapes())
    names.emplace_back(one.name);
  return names;
}

const engine::hyperparameters& find_shape(std::string_view name) {
  for (const auto& one : shapes())
    if (one.name == name)
      return one.shape;
  throw std::invalid_argument{"no shape " + std::string{name}};
}

} // namespace bitnetd::model_tool
