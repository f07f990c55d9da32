// SPDX-License-Identifier: MIT
#pragma once

#include "actors/messages.h"
#include "engine/kernels/kernel_table.h"
#include "engine/weights.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/tiny_model.h"

#include <memory>
#include <string>

namespace bitnetd::actors::testing {

/// A tiny model as the registry loads it, on two nodes of one CPU each.
inline model_handle load_tiny(const tests::tiny_model& shape, const std::string& name,
                              bool embedding) {
  const tests::scratch_folder folder;
  const std::vector<engine::node_description> nodes{{{0}, {}}, {{1}, {}}};
  engine::load_options options;
  options.template_name = "bitnet-2b4t";
  options.name = name;
  auto loaded = engine::load_model(shape.write(folder.path() / (name + ".gguf")), nodes,
                                   *engine::find_kernels("auto"), options);
  auto out = std::make_shared<served_model>();
  out->name = name;
  out->embedding = embedding;
  out->chat_template = options.template_name;
  out->description = std::move(loaded.description);
  out->per_node = std::move(loaded.per_node);
  return out;
}

/// Answers prompts and chats; loaded once.
inline const model_handle& chat_model() {
  static const auto model = load_tiny({}, "chat", false);
  return model;
}

/// Makes vectors of 256 numbers; loaded once.
inline const model_handle& embed_model() {
  static const auto model = [] {
    tests::tiny_model shape;
    shape.pooling = 1;
    shape.seed = 2;
    return load_tiny(shape, "embed", true);
  }();
  return model;
}

inline model_set both_models() {
  return std::make_shared<const std::vector<model_handle>>(
      std::vector<model_handle>{chat_model(), embed_model()});
}

} // namespace bitnetd::actors::testing
