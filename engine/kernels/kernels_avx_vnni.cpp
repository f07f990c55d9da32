// SPDX-License-Identifier: MIT
//
// AVX2 with AVX-VNNI (vpdpbusd in 256 bits). C headers and intrinsics only: an inline function of
// the C++ library that is compiled here could become the copy of the whole program.
#define BITNETD_FLOAT_WIDTH 8
#include "engine/kernels/base3_avx2.h"
#include "engine/kernels/float_kernels.h"
#include "engine/kernels/vnni_kernels.h"

namespace bitnetd::engine {

constinit const kernel_functions avx_vnni_functions = float_kernels(
    packed_gemm<2>, base3_gemm<base3_split, packed_gemm<2>>, packed_gemm<4>, packed_gemm<8>);

} // namespace bitnetd::engine
