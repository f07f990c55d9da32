// SPDX-License-Identifier: MIT
#include "conf/schema.h"

// The table of keys as documents. What it says is data of ours: no text needs more escaping than
// is done here.

namespace bitnetd::conf {

namespace {

std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text)
    out += c == '|' ? std::string{"\\|"} : std::string{c};
  return out;
}

std::string markdown_row(const key& k) {
  const auto default_value = default_text(k);
  return "| `" + std::string{k.path} + "` | " + std::string{to_text(k.stands_in)} + " | " +
         std::string{to_text(k.type)} + " | " + std::string{k.unit} + " | " + cell(bounds_text(k)) +
         " | " + (k.required ? default_value : '`' + default_value + '`') + " | " +
         std::string{to_text(k.acts)} + " | " + cell(k.about) + " |\n";
}

std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\')
      out += '\\';
    out += c;
  }
  return out + '"';
}

std::string json_object(const key& k) {
  std::string out =
      "{\"path\":" + json_string(k.path) + ",\"file\":" + json_string(to_text(k.stands_in)) +
      ",\"type\":" + json_string(to_text(k.type)) + ",\"unit\":" + json_string(k.unit) +
      ",\"bounds\":" + json_string(bounds_text(k));
  if (!k.choices.empty()) {
    out += ",\"choices\":[";
    for (const auto choice : k.choices) {
      out += out.back() == '[' ? "" : ",";
      out += json_string(choice);
    }
    out += ']';
  }
  return out + ",\"required\":" + (k.required ? "true" : "false") +
         (k.required ? "" : ",\"default\":" + json_string(default_text(k))) +
         ",\"scope\":" + json_string(to_text(k.acts)) + ",\"about\":" + json_string(k.about) + '}';
}

} // namespace

std::string schema_markdown() {
  std::string out = "| key | file | type | unit | allowed | default | acts | meaning |\n"
                    "|---|---|---|---|---|---|---|---|\n";
  for (const auto& k : all_keys())
    out += markdown_row(k);
  return out;
}

std::string schema_json() {
  std::string out = "[";
  for (const auto& k : all_keys())
    out += (out.size() > 1 ? ",\n " : "\n ") + json_object(k);
  return out + "\n]\n";
}

} // namespace bitnetd::conf
