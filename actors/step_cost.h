// SPDX-License-Identifier: MIT
#pragma once

#include "actors/cost_curve.h"
#include "actors/messages.h"
#include "engine/kernels/kernel_table.h"
#include "engine/node.h"

#include <filesystem>
#include <optional>
#include <string>

namespace bitnetd::actors {

/// Runs steps of known shapes (prefill of 16, 64, 256 rows; decode of 1, 2, 4, 8 sequences) and
/// notes what they take. Stops after about two seconds with what it has.
[[nodiscard]] cost_curve measure_step_cost(const served_model& model, std::size_t node_index,
                                           engine::compute_node& node,
                                           const engine::kernel_table& kernels, engine::kv_type kv);

/// File of a curve: everything that a measured time depends on is in its name.
[[nodiscard]] std::filesystem::path cost_file(const std::filesystem::path& cache_directory,
                                              const hash128& model, std::string_view isa,
                                              std::size_t threads, std::string_view kv);

/// A stored curve; nothing when it is missing or not sound (then it is measured anew).
[[nodiscard]] std::optional<cost_curve> read_cost(const std::filesystem::path& file);
/// Writes a temporary file and renames it. False when that failed: the curve is measured again at
/// the next start.
bool write_cost(const std::filesystem::path& file, const cost_curve& curve);

} // namespace bitnetd::actors
