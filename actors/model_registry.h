// SPDX-License-Identifier: MIT
#pragma once

#include "actors/messages.h"
#include "engine/kernels/kernel_table.h"
#include "engine/node.h"

#include <vector>

namespace bitnetd::actors {

/// Loads the configured models onto every node. What `loaded` holds already, under the same name
/// and path and with the same use, is taken over. All of them together stay within `max_bytes` of
/// weights (0: no limit). Throws engine::load_error.
[[nodiscard]] model_set load_models(const std::vector<conf::model_config>& wanted,
                                    const std::vector<engine::node_description>& nodes,
                                    const engine::kernel_table& kernels, const model_set& loaded,
                                    std::uint64_t max_bytes);

/// Whether `loaded` is what the configuration asks for.
[[nodiscard]] bool same_models(const std::vector<conf::model_config>& wanted,
                               const model_set& loaded);

/// The nodes to make workers for: as written, else as discovered.
[[nodiscard]] std::vector<engine::node_description> nodes_of(const conf::hardware_config& hardware);

/// The `models` document of docs/protocol.md, as JSON text.
[[nodiscard]] std::string describe_models(const model_set& models);

} // namespace bitnetd::actors
