// SPDX-License-Identifier: MIT
#include "actors/model_registry.h"

#include "base/log.h"
#include "engine/weights.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace bitnetd::actors {

namespace {

const conf::model_config& configured(const model_handle& model) { return *model; }

model_handle load_one(const conf::model_config& wanted,
                      const std::vector<engine::node_description>& nodes,
                      const engine::kernel_table& kernels,
                      std::optional<std::uint64_t> bytes_left) {
  engine::load_options options;
  options.max_weight_bytes = bytes_left;
  options.template_name = wanted.chat_template;
  options.name = wanted.name;
  options.i2s = engine::find_i2s_layout(wanted.i2s_layout).value_or(engine::i2s_layout::common);
  options.activations = engine::find_activations(wanted.activations);
  options.ternary =
      engine::find_ternary_form(wanted.weights).value_or(engine::ternary_form::two_bits);
  auto loaded = engine::load_model(wanted.path, nodes, kernels, options);
  if (wanted.embedding && !loaded.description->words)
    throw engine::load_error(wanted.path.string() + ": an embedding model needs a tokenizer");
  auto out = std::make_shared<served_model>();
  static_cast<conf::model_config&>(*out) = wanted;
  out->description = std::move(loaded.description);
  out->per_node = std::move(loaded.per_node);
  out->weight_bytes = loaded.weight_bytes;
  log::info("model {}: {} ({} layers, width {}, vocabulary {}, context {}), {} KiB, "
            "{} KiB of matrices in memory, hash {}",
            out->name, out->description->shape.arch_name, out->description->shape.n_layer,
            out->description->shape.n_embd, out->description->shape.n_vocab,
            out->description->shape.n_context, out->description->file_bytes / 1024,
            out->weight_bytes / 1024, out->description->model_hash.hex().substr(0, 12));
  return out;
}

} // namespace

model_set load_models(const std::vector<conf::model_config>& wanted,
                      const std::vector<engine::node_description>& nodes,
                      const engine::kernel_table& kernels, const model_set& loaded,
                      std::uint64_t max_bytes) {
  const auto find = [&](const conf::model_config& model) {
    return std::ranges::find(*loaded, model, configured);
  };
  std::uint64_t used = 0; // first by what is there already, wherever it stands in the list
  for (const auto& model : wanted)
    if (const auto found = find(model); found != loaded->end())
      used += (*found)->weight_bytes;
  auto out = std::make_shared<std::vector<model_handle>>();
  for (const auto& model : wanted) {
    if (const auto found = find(model); found != loaded->end()) {
      out->push_back(*found);
      continue;
    }
    std::optional<std::uint64_t> left;
    if (max_bytes > 0)
      left = max_bytes - std::min(used, max_bytes);
    out->push_back(load_one(model, nodes, kernels, left));
    used += out->back()->weight_bytes;
  }
  return out;
}

bool same_models(const std::vector<conf::model_config>& wanted, const model_set& loaded) {
  return std::ranges::equal(wanted, *loaded, {}, {}, configured);
}

std::vector<engine::node_description> nodes_of(const conf::hardware_config& hardware) {
  if (hardware.nodes.empty())
    return engine::discover_nodes();
  std::vector<engine::node_description> out;
  for (const auto& node : hardware.nodes)
    out.push_back({node.cpus, node.memory_node});
  return out;
}

std::string describe_models(const model_set& models) {
  auto list = nlohmann::json::array();
  for (const auto& model : *models) {
    const auto& description = *model->description;
    const auto& shape = description.shape;
    std::uint64_t parameters = 0;
    for (const auto& tensor : description.tensors)
      parameters += tensor.rows * tensor.cols;
    list.push_back({{"name", model->name},
                    {"embedding", model->embedding},
                    {"architecture", shape.arch_name},
                    {"context", shape.n_context},
                    {"vocabulary", shape.n_vocab},
                    {"layers", shape.n_layer},
                    {"width", shape.n_embd},
                    {"parameters", parameters},
                    {"file_bytes", description.file_bytes},
                    {"tokenizer", description.words ? description.words->name() : ""},
                    {"template", description.dialogue ? description.dialogue->name() : ""},
                    {"model_hash", description.model_hash.hex()}});
  }
  return nlohmann::json{{"models", std::move(list)}}.dump();
}

} // namespace bitnetd::actors
