// SPDX-License-Identifier: MIT
#include "conf/machine.h"

#include "conf/text_file.h"

#include <charconv>
#include <cstring>
#include <numeric>
#include <system_error>
#include <unistd.h>

namespace bitnetd::conf {

namespace {

constexpr std::size_t most_numbers = 65536;

std::vector<int> from_kernel(const char* file) {
  const auto read = read_text(file, 65536);
  return read.text ? read_number_list(read.text->c_str()) : std::vector<int>{};
}

std::uint64_t positive(long n) { return n > 0 ? static_cast<std::uint64_t>(n) : 0; }

} // namespace

std::vector<int> read_number_list(const char* text) {
  std::vector<int> out;
  const char* const end = text + std::strcspn(text, "\n");
  while (text < end) {
    int first = 0;
    auto [next, code] = std::from_chars(text, end, first);
    int last = first;
    if (code == std::errc{} && next < end && *next == '-') {
      const auto second = std::from_chars(next + 1, end, last);
      next = second.ptr;
      code = second.ec;
    }
    if (code != std::errc{} || first < 0 || last < first ||
        static_cast<std::size_t>(last - first) >= most_numbers - out.size() ||
        (next < end && *next != ','))
      return {};
    for (int n = first; n <= last; ++n)
      out.push_back(n);
    text = next < end ? next + 1 : end;
  }
  return out;
}

machine this_machine() {
  machine found{from_kernel("/sys/devices/system/cpu/online"),
                from_kernel("/sys/devices/system/node/has_memory"),
                positive(::sysconf(_SC_PHYS_PAGES)) * positive(::sysconf(_SC_PAGESIZE))};
  if (found.cpus.empty()) {
    found.cpus.resize(positive(::sysconf(_SC_NPROCESSORS_ONLN)));
    std::iota(found.cpus.begin(), found.cpus.end(), 0);
  }
  if (found.memory_nodes.empty())
    found.memory_nodes = {0};
  return found;
}

} // namespace bitnetd::conf
