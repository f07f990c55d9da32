// SPDX-License-Identifier: MIT
#include "engine/chat_template.h"
#include "engine/gguf.h"
#include "engine/tokenizer.h"
#include "tests/conformance/measure.h"
#include "tests/conformance/sections.h"

#include <algorithm>
#include <sstream>

namespace bitnetd::conformance {

using engine::token_id;

namespace {

using ids = std::vector<token_id>;

std::shared_ptr<const engine::tokenizer> open_vocabulary(const std::filesystem::path& path) {
  const auto file = engine::gguf_file::open(path);
  auto words = engine::tokenizer::from_metadata(file);
  if (words == nullptr)
    throw engine::load_error{path.string() + ": has no vocabulary"};
  return words;
}

/// Calls `run` with every vocabulary of this name that can be opened; tells why where there is
/// none.
template <class Run>
void with_vocabularies(collection& cases, report& into, const std::string& section,
                       const std::string& name, std::size_t n_cases, Run run) {
  const auto paths = cases.vocabularies(name);
  if (paths.empty())
    into.skip(section, name, "no file has this vocabulary", is_house_tokenizer(name), n_cases);
  for (const auto& path : paths) {
    try {
      run(path, *open_vocabulary(path));
    } catch (const engine::load_error& reason) {
      into.skip(section, path.stem().string(), reason.what(), is_house_tokenizer(name), n_cases);
    }
  }
}

std::string detail(const ids& got, const ids& expected) {
  std::ostringstream out;
  const auto at = std::mismatch(got.begin(), got.end(), expected.begin(), expected.end());
  out << got.size() << " ids instead of " << expected.size() << ", different from index "
      << at.first - got.begin();
  return out.str();
}

void compare(table_row& row, const std::string& name, const ids& got, const ids& expected) {
  row.exact(name, got == expected, detail(got, expected));
}

/// NAME.cases.json: ids plain, with special tokens added, with special tokens parsed.
void run_case_list(collection& cases, report& into, const std::filesystem::path& list) {
  auto name = list.filename().string();
  name.resize(name.size() - std::string_view{".cases.json"}.size());
  const auto texts = read_json(list);
  with_vocabularies(cases, into, "tokenizers", name, texts.size(),
                    [&](const std::filesystem::path& path, const engine::tokenizer& words) {
                      auto& row =
                          into.row("tokenizers", name + ".cases with " + path.stem().string());
                      std::size_t number = 0;
                      for (const auto& one : texts) {
                        const auto text = one.at("text").get<std::string>();
                        const auto label = "text " + std::to_string(number++);
                        if (one.contains("ids"))
                          compare(row, label, words.encode(text, false, false), one.at("ids"));
                        if (one.contains("ids_add_special"))
                          compare(row, label + ", special tokens added",
                                  words.encode(text, true, false), one.at("ids_add_special"));
                        if (one.contains("ids_parse_special"))
                          compare(row, label + ", special tokens parsed",
                                  words.encode(text, false, true), one.at("ids_parse_special"));
                      }
                    });
}

std::vector<std::string> split_texts(const std::string& all) {
  const std::string separator = "\n__ggml_vocab_test__\n";
  std::vector<std::string> texts;
  std::size_t from = 0;
  for (auto at = all.find(separator); at != std::string::npos; at = all.find(separator, from)) {
    texts.push_back(all.substr(from, at - from));
    from = at + separator.size();
  }
  if (from < all.size())
    texts.push_back(all.substr(from));
  return texts;
}

/// FILE.gguf.inp and .out: texts between separator lines, ids one line per text.
void run_upstream_texts(collection& cases, report& into, const std::filesystem::path& inputs) {
  auto vocabulary = inputs;
  vocabulary.replace_extension(); // FILE.gguf
  auto outputs = vocabulary;
  outputs += ".out";
  auto name = vocabulary.stem().string();
  if (name.starts_with("ggml-vocab-"))
    name.erase(0, std::string_view{"ggml-vocab-"}.size());
  const auto texts = split_texts(read_bytes(inputs));
  with_vocabularies(cases, into, "tokenizers", name, texts.size(),
                    [&](const std::filesystem::path&, const engine::tokenizer& words) {
                      auto& row = into.row("tokenizers", name + ": upstream texts");
                      std::istringstream lines{read_bytes(outputs)};
                      std::size_t number = 0;
                      std::string line;
                      for (; std::getline(lines, line) && number < texts.size(); ++number) {
                        std::istringstream numbers{line};
                        const ids expected{std::istream_iterator<token_id>{numbers}, {}};
                        compare(row, "text " + std::to_string(number),
                                words.encode(texts[number], false, false), expected);
                      }
                      row.exact("as many lines as texts", number == texts.size());
                    });
}

/// The template of a file of chat cases: a built-in of that name, else the model's own.
std::shared_ptr<const engine::chat_template> find_template(const std::string& name,
                                                           const std::filesystem::path& model) {
  const auto known = engine::chat_template::names();
  if (std::find(known.begin(), known.end(), name) != known.end())
    return engine::chat_template::named(name);
  const auto jinja = engine::gguf_file::open(model).get_string("tokenizer.chat_template");
  return jinja ? engine::chat_template::recognise(*jinja) : nullptr;
}

void run_conversations(const std::string& name, const nlohmann::json& list, report& into,
                       const std::filesystem::path& path, const engine::tokenizer& words) {
  const auto dialogue = find_template(name, path);
  if (dialogue == nullptr) {
    into.row("chat", name).exact("template", false, path.string() + " has none that is known");
    return;
  }
  auto& rendered = into.row("chat", name + ": prompt as text");
  auto& encoded = into.row("chat", name + ": prompt as ids of " + path.stem().string());
  std::size_t number = 0;
  for (const auto& one : list) {
    std::vector<engine::chat_message> messages;
    for (const auto& message : one.at("messages"))
      messages.push_back({message.at("role"), message.at("content")});
    const auto label = "conversation " + std::to_string(number++);
    const auto text = dialogue->render(messages);
    rendered.exact(label, text == one.at("rendered").get<std::string>(), "got: " + text);
    compare(encoded, label, dialogue->encode(words, messages), one.at("ids"));
  }
}

} // namespace

void run_tokenizers(collection& cases, report& into) {
  for (const auto& path : cases.files("tokenizers", ".inp"))
    run_upstream_texts(cases, into, path);
  for (const auto& path : cases.files("tokenizers", ".cases.json"))
    run_case_list(cases, into, path);
}

void run_chat(collection& cases, report& into) {
  for (const auto& path : cases.files("chat", ".json")) {
    const auto name = path.stem().string();
    const auto list = read_json(path);
    // Cases named after a template use the vocabulary that their family is trained with.
    const auto vocabulary = cases.vocabularies(name).empty() ? "llama-bpe" : name;
    with_vocabularies(cases, into, "chat", vocabulary, list.size(),
                      [&](const std::filesystem::path& model, const engine::tokenizer& words) {
                        run_conversations(name, list, into, model, words);
                      });
  }
}

} // namespace bitnetd::conformance
