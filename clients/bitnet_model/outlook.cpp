// SPDX-License-Identifier: MIT
#include "clients/bitnet_model/outlook.h"

#include "clients/bitnet_model/model_options.h"
#include "engine/chat_template.h"
#include "engine/kernels/ternary_layout.h"
#include "engine/linear.h"
#include "engine/memory_estimate.h"

#include <algorithm>
#include <chrono>
#include <unistd.h>

namespace bitnetd::model_tool {

namespace {

constexpr std::size_t probe_bytes = std::size_t{64} << 20; // beyond the caches of small machines
constexpr std::chrono::milliseconds probe_time{150};

/// Bytes of weights per second that one token's product with this matrix reads.
double read_rate(const engine::linear& matrix, engine::compute_node& node,
                 engine::activation_quantization act) {
  const engine::compute_context on{node, engine::best_kernels()};
  std::vector<float> x(matrix.cols(), 0.5f), y(matrix.rows());
  engine::linear_input in;
  std::size_t rounds = 0;
  const auto start = std::chrono::steady_clock::now();
  std::chrono::duration<double> passed{};
  while (passed < probe_time) {
    node.run([&] {
      in.assign(x, 1, matrix.cols(), act);
      matrix.apply(in, y, on);
    });
    ++rounds;
    passed = std::chrono::steady_clock::now() - start;
  }
  return static_cast<double>(rounds * matrix.weight_bytes()) / passed.count();
}

/// Rows that make about probe_bytes, in whole panels.
std::size_t rows_for(std::size_t row_bytes) {
  return std::max<std::size_t>(64, probe_bytes / std::max<std::size_t>(1, row_bytes) / 64 * 64);
}

/// Bytes of dense matrices that a token reads: of the embedding one row, of a head with a screen
/// hardly any.
std::uint64_t dense_bytes_read(const engine::model& description,
                               const engine::memory_estimate& memory) {
  const bool tied = description.shape.tied_head;
  auto bytes = memory.dense;
  for (const auto& tensor : description.tensors) {
    const bool embedding = tensor.name == "token_embd.weight";
    const bool head = tied ? embedding : tensor.name == "output.weight";
    if ((embedding && !tied) || (head && memory.screen > 0))
      bytes -= std::min(bytes, engine::dense_bytes(tensor));
  }
  return bytes;
}

std::uint64_t machine_memory() {
  return static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
         static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

std::string template_names() {
  std::string names;
  for (const auto name : engine::chat_template::names())
    names.append(names.empty() ? "" : ", ").append(name);
  return names;
}

} // namespace

expected_speed measure_expected_speed(const engine::model& description) {
  const std::size_t cols = description.shape.n_embd;
  const auto machine = whole_machine();
  engine::compute_node node{machine, 0};
  expected_speed out;
  {
    const auto rows = rows_for(engine::packed_bytes(64, cols) / 64);
    const float scale = 1;
    const auto matrix = engine::linear::ternary(
        rows, cols, engine::node_memory{engine::packed_bytes(rows, cols), {}}, {&scale, 1}, 0);
    out.ternary_bytes_per_second = read_rate(matrix, node, description.shape.activations);
  }
  const auto rows = rows_for(2 * cols);
  const auto matrix =
      engine::linear::dense_f16(rows, cols, engine::node_memory{2 * rows * cols, {}});
  out.dense_bytes_per_second = read_rate(matrix, node, engine::activation_quantization::none);

  const auto memory = engine::estimate_memory(description, 0, engine::kv_type::f16, 1);
  const auto dense = dense_bytes_read(description, memory);
  const double seconds =
      static_cast<double>(memory.ternary + memory.screen) / out.ternary_bytes_per_second +
      static_cast<double>(dense) / out.dense_bytes_per_second;
  out.tokens_per_second = seconds > 0 ? 1 / seconds : 0;
  return out;
}

std::vector<std::string> limitations(const engine::model& description) {
  std::vector<std::string> out;
  if (description.words == nullptr)
    out.emplace_back("text: there is no tokenizer; only token ids can be given");
  if (description.dialogue == nullptr)
    out.push_back("chats: the model has no chat template that is known; name one of " +
                  template_names() + " as models[].template, or send prompts");
  if (description.shape.input_norms)
    out.emplace_back("generation: this is an embedding model; its head is the embedding, and what "
                     "it would write means nothing");
  const bool any_ternary = std::any_of(description.tensors.begin(), description.tensors.end(),
                                       [](const auto& tensor) { return tensor.ternary; });
  if (!any_ternary)
    out.emplace_back("ternary kernels: no tensor is stored as ternary; matrices that turn out to "
                     "hold only -a, 0 and +a are repacked at load");
  const auto memory =
      engine::estimate_memory(description, description.shape.n_context, engine::kv_type::f16, 512);
  if (memory.weights() + memory.buffers > machine_memory())
    out.push_back("loading: " + std::to_string(memory.weights() >> 20) +
                  " MiB of weights exceed this machine's memory");
  else if (memory.total() > machine_memory())
    out.push_back("the whole context: keys and values of " +
                  std::to_string(description.shape.n_context) + " tokens take " +
                  std::to_string(memory.kv >> 20) + " MiB, more than is left");
  return out;
}

} // namespace bitnetd::model_tool
