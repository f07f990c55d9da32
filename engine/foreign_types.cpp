// SPDX-License-Identifier: MIT
#include "engine/foreign_types.h"

#include <string_view>

namespace bitnetd::engine {

namespace {

constexpr std::string_view readable_types =
    "F32, F16, BF16, Q8_0, Q6_K, Q4_K, Q4_0, IQ4_NL, Q2_0, I2_S, TQ1_0, TQ2_0, IQ1_BN or IQ2_BN";

struct foreign_type {
  std::uint32_t id;
  std::string_view name, remedy; ///< remedy empty: use a file with a readable type
};

constexpr foreign_type foreign_types[] = {
    {3, "Q4_1", ""},
    {6, "Q5_0", ""},
    {7, "Q5_1", ""},
    {9, "Q8_1", ""},
    {10, "Q2_K", ""},
    {11, "Q3_K", ""},
    {13, "Q5_K", ""},
    {15, "Q8_K", ""},
    {16, "IQ2_XXS", ""},
    {17, "IQ2_XS", ""},
    {18, "IQ3_XXS", ""},
    {19, "IQ1_S", ""},
    {21, "IQ3_S", ""},
    {22, "IQ2_S", ""},
    {23, "IQ4_XS", ""},
    {24, "I8", ""},
    {25, "I16", ""},
    {26, "I32", ""},
    {27, "I64", ""},
    {28, "F64", ""},
    {29, "IQ1_M", ""},
    {31, "Q4_0_4_4", "it was withdrawn; use the Q4_0 file of the same model"},
    {32, "Q4_0_4_8", "it was withdrawn; use the Q4_0 file of the same model"},
    {33, "Q4_0_8_8", "it was withdrawn; use the Q4_0 file of the same model"},
    {37, "I8_S", "it is bitnet.cpp's type for activations and never valid in a file"},
    {40, "NVFP4", ""},
    {41, "Q1_0", ""},
    {142, "IQ2_TN", "it was withdrawn; quantize the model again as TQ2_0 or IQ2_BN"},
    {143, "IQ1_TN", "it was withdrawn; quantize the model again as TQ1_0 or IQ1_BN"},
    {335, "IQ2_BN_R4",
     "its rows are interleaved for one engine; use the IQ2_BN file the model was repacked from"},
};

/// The size of a TL2 tensor: threes of columns in five bits, the last 256 columns in pairs of four.
std::uint64_t tl2_bytes(std::uint64_t rows, std::uint64_t cols) noexcept {
  const auto in_threes = cols > 256 ? (cols - 256) * rows / 3 * 5 / 8 : 0;
  const auto in_pairs = 256 * rows / 2 * 4 / 8;
  return (in_threes + in_pairs + 31) / 32 * 32 + 32;
}

/// Id 39 is TL2 in bitnet.cpp and MXFP4 (17 bytes for 32 values) elsewhere. A TL2 file says so
/// beside the tensor; else the room that the tensor has tells, MXFP4 being the larger.
bool is_tl2(const foreign_tensor& tensor) noexcept {
  if (tensor.has_scale_sibling || tensor.file_type == 39u)
    return true;
  const auto mxfp4 = tensor.rows * (tensor.cols / 32) * 17;
  return tensor.cols % 32 != 0 ||
         (tensor.room < mxfp4 && tensor.room >= tl2_bytes(tensor.rows, tensor.cols));
}

} // namespace

std::string why_not_read(const foreign_tensor& tensor) {
  const auto id = " (" + std::to_string(tensor.id) + ")";
  const bool tl2 = tensor.id == 39 && is_tl2(tensor);
  if (tensor.id == 38 || tl2)
    return "type " + std::string{tl2 ? "TL2" : "TL1"} + id +
           " is not self-describing: its layout depends on a tile configuration that is not in the "
           "file; convert the model to I2_S";
  const std::string use = "use a file with " + std::string{readable_types};
  if (tensor.id == 39)
    return "type MXFP4" + id + " is not supported; " + use;
  for (const auto& known : foreign_types)
    if (known.id == tensor.id)
      return "type " + std::string{known.name} + id + " is not supported; " +
             (known.remedy.empty() ? use : std::string{known.remedy});
  return "unknown tensor type" + id + "; " + use;
}

} // namespace bitnetd::engine
