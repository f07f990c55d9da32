// SPDX-License-Identifier: MIT
#include "engine/node.h"

#include <catch2/catch.hpp>
#include <hwloc.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <ctime>
#include <linux/mempolicy.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

using namespace bitnetd::engine;
using namespace std::chrono_literals;

namespace {

/// The XML that hwloc would record on a machine of this shape.
std::string recorded(const char* shape) {
  hwloc_topology_t topology = nullptr;
  REQUIRE(hwloc_topology_init(&topology) == 0);
  REQUIRE(hwloc_topology_set_synthetic(topology, shape) == 0);
  REQUIRE(hwloc_topology_load(topology) == 0);
  char* text = nullptr;
  int bytes = 0;
  REQUIRE(hwloc_topology_export_xmlbuffer(topology, &text, &bytes, 0) == 0);
  std::string xml{text};
  hwloc_free_xmlbuffer(topology, text);
  hwloc_topology_destroy(topology);
  return xml;
}

std::vector<int> allowed_cpus() {
  cpu_set_t set;
  REQUIRE(sched_getaffinity(0, sizeof set, &set) == 0);
  std::vector<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &set))
      cpus.push_back(cpu);
  return cpus;
}

double process_cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

/// Helpers take a moment to arrive, and on a busy machine may not come at all within a step: runs
/// steps until `seen` says it has what it wants, for at most a minute.
template <class Step, class Seen> void run_until(compute_node& node, Step step, Seen seen) {
  const auto end = std::chrono::steady_clock::now() + 60s;
  while (!seen() && std::chrono::steady_clock::now() < end)
    node.run(step);
}

} // namespace

TEST_CASE("a recorded machine with two nodes gives two nodes", "[engine][node]") {
  const auto nodes = discover_nodes(recorded("numa:2 core:2 pu:1"));
  REQUIRE(nodes.size() == 2);
  CHECK(nodes[0].cpus == std::vector<int>{0, 1});
  CHECK(nodes[0].memory_node == 0);
  CHECK(nodes[1].cpus == std::vector<int>{2, 3});
  CHECK(nodes[1].memory_node == 1);
}

TEST_CASE("a machine with one node has nothing to bind", "[engine][node]") {
  const auto nodes = discover_nodes(recorded("numa:1 core:4 pu:2"));
  REQUIRE(nodes.size() == 1);
  CHECK(nodes[0].cpus.size() == 8);
  CHECK(!nodes[0].memory_node);
}

TEST_CASE("discovery on this machine gives exactly the CPUs we may use", "[engine][node]") {
  std::vector<int> found;
  for (const auto& node : discover_nodes())
    found.insert(found.end(), node.cpus.begin(), node.cpus.end());
  std::ranges::sort(found);
  CHECK(found == allowed_cpus());
}

TEST_CASE("a topology that is not XML is refused with a reason", "[engine][node]") {
  CHECK_THROWS_WITH(discover_nodes("not a topology"), Catch::Contains("hwloc"));
}

TEST_CASE("every chunk runs exactly once, with any number of threads", "[engine][node]") {
  const auto threads = GENERATE(as<std::size_t>{}, 1, 2, 4, 7);
  compute_node node{{allowed_cpus(), {}}, threads};
  CHECK(node.threads() == threads);
  for (int step = 0; step < 20; ++step)
    node.run([&] {
      for (const std::size_t n : {0u, 1u, 2u, 3u, 64u, 1000u}) {
        std::vector<std::atomic<int>> runs(n);
        std::size_t plain_sum = 0; // written by one chunk, read after: for_chunks orders memory
        node.for_chunks(n, [&](std::size_t chunk) {
          if (chunk == n / 2)
            plain_sum = n;
          ++runs[chunk];
        });
        REQUIRE(plain_sum == n);
        REQUIRE(std::ranges::all_of(runs, [](const auto& r) { return r == 1; }));
      }
    });
}

TEST_CASE("chunks keep running exactly once while the machine is overloaded", "[engine][node]") {
  std::atomic<bool> stop{false};
  std::vector<std::thread> neighbours;
  for (std::size_t i = 0; i < 2 * allowed_cpus().size(); ++i)
    neighbours.emplace_back([&] {
      while (!stop)
        ;
    });
  compute_node node{{allowed_cpus(), {}}, 4};
  std::atomic<std::size_t> sum{0};
  for (int step = 0; step < 5; ++step)
    node.run([&] {
      for (int operation = 0; operation < 50; ++operation)
        node.for_chunks(16, [&](std::size_t chunk) { sum += chunk; });
    });
  stop = true;
  for (auto& thread : neighbours)
    thread.join();
  CHECK(sum == 5 * 50 * 120);
}

TEST_CASE("outside a run the caller does everything", "[engine][node]") {
  compute_node node{{allowed_cpus(), {}}, 2};
  const auto caller = std::this_thread::get_id();
  std::vector<std::size_t> order;
  node.for_chunks(5, [&](std::size_t chunk) {
    CHECK(std::this_thread::get_id() == caller);
    order.push_back(chunk);
  });
  CHECK(order == std::vector<std::size_t>{0, 1, 2, 3, 4});
}

TEST_CASE("a step's exception reaches the caller, and the node runs on", "[engine][node]") {
  compute_node node{{allowed_cpus(), {}}, 2};
  CHECK_THROWS_AS(node.run([] { throw std::runtime_error{"step"}; }), std::runtime_error);
  std::atomic<int> n{0};
  node.run([&] { node.for_chunks(10, [&](std::size_t) { ++n; }); });
  CHECK(n == 10);
}

TEST_CASE("helpers run on the node's CPUs, a little behind everybody else", "[engine][node]") {
  const auto cpu = allowed_cpus().back();
  compute_node node{{{cpu}, {}}, 2}; // two threads, one CPU: oversubscribed on purpose
  const auto caller = std::this_thread::get_id();
  std::atomic<int> by_helper{0}, wrong{0};
  run_until(
      node,
      [&] {
        node.for_chunks(64, [&](std::size_t) {
          if (std::this_thread::get_id() != caller) {
            ++by_helper;
            if (allowed_cpus() != std::vector{cpu} ||
                getpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid))) !=
                    std::min(getpriority(PRIO_PROCESS, static_cast<id_t>(getpid())) + 5, 19))
              ++wrong;
          }
          std::this_thread::sleep_for(100us);
        });
      },
      [&] { return by_helper > 0; });
  CHECK(by_helper > 0);
  CHECK(wrong == 0);
}

TEST_CASE("the number of threads can be changed between runs", "[engine][node]") {
  compute_node node{{allowed_cpus(), {}}, 2};
  for (const std::size_t threads : {1u, 3u, 2u, 1u, 2u}) {
    node.set_threads(threads);
    CHECK(node.threads() == threads);
    std::atomic<std::size_t> sum{0};
    node.run([&] { node.for_chunks(100, [&](std::size_t chunk) { sum += chunk; }); });
    CHECK(sum == 4950);
  }
  node.set_threads(0);
  CHECK(node.threads() == allowed_cpus().size());
}

TEST_CASE("between two runs nobody spins", "[engine][node]") {
  compute_node node{{allowed_cpus(), {}}, 2};
  for (int i = 0; i < 10; ++i)
    node.run([&] { node.for_chunks(64, [](std::size_t) {}); });
  double used = 1;
  for (int i = 0; i < 20 && used >= 0.015; ++i) { // helpers may still be on their way home
    const auto before = process_cpu_seconds();
    std::this_thread::sleep_for(300ms);
    used = process_cpu_seconds() - before;
  }
  CHECK(used < 0.015);
}

TEST_CASE("a thread that is adopted runs where the helpers run", "[engine][node]") {
  const auto cpu = allowed_cpus().front();
  compute_node node{{{cpu}, {}}, 1};
  std::thread{[&] {
    node.adopt_this_thread();
    CHECK(allowed_cpus() == std::vector{cpu});
    const auto process = getpriority(PRIO_PROCESS, static_cast<id_t>(getpid()));
    CHECK(getpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid))) ==
          std::min(process + 5, 19));
  }}.join();
  CHECK(allowed_cpus().size() >= 1);
}

TEST_CASE("node memory is zeroed, aligned, and moves", "[engine][node]") {
  const auto bytes = GENERATE(as<std::size_t>{}, 1, 4097, 5u << 20);
  node_memory memory{bytes, {}};
  REQUIRE(memory.data() != nullptr);
  CHECK(memory.size() == bytes);
  CHECK(memory.bound());
  CHECK(reinterpret_cast<std::uintptr_t>(memory.data()) % 64 == 0);
  CHECK(std::all_of(memory.data(), memory.data() + bytes,
                    [](std::byte b) { return b == std::byte{0}; }));
  memory.data()[bytes - 1] = std::byte{7};
  node_memory other = std::move(memory);
  CHECK(memory.data() == nullptr);
  CHECK(memory.size() == 0);
  CHECK(other.data()[bytes - 1] == std::byte{7});
}

TEST_CASE("node memory of no bytes has no address", "[engine][node]") {
  const node_memory memory{0, 0};
  CHECK(memory.data() == nullptr);
  CHECK(memory.bound());
}

TEST_CASE("node memory has the policy it says it has", "[engine][node]") {
  node_memory memory{1 << 16, 0};
  memory.data()[0] = std::byte{1}; // usable in any case
  int mode = -1;
  unsigned long mask[16] = {};
  if (syscall(SYS_get_mempolicy, &mode, mask, sizeof mask * 8, memory.data(), MPOL_F_ADDR) != 0) {
    WARN("this kernel does not tell memory policies");
    return;
  }
  CHECK(memory.bound() == (mode == MPOL_BIND && mask[0] == 1));
}

TEST_CASE("memory of a node that does not exist is usable and says it is not bound",
          "[engine][node]") {
  const auto node = GENERATE(-1, 900, 100'000);
  node_memory memory{1 << 16, node};
  REQUIRE(memory.data() != nullptr);
  CHECK(!memory.bound());
  memory.data()[4096] = std::byte{1};
}

TEST_CASE("an arena's memory is zeroed, aligned, apart, and outlives the arena", "[engine][node]") {
  std::optional<node_arena> arena{std::in_place, std::nullopt};
  std::vector<node_memory> parts;
  for (const std::size_t bytes : {1, 100, 4096, 3 << 20, 40 << 20, 17, 15 << 20}) // 40 MiB: alone
    for (int i = 0; i < 2; ++i) {
      parts.push_back(arena->take(bytes));
      REQUIRE(parts.back().size() == bytes);
      CHECK(parts.back().bound());
      CHECK(reinterpret_cast<std::uintptr_t>(parts.back().data()) % 64 == 0);
    }
  CHECK(arena->take(0).data() == nullptr);
  CHECK(parts[1].data() == parts[0].data() + 64); // together
  arena.reset();
  for (std::size_t i = 0; i < parts.size(); ++i) { // each finds its own still zeroed
    const std::span bytes{parts[i].data(), parts[i].size()};
    CHECK(std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; }));
    std::ranges::fill(bytes, std::byte{255});
  }
}
