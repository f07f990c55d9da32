// SPDX-License-Identifier: MIT
#include "engine/container.h"

#include "engine/hyperparameters.h"
#include "engine/model_source.h"
#include "engine/safetensors.h"
#include "engine/weights.h"

#include <tbb/parallel_for.h>

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

std::vector<zero_pattern> zeros_of(const std::filesystem::path& path, const load_options& options) {
  const auto file = open_model_source(path, options.i2s);
  std::vector<zero_pattern> out(file->tensors().size());
  tbb::parallel_for(std::size_t{0}, out.size(), [&](std::size_t i) {
    const auto& tensor = file->tensors()[i];
    if (!info(tensor.type).ternary)
      return;
    std::vector<std::byte> raw(tensor.bytes);
    file->read(tensor, 0, raw);
    out[i] = find_zeros(tensor.type, raw, tensor.rows(), tensor.cols());
  });
  return out;
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
    report.zeros = zeros_of(path, options);
  } catch (const incomplete_model& reason) {
    report.missing = reason.what();
  }
  return report;
}

} // namespace bitnetd::engine
