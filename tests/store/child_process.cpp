// SPDX-License-Identifier: MIT
#include "tests/store/child_process.h"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <sys/wait.h>
#include <unistd.h>

namespace bitnetd::tests {
namespace {

constexpr int report_handle = 3;
constexpr const char* folder_variable = "BITNETD_TEST_CHILD_FOLDER";

} // namespace

child_process::child_process(const std::string& name, const std::filesystem::path& folder) {
  int ends[2];
  if (::pipe(ends) != 0)
    throw std::runtime_error("no pipe");
  // Everything that allocates happens before fork: other threads of this process may hold locks.
  const auto variable = std::string(folder_variable) + "=" + folder.string();
  const char* const arguments[] = {"test_store", name.c_str(), nullptr};
  const char* const environment[] = {variable.c_str(), nullptr};
  pid_ = ::fork();
  if (pid_ < 0)
    throw std::runtime_error("no child process");
  if (pid_ == 0) {
    ::dup2(ends[1], report_handle);
    ::execve("/proc/self/exe", const_cast<char* const*>(arguments),
             const_cast<char* const*>(environment));
    ::_exit(127);
  }
  ::close(ends[1]);
  reports_ = ends[0];
}

child_process::~child_process() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    (void)wait();
  }
  ::close(reports_);
}

bool child_process::next_report(std::uint64_t& value) {
  ssize_t got = 0;
  do
    got = ::read(reports_, &value, sizeof value); // writes of 8 bytes arrive whole
  while (got < 0 && errno == EINTR);
  return got == sizeof value;
}

std::vector<std::uint64_t> child_process::kill() {
  ::kill(pid_, SIGKILL);
  (void)wait();
  std::vector<std::uint64_t> rest;
  std::uint64_t value = 0;
  while (next_report(value))
    rest.push_back(value);
  return rest;
}

int child_process::wait() {
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR)
    ;
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::filesystem::path child_folder() {
  const char* folder = std::getenv(folder_variable);
  if (folder == nullptr)
    throw std::runtime_error("this test case is run by others, as a child process");
  return folder;
}

void report(std::uint64_t value) {
  if (::write(report_handle, &value, sizeof value) != sizeof value)
    die();
}

void die() {
  (void)::raise(SIGKILL);
  ::_exit(1);
}

} // namespace bitnetd::tests
