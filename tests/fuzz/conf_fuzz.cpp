// SPDX-License-Identifier: MIT
#include "conf/diff.h"
#include "conf/load.h"
#include "tests/fuzz/must.h"
#include "tests/fuzz/shared_memory_folder.h"

#include <cstdint>
#include <string_view>

// What an operator, an editor or a broken deployment may leave behind: the input is the text of
// bitnetd.yaml, of a profile and of a file of clients' keys, divided by bytes of zero. Every
// refusal must have words, and a configuration that is taken must not differ from itself.

namespace {

using namespace bitnetd::conf;
using bitnetd::fuzz::must;

std::string_view take(std::string_view& rest) {
  const auto end = rest.find('\0');
  const auto out = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  return out;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const bitnetd::fuzz::shared_memory_folder folder{"conf"};
  std::string_view rest{reinterpret_cast<const char*>(data), size};
  folder.write("bitnetd.yaml", take(rest));
  folder.write("profiles/test.yaml", take(rest));
  folder.write("clients.d/ann.pub", rest);
  const auto loaded = load(folder.path() / "bitnetd.yaml", {"/state", "/cache", "/run"}, machine{});
  must(loaded.value.has_value() == loaded.problems.empty());
  must(loaded.problems.size() <= 101);
  for (const auto& one : loaded.problems)
    must(!one.text().empty() && one.text().size() < 8192);
  if (loaded.value)
    must(difference(*loaded.value, *loaded.value).empty());
  return 0;
}
