// SPDX-License-Identifier: MIT
#include "conf/collect.h"

#include "conf/read_value.h"

#include <algorithm>
#include <map>
#include <utility>

namespace bitnetd::conf {

namespace {

// Where the walk is: "models[1]." as messages write it, "models[]." as the table does.
struct position {
  std::string path, pattern;
  std::size_t index = 0;
};

// The next words of all keys below `pattern`, in the table's order.
std::vector<std::string_view> words_below(std::string_view pattern, home which) {
  std::vector<std::string_view> out;
  for (const auto& k : all_keys()) {
    if (k.stands_in != which || !k.path.starts_with(pattern))
      continue;
    const auto rest = k.path.substr(pattern.size());
    const auto word = rest.substr(0, rest.find_first_of(".["));
    if (std::ranges::find(out, word) == out.end())
      out.push_back(word);
  }
  return out;
}

bool is_section(const std::string& pattern) {
  return std::ranges::any_of(all_keys(),
                             [&](const key& k) { return k.path.starts_with(pattern + '.'); });
}

// The section itself, without the dot after it.
std::string section_of(const position& here) {
  return here.path.substr(0, here.path.empty() ? 0 : here.path.size() - 1);
}

class walk {
public:
  walk(home which, const std::string& file, collected& out, std::vector<problem>& problems)
      : which_(which), file_(file), out_(out), problems_(problems) {}

  void mapping(const node& from, const position& here) {
    std::map<std::string_view, mark> seen;
    for (const auto& [name, written] : from.entries) {
      if (name.what != node::kind::scalar) {
        report(name.at, section_of(here), "expected a word as the key, got " + found_text(name));
        continue;
      }
      const auto [first, is_new] = seen.emplace(name.text, name.at);
      if (is_new)
        pair(name, written, here);
      else
        report(name.at, here.path + printable(name.text),
               "stands twice; the first is in line " + std::to_string(first->second.line));
    }
  }

private:
  void pair(const node& name, const node& written, const position& here) {
    const auto path = here.path + printable(name.text);
    const auto pattern = here.pattern + name.text;
    if (name.text.find_first_of(".[]") != std::string::npos) {
      report(name.at, path, "unknown key; a section's keys stand indented below its name");
    } else if (const auto* k = find_key(pattern)) {
      if (written.what != node::kind::unusable)
        out_.settings.push_back({k, path, here.index, name.at, &written});
    } else if (const auto* list = find_list(pattern)) {
      elements(*list, name, written);
    } else if (is_section(pattern)) {
      section(written, {path + '.', pattern + '.', here.index});
    } else {
      report(name.at, path, unknown(name.text, here));
    }
  }

  void section(const node& written, const position& inside) {
    if (written.what == node::kind::mapping)
      mapping(written, inside);
    else if (written.what == node::kind::scalar || written.what == node::kind::list)
      report(written.at, section_of(inside),
             "expected a mapping of " + known(inside) + ", got " + found_text(written));
    // Nothing below a section is how one comments all of its keys out.
  }

  void elements(const list_key& list, const node& name, const node& written) {
    const std::string path{list.path};
    if (which_ != home::main)
      return report(name.at, path, "belongs in bitnetd.yaml, not in a profile");
    if (written.what == node::kind::nothing || written.what == node::kind::unusable)
      return;
    if (written.what != node::kind::list)
      return report(written.at, path, "expected a list, got " + found_text(written));
    if (written.items.size() > list.most)
      return report(written.at, path,
                    "expected at most " + std::to_string(list.most) + " elements, got " +
                        std::to_string(written.items.size()));
    list_setting found{&list, {}, written.at};
    for (const auto& item : written.items) {
      const auto index = found.elements.size();
      element(list, item, {path + '[' + std::to_string(index) + "].", path + "[].", index});
      found.elements.push_back(&item);
    }
    out_.lists.push_back(std::move(found));
  }

  void element(const list_key& list, const node& item, const position& inside) {
    const auto path = section_of(inside);
    if (item.what != node::kind::mapping) {
      if (item.what != node::kind::unusable)
        report(item.at, path,
               "expected a mapping of " + known(inside) + ", got " + found_text(item));
      return;
    }
    mapping(item, inside);
    for (const auto& k : all_keys())
      if (k.required && k.list() == list.path &&
          std::ranges::none_of(item.entries,
                               [&](const entry& e) { return e.key.text == k.leaf(); }))
        report(item.at, path,
               "the key " + std::string{k.leaf()} + " is missing; expected " + expectation(k));
  }

  [[nodiscard]] std::string known(const position& here) const {
    std::string out;
    for (const auto word : words_below(here.pattern, which_))
      out += (out.empty() ? "" : ", ") + std::string{word};
    return out;
  }

  // Nearest of the keys that may stand here; else a key of that very name that stands elsewhere.
  [[nodiscard]] std::string unknown(const std::string& word, const position& here) const {
    const auto words = words_below(here.pattern, which_);
    if (const auto near = nearest(word, words); !near.empty())
      return "unknown key; did you mean " + std::string{near} + '?';
    for (const auto& k : all_keys())
      if (k.leaf() == word)
        return "unknown key; did you mean " + std::string{k.path} + '?';
    return "unknown key; known here: " + known(here);
  }

  void report(mark at, std::string path, std::string message) {
    problems_.push_back({file_, at.line, at.column, std::move(path), std::move(message)});
  }

  home which_;
  const std::string& file_;
  collected& out_;
  std::vector<problem>& problems_;
};

} // namespace

collected collect(const node& document, home which, const std::string& file,
                  std::vector<problem>& problems) {
  collected out;
  walk(which, file, out, problems).mapping(document, {});
  return out;
}

} // namespace bitnetd::conf
