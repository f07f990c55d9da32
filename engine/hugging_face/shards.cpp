// SPDX-License-Identifier: MIT
#include "engine/hugging_face/shards.h"

#include "engine/hugging_face/json_file.h"
#include "engine/printable.h"

#include <map>
#include <set>
#include <unordered_map>

namespace bitnetd::engine::hugging_face {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t max_files = 1024;
constexpr std::uint64_t max_index_bytes = 64u << 20;
constexpr const char* single_name = "model.safetensors";
constexpr const char* index_name = "model.safetensors.index.json";

bool is_there(const fs::path& path) {
  std::error_code unreadable;
  return fs::exists(path, unreadable);
}

/// A name that cannot lead out of the folder.
bool is_plain(const std::string& name) {
  return !name.empty() && name.size() <= 255 && name != "." && name != ".." &&
         name.find('/') == std::string::npos && name.find('\0') == std::string::npos &&
         name.ends_with(".safetensors");
}

/// tensor -> file
using weight_map = std::map<std::string, std::string>;

weight_map read_index(const fs::path& path) {
  const auto index = read_json(path, max_index_bytes);
  const auto entries = index.object("weight_map");
  if (!entries)
    index.refuse("weight_map", "is missing");
  weight_map out;
  std::set<std::string> files;
  for (const auto& [tensor, file] : entries->node().items()) {
    const auto name = file.is_string() ? file.get<std::string>() : std::string{};
    if (!is_plain(name))
      entries->refuse(printable(tensor), printable(file.is_string() ? name : file.dump()) +
                                             " is no plain name of a safetensors file in the "
                                             "folder");
    files.insert(name);
    out.emplace(tensor, name);
  }
  if (out.empty() || files.size() > max_files)
    index.refuse("weight_map", std::to_string(files.size()) + " files; expected 1 to " +
                                   std::to_string(max_files));
  return out;
}

[[noreturn]] void refuse_empty_folder(const fs::path& folder) {
  const bool pickled =
      is_there(folder / "pytorch_model.bin") || is_there(folder / "pytorch_model.bin.index.json");
  throw load_error{
      folder.string() + ": has neither " + single_name + " nor " + index_name +
      (pickled
           ? "; pickled weights (pytorch_model.bin) can run code and are not read: convert them "
             "to safetensors"
           : "; expected a Hugging Face folder or a GGUF file")};
}

} // namespace

shards shards::open(const fs::path& folder) {
  shards out;
  weight_map index;
  if (is_there(folder / single_name)) { // as transformers prefers it
    out.files_.push_back(safetensors_file::open(folder / single_name));
  } else if (is_there(folder / index_name)) {
    index = read_index(folder / index_name);
    std::set<std::string> names;
    for (const auto& [tensor, file] : index)
      names.insert(file);
    for (const auto& name : names)
      out.files_.push_back(safetensors_file::open(folder / name));
  } else {
    refuse_empty_folder(folder);
  }
  std::unordered_map<std::string_view, const safetensors_file*> seen;
  for (const auto& file : out.files_)
    for (const auto& entry : file.tensors()) {
      const auto place = file.path().string() + ": tensor " + printable(entry.name);
      if (!seen.emplace(entry.name, &file).second)
        throw load_error{place + ": is in another file too"};
      const auto stated = index.find(entry.name);
      if (!index.empty() &&
          (stated == index.end() || stated->second != file.path().filename().string()))
        throw load_error{place + ": " + index_name + " does not place it here"};
      out.places_.push_back({&file, &entry});
    }
  for (const auto& [tensor, file] : index)
    if (!seen.contains(tensor))
      throw load_error{(folder / index_name).string() + ": tensor " + printable(tensor) +
                       ": is not in " + printable(file)};
  return out;
}

std::uint64_t shards::size() const noexcept {
  std::uint64_t bytes = 0;
  for (const auto& file : files_)
    bytes += file.size();
  return bytes;
}

} // namespace bitnetd::engine::hugging_face
