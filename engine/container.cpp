// SPDX-License-Identifier: MIT
#include "engine/container.h"

#include "engine/hyperparameters.h"
#include "engine/model_source.h"
#include "engine/safetensors.h"
#include "engine/weights.h"

namespace bitnetd::engine {

namespace {

container_report inspect_safetensors(const std::filesystem::path& path) {
  const auto file = safetensors_file::open(path);
  container_report report;
  report.format = "safetensors";
  report.file_bytes = file.size();
  report.n_tensors = file.tensors().size();
  report.n_metadata = file.metadata().size();
  report.missing = path.string() + ": no whole model: weights only; hyperparameters and tokenizer "
                                   "are in other files: give the folder";
  return report;
}

} // namespace

container_report inspect_container(const std::filesystem::path& path, const load_options& options) {
  if (path.extension() == ".safetensors")
    return inspect_safetensors(path);
  container_report report;
  {
    const auto file = open_model_source(path, options.i2s);
    report.format = file->format();
    report.file_bytes = file->size();
    report.n_tensors = file->tensors().size();
    report.n_metadata = file->metadata().size();
  }
  try {
    report.whole = describe_model(path, true, options);
  } catch (const incomplete_model& reason) {
    report.missing = reason.what();
  }
  return report;
}

} // namespace bitnetd::engine
