// SPDX-License-Identifier: MIT
#include "conf/load.h"

#include "conf/client_keys.h"
#include "conf/collect.h"
#include "conf/document.h"
#include "conf/read_value.h"
#include "conf/schema.h"
#include "conf/text_file.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

namespace bitnetd::conf {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t most_problems = 100;
constexpr std::size_t most_profiles = 256;

/// One file: its tree and what it sets.
struct source {
  fs::path file;
  std::optional<node> tree;
  collected sets;
};

class loader {
public:
  loader(const fs::path& file, const directories& where, const machine& on)
      : file_(file), where_(where),
        on_(on), bases_{fs::absolute(file).lexically_normal().parent_path(), where.runtime} {}

  load_result run(const std::optional<std::string>& profile) {
    values_.sockets = default_sockets(where_.runtime);
    values_.file = fs::absolute(file_).lexically_normal();
    values_.state_directory = where_.state;
    values_.cache_directory = where_.cache;
    values_.runtime_directory = where_.runtime;

    source main{file_, {}, {}}, tuned;
    if (!open(main, home::main))
      return finish();
    choose_profile(main, tuned, profile);
    for (auto* from : {&main, &tuned})
      resize_lists(*from);
    apply(main, home::main, tuned);
    apply(tuned, home::profile, main);
    values_.profile.name = profile_;
    values_.server_key = server_key_file(values_.file, where_.credentials);
    values_.client_keys = read_client_keys(file_.parent_path(), out_.problems);
    for (const auto& p : out_.problems)
      failed_.insert(p.path);
    check_combinations({values_, on_, file_.string(), out_.places, failed_}, out_.problems);
    return finish();
  }

private:
  // Reads, parses and walks a file; false when it holds nothing that could be applied.
  bool open(source& from, home which) {
    auto read = read_text(from.file, document_limits{}.bytes);
    if (!read.text) {
      report(from.file, {0, 0}, {}, read.error);
      return false;
    }
    if (which == home::main)
      out_.file_hash = hash_bytes(*read.text);
    from.tree = parse_document(*read.text, from.file.string(), out_.problems);
    if (from.tree)
      from.sets = collect(*from.tree, which, from.file.string(), out_.problems);
    return from.tree.has_value();
  }

  void choose_profile(const source& main, source& tuned, const std::optional<std::string>& wanted) {
    const auto named = std::ranges::find(main.sets.settings, "profile", &setting::path);
    const bool stands = named != main.sets.settings.end();
    const mark at = stands && !wanted ? named->written->at : mark{0, 0};
    if (wanted) {
      profile_ = *wanted;
    } else if (stands) {
      std::string why; // reported when the key is applied
      const auto v = read_value(*named->k, *named->written, bases_, why);
      if (!v)
        return;
      profile_ = std::get<std::string>(*v);
    }
    tuned.file = file_.parent_path() / "profiles" / (profile_ + ".yaml");
    std::error_code unreadable; // open() says what is wrong with a file that is there
    if (is_name(profile_) && (fs::exists(tuned.file, unreadable) || unreadable))
      open(tuned, home::profile);
    else if (stands || wanted)
      report(file_, at, "profile", unknown_profile());
  }

  [[nodiscard]] std::string unknown_profile() const {
    std::set<std::string> names;
    std::error_code unreadable;
    for (const auto& found : fs::directory_iterator(file_.parent_path() / "profiles", unreadable))
      if (found.path().extension() == ".yaml" && names.size() < most_profiles)
        names.insert(found.path().stem().string());
    const std::vector<std::string_view> words(names.begin(), names.end());
    std::string known;
    for (const auto& name : names)
      known += (known.empty() ? "" : ", ") + name;
    const auto near = nearest(profile_, words);
    return "no profile \"" + printable(profile_) + "\"; " +
           (near.empty() ? std::string{} : "did you mean " + std::string{near} + "? ") +
           (known.empty() ? "there is none in " : "there are " + known + " in ") +
           (file_.parent_path() / "profiles").string();
  }

  void resize_lists(const source& from) {
    for (const auto& [list, elements, at] : from.sets.lists) {
      list->resize(values_, 0); // the default sockets make room
      list->resize(values_, elements.size());
      out_.places.emplace(list->path, place{from.file.string(), at});
    }
  }

  void apply(const source& from, home which, const source& other) {
    for (const auto& s : from.sets.settings) {
      if (s.k->stands_in != which) {
        report(from.file, s.key_at, s.path, misplaced(s, which, other));
        continue;
      }
      std::string why;
      if (const auto v = read_value(*s.k, *s.written, bases_, why)) {
        s.k->field.set(values_, s.index, *v);
        out_.places.emplace(s.path, place{from.file.string(), s.written->at});
      } else {
        report(from.file, s.written->at, s.path, why);
      }
    }
  }

  [[nodiscard]] std::string misplaced(const setting& s, home which, const source& other) const {
    const auto twin = std::ranges::find(other.sets.settings, s.path, &setting::path);
    if (twin != other.sets.settings.end())
      return "stands in " + other.file.string() + ':' + std::to_string(twin->key_at.line) +
             " too; a key stands in one file, this one in " +
             (which == home::main ? "the profile" : "bitnetd.yaml");
    if (which == home::profile)
      return "belongs in bitnetd.yaml, not in a profile";
    return "belongs in the profile, profiles/" + profile_ + ".yaml";
  }

  void report(const fs::path& file, mark at, std::string path, std::string message) {
    out_.problems.push_back(
        {file.string(), at.line, at.column, std::move(path), std::move(message)});
  }

  load_result finish() {
    auto& problems = out_.problems;
    const auto order = [&](const problem& p) {
      return std::tuple{p.file != file_.string(), p.line, p.column};
    };
    std::ranges::stable_sort(problems, {}, order);
    if (problems.size() > most_problems) {
      const auto more = problems.size() - most_problems;
      problems.resize(most_problems);
      report(file_, {0, 0}, {}, "and " + std::to_string(more) + " more problems");
    }
    if (problems.empty())
      out_.value = std::move(values_);
    return std::move(out_);
  }

  const fs::path& file_;
  const directories& where_;
  const machine& on_;
  path_bases bases_;
  config values_;
  std::string profile_ = values_.profile.name;
  std::set<std::string> failed_;
  load_result out_;
};

} // namespace

principal_config settings_of(const config& from, const std::string& principal) {
  const auto found = std::ranges::find(from.principals, principal, &principal_config::name);
  principal_config out;
  out.name = principal;
  if (found != from.principals.end())
    out = *found;
  if (out.open_jobs == 0)
    out.open_jobs = from.limits.open_jobs;
  if (out.open_bytes == 0)
    out.open_bytes = from.limits.open_bytes;
  return out;
}

load_result load(const fs::path& file, const directories& where, const machine& on,
                 const std::optional<std::string>& profile) {
  return loader(file, where, on).run(profile);
}

std::vector<socket_config> default_sockets(const fs::path& runtime_directory) {
  const auto in_runtime = [&](const char* name) {
    return "ipc://" + (runtime_directory / name).lexically_normal().string();
  };
  return {{"front", in_runtime("front.sock"), "router", "local", role::submit, 0660},
          {"admin", in_runtime("admin.sock"), "router", "local", role::admin, 0600},
          {"events", in_runtime("events.sock"), "xpub", "local", role::read, 0660}};
}

} // namespace bitnetd::conf
