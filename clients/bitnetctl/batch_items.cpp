// SPDX-License-Identifier: MIT
#include "base/utf8.h"
#include "clients/bitnetctl/batch.h"
#include "daemon/wire_json.h"

namespace bitnetd::ctl {

namespace {

json item_of_text(json text, const line_reading& how) {
  if (how.chat)
    return {{"messages", {{{"role", "user"}, {"content", std::move(text)}}}}};
  return {{how.embed ? "input" : "prompt", std::move(text)}};
}

json item_of(std::string_view line, const line_reading& how, std::size_t number) {
  const auto at = "line " + std::to_string(number) + ": ";
  if (how.plain) {
    if (line.ends_with('\r'))
      line.remove_suffix(1);
    if (utf8_find_invalid(line) != line.npos)
      throw bad_input(at + "is no UTF-8");
    return item_of_text(std::string(line), how);
  }
  if (line.front() == '"') {
    auto text = json::parse(line, nullptr, false);
    if (!text.is_string())
      throw bad_input(at + "expected a JSON text or object");
    return item_of_text(std::move(text), how);
  }
  auto parsed = wire::parse_object(line);
  if (const auto* why = std::get_if<wire::refusal>(&parsed))
    throw bad_input(at + why->message);
  return std::get<json>(std::move(parsed));
}

} // namespace

std::vector<json> read_items(std::string_view text, const line_reading& how) {
  std::vector<json> items;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const auto end = std::min(text.find('\n'), text.size());
    auto line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const auto from = line.find_first_not_of(" \t\r");
    if (from == std::string_view::npos)
      continue;
    if (!how.plain)
      line = line.substr(from, line.find_last_not_of(" \t\r") - from + 1);
    items.push_back(item_of(line, how, number));
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
