// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace bitnetd::store {

/// What a store operation came to. The codes differ where the caller must act differently.
enum class errc {
  ok,
  not_found,    ///< no such job, entry or key
  exists,       ///< the id or the idempotency key is taken
  invalid,      ///< the caller's value breaks a rule (length, order, state); nothing was written
  no_space,     ///< the disk is full; reads go on; see jobs_db::resume
  io_error,     ///< the disk failed: stop accepting; what was not acknowledged may be there or not
  corrupt,      ///< stored bytes fail their checksum or do not decode; nothing was changed
  newer_schema, ///< written by a newer version of this program
  locked,       ///< another process has the database open
};

/// The word for a code, as in logs: "no_space".
[[nodiscard]] std::string_view name(errc code) noexcept;

/// Outcome of an operation without a value; `text` is one line for people.
class [[nodiscard]] status {
public:
  status() = default;
  status(errc code, std::string text) : code_(code), text_(std::move(text)) {}

  [[nodiscard]] bool ok() const noexcept { return code_ == errc::ok; }
  explicit operator bool() const noexcept { return ok(); }
  [[nodiscard]] errc code() const noexcept { return code_; }
  [[nodiscard]] const std::string& text() const noexcept { return text_; }

private:
  errc code_ = errc::ok;
  std::string text_;
};

/// A value, or the status that says why there is none.
template <class T> class [[nodiscard]] result {
public:
  result(T value) : value_(std::move(value)) {}
  result(status why) : why_(std::move(why)) {}

  [[nodiscard]] bool ok() const noexcept { return value_.has_value(); }
  explicit operator bool() const noexcept { return ok(); }
  [[nodiscard]] T& operator*() noexcept { return *value_; }
  [[nodiscard]] const T& operator*() const noexcept { return *value_; }
  [[nodiscard]] T* operator->() noexcept { return &*value_; }
  [[nodiscard]] const T* operator->() const noexcept { return &*value_; }
  /// Why there is no value; ok when there is one.
  [[nodiscard]] const status& why() const noexcept { return why_; }

private:
  std::optional<T> value_;
  status why_;
};

/// A database could not be opened. `what()` is one line: directory, reason, how to mend.
class open_error : public std::runtime_error {
public:
  open_error(errc code, const std::string& text) : std::runtime_error(text), code_(code) {}
  /// corrupt (the database is damaged), newer_schema, locked, no_space, io_error or invalid.
  [[nodiscard]] errc code() const noexcept { return code_; }

private:
  errc code_;
};

} // namespace bitnetd::store
