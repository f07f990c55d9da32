// SPDX-License-Identifier: MIT
#include "engine/container.h"
#include "engine/quantizer.h"
#include "engine/tensor_type.h"
#include "tests/conformance/measure.h"
#include "tests/conformance/sections.h"
#include "tests/support/npy.h"

#include <cmath>
#include <cstring>

namespace bitnetd::conformance {

using engine::tensor_type;

namespace {

/// How many floats lie between two values of one sign.
double ulps(float a, float b) {
  if (a == b)
    return 0;
  const double ulp = std::nextafter(std::fabs(b), HUGE_VALF) - std::fabs(b);
  return std::fabs(double{a} - double{b}) / ulp;
}

/// Written row by row where every row has a scale of its own.
std::vector<std::byte> written(tensor_type type, std::span<const std::int8_t> codes,
                               std::uint64_t rows, std::uint64_t cols,
                               std::span<const float> scales) {
  if (engine::info(type).row_bytes == 0)
    return engine::encode_ternary(type, codes, rows, cols, scales[0]);
  std::vector<std::byte> all;
  for (std::uint64_t row = 0; row < rows; ++row) {
    const auto one =
        engine::encode_ternary(type, codes.subspan(row * cols, cols), 1, cols, scales[row]);
    all.insert(all.end(), one.begin(), one.end());
  }
  return all;
}

/// What our own writer makes of a ternary tensor must be the same bytes (I2_S: but for padding).
bool writes_the_same(tensor_type type, std::span<const std::byte> raw, std::uint64_t rows,
                     std::uint64_t cols) {
  std::vector<std::int8_t> codes(rows * cols);
  std::vector<float> scales(rows);
  if (engine::decode_ternary(type, raw, rows, cols, codes.data(), scales.data()) !=
      engine::ternary_error::no_error)
    return false;
  const auto again = written(type, codes, rows, cols, scales);
  const auto meaningful = type == tensor_type::i2_s ? raw.size() - 28 : raw.size();
  return again.size() == raw.size() && std::memcmp(again.data(), raw.data(), meaningful) == 0;
}

/// What the bytes mean: floats; of Hugging Face's packing the codes alone.
tests::npy_array<float> expected_values(const std::filesystem::path& path, tensor_type type) {
  if (type != tensor_type::hf_packed)
    return tests::read_npy<float>(path);
  const auto codes = tests::read_npy<std::int8_t>(path);
  tests::npy_array<float> out;
  out.shape = codes.shape;
  out.values.assign(codes.values.begin(), codes.values.end());
  return out;
}

void run_codec(const std::filesystem::path& folder, const nlohmann::json& one,
               const engine::tensor_type_info& type, report& into) {
  const auto name = one.at("name").get<std::string>();
  const auto rows = one.at("rows").get<std::uint64_t>(), cols = one.at("cols").get<std::uint64_t>();
  auto bytes = read_bytes(folder / (name + ".bin"));
  if (type.type == tensor_type::hf_packed) { // its factor is a tensor of its own
    const float factor = 1;
    bytes.append(reinterpret_cast<const char*>(&factor), sizeof factor);
  }
  const auto raw = std::as_bytes(std::span{bytes.data(), bytes.size()});
  const auto expected = expected_values(folder / (name + ".values.npy"), type.type);
  auto& decoded = into.row("codecs", name + ": values, in ulps", type.ternary ? 0.0 : 1.0);
  if (engine::tensor_bytes(type.type, rows, cols) != raw.size() ||
      expected.values.size() != rows * cols) {
    decoded.exact(name, false, "another size than the layout gives");
    return;
  }
  std::vector<float> values(rows * cols);
  engine::decode_rows(type.type, raw, rows, cols, 0, rows, values.data());
  double worst = 0;
  for (std::size_t i = 0; i < values.size(); ++i)
    worst = std::max(worst, ulps(values[i], expected.values[i]));
  decoded.within(name, worst);
  if (type.ternary && type.type != tensor_type::hf_packed) // which is only read
    into.row("codecs", name + ": written bytes")
        .exact(name, writes_the_same(type.type, raw, rows, cols));
}

} // namespace

void run_codecs(collection& cases, report& into) {
  const auto folder = cases.folder() / "codecs";
  if (!std::filesystem::exists(folder / "index.json"))
    return;
  for (const auto& one : read_json(folder / "index.json")) {
    const auto* type = one.contains("type_id")
                           ? engine::find_tensor_type(one.at("type_id").get<std::uint32_t>())
                       : one.at("name") == "hf_packed" ? &engine::info(tensor_type::hf_packed)
                                                       : nullptr;
    if (type != nullptr)
      run_codec(folder, one, *type, into);
    else
      into.skip("codecs", one.at("name").get<std::string>(), "this engine does not read the type",
                is_house_type(one.value("type_id", ~0u)));
  }
}

void run_bad_files(collection& cases, report& into) {
  const auto folder = cases.folder() / "bad";
  if (!std::filesystem::exists(folder / "index.json"))
    return;
  auto& refused = into.row("bad", "damaged and lying files are refused");
  auto& accepted = into.row("bad", "sound ones are accepted");
  for (const auto& one : read_json(folder / "index.json")) {
    const auto name = one.at("file").get<std::string>();
    const auto& reason = one.at("refuse_because");
    std::string answer;
    try {
      (void)engine::inspect_container(folder / name);
    } catch (const engine::load_error& refusal) {
      answer = refusal.what();
    }
    if (reason.is_null())
      accepted.exact(name, answer.empty(), answer);
    else
      refused.exact(name, !answer.empty(), "accepted despite: " + reason.get<std::string>());
  }
}

void run_models(collection& cases, report& into) {
  auto all = cases.models();
  for (auto& folder : cases.folders())
    all.push_back(std::move(folder));
  for (const auto& file : all) {
    try {
      const auto seen = engine::inspect_container(file.path);
      into.row("models", file.name())
          .exact("is a whole model", seen.whole != nullptr, seen.missing);
    } catch (const engine::load_error& reason) {
      if (file.house)
        into.row("models", file.name()).exact("is read", false, reason.what());
      else
        into.skip("models", file.name(), reason.what(), false);
    }
  }
}

} // namespace bitnetd::conformance
