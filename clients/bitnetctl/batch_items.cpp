// SPDX-License-Identifier: MIT
#include "clients/bitnetctl/batch.h"
#include "daemon/wire_json.h"

namespace bitnetd::ctl {

namespace {

json item_of(std::string_view line, bool chat, std::size_t number) {
  const auto at = "line " + std::to_string(number) + ": ";
  if (line.front() == '"') {
    auto text = json::parse(line, nullptr, false);
    if (!text.is_string())
      throw bad_input(at + "expected a JSON text or object");
    if (!chat)
      return {{"prompt", std::move(text)}};
    return {{"messages", {{{"role", "user"}, {"content", std::move(text)}}}}};
  }
  auto parsed = wire::parse_object(line);
  if (const auto* why = std::get_if<wire::refusal>(&parsed))
    throw bad_input(at + why->message);
  return std::get<json>(std::move(parsed));
}

} // namespace

std::vector<json> read_items(std::string_view text, bool chat) {
  std::vector<json> items;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const auto end = std::min(text.find('\n'), text.size());
    auto line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const auto from = line.find_first_not_of(" \t\r");
    if (from == std::string_view::npos)
      continue;
    line = line.substr(from, line.find_last_not_of(" \t\r") - from + 1);
    items.push_back(item_of(line, chat, number));
  }
  return items;
}

std::vector<std::pair<std::size_t, std::size_t>>
cut_batches(const std::vector<json>& items, std::size_t most_items, std::size_t most_bytes) {
  std::vector<std::pair<std::size_t, std::size_t>> cuts;
  std::size_t first = 0, bytes = 0;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const auto size = items[i].dump().size() + 1;
    if (i > first && (i - first >= most_items || bytes + size > most_bytes)) {
      cuts.emplace_back(first, i);
      first = i;
      bytes = 0;
    }
    bytes += size;
  }
  if (first < items.size())
    cuts.emplace_back(first, items.size());
  return cuts;
}

} // namespace bitnetd::ctl
