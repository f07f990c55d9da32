// SPDX-License-Identifier: MIT
#include "clients/bitnetctl/validate.h"

#include "clients/bitnetctl/exit_codes.h"
#include "clients/bitnetctl/session.h"
#include "conf/load.h"
#include "conf/schema.h"

#include <iostream>
#include <stdexcept>
#include <unistd.h>

namespace bitnetd::ctl {

namespace {

// Where the daemon would keep its files matters to the check only for the length of socket paths:
// for a user who has no such places, the service's are taken.
conf::directories places() {
  try {
    return conf::find_directories(conf::process_environment(), ::getuid());
  } catch (const std::runtime_error&) {
    return {"/var/lib/bitnetd", "/var/cache/bitnetd", "/run/bitnetd"};
  }
}

} // namespace

int run_validate(const std::string& file, bool as_json) {
  const auto loaded = conf::load(file, places(), conf::this_machine());
  if (loaded.value) {
    if (as_json)
      print_json({{"good", true}, {"profile", loaded.value->profile.name}});
    else
      std::cout << file << ": good (" << loaded.value->models.size() << " models, profile "
                << loaded.value->profile.name << ")\n";
    return exit_code::ok;
  }
  for (const auto& problem : loaded.problems)
    if (as_json)
      print_json({{"file", problem.file},
                  {"line", problem.line},
                  {"column", problem.column},
                  {"path", problem.path},
                  {"message", problem.message}});
    else
      std::cerr << problem.text() << '\n';
  return exit_code::refused;
}

int run_schema(bool as_json) {
  std::cout << (as_json ? conf::schema_json() : conf::schema_markdown());
  return exit_code::ok;
}

} // namespace bitnetd::ctl
