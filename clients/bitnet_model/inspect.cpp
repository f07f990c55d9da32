// SPDX-License-Identifier: MIT
#include "clients/bitnet_model/commands.h"
#include "clients/bitnet_model/model_options.h"
#include "clients/bitnet_model/outlook.h"
#include "engine/container.h"
#include "engine/memory_estimate.h"
#include "engine/tensor_type.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <map>
#include <set>
#include <unistd.h>

namespace bitnetd::model_tool {

namespace {

/// Sums over some tensors.
struct tensor_sum {
  std::size_t tensors = 0;
  std::uint64_t bytes = 0, values = 0, codes = 0;
  double zeros = 0;

  void add(const engine::tensor_summary& tensor) {
    const auto n = tensor.rows * tensor.cols;
    ++tensors;
    bytes += tensor.bytes;
    values += n;
    if (engine::info(tensor.type).ternary)
      codes += n;
    zeros += tensor.zero_share * static_cast<double>(n);
  }
  void print_zeros() const {
    if (codes > 0)
      std::cout << "   zeros " << std::fixed << std::setprecision(1)
                << 100 * zeros / static_cast<double>(codes) << " %";
  }
};

void print_tensor_types(const engine::model& model) {
  std::map<std::string_view, tensor_sum> types;
  for (const auto& tensor : model.tensors)
    types[engine::info(tensor.type).name].add(tensor);
  for (const auto& [name, total] : types) {
    std::cout << "  " << std::left << std::setw(14) << name << std::right << std::setw(5)
              << total.tensors << " tensors" << std::setw(15) << total.bytes << " bytes";
    total.print_zeros();
    std::cout << '\n';
  }
}

/// "attn_q" of "blk.3.attn_q.weight"; other names as they are.
std::string part_of_layer(const std::string& name) {
  if (!name.starts_with("blk."))
    return name;
  auto part = name.substr(name.find('.', 4) + 1);
  part.resize(part.rfind('.'));
  return part;
}

/// What a layer consists of, without its number: "attn_q I2_S, …".
std::string layer_pattern(const std::vector<const engine::tensor_summary*>& layer) {
  std::map<std::string_view, std::set<std::string>> types; // type -> parts
  for (const auto* tensor : layer) {
    if (tensor->rows == 1)
      continue; // norms
    types[engine::info(tensor->type).name].insert(part_of_layer(tensor->name));
  }
  std::string out;
  for (const auto& [type, parts] : types) {
    out.append(out.empty() ? "" : "; ").append(type).append(":");
    for (const auto& part : parts)
      out += " " + part;
  }
  return out;
}

/// Neighbouring layers that are stored alike share a line.
void print_layers(const engine::model& model) {
  std::vector<std::vector<const engine::tensor_summary*>> layers(model.shape.n_layer);
  for (const auto& tensor : model.tensors)
    if (tensor.name.starts_with("blk."))
      layers.at(std::stoul(tensor.name.substr(4))).push_back(&tensor);
  for (std::size_t first = 0; first < layers.size();) {
    const auto pattern = layer_pattern(layers[first]);
    tensor_sum sum;
    std::size_t end = first;
    for (; end < layers.size() && layer_pattern(layers[end]) == pattern; ++end)
      for (const auto* tensor : layers[end])
        sum.add(*tensor);
    std::cout << "  layer" << (end - first > 1 ? "s " : " ") << first;
    if (end - first > 1)
      std::cout << " to " << end - 1;
    std::cout << ": " << sum.bytes / (end - first) << " bytes each";
    sum.print_zeros();
    std::cout << "   " << pattern << '\n';
    first = end;
  }
}

/// Where the zeros of one kind of tensor lie, over all layers.
struct zero_summary {
  engine::zero_pattern all = {};
  double least = 1, most = 0; ///< share of zero weights of a tensor

  void add(const engine::zero_pattern& one) {
    all.add(one);
    least = std::min(least, one.weight_share());
    most = std::max(most, one.weight_share());
  }
};

/// Zeros by kind of tensor, and in which form the matrices are multiplied.
void print_zero_patterns(const engine::container_report& report) {
  std::map<std::string, zero_summary> kinds;
  double most_lines = 0;
  std::string where;
  for (std::size_t i = 0; i < report.zeros.size(); ++i) {
    const auto& one = report.zeros[i];
    if (one.weights == 0)
      continue;
    const auto& name = report.whole->tensors[i].name;
    kinds[part_of_layer(name)].add(one);
    if (one.line_share() >= most_lines) {
      most_lines = one.line_share();
      where = name;
    }
  }
  if (kinds.empty())
    return;
  std::cout << "zeros:      share of weights (least - mean - most of a tensor), lines of 16 x 16 "
               "that are all zero\n"
            << std::fixed;
  for (const auto& [kind, zeros] : kinds)
    std::cout << "  " << std::left << std::setw(14) << kind << std::right << std::setprecision(1)
              << 100 * zeros.least << " - " << 100 * zeros.all.weight_share() << " - "
              << 100 * zeros.most << " %   lines " << zeros.all.zero_lines << " of "
              << zeros.all.lines << '\n';
  std::cout << "form:       dense SIMD for all ternary tensors: at most " << std::setprecision(2)
            << 100 * most_lines << " % of a tensor's lines are all zero (" << where
            << "); leaving lines out takes less time from " << std::setprecision(0)
            << 100 * engine::lines_worth_skipping << " % on"
            << (most_lines < engine::lines_worth_skipping ? "" : ", which no kernel here does")
            << '\n';
}

std::string in_mib(std::uint64_t bytes) {
  return std::to_string((bytes + (1u << 20) - 1) >> 20) + " MiB";
}

/// Of this process, which holds no weights: what any other that runs the model has beside them.
std::uint64_t resident_bytes() {
  std::uint64_t pages = 0, resident = 0;
  std::ifstream{"/proc/self/statm"} >> pages >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

void print_outlook(const engine::model& model) {
  std::uint64_t parameters = 0;
  for (const auto& tensor : model.tensors)
    parameters += tensor.rows * tensor.cols;
  const auto memory =
      engine::estimate_memory(model, model.shape.n_context, engine::kv_type::f16, 512);
  const auto in_base3 =
      engine::estimate_memory(model, 0, engine::kv_type::f16, 1, engine::ternary_form::base3);
  std::cout << "parameters: " << parameters << '\n'
            << "memory:     " << in_mib(memory.weights()) << " weights (" << in_mib(memory.ternary)
            << " ternary, or " << in_mib(in_base3.ternary) << " in base 3, " << in_mib(memory.dense)
            << " dense, " << in_mib(memory.screen) << " screen of the head), "
            << in_mib(memory.buffers) << " buffers, " << in_mib(resident_bytes())
            << " program and vocabulary, " << in_mib(memory.kv)
            << " keys and values of the whole context (f16)\n";
  const auto speed = measure_expected_speed(model);
  std::cout << "speed:      about " << std::setprecision(speed.tokens_per_second < 10 ? 1 : 0)
            << std::fixed << speed.tokens_per_second
            << " tokens/s at most for one sequence on this machine (" << std::setprecision(1)
            << speed.ternary_bytes_per_second / 1e9 << " GB/s through ternary kernels, "
            << speed.dense_bytes_per_second / 1e9 << " GB/s through dense ones)\n";
  for (const auto& line : limitations(model))
    std::cout << "will not do " << line << '\n';
}

std::string_view gate_name(engine::gate_activation gate) {
  return gate == engine::gate_activation::silu        ? "SiLU"
         : gate == engine::gate_activation::gelu_tanh ? "GELU (tanh)"
                                                      : "squared ReLU";
}

std::string_view pooling_name(engine::pooling how) {
  return how == engine::pooling::mean   ? "mean"
         : how == engine::pooling::last ? "last token"
                                        : "none";
}

void print_model(const engine::container_report& report) {
  const auto& model = *report.whole;
  const auto& shape = model.shape;
  std::cout << "model:      " << model.name << " (" << shape.arch_name << ")\n"
            << "hash:       " << model.model_hash.hex() << '\n'
            << "shape:      " << shape.n_layer << " layers, embedding " << shape.n_embd
            << ", feed-forward " << shape.n_ff << ", heads " << shape.n_head << "/"
            << shape.n_head_kv << " of " << shape.head_dim << ", vocabulary " << shape.n_vocab
            << ", context " << shape.n_context << '\n'
            << "graph:      " << gate_name(shape.gate) << ", "
            << (shape.rope == engine::rope_style::interleaved ? "interleaved" : "half-split")
            << " RoPE base " << shape.rope_theta << ", sub-norms "
            << (shape.sub_norms ? "yes" : "no") << (shape.head_norms ? ", head norms" : "")
            << (shape.input_norms ? ", input norms" : "")
            << (shape.post_norms ? ", post norms" : "") << ", head "
            << (shape.tied_head ? "tied" : "its own") << ", activations "
            << (shape.activations == engine::activation_quantization::absmax ? "int8" : "float")
            << '\n'
            << "tokenizer:  " << (model.words ? model.words->name() : "none") << '\n'
            << "template:   " << (model.dialogue ? model.dialogue->name() : "none") << '\n'
            << "pooling:    " << pooling_name(shape.pool) << '\n'
            << "KV cache:   " << model.kv_bytes_per_token(engine::kv_type::f16)
            << " bytes per token (f16; f32 " << model.kv_bytes_per_token(engine::kv_type::f32)
            << ", q8 " << model.kv_bytes_per_token(engine::kv_type::q8) << ")\n"
            << "tensors:\n";
  print_tensor_types(model);
  print_layers(model);
  print_zero_patterns(report);
  print_outlook(model);
}

void print_rows(const engine::container_report& report) {
  for (std::size_t i = 0; i < report.whole->tensors.size(); ++i) {
    const auto& tensor = report.whole->tensors[i];
    std::cout << std::left << std::setw(32) << tensor.name << std::setw(7)
              << engine::info(tensor.type).name << std::right << std::setw(8) << tensor.rows
              << " x " << std::left << std::setw(8) << tensor.cols << std::right << std::setw(12)
              << tensor.bytes << " bytes   zeros " << std::fixed << std::setprecision(1)
              << 100 * tensor.zero_share << " %, of lines " << 100 * report.zeros[i].line_share()
              << " %\n";
  }
}

} // namespace

void add_inspect(CLI::App& app) {
  struct options {
    std::filesystem::path file;
    std::string i2s = "common";
    bool tensors = false;
  };
  auto* command = app.add_subcommand("inspect", "checks a model file and tells what is in it");
  const auto chosen = std::make_shared<options>();
  command->add_option("FILE", chosen->file, "GGUF file, Hugging Face folder or safetensors file")
      ->required();
  add_i2s_option(*command, chosen->i2s);
  command->add_flag("--tensors", chosen->tensors, "one line per tensor");
  command->callback([chosen] {
    const auto report =
        engine::inspect_container(chosen->file, {.i2s = *engine::find_i2s_layout(chosen->i2s)});
    std::cout << "container:  " << report.format << ", sound: " << report.file_bytes << " bytes, "
              << report.n_metadata << " keys, " << report.n_tensors << " tensors\n";
    if (report.whole == nullptr)
      std::cout << report.missing << '\n';
    else
      print_model(report);
    if (report.whole != nullptr && chosen->tensors)
      print_rows(report);
  });
}

} // namespace bitnetd::model_tool
