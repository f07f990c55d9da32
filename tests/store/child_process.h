// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <sys/types.h>
#include <vector>

namespace bitnetd::tests {

// Crashes are real here: a child process runs a hidden test case of this program (its name starts
// with "child:") and dies in it. What the child tells through report() has reached the parent even
// if the child is killed right after.

/// A child that runs the hidden test case `name` on `folder`.
class child_process {
public:
  child_process(const std::string& name, const std::filesystem::path& folder);
  ~child_process(); ///< kills what is left
  child_process(const child_process&) = delete;
  child_process& operator=(const child_process&) = delete;

  /// Waits for the next number that the child reports; false when it has ended.
  bool next_report(std::uint64_t& value);
  /// SIGKILL, then all that it had reported and was not read yet.
  std::vector<std::uint64_t> kill();
  /// Waits for the end; the exit status, or 128 + signal.
  int wait();

private:
  pid_t pid_ = -1;
  int reports_ = -1;
};

/// In the child: the folder to work in.
std::filesystem::path child_folder();
/// In the child: hands a number to the parent.
void report(std::uint64_t value);
/// In the child: death as by SIGKILL, nothing is flushed or closed.
[[noreturn]] void die();

} // namespace bitnetd::tests
