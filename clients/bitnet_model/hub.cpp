// SPDX-License-Identifier: MIT
#include "clients/bitnet_model/hub.h"

#include "clients/bitnet_model/commands.h"
#include "engine/printable.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <sstream>

namespace bitnetd::model_tool {

using engine::printable;
using nlohmann::json;

namespace {

constexpr std::uint64_t max_listing_bytes = 16u << 20;
constexpr std::size_t max_files = 10'000, max_pages = 50;

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= 96 && text != "." && text != ".." &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '_' || c == '-';
         });
}

/// The parts of a path between slashes.
std::vector<std::string> parts_of(const std::string& path) {
  std::vector<std::string> parts;
  std::istringstream in{path};
  for (std::string part; std::getline(in, part, '/');)
    parts.push_back(part);
  return parts;
}

/// A path that stays inside its folder.
bool is_safe(const std::string& path) {
  if (path.empty() || path.size() > 512 || path.front() == '/' || path.back() == '/')
    return false;
  const auto parts = parts_of(path);
  return std::all_of(parts.begin(), parts.end(), [](const std::string& part) {
    return !part.empty() && part != "." && part != ".." &&
           std::all_of(part.begin(), part.end(),
                       [](unsigned char c) { return c >= 0x20 && c != 0x7f && c != '\\'; });
  });
}

/// .gitattributes and its like: nothing of the model.
bool is_hidden(const std::string& path) {
  return path.front() == '.' || path.find("/.") != std::string::npos;
}

bool is_hex(const std::string& text, std::size_t digits) {
  return text.size() == digits && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

hub_file read_entry(const json& entry) {
  hub_file file;
  file.path = entry.at("path").get<std::string>();
  file.size = entry.at("size").get<std::uint64_t>();
  if (const auto large = entry.find("lfs"); large != entry.end() && large->is_object())
    file.sha256 = large->at("oid").get<std::string>();
  else
    file.git_sha = entry.at("oid").get<std::string>();
  if (!is_hex(file.sha256, 64) && !is_hex(file.git_sha, 40))
    throw std::runtime_error{"no checksum for " + printable(file.path)};
  return file;
}

std::string reason(const http_result& got, const std::string& what) {
  if (!got.error.empty())
    return what + ": " + got.error;
  const auto status = " (HTTP " + std::to_string(got.status) + ")";
  if (got.status == 401 || got.status == 403)
    return what + ": the hub refuses" + status +
           ": a private or gated repository needs HF_TOKEN and its conditions accepted";
  if (got.status == 404)
    return what + ": there is none" + status + ": check owner, name and revision";
  return what + ": the hub answers HTTP " + std::to_string(got.status);
}

bool is_weights(const std::string& path) { return path.ends_with(".safetensors"); }

bool is_beside_weights(const std::string& path) {
  constexpr std::string_view names[] = {"config.json",           "model.safetensors.index.json",
                                        "tokenizer.json",        "tokenizer.model",
                                        "tokenizer_config.json", "generation_config.json",
                                        "chat_template.jinja",   "1_Pooling/config.json"};
  return std::find(std::begin(names), std::end(names), path) != std::end(names);
}

} // namespace

hub::hub(http_client& http, std::string endpoint, std::string repository, std::string revision)
    : http_{http}, endpoint_{std::move(endpoint)},
      repository_{std::move(repository)}, revision_{std::move(revision)} {
  while (endpoint_.ends_with('/'))
    endpoint_.pop_back();
  const auto parts = parts_of(repository_);
  if (parts.size() != 2 || !is_name(parts[0]) || !is_name(parts[1]) || repository_.back() == '/')
    throw refused{printable(repository_) + ": expected owner/name"};
  const auto steps = parts_of(revision_);
  if (steps.empty() || !std::all_of(steps.begin(), steps.end(), is_name))
    throw refused{printable(revision_) + ": expected a branch, a tag or a commit"};
}

std::vector<hub_file> hub::list() const {
  std::vector<hub_file> files;
  auto url = endpoint_ + "/api/models/" + repository_ + "/tree/" + http_.escaped(revision_) +
             "?recursive=true";
  for (std::size_t page = 0; !url.empty(); ++page) {
    std::string body;
    const auto got = http_.get(url, max_listing_bytes, body);
    if (got.status != 200 || !got.error.empty())
      throw std::runtime_error{reason(got, repository_)};
    try {
      for (const auto& entry : json::parse(body)) {
        if (entry.at("type") != "file")
          continue;
        auto file = read_entry(entry);
        if (!is_safe(file.path))
          throw std::runtime_error{repository_ + ": the path " + printable(file.path) +
                                   " could leave the folder: nothing is downloaded"};
        if (!is_hidden(file.path))
          files.push_back(std::move(file));
      }
    } catch (const json::exception&) {
      throw std::runtime_error{repository_ + ": the hub's list of files is not what was expected"};
    }
    if (files.size() > max_files || page > max_pages)
      throw std::runtime_error{repository_ + ": has more than " + std::to_string(max_files) +
                               " files"};
    url = got.next_page;
    if (!url.empty() && !url.starts_with(endpoint_ + "/"))
      throw std::runtime_error{repository_ + ": the list of files continues on another server"};
  }
  return files;
}

std::string hub::escaped_path(const std::string& path) const {
  std::string out;
  for (const auto& part : parts_of(path))
    out += "/" + http_.escaped(part);
  return out;
}

std::string hub::url_of(const hub_file& file) const {
  return endpoint_ + "/" + repository_ + "/resolve/" + http_.escaped(revision_) +
         escaped_path(file.path);
}

std::vector<hub_file> choose_files(const std::vector<hub_file>& all,
                                   const std::vector<std::string>& wanted) {
  std::vector<hub_file> chosen;
  for (const auto& name : wanted) {
    const auto at = std::find_if(all.begin(), all.end(),
                                 [&](const hub_file& file) { return file.path == name; });
    if (at == all.end())
      throw refused{"--file " + printable(name) + ": is not in the repository"};
    chosen.push_back(*at);
  }
  if (!wanted.empty())
    return chosen;
  const bool weights = std::any_of(all.begin(), all.end(),
                                   [](const hub_file& file) { return is_weights(file.path); });
  std::string names;
  for (const auto& file : all) {
    if (weights ? is_weights(file.path) || is_beside_weights(file.path)
                : file.path.ends_with(".gguf")) {
      chosen.push_back(file);
      names += (names.empty() ? "" : ", ") + file.path;
    }
  }
  if (chosen.empty())
    throw refused{"the repository has neither safetensors nor GGUF files"};
  if (!weights && chosen.size() > 1)
    throw refused{"the repository has several GGUF files: choose with --file: " + names};
  return chosen;
}

} // namespace bitnetd::model_tool
