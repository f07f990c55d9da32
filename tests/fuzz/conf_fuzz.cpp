// SPDX-License-Identifier: MIT
#include "conf/diff.h"
#include "conf/load.h"

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <unistd.h>

// What an operator, an editor or a broken deployment may leave behind: the input is the text of
// bitnetd.yaml, of a profile and of a file of clients' keys, divided by bytes of zero. Every refusal
// must have words, and a configuration that is taken must not differ from itself.

namespace {

using namespace bitnetd::conf;
namespace fs = std::filesystem;

/// In memory where the machine has such a place; goes with the process.
struct scratch {
  fs::path path = fs::path{fs::exists("/dev/shm") ? "/dev/shm" : "/tmp"} /
                  ("bitnetd-conf-fuzz-" + std::to_string(::getpid()));
  scratch() {
    fs::create_directories(path / "profiles");
    fs::create_directories(path / "clients.d");
  }
  ~scratch() { fs::remove_all(path); }
};

void write(const fs::path& file, std::string_view text) {
  std::ofstream(file, std::ios::binary | std::ios::trunc) << text;
}

std::string_view take(std::string_view& rest) {
  const auto end = rest.find('\0');
  const auto out = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  return out;
}

void must(bool good) {
  if (!good)
    std::abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const scratch folder;
  std::string_view rest{reinterpret_cast<const char*>(data), size};
  const auto file = folder.path / "bitnetd.yaml";
  write(file, take(rest));
  write(folder.path / "profiles/test.yaml", take(rest));
  write(folder.path / "clients.d/ann.pub", rest);
  const auto loaded = load(file, {"/state", "/cache", "/run"}, machine{});
  must(loaded.value.has_value() == loaded.problems.empty());
  must(loaded.problems.size() <= 101);
  for (const auto& one : loaded.problems)
    must(!one.text().empty() && one.text().size() < 8192);
  if (loaded.value)
    must(difference(*loaded.value, *loaded.value).empty());
  return 0;
}
