// SPDX-License-Identifier: MIT
#pragma once

#include "engine/kernels/kernel_table.h"
#include "engine/model.h"
#include "engine/node.h"
#include "engine/tensor_type.h"

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bitnetd::engine {

/// The weights of one model, repacked for one node. Immutable; shared by the worker and the
/// registry, so that a worker that is started again needs no file. Defined in weights_layout.h.
class weights;

/// What logits are computed from. All but the first two change them.
enum class head_form {
  exact,    ///< the head as it is stored
  screened, ///< the same logits where only some are needed, by reading a 4-bit copy first
  int8,     ///< rounded to 8 bits
  int4,     ///< rounded to 4 bits
};

/// How ternary matrices lie in memory. Results are the same, to the bit.
enum class ternary_form {
  two_bits, ///< ternary_layout.h
  base3, ///< base3_layout.h, 1.6 bits a weight; in two bits where a factor holds for some columns
         ///< only
};

/// "two_bits" or "base3".
[[nodiscard]] std::optional<ternary_form> find_ternary_form(std::string_view name) noexcept;

struct load_options {
  std::string template_name = {};      ///< built-in chat template to use instead of the file's own
  std::string name = {};               ///< instead of general.name
  i2s_layout i2s = i2s_layout::common; ///< which of the layouts that no file names
  std::optional<activation_quantization> activations = {}; ///< instead of the family's own
  head_form head = head_form::screened;
  ternary_form ternary = ternary_form::two_bits;
  /// Most bytes of all matrices on all nodes together: more is refused, before reading where the
  /// file's tensors say so.
  std::optional<std::uint64_t> max_weight_bytes = {};
};

/// A model, and its weights once per node (same order as `nodes`).
struct loaded_model {
  std::shared_ptr<const model> description;
  std::vector<std::shared_ptr<const weights>> per_node;
  std::uint64_t weight_bytes = 0; ///< of the matrices on all nodes
};

/// Loads a GGUF file: checks container, hyperparameters, every tensor's shape and payload, reads
/// each tensor once (hash, then repack to each node), and closes the file; nothing refers to it
/// afterwards. Throws load_error.
[[nodiscard]] loaded_model load_model(const std::filesystem::path& path,
                                      const std::vector<node_description>& nodes,
                                      const kernel_table& kernels,
                                      const load_options& options = {});

/// Everything but the weights, with the same checks of metadata and shapes; payload is read only
/// when `check_payload`. Throws load_error.
[[nodiscard]] std::shared_ptr<const model> describe_model(const std::filesystem::path& path,
                                                          bool check_payload,
                                                          const load_options& options = {});

} // namespace bitnetd::engine
