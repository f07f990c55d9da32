// SPDX-License-Identifier: MIT
//
// AVX-512 with VNNI. C headers and intrinsics only: an inline function of the C++ library that is
// compiled here could become the copy of the whole program.

// GCC 12 warns about its own header: "undefined" vectors there are written `v = v`.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#define BITNETD_FLOAT_WIDTH 16
#include "engine/kernels/base3_avx2.h"
#include "engine/kernels/float_kernels.h"
#include "engine/kernels/vnni_kernels.h"

namespace bitnetd::engine {

constinit const kernel_functions avx512_vnni_functions = float_kernels(
    packed_gemm<2>, base3_gemm<base3_split, packed_gemm<2>>, packed_gemm<4>, packed_gemm<8>);

} // namespace bitnetd::engine
