// SPDX-License-Identifier: MIT
#include "engine/chat_template.h"
#include "engine/gguf.h"
#include "tests/support/fixtures.h"
#include "tests/support/scratch_folder.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>

using namespace bitnetd::engine;
using namespace bitnetd::tests;

namespace {

using ids = std::vector<token_id>;

/// The file of the fixtures, if this folder of fixtures has it.
std::optional<std::filesystem::path> fixture(const std::string& name) {
  const auto folder = fixtures();
  if (!folder)
    return std::nullopt;
  if (!std::filesystem::exists(*folder / name)) {
    WARN(*folder / name << " is not there: this case was not run");
    return std::nullopt;
  }
  return *folder / name;
}

struct vocabulary_case {
  const char* cases; ///< tokenizers/<cases>.cases.json
  const char* file;
};

constexpr vocabulary_case vocabularies[] = {
    {"llama-bpe", "tokenizers/ggml-vocab-llama-bpe.gguf"},
    {"llama-spm", "tokenizers/ggml-vocab-llama-spm.gguf"},
    {"falcon", "tokenizers/ggml-vocab-falcon.gguf"},
    {"gpt-neox-olmo", "tokenizers/ggml-vocab-gpt-neox-olmo.gguf"},
    {"tiny-bpe512", "models/b158-a-i2_s.gguf"},
    {"tiny-bpe512", "models/trilm-a-i2_s.gguf"},
    {"tiny-spm512", "models/bitnet-a-i2_s.gguf"},
};

/// Texts that llama.cpp publishes with a vocabulary, and the ids on the line of the same number.
void check_published_texts(const tokenizer& words, const std::string& file) {
  const auto texts = read_bytes(file + ".inp");
  constexpr std::string_view separator = "\n__ggml_vocab_test__\n";
  std::ifstream lines{file + ".out"};
  std::size_t at = 0, n = 0;
  for (std::string line; std::getline(lines, line); ++n) {
    const auto end = std::min(texts.find(separator, at), texts.size());
    std::istringstream numbers{line};
    const ids expected{std::istream_iterator<token_id>{numbers}, {}};
    const auto text = texts.substr(at, end - at);
    CAPTURE(text);
    CHECK(words.encode(text, false, false) == expected);
    at = std::min(end + separator.size(), texts.size());
  }
  CHECK(n == 46);
}

} // namespace

TEST_CASE("published vocabularies give llama.cpp's ids to the last token",
          "[engine][tokenizer][fixtures]") {
  const auto& vocabulary = GENERATE(from_range(std::begin(vocabularies), std::end(vocabularies)));
  CAPTURE(vocabulary.file);
  const auto cases_file = fixture("tokenizers/" + std::string{vocabulary.cases} + ".cases.json");
  const auto vocabulary_file = fixture(vocabulary.file);
  if (!cases_file || !vocabulary_file)
    return;
  const auto path = vocabulary_file->string();
  const auto words = tokenizer::from_metadata(gguf_file::open(path));
  REQUIRE(words);
  const auto cases = nlohmann::json::parse(std::ifstream{*cases_file});
  REQUIRE_FALSE(cases.empty());
  for (const auto& one : cases) {
    const std::string text = one["text"];
    CAPTURE(text);
    CHECK(words->encode(text, false, false) == one["ids"].get<ids>());
    CHECK(words->encode(text, true, false) == one["ids_add_special"].get<ids>());
    CHECK(words->encode(text, false, true) == one["ids_parse_special"].get<ids>());
    CHECK(words->decode(one["ids"].get<ids>()) == text);
  }
  if (std::filesystem::exists(path + ".inp"))
    check_published_texts(*words, path);
}

TEST_CASE("a vocabulary of 128,000 tokens and 280,000 merges loads in no quadratic time",
          "[engine][tokenizer][fixtures]") {
  const auto path = fixture("tokenizers/ggml-vocab-llama-bpe.gguf");
  if (!path)
    return;
  const auto file = gguf_file::open(*path);
  const auto start = std::chrono::steady_clock::now();
  const auto words = tokenizer::from_metadata(file);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds{60}); // half a second, alone
  CHECK(words->stop_tokens() == ids{128001, 128009});
}

TEST_CASE("conversations give the prompt and the ids that 2B-4T was trained on",
          "[engine][chat_template][fixtures]") {
  const auto vocabulary_file = fixture("tokenizers/ggml-vocab-llama-bpe.gguf");
  const auto cases_file = fixture("chat/bitnet-2b4t.json");
  if (!vocabulary_file || !cases_file)
    return;
  const auto words = tokenizer::from_metadata(gguf_file::open(*vocabulary_file));
  const auto dialogue = chat_template::named("bitnet-2b4t");
  const auto cases = nlohmann::json::parse(std::ifstream{*cases_file});
  REQUIRE_FALSE(cases.empty());
  for (const auto& one : cases) {
    std::vector<chat_message> messages;
    for (const auto& message : one["messages"])
      messages.push_back({message["role"], message["content"]});
    CHECK(dialogue->render(messages) == one["rendered"].get<std::string>());
    CHECK(dialogue->encode(*words, messages) == one["ids"].get<ids>());
  }
}
