// SPDX-License-Identifier: MIT
#include "engine/chat_template.h"

#include "engine/printable.h"
#include "engine/unicode_class.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <stdexcept>

namespace bitnetd::engine {

namespace {

/// What a family puts around contents. In `opening` {role} stands for the role in lower case and
/// {Role} for the same with a capital.
struct frame {
  std::string_view name;
  std::string_view start;   ///< text of the BOS that the published template begins with
  std::string_view opening; ///< before each content
  std::string_view closing; ///< after each content
  std::string_view answer;  ///< opens the assistant's answer
  bool trim;                ///< contents lose white space at both ends
};

/// Sources: microsoft/BitNet gpu/tokenizer.py; the model cards of Llama 3, Falcon 3 and ChatML.
constexpr frame frames[] = {
    // The prompt ends in the token of a lone space: the model was trained so.
    {"bitnet-2b4t", "<|begin_of_text|>", "{Role}: ", "<|eot_id|>", "Assistant: ", true},
    {"llama-3", "<|begin_of_text|>", "<|start_header_id|>{role}<|end_header_id|>\n\n", "<|eot_id|>",
     "<|start_header_id|>assistant<|end_header_id|>\n\n", true},
    {"falcon3", "", "<|{role}|>\n", "\n", "<|assistant|>\n", false},
    {"chatml", "", "<|im_start|>{role}\n", "<|im_end|>\n", "<|im_start|>assistant\n", false},
    // No template at all, for base models: the contents one after the other.
    {"plain", "", "", "", "", false},
};

constexpr std::array<std::string_view, 3> roles = {"system", "user", "assistant"};

std::string_view trimmed(std::string_view text) {
  while (!text.empty()) {
    const auto first = char_at(text, 0);
    if (!is_stripped(first))
      break;
    text.remove_prefix(first.size);
  }
  for (std::size_t end = text.size(); end > 0;) {
    std::size_t at = end - 1; // back to the first byte of the last character
    while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80)
      --at;
    const auto last = char_at(text, at);
    if (at + last.size != end || !is_stripped(last))
      break;
    text = text.substr(0, end = at);
  }
  return text;
}

std::string with_role(std::string_view opening, const std::string& role) {
  std::string out{opening};
  if (const auto at = out.find("{role}"); at != std::string::npos)
    out.replace(at, 6, role);
  if (const auto at = out.find("{Role}"); at != std::string::npos) {
    out.replace(at, 6, role);
    out[at] = static_cast<char>(out[at] - 'a' + 'A');
  }
  return out;
}

/// A template that is no more than text around contents, as all published ones of our families are.
class framed_template final : public chat_template {
public:
  explicit framed_template(const frame& f) : frame_(f) {}

  [[nodiscard]] std::string_view name() const noexcept override { return frame_.name; }

  [[nodiscard]] std::string render(const std::vector<chat_message>& messages) const override {
    std::string out{frame_.start};
    for (const auto& message : messages)
      out.append(opening(message)).append(content(message)).append(frame_.closing);
    return out.append(frame_.answer);
  }

  [[nodiscard]] std::vector<token_id>
  encode(const tokenizer& words, const std::vector<chat_message>& messages) const override {
    std::vector<std::string> openings;
    openings.reserve(messages.size());
    for (const auto& message : messages)
      openings.push_back(opening(message));
    std::vector<prompt_part> parts;
    for (std::size_t i = 0; i < messages.size(); ++i) {
      parts.push_back({openings[i], true});
      parts.push_back({content(messages[i]), false});
      parts.push_back({frame_.closing, true});
    }
    parts.push_back({frame_.answer, true});
    auto ids = words.encode(parts, false); // never an EOS: the answer is still to come
    if (words.adds_bos() && words.bos())
      ids.insert(ids.begin(), *words.bos());
    return ids;
  }

private:
  [[nodiscard]] std::string opening(const chat_message& message) const {
    if (!is_role(message.role))
      throw std::invalid_argument("role: expected system, user or assistant, got " +
                                  printable(message.role));
    return with_role(frame_.opening, message.role);
  }

  [[nodiscard]] std::string_view content(const chat_message& message) const {
    return frame_.trim ? trimmed(message.content) : std::string_view{message.content};
  }

  frame frame_;
};

/// Zephyr's family writes Falcon's role tokens, but ends a user's turn with EOS.
bool ends_user_turn_with_eos(std::string_view jinja) {
  const auto user = jinja.find("<|user|>");
  const auto turn = jinja.substr(user, jinja.find("}}", user) - user);
  return turn.find("eos_token") != std::string_view::npos ||
         turn.find("</s>") != std::string_view::npos;
}

std::string_view recognised_name(std::string_view jinja) {
  const auto has = [&](std::string_view text) {
    return jinja.find(text) != std::string_view::npos;
  };
  if (has("<|im_start|>") && has("<|im_end|>"))
    return "chatml";
  if (has("<|start_header_id|>") && has("<|end_header_id|>") && has("<|eot_id|>"))
    return "llama-3";
  // "Role: content<|eot_id|>". The 2B-4T file as published carries a placeholder ("Human: …
  // BITNETAssistant: ") with which the model was not trained: it means the same model.
  if ((has("capitalize") && has("<|eot_id|>") && has("Assistant: ")) || has("BITNETAssistant: "))
    return "bitnet-2b4t";
  if (has("<|user|>") && has("<|assistant|>") && !has("<|end|>") && !has("[gMASK]") &&
      !ends_user_turn_with_eos(jinja))
    return "falcon3";
  return {};
}

} // namespace

std::shared_ptr<const chat_template> chat_template::named(std::string_view name) {
  const auto* found = std::find_if(std::begin(frames), std::end(frames),
                                   [&](const frame& f) { return f.name == name; });
  if (found != std::end(frames))
    return std::make_shared<framed_template>(*found);
  std::string known;
  for (const auto one : names())
    known.append(known.empty() ? "" : ", ").append(one);
  throw load_error("chat template: " + printable(name) + " is not known; known are " + known);
}

std::shared_ptr<const chat_template> chat_template::recognise(std::string_view jinja) {
  const auto name = recognised_name(jinja);
  return name.empty() ? nullptr : named(name);
}

std::vector<std::string_view> chat_template::names() {
  std::vector<std::string_view> all;
  for (const auto& f : frames)
    all.push_back(f.name);
  return all;
}

bool chat_template::is_role(std::string_view role) noexcept {
  return std::find(roles.begin(), roles.end(), role) != roles.end();
}

} // namespace bitnetd::engine
