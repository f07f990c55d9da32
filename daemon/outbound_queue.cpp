// SPDX-License-Identifier: MIT
#include "daemon/outbound_queue.h"

#include <cerrno>
#include <sys/eventfd.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace bitnetd::daemon {

namespace {

std::size_t bytes_of(const front_message& message) {
  if (const auto* out = std::get_if<outbound>(&message))
    return out->body.size() + out->to.peer.size() + out->to.tag.size();
  if (const auto* event = std::get_if<actors::event>(&message))
    return event->body.size();
  return 0;
}

bool is_droppable(const front_message& message) {
  const auto* out = std::get_if<outbound>(&message);
  return (out != nullptr && out->is_delta()) || std::holds_alternative<actors::event>(message);
}

} // namespace

outbound_queue::outbound_queue(std::size_t max_bytes)
    : max_bytes_(max_bytes), fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (fd_ < 0)
    throw std::system_error(errno, std::system_category(), "eventfd");
}

outbound_queue::~outbound_queue() { ::close(fd_); }

void outbound_queue::push(front_message message) {
  std::vector<front_message> one;
  one.push_back(std::move(message));
  push(std::move(one));
}

void outbound_queue::push(std::vector<front_message> messages) {
  bool wakes = false;
  {
    const std::lock_guard lock(mutex_);
    const bool was_empty = messages_.empty();
    for (auto& message : messages)
      keep(std::move(message));
    wakes = was_empty && !messages_.empty(); // else the fd is readable already
  }
  if (wakes) {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(fd_, &one, sizeof one); // cannot overflow
  }
}

void outbound_queue::keep(front_message message) {
  const auto size = bytes_of(message);
  if (bytes_ + size > max_bytes_ && is_droppable(message)) {
    ++dropped_;
    return;
  }
  bytes_ += size;
  messages_.push_back(std::move(message));
}

std::deque<front_message> outbound_queue::take() {
  std::uint64_t count = 0;
  // Before the queue is emptied: a push in between leaves the fd readable for nothing, at worst.
  [[maybe_unused]] const auto read = ::read(fd_, &count, sizeof count);
  const std::lock_guard lock(mutex_);
  bytes_ = 0;
  return std::exchange(messages_, {});
}

} // namespace bitnetd::daemon
