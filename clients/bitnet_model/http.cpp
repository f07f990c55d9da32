// SPDX-License-Identifier: MIT
#include "clients/bitnet_model/http.h"

#include <charconv>
#include <curl/curl.h>
#include <stdexcept>

namespace bitnetd::model_tool {

namespace {

/// What the headers of one answer say; started anew with each redirect.
struct answer_headers {
  long status = 0;
  std::uint64_t first_byte = 0; ///< of Content-Range
  std::string next_page;
};

bool has_name(std::string_view line, std::string_view name) {
  return line.size() > name.size() && curl_strnequal(line.data(), name.data(), name.size()) != 0;
}

/// `Link: <https://…>; rel="next"`
std::string next_of(std::string_view line) {
  const auto rel = line.find("rel=\"next\"");
  const auto end = line.rfind('>', rel);
  const auto begin = end == std::string_view::npos ? end : line.rfind('<', end);
  return rel == std::string_view::npos || begin == std::string_view::npos
             ? std::string{}
             : std::string{line.substr(begin + 1, end - begin - 1)};
}

std::size_t read_header(char* text, std::size_t, std::size_t n, void* to) {
  auto& into = *static_cast<answer_headers*>(to);
  const std::string_view line{text, n};
  if (line.starts_with("HTTP/")) {
    into = {};
    const auto space = line.find(' ');
    if (space != std::string_view::npos)
      std::from_chars(line.data() + space + 1, line.data() + line.size(), into.status);
  } else if (has_name(line, "content-range: bytes ")) {
    std::from_chars(line.data() + 21, line.data() + line.size(), into.first_byte);
  } else if (has_name(line, "link:")) {
    into.next_page = next_of(line);
  }
  return n;
}

/// The transfer that runs, as libcurl's callbacks see it.
struct transfer {
  answer_headers headers;
  const http_client::sink* take = nullptr;
  std::uint64_t position = 0;
  bool begun = false;
  std::string refused; ///< why the sink ended it
};

std::size_t write_body(char* bytes, std::size_t, std::size_t n, void* to) {
  auto& now = *static_cast<transfer*>(to);
  if (now.headers.status != 200 && now.headers.status != 206)
    return n; // the text of an error or of a redirect
  if (!now.begun)
    now.position = now.headers.status == 206 ? now.headers.first_byte : 0;
  now.begun = true;
  const bool taken = (*now.take)({now.position, {bytes, n}}, now.refused);
  now.position += n;
  return taken ? n : 0;
}

} // namespace

struct http_client::state {
  http_options options;
  std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl{curl_easy_init(), curl_easy_cleanup};
  char why[CURL_ERROR_SIZE] = {};

  void set(CURLoption option, auto value) {
    if (curl_easy_setopt(curl.get(), option, value) != CURLE_OK)
      throw std::runtime_error{"libcurl does not know an option that is needed"};
  }

  void prepare() {
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_USERAGENT, "bitnet-model");
    set(CURLOPT_FOLLOWLOCATION, 1L);
    set(CURLOPT_MAXREDIRS, 5L);
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_REDIR_PROTOCOLS_STR, options.only_https ? "https" : "http,https");
    set(CURLOPT_CONNECTTIMEOUT, static_cast<long>(options.connect.count()));
    set(CURLOPT_LOW_SPEED_LIMIT, 1L);
    set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(options.stall.count()));
    set(CURLOPT_ERRORBUFFER, why);
    set(CURLOPT_HEADERFUNCTION, read_header);
    set(CURLOPT_WRITEFUNCTION, write_body);
    if (options.token.empty())
      return;
    set(CURLOPT_HTTPAUTH, static_cast<long>(CURLAUTH_BEARER)); // not passed on to other hosts
    set(CURLOPT_XOAUTH2_BEARER, options.token.c_str());
  }

  http_result run(const std::string& url, std::uint64_t from, const sink& take) {
    curl_easy_reset(curl.get());
    prepare();
    transfer now;
    now.take = &take;
    why[0] = '\0';
    set(CURLOPT_URL, url.c_str());
    set(CURLOPT_HEADERDATA, &now.headers);
    set(CURLOPT_WRITEDATA, &now);
    set(CURLOPT_RESUME_FROM_LARGE, static_cast<curl_off_t>(0));
    const auto range = std::to_string(from) + "-";
    if (from > 0)
      set(CURLOPT_RANGE, range.c_str());
    const auto code = curl_easy_perform(curl.get());
    http_result result{now.headers.status, {}, now.headers.next_page};
    if (!now.refused.empty())
      result.error = now.refused;
    else if (code != CURLE_OK)
      result.error = why[0] != '\0' ? why : curl_easy_strerror(code);
    return result;
  }
};

http_client::http_client(http_options options) : state_{std::make_unique<state>()} {
  if (state_->curl == nullptr)
    throw std::runtime_error{"libcurl cannot be started"};
  state_->options = std::move(options);
}

http_client::~http_client() = default;

http_result http_client::get(const std::string& url, std::uint64_t max_bytes, std::string& body) {
  body.clear();
  return state_->run(url, 0, [&](const piece& got, std::string& why) {
    if (body.size() + got.bytes.size() > max_bytes) {
      why = "the answer has more than " + std::to_string(max_bytes) + " bytes";
      return false;
    }
    body += got.bytes;
    return true;
  });
}

http_result http_client::download(const std::string& url, std::uint64_t from, const sink& take) {
  return state_->run(url, from, take);
}

std::string http_client::escaped(std::string_view segment) const {
  const std::unique_ptr<char, decltype(&curl_free)> text{
      curl_easy_escape(state_->curl.get(), segment.data(), static_cast<int>(segment.size())),
      curl_free};
  if (text == nullptr)
    throw std::runtime_error{"not enough memory"};
  return text.get();
}

} // namespace bitnetd::model_tool
