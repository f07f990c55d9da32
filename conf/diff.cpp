// SPDX-License-Identifier: MIT
#include "conf/diff.h"

#include <map>
#include <utility>

namespace bitnetd::conf {

namespace {

// Elements by their name; hardware.nodes have none and are one text.
std::map<std::string, std::string> rendered(const config& of, const list_key& list) {
  std::map<std::string, std::string> out;
  const auto* name = find_key(std::string{list.path} + "[].name");
  std::string all;
  for (std::size_t i = 0; i < list.size(of); ++i) {
    const auto element = render_element(of, list, i);
    if (name != nullptr)
      out.emplace('.' + render(of, *name, i), element);
    all += (all.empty() ? "" : ", ") + element;
  }
  if (name == nullptr)
    out.emplace("", '[' + all + ']');
  return out;
}

void compare(const list_key& list, const config& before, const config& after,
             std::vector<change>& out) {
  const auto old = rendered(before, list);
  const auto now = rendered(after, list);
  const std::string path{list.path};
  for (const auto& [name, text] : old)
    if (const auto found = now.find(name); found == now.end())
      out.push_back({path + name, text, {}, list.acts});
    else if (found->second != text)
      out.push_back({path + name, text, found->second, list.acts});
  for (const auto& [name, text] : now)
    if (!old.contains(name))
      out.push_back({path + name, {}, text, list.acts});
}

// Public keys by the principal they stand for.
std::map<std::string, std::string> keys_of(const config& from) {
  std::map<std::string, std::string> out;
  for (const auto& [key, principal] : from.client_keys) {
    auto& list = out[principal];
    list += (list.empty() ? "" : " ") + key;
  }
  return out;
}

void compare_keys(const config& before, const config& after, std::vector<change>& out) {
  auto old = keys_of(before), now = keys_of(after);
  for (const auto& [principal, keys] : now)
    old.try_emplace(principal);
  for (const auto& [principal, keys] : old)
    if (const auto& next = now[principal]; next != keys)
      out.push_back({"clients." + principal, keys, next, scope::job});
}

} // namespace

std::string change::text() const {
  return path + ": " + (before.empty() ? "nothing" : before) + " -> " +
         (after.empty() ? "nothing" : after) + " (" + std::string{to_text(acts)} + ')';
}

std::vector<change> difference(const config& before, const config& after) {
  std::vector<change> out;
  std::string_view compared;
  for (const auto& k : all_keys()) {
    if (const auto list = k.list(); !list.empty()) {
      if (list != std::exchange(compared, list)) // once, at its first key
        compare(*find_list(list), before, after, out);
    } else if (k.field.get(before, 0) != k.field.get(after, 0)) {
      out.push_back({std::string{k.path}, render(before, k), render(after, k), k.acts});
    }
  }
  compare_keys(before, after, out);
  return out;
}

config without_restart(config next, const config& running) {
  for (const auto& list : all_lists())
    if (list.acts == scope::restart)
      list.copy(next, running);
  for (const auto& k : all_keys())
    if (k.acts == scope::restart && k.list().empty())
      k.field.set(next, 0, k.field.get(running, 0));
  return next;
}

} // namespace bitnetd::conf
