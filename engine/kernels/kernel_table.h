// SPDX-License-Identifier: MIT
#pragma once

#include "engine/kernels/kernel_functions.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bitnetd::engine {

/// The kernels of one instruction set (kernel_functions.h says what each computes) and whether
/// this CPU can run them.
struct kernel_table : kernel_functions {
  std::string_view name;        ///< as in hardware.isa: scalar, avx2, avx_vnni, avx512_vnni, neon
  bool (*supported)() noexcept; ///< asks this CPU, not the compiler
};

/// All tables of this build, the scalar reference first, then from slowest to fastest.
[[nodiscard]] std::span<const kernel_table> all_kernels() noexcept;
/// The fastest table that this CPU supports.
[[nodiscard]] const kernel_table& best_kernels() noexcept;
/// The table with this name if it exists and is supported here ("auto": the best), else nullptr.
[[nodiscard]] const kernel_table* find_kernels(std::string_view name) noexcept;

/// Names of the tables that this CPU supports, from slowest to fastest: what hardware.isa may be
/// beside "auto".
[[nodiscard]] std::vector<std::string> supported_isas();

} // namespace bitnetd::engine
