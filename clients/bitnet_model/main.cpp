// SPDX-License-Identifier: MIT
#include "base/log.h"
#include "clients/bitnet_model/commands.h"
#include "engine/errors.h"

#include <CLI/CLI.hpp>

#include <iostream>

using namespace bitnetd;
using namespace bitnetd::model_tool;

namespace {

/// Exit statuses, stable: scripts rely on them.
enum : int { ok = 0, other = 1, usage = 2, refused_input = 3 };

int complain(int status, const char* what) {
  std::cerr << "bitnet-model: " << what << '\n';
  return status;
}

int run(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv); // runs the subcommand
    std::cout.flush();
    return std::cout ? ok : complain(other, "standard output cannot be written");
  } catch (const CLI::ParseError& reason) {
    return app.exit(reason) == 0 ? ok : usage; // 0: help was asked for
  } catch (const engine::load_error& reason) {
    return complain(refused_input, reason.what());
  } catch (const refused& reason) {
    return complain(refused_input, reason.what());
  } catch (const std::exception& reason) {
    return complain(other, reason.what());
  }
}

} // namespace

int main(int argc, char** argv) {
  log::to_standard_error();
  log::set_level("warning"); // what it is asked for goes to standard output; the rest is a nuisance
  CLI::App app{"Everything offline on a model file.\n"
               "Exit status: 0 success, 1 failure, 2 wrong usage, 3 refused input.",
               "bitnet-model"};
  app.require_subcommand(1);
  add_inspect(app);
  add_generate(app);
  add_tokenize(app);
  add_logits(app);
  add_greedy(app);
  add_embed(app);
  add_perplexity(app);
  add_layers(app);
  add_bench(app);
  add_synth(app);
  add_pull(app);
  return run(app, argc, argv);
}
