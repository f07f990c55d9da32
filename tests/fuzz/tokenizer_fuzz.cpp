// SPDX-License-Identifier: MIT
#include "engine/gguf.h"
#include "engine/hugging_face/vocabulary.h"
#include "engine/tokenizer.h"
#include "tests/fuzz/model_loading.h"
#include "tests/fuzz/shared_memory_folder.h"

#include <cstdint>
#include <string_view>

// The first byte chooses what the rest is: tokenizer.json, tokenizer_config.json, tokenizer.model,
// or a GGUF file of which only the tokenizer is read.

namespace {

using namespace bitnetd;
using namespace bitnetd::engine;

/// The entries of a folder, so that a tokenizer can be built from them.
class entries final : public model_source {
public:
  explicit entries(std::vector<std::pair<std::string, gguf_value>> all) {
    for (auto& [key, value] : all)
      add_entry(key, std::move(value));
  }
  [[nodiscard]] std::string format() const override { return "entries"; }
  void read(const gguf_tensor&, std::uint64_t, std::span<std::byte>) const override {}
};

constexpr std::string_view three_tokens =
    R"({"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]},)"
    R"("pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false}})";

std::shared_ptr<const tokenizer> build(char kind, std::string_view content) {
  static const fuzz::shared_memory_folder folder{"tokenizer"};
  folder.empty();
  if (kind % 4 == 3) {
    folder.write("words.gguf", content);
    return tokenizer::from_metadata(gguf_file::open(folder.path() / "words.gguf"));
  }
  constexpr const char* names[] = {"tokenizer.json", "tokenizer_config.json", "tokenizer.model"};
  folder.write(names[kind % 4], content);
  if (kind % 4 == 1)
    folder.write("tokenizer.json", three_tokens);
  const hugging_face::json_object config{nlohmann::json::object(), "config.json"};
  return tokenizer::from_metadata(
      entries{hugging_face::read_vocabulary(folder.path(), config, 512)});
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0)
    return 0;
  fuzz::be_quiet();
  try {
    if (const auto words = build(static_cast<char>(data[0] & 3),
                                 {reinterpret_cast<const char*>(data) + 1, size - 1}))
      fuzz::use(*words);
  } catch (const load_error& refusal) {
    fuzz::check(refusal);
  }
  return 0;
}
