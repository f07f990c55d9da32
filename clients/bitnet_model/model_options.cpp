// SPDX-License-Identifier: MIT
#include "clients/bitnet_model/model_options.h"

#include "clients/bitnet_model/commands.h"
#include "engine/weights_layout.h"

#include <CLI/CLI.hpp>

namespace bitnetd::model_tool {

namespace {

const engine::kernel_table& find_isa(const std::string& name) {
  const auto* kernels = engine::find_kernels(name);
  if (kernels != nullptr)
    return *kernels;
  std::string known = "auto";
  for (const auto& isa : engine::supported_isas())
    known += ", " + isa;
  throw refused{"--isa " + name + ": this machine has " + known};
}

} // namespace

engine::node_description whole_machine() {
  engine::node_description all;
  all.lower_by = 0; // there are no other threads here to give way to
  for (const auto& node : engine::discover_nodes())
    all.cpus.insert(all.cpus.end(), node.cpus.begin(), node.cpus.end());
  return all;
}

void model_options::add_to(CLI::App& command) {
  command.add_option("-m,--model", model, "GGUF file or Hugging Face folder")->required();
  command.add_option("-t,--threads", threads, "compute threads; 0: one per CPU")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  command.add_option("--isa", isa, "kernels: auto, scalar, avx2, avx_vnni, avx512_vnni, neon")
      ->capture_default_str();
  add_i2s_option(command, i2s);
}

void add_i2s_option(CLI::App& command, std::string& layout) {
  command
      .add_option("--i2s", layout,
                  "layout of I2_S tensors, which no file tells: common, lanes16 (written by "
                  "bitnet.cpp built for ARM) or rows4 (built without ACT_PARALLEL)")
      ->check(CLI::IsMember({"common", "lanes16", "rows4"}))
      ->capture_default_str();
}

engine::load_options model_options::load_choice() const {
  engine::load_options options;
  options.i2s = *engine::find_i2s_layout(i2s);           // checked by the command line
  options.ternary = *engine::find_ternary_form(weights); // this one, too
  return options;
}

void model_options::add_numeric_to(CLI::App& command) {
  command.add_option("--act", activations, "activation quantization of the projections")
      ->check(CLI::IsMember({"model", "absmax", "none"}))
      ->capture_default_str();
  command.add_option("--kv", kv, "type of keys and values")
      ->check(CLI::IsMember({"f32", "f16", "q8"}))
      ->capture_default_str();
  command
      .add_option("--head", head,
                  "logits from the stored head (exact), from it after a 4-bit copy where not all "
                  "are needed (screened: the same results), or from a head rounded to 8 or 4 bits")
      ->check(CLI::IsMember({"exact", "screened", "int8", "int4"}))
      ->capture_default_str();
  command
      .add_option("--weights", weights,
                  "ternary weights in memory: two_bits, or base3 (1.6 bits); the same results")
      ->check(CLI::IsMember({"two_bits", "base3"}))
      ->capture_default_str();
}

std::optional<engine::activation_quantization> model_options::activation_choice() const {
  return engine::find_activations(activations);
}

engine::head_form model_options::head_choice() const {
  return head == "exact"  ? engine::head_form::exact
         : head == "int8" ? engine::head_form::int8
         : head == "int4" ? engine::head_form::int4
                          : engine::head_form::screened;
}

engine::kv_type model_options::kv_choice() const {
  return engine::find_kv_type(kv).value(); // one of them: the command line was checked
}

open_model::open_model(const model_options& options) : kernels_{find_isa(options.isa)} {
  const auto machine = whole_machine();
  auto how = options.load_choice();
  how.head = options.head_choice();
  loaded_ = engine::load_model(options.model, {machine}, kernels_, how);
  node_ = std::make_unique<engine::compute_node>(machine, options.threads);
}

std::uint64_t open_model::loaded_bytes() const { return loaded_.per_node[0]->matrix_bytes(); }

engine::evaluator open_model::evaluator(const model_options& options, std::size_t max_tokens,
                                        std::size_t chunk, std::optional<engine::pooling> pool,
                                        bool best_only) {
  const auto n_context = description().shape.n_context;
  if (max_tokens > n_context)
    throw refused{"a sequence of " + std::to_string(max_tokens) +
                  " tokens; the model's context has " + std::to_string(n_context)};
  engine::evaluator_options how;
  how.activations = options.activation_choice();
  how.pool = pool;
  how.kv = options.kv_choice();
  how.chunk = chunk;
  how.max_tokens = max_tokens;
  how.best_only = best_only;
  return {loaded_.description, loaded_.per_node[0], *node_, kernels_, how};
}

} // namespace bitnetd::model_tool
