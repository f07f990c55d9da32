// SPDX-License-Identifier: MIT
#include "engine/kernels/kernel_table.h"

#ifdef BITNETD_HAVE_X86_KERNELS
#include <cpuid.h>
#endif
#ifdef BITNETD_HAVE_ARM_KERNELS
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace bitnetd::engine {

namespace {

#ifdef BITNETD_HAVE_X86_KERNELS
bool has_avx2() noexcept {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("f16c");
}

/// AVX-VNNI is leaf 7, subleaf 1, EAX bit 4; __builtin_cpu_supports of GCC 12 has no name for it.
bool has_avx_vnni() noexcept {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a & (1u << 4)) != 0;
}

bool has_avx512_vnni() noexcept {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni");
}

/// The set with what this CPU has beyond what the set requires.
kernel_functions avx512_vnni() noexcept {
  auto functions = avx512_vnni_functions;
  if (__builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("gfni")) {
    functions.ternary_gemm = ternary_gemm_gfni;
    functions.base3_gemm = base3_gemm_vbmi;
  }
  return functions;
}
#endif

#ifdef BITNETD_HAVE_ARM_KERNELS
bool has_sdot() noexcept { return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0; }
#endif

} // namespace

// A function-local table: the functions' own constants are initialised by then, whichever file the
// linker put first.
std::span<const kernel_table> all_kernels() noexcept {
  static const kernel_table tables[] = {
      {scalar_functions, "scalar", []() noexcept { return true; }},
#ifdef BITNETD_HAVE_X86_KERNELS
      {avx2_functions, "avx2", has_avx2},
      {avx_vnni_functions, "avx_vnni", has_avx_vnni},
      {avx512_vnni(), "avx512_vnni", has_avx512_vnni},
#endif
#ifdef BITNETD_HAVE_ARM_KERNELS
      {neon_functions, "neon", has_sdot},
#endif
  };
  return tables;
}

const kernel_table& best_kernels() noexcept {
  const auto tables = all_kernels();
  auto best = tables.size() - 1;
  while (!tables[best].supported()) // the first always is
    --best;
  return tables[best];
}

const kernel_table* find_kernels(std::string_view name) noexcept {
  if (name == "auto")
    return &best_kernels();
  for (const auto& table : all_kernels())
    if (table.name == name && table.supported())
      return &table;
  return nullptr;
}

std::vector<std::string> supported_isas() {
  std::vector<std::string> names;
  for (const auto& table : all_kernels())
    if (table.supported())
      names.emplace_back(table.name);
  return names;
}

} // namespace bitnetd::engine
