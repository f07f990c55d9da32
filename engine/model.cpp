// SPDX-License-Identifier: MIT
#include "engine/model.h"

#include "engine/hyperparameters.h"
#include "engine/model_builder.h"

#include <bit>
#include <cassert>

namespace bitnetd::engine {

namespace {

void add_value(hasher& hash, std::uint64_t value) { hash.field(value); }
void add_value(hasher& hash, std::int64_t value) { hash.field(static_cast<std::uint64_t>(value)); }
void add_value(hasher& hash, double value) { hash.field(std::bit_cast<std::uint64_t>(value)); }
void add_value(hasher& hash, bool value) { hash.field(std::uint64_t{value}); }
void add_value(hasher& hash, const std::string& value) { hash.field(value); }

void add_value(hasher& hash, const std::vector<std::string>& values) {
  hash.field(values.size());
  for (const auto& value : values)
    hash.field(value);
}

void add_value(hasher& hash, const std::vector<bool>& values) {
  hash.field(values.size());
  for (const bool value : values)
    hash.field(std::uint64_t{value});
}

template <class T> void add_value(hasher& hash, const std::vector<T>& values) {
  hash.field(std::as_bytes(std::span{values}));
}

/// Key, kind of value, value: what a metadata entry says, however wide the file stored it.
void add_entry(hasher& hash, const std::string& key, const gguf_value& value) {
  hash.field(key).field(value.index());
  std::visit([&](const auto& held) { add_value(hash, held); }, value);
}

hash128 hash_tokenizer(const model_source& file, const tokenizer& words) {
  hasher hash;
  hash.field(words.name()); // decided by the architecture where the file does not say
  for (const auto& [key, value] : file.metadata())
    if (key.starts_with("tokenizer.") && !key.starts_with("tokenizer.chat_template"))
      add_entry(hash, key, value);
  return hash.finish();
}

/// `other`: activations that are not the family's own; they make other results, so another model.
hash128 hash_model(const model_source& file, const std::vector<payload_facts>& facts,
                   std::optional<activation_quantization> other) {
  hasher hash;
  hash.field(file.metadata().size());
  for (const auto& [key, value] : file.metadata())
    add_entry(hash, key, value);
  for (std::size_t i = 0; i < facts.size(); ++i) {
    const auto& tensor = file.tensors()[i];
    hash.field(tensor.name).field(static_cast<std::uint64_t>(tensor.type));
    hash.field(std::as_bytes(std::span{tensor.dims}));
    hash.field(std::as_bytes(std::span{facts[i].hash.bytes}));
  }
  if (other)
    hash.field("activations").field(static_cast<std::uint64_t>(*other));
  return hash.finish();
}

std::shared_ptr<const chat_template> choose_template(const model_source& file,
                                                     const load_options& options) {
  if (!options.template_name.empty())
    return chat_template::named(options.template_name);
  const auto jinja = file.get_string("tokenizer.chat_template");
  return jinja ? chat_template::recognise(*jinja) : nullptr;
}

} // namespace

std::optional<activation_quantization> find_activations(std::string_view name) noexcept {
  if (name == "none")
    return activation_quantization::none;
  if (name == "absmax")
    return activation_quantization::absmax;
  return std::nullopt;
}

model_builder::model_builder(const model_source& file, const load_options& options)
    : file_{file}, facts_(file.tensors().size()), noted_(file.tensors().size(), 0) {
  model_.path = file.path();
  model_.file_bytes = file.size();
  model_.shape = read_hyperparameters(file);
  check_tensors(file, model_.shape);
  if (options.activations && *options.activations != model_.shape.activations)
    model_.shape.activations = *(other_activations_ = options.activations);
  model_.name = !options.name.empty() ? options.name : file.get_string("general.name").value_or("");
  if (model_.name.empty())
    model_.name = std::filesystem::is_directory(file.path()) ? file.path().filename().string()
                                                             : file.path().stem().string();
  model_.words = tokenizer::from_metadata(file);
  if (model_.words != nullptr) {
    model_.tokenizer_hash = hash_tokenizer(file, *model_.words);
    model_.dialogue = choose_template(file, options);
  }
  for (const auto& tensor : file.tensors())
    model_.tensors.push_back(
        {tensor.name, tensor.type, tensor.rows(), tensor.cols(), tensor.bytes, 0,
         info(tensor.type).ternary || tensor.ternarise});
}

void model_builder::tensor_read(std::size_t index, const payload_facts& facts) {
  facts_[index] = facts;
  noted_[index] = 1;
  model_.tensors[index].zero_share = facts.zero_share;
}

std::shared_ptr<const model> model_builder::finish() {
  std::size_t n_noted = 0;
  for (const char noted : noted_)
    n_noted += noted != 0;
  assert(n_noted == 0 || n_noted == noted_.size());
  if (n_noted > 0)
    model_.model_hash = hash_model(file_, facts_, other_activations_);
  return std::make_shared<const model>(std::move(model_));
}

std::shared_ptr<const model> describe_model(const std::filesystem::path& path, bool check,
                                            const load_options& options) {
  const auto file = open_model_source(path, options.i2s);
  model_builder builder{*file, options};
  if (check) {
    std::vector<std::byte> raw;
    for (std::size_t i = 0; i < file->tensors().size(); ++i) {
      const auto& tensor = file->tensors()[i];
      raw.resize(tensor.bytes);
      file->read(tensor, 0, raw);
      builder.tensor_read(i, check_payload(*file, tensor, raw));
    }
  }
  return builder.finish();
}

} // namespace bitnetd::engine
