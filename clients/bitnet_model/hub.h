// SPDX-License-Identifier: MIT
#pragma once

#include "clients/bitnet_model/http.h"

#include <cstdint>
#include <string>
#include <vector>

namespace bitnetd::model_tool {

/// One file of a repository, as the hub lists it.
struct hub_file {
  std::string path; ///< relative, checked: no part of it leads upwards
  std::uint64_t size = 0;
  std::string sha256;  ///< of large files
  std::string git_sha; ///< of small ones: SHA-1 of "blob <size>\0" and the content
};

/// A repository on a hub that speaks the API of huggingface.co.
class hub {
public:
  /// `repository`: "owner/name"; throws refused for anything else.
  hub(http_client& http, std::string endpoint, std::string repository, std::string revision);

  /// All files. Throws std::runtime_error with what to do where the hub refuses.
  [[nodiscard]] std::vector<hub_file> list() const;
  [[nodiscard]] std::string url_of(const hub_file& file) const;

private:
  [[nodiscard]] std::string escaped_path(const std::string& path) const;

  http_client& http_;
  std::string endpoint_, repository_, revision_;
};

/// What a model needs of these files: of a repository with safetensors those and the files beside
/// them that are read; else its one GGUF file. `wanted` names files instead (all that are listed,
/// or refused). Throws refused where there is a choice, naming the files.
[[nodiscard]] std::vector<hub_file> choose_files(const std::vector<hub_file>& all,
                                                 const std::vector<std::string>& wanted);

} // namespace bitnetd::model_tool
