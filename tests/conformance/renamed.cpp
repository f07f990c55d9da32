// SPDX-License-Identifier: MIT
#include "engine/gguf.h"
#include "engine/gguf_writer.h"
#include "tests/conformance/sections.h"
#include "tests/support/scratch_folder.h"

#include <stdexcept>

namespace bitnetd::conformance {

using engine::activation_quantization;

namespace {

const std::string old_name = "bitnet-b1.58", new_name = "bitnet-25";

void copy_entry(engine::gguf_writer& out, const std::string& key, const engine::gguf_value& value) {
  if (const auto* text = std::get_if<std::string>(&value))
    out.add(key, key == "general.architecture" ? new_name : *text);
  else if (const auto* number = std::get_if<std::uint64_t>(&value))
    out.add(key, static_cast<std::uint32_t>(*number));
  else if (const auto* real = std::get_if<double>(&value))
    out.add(key, static_cast<float>(*real));
  else if (const auto* flag = std::get_if<bool>(&value))
    out.add(key, *flag);
  else if (const auto* texts = std::get_if<std::vector<std::string>>(&value))
    out.add(key, *texts);
  else if (const auto* reals = std::get_if<std::vector<float>>(&value))
    out.add(key, *reals);
  else if (const auto* numbers = std::get_if<std::vector<std::int64_t>>(&value))
    out.add(key, std::vector<std::int32_t>(numbers->begin(), numbers->end()));
  else
    throw std::runtime_error{"key " + key + " has a kind of value that is not copied"};
}

/// The same model under the name of the other architecture, keys and all.
void write_renamed(const engine::gguf_file& from, const std::filesystem::path& to) {
  engine::gguf_writer out{to};
  for (const auto& [key, value] : from.metadata())
    copy_entry(out, key.starts_with(old_name + ".") ? new_name + key.substr(old_name.size()) : key,
               value);
  for (const auto& tensor : from.tensors())
    out.declare(tensor.name, tensor.type, tensor.dims);
  for (const auto& tensor : from.tensors()) {
    std::vector<std::byte> raw(tensor.bytes);
    from.read(tensor, 0, raw);
    out.write(raw);
  }
  out.finish();
}

std::vector<float> logits_of(loaded_file& file, std::span<const engine::token_id> tokens,
                             activation_quantization act) {
  auto eval = file.evaluator(act, tokens.size());
  eval.feed(tokens);
  return {eval.logits().begin(), eval.logits().end()};
}

} // namespace

void run_renamed(collection& cases, report& into) {
  for (const auto& file : cases.models()) {
    if (!file.house || engine::gguf_file::peek(file.path).architecture != old_name)
      continue;
    const tests::scratch_folder scratch;
    const auto copy = scratch.path() / "renamed.gguf";
    write_renamed(engine::gguf_file::open(file.path), copy);
    loaded_file renamed{copy};
    auto& row = into.row("renamed", file.name() + " as " + new_name);
    row.exact("architecture",
              renamed.model.description->shape.arch == engine::architecture::bitnet_25);
    std::vector<engine::token_id> tokens = {1, 2, 3, 5, 8, 13, 21, 34, 55, 89};
    for (auto& token : tokens)
      token %= static_cast<engine::token_id>(renamed.model.description->shape.n_vocab);
    for (const auto act : {activation_quantization::none, activation_quantization::absmax})
      row.exact(act == activation_quantization::none ? "float activations" : "int8 activations",
                logits_of(cases.load(file.path), tokens, act) == logits_of(renamed, tokens, act));
  }
}

} // namespace bitnetd::conformance
