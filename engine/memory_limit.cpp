// SPDX-License-Identifier: MIT
#include "engine/memory_limit.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

namespace bitnetd::engine {

namespace {

namespace fs = std::filesystem;

/// The number in a file that holds nothing else; empty for "max" or no file.
std::optional<std::uint64_t> read_number(const fs::path& file) {
  std::ifstream in{file};
  std::uint64_t value = 0;
  return in >> value ? std::optional{value} : std::nullopt;
}

/// The number after `key` in a file of lines "key value".
std::optional<std::uint64_t> read_line(const fs::path& file, const std::string& key) {
  std::ifstream in{file};
  for (std::string line; std::getline(in, line);) {
    std::istringstream words{line};
    std::string word;
    std::uint64_t value = 0;
    if (words >> word >> value && word == key)
      return value;
  }
  return {};
}

void lower(std::optional<std::uint64_t>& least, std::optional<std::uint64_t> other) {
  if (other)
    least = std::min(least.value_or(*other), *other);
}

struct group_files {
  const char *limit, *used, *cache_key;
};

/// What one control group leaves.
std::optional<std::uint64_t> left_in(const fs::path& group, const group_files& names) {
  const auto limit = read_number(group / names.limit), used = read_number(group / names.used);
  if (!limit || !used)
    return {};
  const auto cache = read_line(group / "memory.stat", names.cache_key).value_or(0);
  const auto held = *used - std::min(*used, cache);
  return *limit - std::min(*limit, held);
}

} // namespace

std::optional<std::uint64_t> available_memory(const fs::path& root) {
  constexpr group_files unified{"memory.max", "memory.current", "file"};
  constexpr group_files legacy{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_cache"};
  std::optional<std::uint64_t> least;
  if (const auto kib = read_line(root / "proc/meminfo", "MemAvailable:"))
    least = *kib * 1024;
  std::ifstream groups{root / "proc/self/cgroup"}; // lines "number:controllers:path"
  for (std::string line; std::getline(groups, line);) {
    const auto first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos)
      continue;
    const auto controllers = line.substr(first + 1, second - first - 1);
    const bool is_unified = controllers.empty();
    if (!is_unified && controllers != "memory")
      continue;
    const auto top = root / (is_unified ? "sys/fs/cgroup" : "sys/fs/cgroup/memory");
    const auto path = fs::path{line.substr(second + 1)}.relative_path();
    for (auto group = path;; group = group.parent_path()) {
      lower(least, left_in(top / group, is_unified ? unified : legacy));
      if (group.empty())
        break;
    }
  }
  return least;
}

} // namespace bitnetd::engine
