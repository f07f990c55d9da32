// SPDX-License-Identifier: MIT
#include "tests/conformance/collection.h"

#include "engine/gguf.h"

#include <algorithm>
#include <set>

namespace bitnetd::conformance {

namespace fs = std::filesystem;

namespace {

// Named here once more, not asked of the engine: an engine that forgets a type would also forget to
// miss it.
const std::set<std::string> house_architectures = {"bitnet-b1.58", "bitnet-25", "bitnet",
                                                   "llama",        "qwen3",     "gemma3"};
const std::set<std::uint32_t> house_types = {0, 1, 2, 8, 12, 14, 20, 30, 34, 35, 36, 42, 134, 135};
const std::set<std::string> house_tokenizers = {"llama-bpe",     "llama-spm",   "falcon",
                                                "gpt-neox-olmo", "tiny-bpe512", "tiny-spm512"};

model_file describe(const fs::path& path, const std::string& model) {
  const auto stem = path.stem().string();
  return {path, model, stem == model ? "" : stem.substr(model.size() + 1), is_house_model(path)};
}

/// "tiny-bpe512" is the vocabulary of 512 tokens of kind BPE that tiny models carry.
bool is_tiny_vocabulary(const std::string& name, const fs::path& model) {
  const bool bpe = name.starts_with("tiny-bpe"), spm = name.starts_with("tiny-spm");
  if (!bpe && !spm)
    return false;
  try {
    const auto file = engine::gguf_file::open(model);
    const auto* tokens = file.get_strings("tokenizer.ggml.tokens");
    return tokens != nullptr && std::to_string(tokens->size()) == name.substr(8) &&
           file.get_string("tokenizer.ggml.model") == (bpe ? "gpt2" : "llama");
  } catch (const engine::load_error&) {
    return false; // another file may carry it
  }
}

} // namespace

bool is_house_model(const fs::path& path) {
  try {
    const auto kinds = engine::gguf_file::peek(path);
    return house_architectures.contains(kinds.architecture) &&
           std::includes(house_types.begin(), house_types.end(), kinds.type_ids.begin(),
                         kinds.type_ids.end());
  } catch (const engine::load_error&) {
    return true; // a damaged head is nothing to skip
  }
}

bool is_house_type(std::uint32_t id) { return house_types.contains(id); }

bool is_house_tokenizer(const std::string& name) { return house_tokenizers.contains(name); }

loaded_file::loaded_file(const fs::path& path)
    : model{engine::load_model(path, {engine::node_description{}}, engine::best_kernels())},
      node{engine::node_description{}, 2} {}

engine::evaluator loaded_file::evaluator(engine::activation_quantization activations,
                                         std::size_t max_tokens, std::size_t chunk) {
  engine::evaluator_options options;
  options.activations = activations;
  options.kv = engine::kv_type::f32;
  options.max_tokens = max_tokens;
  options.chunk = chunk;
  return {model.description, model.per_node[0], node, engine::best_kernels(), options};
}

collection::collection(fs::path folder, fs::path shipped)
    : folder_{std::move(folder)}, shipped_{std::move(shipped)} {}

std::vector<fs::path> collection::files(std::string_view section, std::string_view suffix) const {
  std::vector<fs::path> found;
  if (fs::is_directory(folder_ / section))
    for (const auto& entry : fs::directory_iterator{folder_ / section})
      if (entry.path().filename().string().ends_with(suffix))
        found.push_back(entry.path());
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<model_file> collection::models() const {
  std::vector<model_file> found;
  for (const auto& path : files("models", ".gguf"))
    found.push_back(describe(path, path.stem().string()));
  return found;
}

std::vector<model_file> collection::folders() const {
  std::vector<model_file> found;
  for (const auto& path : files("hf", ""))
    found.push_back({path, path.filename().string(), "", true});
  return found;
}

std::vector<model_file> collection::files_of(const std::string& model) const {
  std::vector<model_file> found;
  for (const auto& path : files("models", ".gguf")) {
    const auto stem = path.stem().string();
    if (stem == model || stem.starts_with(model + "-"))
      found.push_back(describe(path, model));
  }
  for (const auto& path : files("hf", ""))
    if (const auto name = path.filename().string(); name.starts_with(model + "-"))
      found.push_back({path, model, "hf-" + name.substr(model.size() + 1), true});
  const auto shipped = shipped_ / (model + ".gguf");
  if (found.empty() && fs::exists(shipped))
    found.push_back(describe(shipped, model));
  return found;
}

std::vector<fs::path> collection::vocabularies(const std::string& name) const {
  for (const auto& path : {folder_ / "tokenizers" / ("ggml-vocab-" + name + ".gguf"),
                           folder_ / "tokenizers" / (name + ".gguf")})
    if (fs::exists(path))
      return {path};
  std::vector<fs::path> found;
  for (const auto& file : files_of(name))
    if (file.path.extension() == ".gguf")
      found.push_back(file.path);
  if (found.empty())
    for (const auto& path : files("models", ".gguf"))
      if (is_tiny_vocabulary(name, path))
        found.push_back(path);
  return found;
}

loaded_file& collection::load(const fs::path& path) {
  auto& slot = loaded_[path];
  if (slot == nullptr)
    slot = std::make_unique<loaded_file>(path);
  return *slot;
}

} // namespace bitnetd::conformance
