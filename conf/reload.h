// SPDX-License-Identifier: MIT
#pragma once

#include "conf/config.h"
#include "conf/diff.h"
#include "conf/directories.h"
#include "conf/load.h"
#include "conf/machine.h"
#include "conf/problem.h"

#include <cstdint>
#include <filesystem>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace bitnetd::conf {

/// A configuration that cannot be used; what() has one problem per line.
struct config_error : std::runtime_error {
  explicit config_error(std::vector<problem> list);
  std::vector<problem> problems;
};

/// What a reload found and did.
struct reload_report {
  std::vector<change> changed; ///< files against what runs; restart keys are not applied
  std::vector<problem> problems;
  bool applied = false;      ///< a new version was swapped in
  std::uint64_t version = 0; ///< of what runs now

  /// Keys that differ and wait for a restart.
  [[nodiscard]] std::vector<std::string> waiting_for_restart() const;
};

/// The configuration that runs. Reloading swaps in a new immutable version, or keeps the last good
/// one when anything is wrong. Safe to use from any thread; reloads come one after the other.
class configuration {
public:
  /// Loads `file`; throws config_error. The first version is 1.
  configuration(std::filesystem::path file, directories where, machine on,
                std::optional<std::string> profile = std::nullopt);

  /// What runs; whoever takes it keeps it as long as he likes.
  [[nodiscard]] config_ptr current() const;

  /// Reads the files again. With `dry_run` only reports. Restart keys keep their running values,
  /// are reported by every reload until then, and alone raise no version. Logs what changed or what
  /// is wrong. A profile chosen by use_profile() holds until bitnetd.yaml changes.
  reload_report reload(bool dry_run = false);

  /// Changes to another profile, until bitnetd.yaml changes or the daemon restarts.
  reload_report use_profile(const std::string& name, bool dry_run = false);

  /// Reloads that failed since the start, dry runs not counted.
  [[nodiscard]] std::uint64_t failures() const;
  /// Why the last reload failed: its first problem and how many more; empty once one succeeded.
  [[nodiscard]] std::string last_failure() const;

private:
  reload_report take(load_result loaded, bool dry_run);
  void note(const reload_report& report);

  const std::filesystem::path file_;
  const directories where_;
  const machine on_;

  std::mutex reloading_; // held for a whole reload, guards the two below
  std::optional<std::string> profile_;
  hash128 file_hash_; // of bitnetd.yaml when `profile_` was chosen

  mutable std::mutex swapping_; // held for moments, guards the three below
  config_ptr current_;
  std::uint64_t failures_ = 0;
  std::string last_failure_;
};

} // namespace bitnetd::conf
