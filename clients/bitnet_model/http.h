// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace bitnetd::model_tool {

struct http_options {
  std::string token;              ///< sent as a bearer token to the first host only
  std::chrono::seconds stall{30}; ///< a transfer without a byte for so long has failed
  std::chrono::seconds connect{20};
  bool only_https = true; ///< redirects may not leave https
};

/// How a request ended.
struct http_result {
  long status = 0;       ///< of the last answer; 0: there was none
  std::string error;     ///< one line; empty when the whole answer came
  std::string next_page; ///< of a listing: the URL of header Link, rel="next"
};

/// GET requests over libcurl: at most five redirects, to http(s) only; nothing but the token leaves
/// this machine. One owner.
class http_client {
public:
  explicit http_client(http_options options);
  ~http_client();
  http_client(const http_client&) = delete;
  http_client& operator=(const http_client&) = delete;

  /// A text of at most `max_bytes`.
  [[nodiscard]] http_result get(const std::string& url, std::uint64_t max_bytes, std::string& body);

  /// Takes the bytes of an answer. `first` is where in the file they begin: `from` when the server
  /// took up there, 0 when it began anew. False ends the transfer; `why` then says the reason.
  struct piece {
    std::uint64_t first;
    std::string_view bytes;
  };
  using sink = std::function<bool(const piece& got, std::string& why)>;
  /// The file from byte `from` on.
  [[nodiscard]] http_result download(const std::string& url, std::uint64_t from, const sink& take);

  /// A part of a path as it stands in a URL.
  [[nodiscard]] std::string escaped(std::string_view segment) const;

private:
  struct state;
  std::unique_ptr<state> state_;
};

} // namespace bitnetd::model_tool
