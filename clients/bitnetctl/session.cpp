// SPDX-License-Identifier: MIT
#include "clients/bitnetctl/session.h"

#include "clients/bitnetctl/endpoint.h"
#include "clients/bitnetctl/exit_codes.h"
#include "clients/bitnetctl/keys.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <thread>

namespace bitnetd::ctl {

namespace {

using namespace std::chrono_literals;

std::string given_or_variable(const std::string& given, const char* name) {
  const char* const value = std::getenv(name);
  return !given.empty() || value == nullptr ? given : value;
}

// Both halves of what a socket with keys wants, or none.
curve_keys keys_of(const session& with) {
  const auto own = given_or_variable(with.key, "BITNETD_KEY");
  const auto server = given_or_variable(with.server_key, "BITNETD_SERVER_KEY");
  if (own.empty() && server.empty())
    return {};
  if (own.empty() || server.empty())
    throw bad_input("a socket with keys needs both --key FILE and --server-key KEY");
  return {key_from(server), key_from(own)};
}

// Until the daemon says `ready` or the time is over; then what stood in the way is thrown.
// The endpoint is looked for each time: the runtime directory may not be there yet.
void wait_until_ready(const std::optional<std::string>& socket, const curve_keys& keys,
                      std::chrono::seconds time) {
  const auto until = std::chrono::steady_clock::now() + time;
  std::string obstacle;
  for (;;) {
    try {
      connection probe(find_front(socket), keys);
      const auto pong = probe.ask("ping", json::object(), 1s);
      const auto state = pong.body.value("state", std::string());
      if (pong.type == "pong" && state != "starting")
        return;
      obstacle = "the daemon is " + state;
    } catch (const no_daemon& why) {
      obstacle = why.what();
    }
    if (std::chrono::steady_clock::now() >= until)
      throw no_daemon("not ready after " + std::to_string(time.count()) + " s: " + obstacle);
    std::this_thread::sleep_for(100ms);
  }
}

} // namespace

connection session::front() const {
  const auto keys = keys_of(*this);
  if (wait_ready)
    wait_until_ready(socket, keys, *wait_ready);
  return connection(find_front(socket), keys);
}

connection session::admin() const {
  const auto keys = keys_of(*this);
  if (wait_ready)
    wait_until_ready(socket, keys, *wait_ready);
  return connection(admin_beside(find_front(socket)), keys);
}

int report_error(const json& error) {
  const auto name = error.value("name", std::string("error"));
  std::cerr << "bitnetctl: " << name << ": " << error.value("msg", std::string());
  if (const auto after = error.value("retry_after_ms", 0); after > 0)
    std::cerr << " (try again in " << after << " ms)";
  std::cerr << '\n';
  const int code = error.value("code", 150);
  if (error.contains("job"))
    return exit_code::job_failed;
  const bool about_input = code < 110 || code == 140 || code == 142;
  return about_input ? exit_code::refused : exit_code::daemon_error;
}

void print_json(const json& value) {
  std::cout << value.dump(-1, ' ', false, json::error_handler_t::replace) << '\n' << std::flush;
}

std::string read_input(const std::string& file, std::size_t most) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> in(
      file == "-" ? stdin : std::fopen(file.c_str(), "rb"),
      file == "-" ? [](std::FILE*) { return 0; } : &std::fclose);
  if (!in)
    throw bad_input(file + ": " + std::strerror(errno));
  std::string text, block(1 << 16, '\0');
  while (const auto n = std::fread(block.data(), 1, block.size(), in.get())) {
    text.append(block, 0, n);
    if (text.size() > most)
      throw bad_input(file + ": larger than " + std::to_string(most) + " bytes");
  }
  if (std::ferror(in.get()) != 0)
    throw bad_input(file + ": " + std::strerror(errno));
  return text;
}

} // namespace bitnetd::ctl
