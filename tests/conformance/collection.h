// SPDX-License-Identifier: MIT
#pragma once

#include "engine/evaluator.h"
#include "engine/weights.h"
#include "engine/weights_layout.h"

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bitnetd::conformance {

/// One model file of a collection.
struct model_file {
  std::filesystem::path path;
  std::string model;   ///< "b158-a": the name of its golden folder
  std::string variant; ///< "i2_s", "tq1_0-q6k", "hf-master"; empty: the model's bare name
  bool house = false;  ///< architecture and all tensor types are ones that this engine reads

  [[nodiscard]] std::string name() const {
    return path.extension() == ".gguf" ? path.stem().string() : "hf/" + path.filename().string();
  }
};

/// A loaded model with the threads to run it.
struct loaded_file {
  engine::loaded_model model;
  engine::compute_node node;

  explicit loaded_file(const std::filesystem::path& path);
  [[nodiscard]] engine::evaluator evaluator(engine::activation_quantization activations,
                                            std::size_t max_tokens, std::size_t chunk = 128);
};

/// A folder of conformance cases and the models that its cases speak of. Models are loaded once.
class collection {
public:
  /// `shipped`: the folder of the project's own models, whose golden values carry their names.
  collection(std::filesystem::path folder, std::filesystem::path shipped);

  [[nodiscard]] const std::filesystem::path& folder() const noexcept { return folder_; }
  /// Files of FOLDER/SECTION that end in `suffix`, sorted; empty when there is no such section.
  [[nodiscard]] std::vector<std::filesystem::path> files(std::string_view section,
                                                         std::string_view suffix) const;
  /// All model files of models/.
  [[nodiscard]] std::vector<model_file> models() const;
  /// All Hugging Face folders of hf/.
  [[nodiscard]] std::vector<model_file> folders() const;
  /// The files of one model by name: models/NAME-*.gguf, models/NAME.gguf and folders hf/NAME-*,
  /// else the shipped one.
  [[nodiscard]] std::vector<model_file> files_of(const std::string& model) const;
  /// The file whose vocabulary goes by this name, if there is one.
  [[nodiscard]] std::vector<std::filesystem::path> vocabularies(const std::string& name) const;

  /// Loads a model, or finds it loaded. Throws engine::load_error.
  loaded_file& load(const std::filesystem::path& path);

private:
  std::filesystem::path folder_, shipped_;
  std::map<std::filesystem::path, std::unique_ptr<loaded_file>> loaded_;
};

/// Whether this engine promises to read a file of these parts.
[[nodiscard]] bool is_house_model(const std::filesystem::path& path);
/// Whether this engine promises to read tensors of this type number.
[[nodiscard]] bool is_house_type(std::uint32_t id);
/// Whether this engine promises to read a vocabulary of this name.
[[nodiscard]] bool is_house_tokenizer(const std::string& name);

} // namespace bitnetd::conformance
