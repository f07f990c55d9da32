// SPDX-License-Identifier: MIT
#pragma once

#include "engine/tokenizer.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace bitnetd::engine {

/// One turn of a conversation. Roles: system, user, assistant.
struct chat_message {
  std::string role;
  std::string content;
};

/// Turns a conversation into a prompt. Template parts are tokenized with special tokens on,
/// contents with them off, so that a user's text cannot become a control token.
class chat_template {
public:
  virtual ~chat_template() = default;

  /// The built-in with this name ("bitnet-2b4t", …); load_error lists the names.
  static std::shared_ptr<const chat_template> named(std::string_view name);
  /// The built-in that the text of a file's `tokenizer.chat_template` stands for, or nullptr when
  /// it is not recognised.
  static std::shared_ptr<const chat_template> recognise(std::string_view jinja);
  [[nodiscard]] static std::vector<std::string_view> names();
  /// Whether a message may have this role.
  [[nodiscard]] static bool is_role(std::string_view role) noexcept;

  [[nodiscard]] virtual std::string_view name() const noexcept = 0;
  /// The whole prompt as text, up to and with what opens the assistant's answer; for people to
  /// read. Errors: std::invalid_argument for a role that is none.
  [[nodiscard]] virtual std::string render(const std::vector<chat_message>& messages) const = 0;
  /// The same as token ids; BOS first where the model wants it. Errors as in `render`.
  [[nodiscard]] virtual std::vector<token_id>
  encode(const tokenizer& words, const std::vector<chat_message>& messages) const = 0;
};

} // namespace bitnetd::engine
