// SPDX-License-Identifier: MIT
#include "conf/watch.h"

#include "base/log.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <sys/inotify.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace bitnetd::conf {

namespace {

// MODIFY for writers that keep the file open, ATTRIB for permissions taken away and given back.
constexpr std::uint32_t events_of_interest = IN_CLOSE_WRITE | IN_MODIFY | IN_MOVED_TO |
                                             IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ATTRIB |
                                             IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

// Whether the directory itself is concerned, or events were lost.
constexpr std::uint32_t always_relevant =
    IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT | IN_Q_OVERFLOW;

} // namespace

watcher::watcher(const std::filesystem::path& file, const clock& time)
    : file_(std::filesystem::absolute(file).lexically_normal()), time_(time),
      fd_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
  if (fd_ < 0)
    throw std::system_error(errno, std::generic_category(),
                            "inotify is needed to notice edits (fs.inotify.max_user_instances)");
  watch_directories();
  known_ = content_hash(file_);
}

watcher::~watcher() { ::close(fd_); }

void watcher::watch_directories() {
  std::map<int, watched_directory> now;
  for (auto& watched : directories_of(file_)) {
    const int wd = ::inotify_add_watch(fd_, watched.directory.c_str(), events_of_interest);
    if (wd < 0) {
      if (errno != ENOENT && errno != ENOTDIR) // gone meanwhile: its parent's event comes
        log::warn("configuration: edits in {} will not be noticed: {}", watched.directory.string(),
                  std::generic_category().message(errno));
      continue;
    }
    // Two paths may be one directory, and then have one descriptor.
    auto& known = now[wd];
    known.directory = watched.directory;
    known.names.merge(watched.names);
    known.endings.merge(watched.endings);
  }
  for (const auto& [wd, watched] : watched_)
    if (!now.contains(wd))
      ::inotify_rm_watch(fd_, wd); // fails for a directory that is gone, as it should be
  watched_ = std::move(now);
}

// Reads all events; true when one of them concerns the configuration.
bool watcher::take_events() {
  bool relevant = false;
  alignas(inotify_event) std::array<char, 16384> buffer;
  for (;;) {
    const auto n = ::read(fd_, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return relevant;
    for (std::size_t at = 0; at < static_cast<std::size_t>(n);) {
      inotify_event event;
      std::memcpy(&event, buffer.data() + at, sizeof event);
      const char* name = event.len > 0 ? buffer.data() + at + sizeof event : "";
      at += sizeof event + event.len;
      const auto watched = watched_.find(event.wd);
      relevant = relevant || event.wd < 0 ||
                 (watched != watched_.end() &&
                  ((event.mask & always_relevant) != 0 || watched->second.matters(name)));
    }
  }
}

std::optional<milliseconds> watcher::wait() const {
  if (!look_at_)
    return std::nullopt;
  const auto left = std::chrono::ceil<milliseconds>(*look_at_ - time_.mono());
  return std::max(left, milliseconds{0});
}

bool watcher::relevant_change() {
  const auto now = time_.mono();
  if (take_events()) {
    watch_directories(); // before reading, so that a change after the reading is an event again
    first_event_ = first_event_.value_or(now);
    if (now < *first_event_ + longest_quiet) { // else what is read twice alike has to do
      look_at_ = std::min(now + quiet, *first_event_ + longest_quiet);
      seen_.reset();
    }
  }
  if (!look_at_ || now < *look_at_)
    return false;
  const auto content = content_hash(file_);
  if (seen_ != content) { // the first look, or still being written
    seen_ = content;
    look_at_ = now + between_reads;
    return false;
  }
  first_event_.reset();
  look_at_.reset();
  seen_.reset();
  return std::exchange(known_, content) != content;
}

} // namespace bitnetd::conf
