// SPDX-License-Identifier: MIT
#include "daemon/front.h"

#include "daemon/front_loop.h"

#include <array>
#include <cerrno>
#include <cstdint>
#include <sys/random.h>
#include <system_error>
#include <utility>

namespace bitnetd::daemon {

namespace {

std::string random_hex() {
  std::array<std::uint8_t, 8> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    throw std::system_error(errno, std::system_category(), "getrandom");
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  for (const auto byte : bytes) {
    out += digits[byte >> 4];
    out += digits[byte & 15];
  }
  return out;
}

} // namespace

front::front(front_options options)
    : queue_(std::make_shared<outbound_queue>(options.queue_bytes)), epoch_(random_hex()),
      loop_(std::make_unique<front_loop>(std::move(options), queue_, epoch_)) {
  loop_->start();
}

front::~front() { stop(); }

void front::set_state(front_state state) noexcept { loop_->set_state(state); }

void front::stop() { loop_->stop(); }

} // namespace bitnetd::daemon
