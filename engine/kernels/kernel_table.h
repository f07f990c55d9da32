// SPDX-License-Identifier: MIT
#pragma once

#include "engine/kernels/kernel_functions.h"

#include <span>
#include <string_view>

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

} // namespace bitnetd::engine
