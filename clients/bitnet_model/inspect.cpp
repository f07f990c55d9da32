// SPDX-License-Identifier: MIT
#include "clients/bitnet_model/commands.h"
#include "engine/container.h"
#include "engine/tensor_type.h"

#include <CLI/CLI.hpp>

#include <iomanip>
#include <iostream>
#include <map>

namespace bitnetd::model_tool {

namespace {

void print_tensor_types(const engine::model& model) {
  struct sum {
    std::size_t tensors = 0;
    std::uint64_t bytes = 0, values = 0;
    double zeros = 0;
  };
  std::map<std::string_view, sum> types;
  for (const auto& tensor : model.tensors) {
    auto& total = types[engine::info(tensor.type).name];
    const auto values = tensor.rows * tensor.cols;
    ++total.tensors;
    total.bytes += tensor.bytes;
    total.values += values;
    total.zeros += tensor.zero_share * static_cast<double>(values);
  }
  for (const auto& [name, total] : types) {
    std::cout << "  " << std::left << std::setw(7) << name << std::right << std::setw(5)
              << total.tensors << " tensors" << std::setw(15) << total.bytes << " bytes";
    if (total.zeros > 0)
      std::cout << "   zeros " << std::fixed << std::setprecision(1)
                << 100 * total.zeros / static_cast<double>(total.values) << " %";
    std::cout << '\n';
  }
}

void print_model(const engine::model& model) {
  const auto& shape = model.shape;
  std::cout << "model:      " << model.name << " (" << shape.arch_name << ")\n"
            << "hash:       " << model.model_hash.hex() << '\n'
            << "shape:      " << shape.n_layer << " layers, embedding " << shape.n_embd
            << ", feed-forward " << shape.n_ff << ", heads " << shape.n_head << "/"
            << shape.n_head_kv << " of " << shape.head_dim << ", vocabulary " << shape.n_vocab
            << ", context " << shape.n_context << '\n'
            << "graph:      "
            << (shape.gate == engine::gate_activation::silu ? "SiLU" : "squared ReLU") << ", "
            << (shape.rope == engine::rope_style::interleaved ? "interleaved" : "half-split")
            << " RoPE base " << shape.rope_theta << ", sub-norms "
            << (shape.sub_norms ? "yes" : "no") << ", head "
            << (shape.tied_head ? "tied" : "its own") << ", activations "
            << (shape.activations == engine::activation_quantization::absmax ? "int8" : "float")
            << '\n'
            << "tokenizer:  " << (model.words ? model.words->name() : "none") << '\n'
            << "template:   " << (model.dialogue ? model.dialogue->name() : "none") << '\n'
            << "KV cache:   " << model.kv_bytes_per_token(2) << " bytes per token (f16)\n"
            << "tensors:\n";
  print_tensor_types(model);
}

void print_rows(const engine::model& model) {
  for (const auto& tensor : model.tensors)
    std::cout << std::left << std::setw(32) << tensor.name << std::setw(7)
              << engine::info(tensor.type).name << std::right << std::setw(8) << tensor.rows
              << " x " << std::left << std::setw(8) << tensor.cols << std::right << std::setw(12)
              << tensor.bytes << " bytes   zeros " << std::fixed << std::setprecision(1)
              << 100 * tensor.zero_share << " %\n";
}

} // namespace

void add_inspect(CLI::App& app) {
  struct options {
    std::filesystem::path file;
    bool tensors = false;
  };
  auto* command = app.add_subcommand("inspect", "checks a model file and tells what is in it");
  const auto chosen = std::make_shared<options>();
  command->add_option("FILE", chosen->file, "GGUF or safetensors file")->required();
  command->add_flag("--tensors", chosen->tensors, "one line per tensor");
  command->callback([chosen] {
    const auto report = engine::inspect_container(chosen->file);
    std::cout << "container:  " << report.format << ", sound: " << report.file_bytes << " bytes, "
              << report.n_metadata << " keys, " << report.n_tensors << " tensors\n";
    if (report.whole == nullptr)
      std::cout << report.missing << '\n';
    else
      print_model(*report.whole);
    if (report.whole != nullptr && chosen->tensors)
      print_rows(*report.whole);
  });
}

} // namespace bitnetd::model_tool
