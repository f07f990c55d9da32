// SPDX-License-Identifier: MIT
#include "tests/bench/cachebench/family_file.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string_view>

namespace bitnetd::bench {
namespace {

std::string trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(' ');
  if (first == std::string_view::npos)
    return {};
  return std::string(text.substr(first, text.find_last_not_of(' ') - first + 1));
}

word_list read_list(const std::string& rest) {
  std::istringstream head(rest);
  word_list out;
  std::string equals;
  head >> out.name >> out.kind >> equals;
  if (equals != "=")
    throw std::runtime_error("expected list NAME KIND = WORD | WORD ...");
  std::string words;
  std::getline(head, words);
  std::istringstream all(words);
  for (std::string word; std::getline(all, word, '|');)
    out.words.push_back(trimmed(word));
  if (out.words.size() < 2)
    throw std::runtime_error("expected at least two words");
  return out;
}

slot read_slot(const std::string& rest, const std::vector<word_list>& lists) {
  std::istringstream in(rest);
  slot out;
  std::string what;
  in >> out.name >> what;
  if (const auto dots = what.find(".."); dots != std::string::npos) {
    out.from = std::stoi(what.substr(0, dots));
    out.to = std::stoi(what.substr(dots + 2));
    return out;
  }
  const auto list = std::ranges::find(lists, what, &word_list::name);
  if (list == lists.end())
    throw std::runtime_error("unknown list " + what);
  out.list = static_cast<std::size_t>(list - lists.begin());
  return out;
}

sense read_sense(const std::string& rest) {
  sense out;
  const auto colon = rest.find(':');
  out.name = trimmed(rest.substr(0, colon));
  if (colon != std::string::npos)
    out.kind = trimmed(rest.substr(colon + 1));
  return out;
}

std::size_t slot_index(const family& in, const std::string& name) {
  const auto found = std::ranges::find(in.slots, name, &slot::name);
  if (found == in.slots.end())
    throw std::runtime_error("unknown slot " + name);
  return static_cast<std::size_t>(found - in.slots.begin());
}

void read_line(family_file& out, const std::string& line) {
  std::istringstream in(line);
  std::string word, rest;
  in >> word;
  std::getline(in, rest);
  rest = trimmed(rest);
  if (word == "list")
    return out.lists.push_back(read_list(rest));
  if (word == "family")
    return out.families.push_back({rest, {}, {}});
  if (out.families.empty())
    throw std::runtime_error("expected a family first");
  auto& family = out.families.back();
  if (word == "slot")
    return family.slots.push_back(read_slot(rest, out.lists));
  if (word == "sense")
    return family.senses.push_back(read_sense(rest));
  if (family.senses.empty())
    throw std::runtime_error("expected a sense first");
  auto& sense = family.senses.back();
  if (word == "ask")
    return sense.wordings.push_back(rest);
  if (word == "same") {
    std::istringstream names(rest);
    std::string a, b;
    names >> a >> b;
    sense.exchangeable = true;
    sense.same = {slot_index(family, a), slot_index(family, b)};
    return;
  }
  throw std::runtime_error("unknown word " + word);
}

} // namespace

family_file read_families(const std::filesystem::path& path) {
  std::ifstream in(path);
  if (!in)
    throw std::runtime_error(path.string() + ": cannot be read");
  family_file out;
  std::size_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (const auto text = trimmed(line); !text.empty() && text.front() != '#') {
      try {
        read_line(out, text);
      } catch (const std::exception& error) {
        throw std::runtime_error(path.string() + ":" + std::to_string(number) + ": " +
                                 error.what());
      }
    }
  }
  for (const auto& family : out.families)
    if (family.senses.empty() || family.senses.front().wordings.size() < 4)
      throw std::runtime_error(path.string() + ": family " + family.name +
                               ": expected four wordings of its main sense");
  return out;
}

} // namespace bitnetd::bench
