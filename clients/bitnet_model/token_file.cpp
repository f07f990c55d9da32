// SPDX-License-Identifier: MIT
#include "clients/bitnet_model/token_file.h"

#include "clients/bitnet_model/commands.h"

#include <algorithm>
#include <charconv>
#include <fstream>

namespace bitnetd::model_tool {

namespace {

constexpr std::size_t most_bytes = 64u << 20;
constexpr std::string_view white_space = " \t\r\n\v\f";

} // namespace

token_list parse_tokens(std::string_view text, std::size_t n_vocab, const std::string& where) {
  token_list tokens;
  for (auto at = text.find_first_not_of(white_space); at != std::string_view::npos;
       at = text.find_first_not_of(white_space)) {
    text.remove_prefix(at);
    const auto word = text.substr(0, text.find_first_of(white_space));
    engine::token_id token = -1;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), token);
    if (error != std::errc{} || end != word.data() + word.size() || token < 0 ||
        static_cast<std::size_t>(token) >= n_vocab)
      throw refused{where + ": expected token ids from 0 to " + std::to_string(n_vocab - 1) +
                    ", got \"" + std::string{word.substr(0, 40)} + "\""};
    tokens.push_back(token);
    text.remove_prefix(word.size());
  }
  return tokens;
}

std::vector<token_list> read_token_file(const std::filesystem::path& path, std::size_t n_vocab) {
  const auto all = read_all(path);
  std::vector<token_list> sequences;
  for (std::size_t from = 0; from < all.size();) {
    const auto end = std::min(all.find('\n', from), all.size());
    const auto where = path.string() + ":" + std::to_string(sequences.size() + 1);
    sequences.push_back(
        parse_tokens(std::string_view{all}.substr(from, end - from), n_vocab, where));
    if (sequences.back().empty())
      throw refused{where + ": a line without token ids"};
    from = end + 1;
  }
  if (sequences.empty())
    throw refused{path.string() + ": holds no token ids"};
  return sequences;
}

std::size_t longest(const std::vector<token_list>& sequences) noexcept {
  std::size_t most = 0;
  for (const auto& sequence : sequences)
    most = std::max(most, sequence.size());
  return most;
}

std::string read_all(std::istream& in, const std::string& name) {
  std::string all;
  char piece[1 << 16];
  while (in.read(piece, sizeof piece), in.gcount() > 0) {
    all.append(piece, static_cast<std::size_t>(in.gcount()));
    if (all.size() > most_bytes)
      throw refused{name + ": is longer than 64 MiB"};
  }
  if (in.bad())
    throw refused{name + ": cannot be read"};
  return all;
}

std::string read_all(const std::filesystem::path& path) {
  std::ifstream in{path, std::ios::binary};
  if (!in || std::filesystem::is_directory(path))
    throw refused{path.string() + ": cannot be read"};
  return read_all(in, path.string());
}

} // namespace bitnetd::model_tool
