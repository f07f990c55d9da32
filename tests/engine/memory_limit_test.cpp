// SPDX-License-Identifier: MIT
#include "engine/memory_limit.h"
#include "tests/support/scratch_folder.h"

#include <catch2/catch.hpp>

#include <cstdint>
#include <fstream>
#include <string>

using bitnetd::engine::available_memory;
using bitnetd::tests::scratch_folder;
namespace fs = std::filesystem;

namespace {

void write(const fs::path& file, const std::string& text) {
  fs::create_directories(file.parent_path());
  std::ofstream{file} << text;
}

} // namespace

TEST_CASE("available memory is the machine's where no group has a limit", "[engine][memory]") {
  scratch_folder scratch;
  const auto root = scratch.path();
  CHECK_FALSE(available_memory(root));
  write(root / "proc/meminfo", "MemTotal: 9000 kB\nMemAvailable:    2000 kB\n");
  write(root / "proc/self/cgroup", "0::/\n");
  CHECK(available_memory(root).value_or(1) == std::uint64_t{2000 * 1024});
  write(root / "proc/self/cgroup", "0::/service\n");
  write(root / "sys/fs/cgroup/service/memory.max", "max\n");
  write(root / "sys/fs/cgroup/service/memory.current", "5\n");
  CHECK(available_memory(root).value_or(1) == std::uint64_t{2000 * 1024});
}

TEST_CASE("a group's limit counts, less what it holds beside the page cache", "[engine][memory]") {
  scratch_folder scratch;
  const auto root = scratch.path();
  write(root / "proc/meminfo", "MemAvailable: 2000 kB\n");
  write(root / "proc/self/cgroup", "0::/user/service\n");
  const auto group = root / "sys/fs/cgroup/user";
  write(group / "memory.max", "1000000\n");
  write(group / "memory.current", "300000\n");
  write(group / "memory.stat", "anon 1\nfile 100000\n");
  CHECK(available_memory(root).value_or(1) == std::uint64_t{800'000});
  write(group / "service/memory.max", "500000\n");
  write(group / "service/memory.current", "600000\n");
  CHECK(available_memory(root).value_or(1) == std::uint64_t{0});
}

TEST_CASE("the memory controller of the first kind counts, too", "[engine][memory]") {
  scratch_folder scratch;
  const auto root = scratch.path();
  write(root / "proc/self/cgroup", "3:cpuset:/x\n4:memory:/job/7\n0::/\n");
  const auto group = root / "sys/fs/cgroup/memory/job/7";
  write(group / "memory.limit_in_bytes", "4096000\n");
  write(group / "memory.usage_in_bytes", "96000\n");
  write(group / "memory.stat", "cache 7\ntotal_cache 6000\n");
  CHECK(available_memory(root).value_or(1) == std::uint64_t{4096000 - 90000});
}
