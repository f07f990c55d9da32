// SPDX-License-Identifier: MIT
#include "engine/gguf.h"
#include "engine/kernels/ternary_layout.h"
#include "engine/linear.h"
#include "tests/conformance/measure.h"
#include "tests/conformance/sections.h"
#include "tests/support/npy.h"

#include <algorithm>
#include <cmath>

namespace bitnetd::conformance {

using engine::activation_quantization;

namespace {

/// One projection with its inputs and what should come of them.
struct projection_case {
  std::string name, tensor;
  tests::npy_array<float> x, s, y;
  tests::npy_array<std::int8_t> q;
  tests::npy_array<std::int32_t> acc;

  projection_case(const std::filesystem::path& folder, std::string name_of, std::string tensor_of)
      : name{std::move(name_of)}, tensor{std::move(tensor_of)} {
    x = tests::read_npy<float>(folder / (name + ".x.npy"));
    s = tests::read_npy<float>(folder / (name + ".s.npy"));
    y = tests::read_npy<float>(folder / (name + ".y.npy"));
    q = tests::read_npy<std::int8_t>(folder / (name + ".q.npy"));
    acc = tests::read_npy<std::int32_t>(folder / (name + ".acc.npy"));
  }
};

/// The tensor's codes, packed as kernels read them.
std::vector<std::byte> packed_codes(const engine::gguf_file& file, const std::string& name) {
  const auto* tensor = file.find_tensor(name);
  if (tensor == nullptr || !engine::info(tensor->type).ternary)
    throw engine::load_error{file.path().string() + ": no ternary tensor " + name};
  const auto rows = tensor->rows(), cols = tensor->cols();
  std::vector<std::byte> raw(tensor->bytes);
  file.read(*tensor, 0, raw);
  std::vector<std::int8_t> codes(rows * cols);
  std::vector<float> scales(rows);
  if (engine::decode_ternary(tensor->type, raw, rows, cols, codes.data(), scales.data()) !=
      engine::ternary_error::no_error)
    throw engine::load_error{file.path().string() + ": " + name + " has no row scales"};
  std::vector<std::byte> packed(engine::packed_bytes(rows, cols));
  (void)engine::pack_ternary(codes, rows, cols, 0, packed);
  return packed;
}

/// Integer sums of one instruction set, and that they do not depend on how many rows come at once.
bool sums_are_exact(const engine::kernel_table& kernels, const projection_case& one,
                    std::span<const std::byte> packed) {
  const auto n = one.x.shape[0], cols = one.x.shape[1], rows = one.acc.shape[1];
  const auto stride = engine::padded_columns(cols), acc_stride = engine::padded_rows(rows);
  std::vector<std::int8_t> x(n * stride);
  std::vector<std::int32_t> sums(n), acc(n * acc_stride);
  for (std::size_t i = 0; i < n; ++i) {
    std::copy_n(one.q.values.data() + i * cols, cols, x.data() + i * stride);
    for (std::size_t c = 0; c < cols; ++c)
      sums[i] += x[i * stride + c];
  }
  const auto* panels = reinterpret_cast<const std::uint8_t*>(packed.data());
  kernels.ternary_gemm(panels, rows, cols, x.data(), stride, sums.data(), n, acc.data(),
                       acc_stride);
  for (std::size_t i = 0; i < n; ++i)
    if (!std::equal(acc.data() + i * acc_stride, acc.data() + i * acc_stride + rows,
                    one.acc.values.data() + i * rows))
      return false;
  return true;
}

bool codes_are_exact(const engine::kernel_table& kernels, const projection_case& one) {
  const auto n = one.x.shape[0], cols = one.x.shape[1];
  std::vector<std::int8_t> q(engine::padded_columns(cols));
  for (std::size_t i = 0; i < n; ++i) {
    (void)kernels.quantize_absmax(one.x.values.data() + i * cols, cols, q.size(), q.data());
    if (!std::equal(q.data(), q.data() + cols, one.q.values.data() + i * cols))
      return false;
  }
  return true;
}

/// The whole projection as a layer runs it; the largest difference relative to the largest y.
double value_deviation(loaded_file& file, const engine::kernel_table& kernels,
                       const projection_case& one) {
  const auto* matrix = file.model.per_node[0]->find(one.tensor);
  if (matrix == nullptr || matrix->rows() != one.y.shape[1] || matrix->cols() != one.x.shape[1])
    return HUGE_VAL;
  engine::linear_input in;
  in.assign(one.x.values, one.x.shape[0], one.x.shape[1], activation_quantization::absmax);
  std::vector<float> y(one.y.values.size());
  matrix->apply(in, y, {file.node, kernels});
  double difference = 0, largest = 1e-9;
  for (std::size_t i = 0; i < y.size(); ++i) {
    difference = std::max(difference, std::fabs(double{y[i]} - double{one.y.values[i]}));
    largest = std::max(largest, std::fabs(double{one.y.values[i]}));
  }
  return difference / largest;
}

double scale_deviation(const engine::kernel_table& kernels, const projection_case& one) {
  const auto cols = one.x.shape[1];
  std::vector<std::int8_t> q(engine::padded_columns(cols));
  double worst = 0;
  for (std::size_t i = 0; i < one.x.shape[0]; ++i) {
    const auto row =
        kernels.quantize_absmax(one.x.values.data() + i * cols, cols, q.size(), q.data());
    worst = std::max(worst, std::fabs(double{row.scale} / double{one.s.values[i]} - 1));
  }
  return worst;
}

void run_projection(collection& cases, const std::filesystem::path& path,
                    const projection_case& one, report& into) {
  auto& file = cases.load(path);
  const auto packed = packed_codes(engine::gguf_file::open(path), one.tensor);
  for (const auto& kernels : engine::all_kernels()) {
    if (!kernels.supported())
      continue;
    const std::string isa{kernels.name};
    into.row("bitlinear", one.name + ": int8 codes, " + isa)
        .exact(one.name, codes_are_exact(kernels, one));
    into.row("bitlinear", one.name + ": int32 sums, " + isa)
        .exact(one.name, sums_are_exact(kernels, one, packed));
    into.row("bitlinear", one.name + ": activation scales, " + isa, 1e-6)
        .within(one.name, scale_deviation(kernels, one));
    into.row("bitlinear", one.name + ": values, " + isa, 1e-6)
        .within(one.name, value_deviation(file, kernels, one));
  }
}

/// Rows of one layer that count, and the worst of them.
void compare_rows(table_row& row, const std::string& name, std::span<const float> ours,
                  std::span<const float> theirs, std::size_t width, std::span<const float> noise) {
  for (std::size_t at = 0; at < ours.size() / width; ++at)
    if (noise.empty() || noise[at] < 1e-5f)
      row.within(name + ", token " + std::to_string(at),
                 relative_l2(ours.subspan(at * width, width), theirs.subspan(at * width, width)));
}

void run_layer_file(collection& cases, const model_file& model, const std::filesystem::path& input,
                    activation_quantization act, report& into) {
  const bool quantized = act == activation_quantization::absmax;
  auto prefix = input.string();
  prefix.resize(prefix.size() - std::string_view{".in.npy"}.size());
  const auto wanted = prefix + (quantized ? ".out.absmax.npy" : ".out.none.npy");
  if (!std::filesystem::exists(wanted))
    return;
  const auto in = tests::read_npy<float>(input), out = tests::read_npy<float>(wanted);
  tests::npy_array<float> noise;
  if (quantized && std::filesystem::exists(prefix + ".noise.npy"))
    noise = tests::read_npy<float>(prefix + ".noise.npy");
  const auto layers = in.shape.at(0), tokens = in.shape.at(1), width = in.shape.at(2);
  auto eval = cases.load(model.path).evaluator(act, tokens, tokens);
  auto& row = into.row(
      "layers", model.name() + (quantized ? ", int8" : ", float") + " activations, per row", 1e-5);
  for (std::size_t layer = 0; layer < layers; ++layer) {
    std::vector<float> x(in.row(layer).begin(), in.row(layer).end());
    eval.run_layer(layer, x);
    compare_rows(row, "layer " + std::to_string(layer), x, out.row(layer), width,
                 noise.values.empty() ? std::span<const float>{} : noise.row(layer));
  }
}

} // namespace

void run_bitlinear(collection& cases, report& into) {
  for (const auto& path : cases.files("bitlinear", ".json")) {
    const auto facts = read_json(path);
    const auto model = cases.folder() / "models" / facts.at("model").get<std::string>();
    const projection_case one{path.parent_path(), path.stem().string(), facts.at("tensor")};
    try {
      run_projection(cases, model, one, into);
    } catch (const engine::load_error& reason) {
      into.skip("bitlinear", one.name, reason.what(), is_house_model(model));
    }
  }
}

void run_layers(collection& cases, report& into) {
  for (const auto& input : cases.files("layers", ".in.npy")) {
    const auto file_name = input.filename().string();
    const auto name = file_name.substr(0, file_name.find('.'));
    const auto models = cases.files_of(name);
    if (models.empty())
      into.skip("layers", name, "its model is not in models/", true);
    for (const auto& model : models) {
      if (model.variant.starts_with("hf-"))
        continue; // their weights may be others than those that gave these values
      try {
        run_layer_file(cases, model, input, activation_quantization::none, into);
        run_layer_file(cases, model, input, activation_quantization::absmax, into);
      } catch (const engine::load_error& reason) {
        into.skip("layers", model.name(), reason.what(), model.house);
      }
    }
  }
}

} // namespace bitnetd::conformance
