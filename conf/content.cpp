// SPDX-License-Identifier: MIT
#include "conf/content.h"

#include "conf/document.h"
#include "conf/text_file.h"

#include <algorithm>
#include <map>
#include <system_error>

namespace bitnetd::conf {

namespace {

namespace fs = std::filesystem;

// A folder beside bitnetd.yaml that belongs to the configuration.
struct folder {
  const char* name;
  const char* ending;
  std::size_t most;
};
constexpr folder folders[] = {{"profiles", ".yaml", 256}, {"clients.d", ".pub", 4096}};
constexpr int most_links = 40; // as the kernel's own limit

// Sorted, so that the order in which a directory lists its files does not matter.
std::vector<fs::path> files_in(const fs::path& file, const folder& in) {
  std::set<fs::path> found;
  std::error_code unreadable; // no directory: no files
  for (const auto& entry : fs::directory_iterator(file.parent_path() / in.name, unreadable))
    if (entry.path().extension() == in.ending && found.size() < in.most)
      found.insert(entry.path());
  return {found.begin(), found.end()};
}

using by_directory = std::map<fs::path, watched_directory>;

void watch(by_directory& all, const fs::path& directory, const std::string& name) {
  auto& watched = all[directory];
  watched.directory = directory;
  if (!name.empty())
    watched.names.insert(name);
}

// Follows `file` from the root, one name after the other, as the kernel does.
void follow(by_directory& all, const fs::path& file) {
  fs::path here = "/";
  std::vector<fs::path> rest; // names still to go, the next one last
  const auto push = [&rest](const fs::path& path) {
    const std::vector<fs::path> names(path.begin(), path.end());
    rest.insert(rest.end(), names.rbegin(), names.rend());
  };
  push(fs::absolute(file).relative_path());
  for (int links = 0; !rest.empty();) {
    const auto name = rest.back();
    rest.pop_back();
    if (name == ".." || name == "." || name.empty()) {
      here = name == ".." ? here.parent_path() : here;
      continue;
    }
    std::error_code missing;
    const auto what = fs::symlink_status(here / name, missing);
    if (rest.empty() || missing || !fs::exists(what) || fs::is_symlink(what))
      watch(all, here, name.string());
    if (missing || !fs::exists(what))
      return;
    if (!fs::is_symlink(what)) {
      here /= name;
      continue;
    }
    const auto target = fs::read_symlink(here / name, missing);
    if (missing || ++links > most_links)
      return;
    if (target.is_absolute())
      here = "/";
    push(target.relative_path());
  }
}

} // namespace

bool watched_directory::matters(std::string_view name) const {
  return names.contains(std::string{name}) ||
         std::ranges::any_of(endings, [&](const auto& ending) { return name.ends_with(ending); });
}

hash128 content_hash(const fs::path& file) {
  hasher hash;
  const auto add = [&hash](const fs::path& one) {
    const auto read = read_text(one, document_limits{}.bytes);
    hash.field(std::string_view{one.native()})
        .field(std::string_view{read.text ? "text" : "error"})
        .field(std::string_view{read.text ? *read.text : read.error});
  };
  add(file);
  for (const auto& in : folders)
    for (const auto& one : files_in(file, in))
      add(one);
  return hash.finish();
}

std::vector<watched_directory> directories_of(const fs::path& file) {
  by_directory all;
  follow(all, file);
  for (const auto& in : folders) {
    const auto directory = file.parent_path() / in.name;
    follow(all, directory);
    for (const auto& one : files_in(file, in))
      follow(all, one);
    // New files appear in the directory itself, wherever links lead to it.
    std::error_code missing;
    if (const auto real = fs::canonical(directory, missing); !missing && fs::is_directory(real)) {
      watch(all, real, {});
      all[real].endings.insert(in.ending);
    }
  }
  std::vector<watched_directory> out;
  for (auto& [path, watched] : all)
    out.push_back(std::move(watched));
  return out;
}

} // namespace bitnetd::conf
