// SPDX-License-Identifier: MIT
#include "base/log.h"
#include "tests/conformance/sections.h"

#include <CLI/CLI.hpp>

#include <cstdlib>
#include <iostream>

using namespace bitnetd::conformance;

namespace {

/// A section that cannot be read is one failure; the others still run.
void guarded(const char* section, report& into, void (*run)(collection&, report&),
             collection& cases) {
  try {
    run(cases, into);
  } catch (const std::exception& reason) {
    into.row(section, "(the section itself)").exact("could not be run", false, reason.what());
  }
}

std::filesystem::path default_folder() {
  const char* folder = std::getenv("BITNETD_FIXTURES");
  return folder != nullptr && *folder != '\0'
             ? std::filesystem::path{folder}
             : std::filesystem::path{BITNETD_SOURCE_DIR} / "tests" / "golden";
}

} // namespace

int main(int argc, char** argv) {
  bitnetd::log::to_standard_error();
  CLI::App app{"Runs every conformance case in a folder and compares with what others computed."};
  std::filesystem::path folder = default_folder();
  std::string must_run = "nothing";
  app.add_option("FOLDER", folder, "folder of cases (default: BITNETD_FIXTURES, else the tree's)");
  app.add_option("--require", must_run,
                 "01: cases of the formats and families that this engine reads may not be "
                 "skipped; all: none may")
      ->check(CLI::IsMember({"nothing", "01", "all"}));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& reason) {
    return app.exit(reason) == 0 ? 0 : 1;
  }

  if (!std::filesystem::is_directory(folder)) {
    std::cerr << folder.string() << ": is no folder of conformance cases\n";
    return 1;
  }
  report table{must_run == "all"  ? required::all
               : must_run == "01" ? required::house
                                  : required::nothing};
  collection cases{folder, std::filesystem::path{BITNETD_SOURCE_DIR} / "models"};
  guarded("codecs", table, run_codecs, cases);
  guarded("bad", table, run_bad_files, cases);
  guarded("models", table, run_models, cases);
  guarded("tokenizers", table, run_tokenizers, cases);
  guarded("chat", table, run_chat, cases);
  guarded("bitlinear", table, run_bitlinear, cases);
  guarded("layers", table, run_layers, cases);
  guarded("golden", table, run_golden, cases);
  guarded("renamed", table, run_renamed, cases);
  return table.print(std::cout) ? 0 : 1;
}
