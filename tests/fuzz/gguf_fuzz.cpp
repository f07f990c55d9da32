// SPDX-License-Identifier: MIT
#include "tests/fuzz/model_loading.h"
#include "tests/support/memory_file.h"

#include <cstdint>

// A GGUF file: container, hyperparameters, tokenizer, payload, and loading where all of that
// passes.

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const bitnetd::tests::memory_file file{{reinterpret_cast<const char*>(data), size}};
  bitnetd::fuzz::inspect_and_load(file.path());
  return 0;
}
