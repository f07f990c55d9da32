// SPDX-License-Identifier: MIT
#include "tests/support/scratch_folder.h"

#include <cstdint>
#include <iostream>
#include <string_view>

// A fuzz target in an ordinary build: what earlier runs found worth keeping, once more.
//
//   replay CORPUS    a row of inputs, each behind its length in four bytes

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

int main(int, char** argv) {
  const auto bytes = bitnetd::tests::read_bytes(argv[1]);
  std::string_view row{bytes};
  std::size_t n = 0;
  for (; row.size() >= 4; ++n) {
    std::size_t size = 0;
    for (std::size_t i = 0; i < 4; ++i)
      size |= std::size_t{static_cast<unsigned char>(row[i])} << 8 * i;
    const auto input = row.substr(4, size);
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
    row.remove_prefix(4 + input.size());
  }
  std::cout << n << " inputs\n";
  return n > 0 && row.empty() ? 0 : 1;
}
