// SPDX-License-Identifier: MIT
#include "tests/bench/cachebench/embedders.h"

#include "actors/ngram_embedding.h"
#include "engine/evaluator.h"
#include "engine/kernels/kernel_table.h"
#include "engine/weights.h"

#include <memory>

namespace bitnetd::bench {
namespace {

/// What an embedding needs; the evaluator refers to the node.
struct running_model {
  engine::loaded_model loaded;
  std::unique_ptr<engine::compute_node> node;
  std::unique_ptr<engine::evaluator> eval;
};

/// Every CPU that this process may use, as one node whose memory is bound nowhere.
engine::node_description whole_machine() {
  engine::node_description all;
  for (const auto& node : engine::discover_nodes())
    all.cpus.insert(all.cpus.end(), node.cpus.begin(), node.cpus.end());
  return all;
}

} // namespace

made_embedder make_embedder(const std::string& model) {
  if (model.empty())
    return {"hashed n-grams", false,
            [](const std::string& text) { return actors::ngram_embedding(text); }};
  auto running = std::make_shared<running_model>();
  const auto& kernels = engine::best_kernels();
  const auto place = whole_machine();
  running->loaded = engine::load_model(model, {place}, kernels);
  running->node = std::make_unique<engine::compute_node>(place, 0);
  running->eval =
      std::make_unique<engine::evaluator>(running->loaded.description, running->loaded.per_node[0],
                                          *running->node, kernels, engine::evaluator_options{});
  return {model, true, [running](const std::string& text) {
            const auto& words = *running->loaded.description->words;
            return running->eval->embed(words.encode(text, true, false));
          }};
}

} // namespace bitnetd::bench
