// SPDX-License-Identifier: MIT
#pragma once

#include "base/clock.h"
#include "base/hash.h"
#include "conf/content.h"

#include <filesystem>
#include <map>
#include <optional>

namespace bitnetd::conf {

/// Notices that bitnetd.yaml or a profile beside it was changed, by whatever editor or mount.
///
/// An event of inotify only says when to look; what counts is the content. After the first event
/// the watcher waits until 300 ms were quiet (at most 2 s), then reads everything twice, 100 ms
/// apart: a file that is being written reads differently, or not at all like a configuration.
///
/// It has no thread. The owner polls `fd()` for reading with the timeout `wait()`, and calls
/// `relevant_change()` whenever poll returns. Create it before loading, so that no change falls
/// between. Not safe to use from two threads.
class watcher {
public:
  static constexpr milliseconds quiet{300};
  static constexpr milliseconds longest_quiet{2000};
  static constexpr milliseconds between_reads{100};

  /// Throws std::system_error when the kernel has no inotify instance left.
  watcher(const std::filesystem::path& file, const clock& time);
  ~watcher();
  watcher(const watcher&) = delete;
  watcher& operator=(const watcher&) = delete;

  /// Readable when something happened; owned by the watcher.
  [[nodiscard]] int fd() const noexcept { return fd_; }
  /// How long until relevant_change() must be called again; nothing: not before fd() is readable.
  [[nodiscard]] std::optional<milliseconds> wait() const;
  /// Takes what happened and looks at the clock: true once for each new content.
  [[nodiscard]] bool relevant_change();

private:
  bool take_events();
  void watch_directories();

  const std::filesystem::path file_;
  const clock& time_;
  int fd_;
  std::map<int, watched_directory> watched_; // by watch descriptor
  hash128 known_;                            // the content that the owner knows of

  // While something is going on: when it began, when to look next, and what the first look saw.
  std::optional<mono_time> first_event_, look_at_;
  std::optional<hash128> seen_;
};

} // namespace bitnetd::conf
