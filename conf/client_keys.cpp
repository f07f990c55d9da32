// SPDX-License-Identifier: MIT
#include "conf/client_keys.h"

#include "conf/text_file.h"
#include "conf/value.h"

#include <algorithm>
#include <set>
#include <system_error>

namespace bitnetd::conf {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t most_files = 4096, most_file_bytes = 64 << 10, key_characters = 40;
// Digits of Z85 in the order of their value.
constexpr std::string_view digits = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                    ".-:+=^!/*?&<>()[]{}@%$#";

} // namespace

bool is_curve_key(std::string_view text) {
  if (text.size() != key_characters)
    return false;
  for (std::size_t group = 0; group < text.size(); group += 5) {
    std::uint64_t number = 0;
    for (std::size_t i = 0; i < 5; ++i) {
      const auto digit = digits.find(text[group + i]);
      if (digit == std::string_view::npos)
        return false;
      number = number * digits.size() + digit;
    }
    if (number > 0xffff'ffffu) // five digits stand for four bytes
      return false;
  }
  return true;
}

std::vector<std::pair<std::string, std::uint32_t>>
parse_keys(std::string_view text, const std::string& file, std::vector<problem>& problems) {
  constexpr std::string_view space = " \t\r";
  std::vector<std::pair<std::string, std::uint32_t>> out;
  for (std::uint32_t line = 1; !text.empty(); ++line) {
    const auto end = text.find('\n');
    auto one = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    const auto first = one.find_first_not_of(space);
    if (first == std::string_view::npos)
      continue;
    one = one.substr(first, one.find_last_not_of(space) - first + 1);
    if (is_curve_key(one)) // before the comment: a key may begin with #
      out.emplace_back(one, line);
    else if (one.front() != '#')
      problems.push_back({file,
                          line,
                          static_cast<std::uint32_t>(first + 1),
                          {},
                          "expected a public key of 40 Z85 characters, or a comment"});
  }
  return out;
}

std::map<std::string, std::string> read_client_keys(const fs::path& beside,
                                                    std::vector<problem>& problems) {
  std::map<std::string, std::string> out;
  const auto folder = beside / clients_folder;
  std::set<fs::path> files; // sorted, so that problems come in the same order
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error))
    if (entry->path().extension() == public_ending)
      files.insert(entry->path());
  if (error && error != std::errc::no_such_file_or_directory) // else nobody has a key
    problems.push_back({folder.string(), 0, 0, {}, "cannot be listed: " + error.message()});
  if (files.size() > most_files) {
    problems.push_back({folder.string(),
                        0,
                        0,
                        {},
                        "holds " + std::to_string(files.size()) + " files, more than " +
                            std::to_string(most_files) +
                            "; a principal's keys may share one file"});
    return out;
  }
  for (const auto& file : files) {
    const auto principal = file.stem().string();
    if (!is_name(principal)) {
      problems.push_back({file.string(), 0, 0, {}, "its name without .pub is no principal's name"});
      continue;
    }
    const auto read = read_text(file, most_file_bytes);
    if (!read.text) {
      problems.push_back({file.string(), 0, 0, {}, read.error});
      continue;
    }
    for (auto& [key, line] : parse_keys(*read.text, file.string(), problems)) {
      const auto [known, is_new] = out.emplace(key, principal);
      if (!is_new && known->second != principal)
        problems.push_back({file.string(),
                            line,
                            1,
                            {},
                            "this key is " + known->second + "'s already; one key, one principal"});
    }
  }
  return out;
}

fs::path server_key_file(const fs::path& config_file, const fs::path& credentials) {
  std::error_code unreadable;
  if (!credentials.empty() && fs::exists(credentials / server_key_name, unreadable))
    return credentials / server_key_name;
  return config_file.parent_path() / server_key_name;
}

} // namespace bitnetd::conf
