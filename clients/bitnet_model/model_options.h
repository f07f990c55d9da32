// SPDX-License-Identifier: MIT
#pragma once

#include "engine/evaluator.h"
#include "engine/weights.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

namespace CLI {
class App;
}

namespace bitnetd::model_tool {

/// What every command that runs a model may be told.
struct model_options {
  std::filesystem::path model;
  std::string activations = "model", kv = "f32", isa = "auto", i2s = "common", head = "exact";
  std::string weights = "two_bits";
  std::size_t threads = 0; ///< 0: one per CPU

  /// Adds -m/--model, -t/--threads and --isa.
  void add_to(CLI::App& command);
  /// Adds --act, --kv, --head and --weights.
  void add_numeric_to(CLI::App& command);

  [[nodiscard]] std::optional<engine::activation_quantization> activation_choice() const;
  [[nodiscard]] engine::head_form head_choice() const;
  [[nodiscard]] engine::kv_type kv_choice() const;
  [[nodiscard]] engine::load_options load_choice() const;
};

/// Adds --i2s to a command that reads model files.
void add_i2s_option(CLI::App& command, std::string& layout);

/// Every CPU that this process may use, as one node whose memory is bound nowhere.
[[nodiscard]] engine::node_description whole_machine();

/// A loaded model and the threads that run it.
class open_model {
public:
  /// Throws load_error; refused for an instruction set that this machine does not have.
  explicit open_model(const model_options& options);

  [[nodiscard]] const engine::model& description() const noexcept { return *loaded_.description; }
  [[nodiscard]] const engine::loaded_model& loaded() const noexcept { return loaded_; }
  /// Bytes of all matrices as they lie in memory.
  [[nodiscard]] std::uint64_t loaded_bytes() const;
  [[nodiscard]] engine::compute_node& node() noexcept { return *node_; }
  [[nodiscard]] const engine::kernel_table& kernels() const noexcept { return kernels_; }
  /// Throws refused when the model's context is shorter than max_tokens.
  [[nodiscard]] engine::evaluator evaluator(const model_options& options, std::size_t max_tokens,
                                            std::size_t chunk = 128,
                                            std::optional<engine::pooling> pool = {},
                                            bool best_only = false);

private:
  const engine::kernel_table& kernels_;
  engine::loaded_model loaded_;
  std::unique_ptr<engine::compute_node> node_;
};

} // namespace bitnetd::model_tool
