// SPDX-License-Identifier: MIT
#include "tests/fuzz/model_loading.h"
#include "tests/fuzz/shared_memory_folder.h"

#include <cstdint>
#include <string_view>

// A Hugging Face folder of three files, the first two behind their lengths in two bytes:
// config.json, the index of shards, and the rest, which is model.safetensors, or the shard that the
// index may name.

namespace {

std::string_view take(std::string_view& rest) {
  if (rest.size() < 2)
    return {};
  const auto length = static_cast<std::size_t>(static_cast<unsigned char>(rest[0])) |
                      static_cast<std::size_t>(static_cast<unsigned char>(rest[1])) << 8;
  const auto part = rest.substr(2, length);
  rest.remove_prefix(2 + part.size());
  return part;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const bitnetd::fuzz::shared_memory_folder folder{"safetensors"};
  std::string_view rest{reinterpret_cast<const char*>(data), size};
  folder.empty();
  folder.write("config.json", take(rest));
  const auto index = take(rest);
  if (!index.empty())
    folder.write("model.safetensors.index.json", index);
  folder.write(index.empty() ? "model.safetensors" : "a.safetensors", rest);
  bitnetd::fuzz::inspect_and_load(folder.path());
  return 0;
}
