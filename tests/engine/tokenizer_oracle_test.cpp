// SPDX-License-Identifier: MIT
#include "engine/gguf.h"
#include "engine/unicode_class.h"
#include "engine/unicode_compose.h"
#include "tests/support/fixtures.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/small_vocabulary.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <filesystem>
#include <random>

using namespace bitnetd::engine;
using namespace bitnetd::tests;

namespace {

std::string hex(std::string_view bytes) {
  constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (const char c : bytes)
    out.append(1, digits[static_cast<unsigned char>(c) >> 4]).append(1, digits[c & 15]);
  return out;
}

std::vector<std::string> hex(const std::vector<std::string>& texts) {
  std::vector<std::string> out;
  for (const auto& text : texts)
    out.push_back(hex(text));
  return out;
}

/// Texts of fragments that the split patterns treat differently, of every class and script, and of
/// bytes that are no UTF-8.
std::string random_text(std::mt19937& random) {
  static const std::vector<std::string> fragments = {
      "the",
      " daemon",
      " jobs",
      "DON'T",
      "'ve",
      "'LL",
      "'s",
      "I'm",
      "'RE",
      "we'd",
      "'T",
      "'",
      "it's",
      "x=1",
      "12345",
      "7",
      "007",
      " ",
      "  ",
      "   ",
      "    ",
      "       ",
      "\t",
      "\n",
      "\r\n",
      "\n\n",
      " \n ",
      "\v",
      "\x1c",
      "\x01",
      "",
      "!",
      "...",
      "$",
      "+<=>^~|`",
      "{ }",
      "_",
      "#include",
      "<|eot_id|>",
      "<|eot_id",
      "</s>",
      "<s>",
      "<0x41>",
      "caf\xC3\xA9",
      "\xC3\xA9",
      "stra\xC3\x9F"
      "e",
      "\xE4\xBD\xA0\xE5\xA5\xBD",
      "\xC2\xA0",
      "\xE3\x80\x80",
      "\xE2\x80\xA8",
      "\xE2\x96\x81",
      "\xD9\xA1\xD9\xA2\xD9\xA3\xD9\xA4",
      "\xC2\xBD",
      "\xE0\xA4\xA8\xE0\xA4\xAE\xE0\xA4\xB8\xE0\xA5\x8D\xE0\xA4\xA4\xE0\xA5\x87",
      "e\xCC\x81",
      "a\xCC\x88\xCC\x84",
      "\xCC\x81\xCC\xA3",
      "\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB",
      "\xE2\x84\xAB",
      "1\xC2\xB2",
      "\xC3\xB2\xC3\xBE",
      "\xF0\x9F\x91\xA8\xE2\x80\x8D\xF0\x9F\x91\xA9",
      "\xE2\x82\xAC",
      "\xC5\xBF",
      "\xE2\x84\xAA",
      "\xD0\xBD\xD0\xB5\xD1\x89\xD0\xBE",
      "\xE2\x80\x9C",
      "\xE2\x80\x94",
      "\xEF\xBC\x91",
      "\xE2\x85\xA3",
      "\xFF",
      "\x80",
      "\xE2\x82",
      "\xF0\x9F\x91",
      "\xC0\xAF",
      "\xED\xA0\x80",
      "\xF4\x90\x80\x80"};
  std::string text;
  const auto n = random() % 12;
  for (std::size_t i = 0; i < n; ++i)
    text += fragments[random() % fragments.size()];
  return text;
}

std::string utf8_of(char32_t point) {
  std::string out;
  const auto add = [&](char32_t byte) { out += static_cast<char>(byte); };
  if (point < 0x80) {
    add(point);
  } else if (point < 0x800) {
    add(0xC0 | point >> 6);
  } else {
    add(point < 0x10000 ? 0xE0 | point >> 12 : 0xF0 | point >> 18);
    if (point >= 0x10000)
      add(0x80 | (point >> 12 & 63));
    add(0x80 | (point >> 6 & 63));
  }
  if (point >= 0x80)
    add(0x80 | (point & 63));
  return out;
}

int run_oracle(const std::string& mode, const std::filesystem::path& file) {
  const std::string script = BITNETD_SOURCE_DIR "/tests/engine/tokenizer_oracle.py";
  return std::system(("/usr/bin/python3 " + script + " " + mode + " " + file.string()).c_str());
}

void compare_with_oracle(const tokenizer& words, nlohmann::json vocabulary, int n_texts) {
  std::mt19937 random{20};
  for (int i = 0; i < n_texts; ++i) {
    const auto text = random_text(random);
    const bool special = i % 2 == 1;
    vocabulary["cases"].push_back(
        {{"text", hex(text)}, {"special", special}, {"ids", words.encode(text, false, special)}});
  }
  const scratch_folder folder;
  CHECK(run_oracle("ids", folder.file("cases.json", vocabulary.dump())) == 0);
}

nlohmann::json described(const small_vocabulary& v) {
  nlohmann::json out = {{"model", v.model},
                        {"pre", v.pre},
                        {"tokens", hex(v.tokens)},
                        {"kinds", v.kinds},
                        {"scores", v.scores},
                        {"unknown", nullptr},
                        {"space_prefix", v.add_space_prefix.value_or(true)},
                        {"composes", v.composes}};
  out["merges"] = hex(v.merges.value_or(std::vector<std::string>{}));
  if (v.unknown)
    out["unknown"] = *v.unknown;
  return out;
}

} // namespace

TEST_CASE("byte-level BPE gives the ids of a naive implementation", "[engine][tokenizer][oracle]") {
  const auto* pre = GENERATE("llama-bpe", "falcon3", "qwen2", "gpt-2", "olmo", "falcon", "falcon_e",
                             "falcon-runs", "falcon_e-runs", "falcon-digits");
  CAPTURE(pre);
  auto vocabulary = small_bpe(pre);
  vocabulary.composes = std::string_view{pre} == "qwen2";
  compare_with_oracle(*vocabulary.build(), described(vocabulary), 1500);
}

TEST_CASE("SentencePiece gives the ids of a naive implementation", "[engine][tokenizer][oracle]") {
  auto vocabulary = small_spm();
  SECTION("as it is") {}
  SECTION("without a space before the text") { vocabulary.add_space_prefix = false; }
  SECTION("composing characters first") { vocabulary.composes = true; }
  SECTION("without some byte tokens") {
    for (std::size_t i = 0; i < vocabulary.tokens.size(); i += 3)
      if (vocabulary.kinds[i] == 6)
        vocabulary.kinds[i] = 5;
  }
  compare_with_oracle(*vocabulary.build(), described(vocabulary), 1500);
}

TEST_CASE("every code point has the class that Python gives it", "[engine][tokenizer][oracle]") {
  std::string classes;
  for (char32_t point = 0; point < 0x110000; ++point)
    classes += "islnpo"[static_cast<int>(classify(point))];
  const scratch_folder folder;
  CHECK(run_oracle("classes", folder.file("classes", classes)) == 0);
}

TEST_CASE("characters are composed as Python composes them", "[engine][tokenizer][oracle]") {
  std::string lines;
  const auto add = [&](const std::string& text) {
    lines.append(hex(text)).append(" ").append(hex(compose_nfc(text))).append("\n");
  };
  for (char32_t point = 1; point < 0x110000; ++point)
    if (point < 0xD800 || point > 0xDFFF)
      add(utf8_of(point));
  // What begins, what combines in several classes, Korean letters, what is never composed.
  static constexpr char32_t points[] = {
      'a',     'e',    'o',    's',    'A',    0xE9,   0x1E0B, 0x1E69,  0x1E9B,  0x3B1,
      0x3C9,   0x1F00, 0x300,  0x301,  0x302,  0x304,  0x307,  0x308,   0x313,   0x323,
      0x327,   0x328,  0x345,  0x338,  0x1100, 0x1112, 0x1161, 0x1175,  0x11A7,  0x11A8,
      0x11C2,  0xAC00, 0xAC01, 0xD788, 0x915,  0x93C,  0x9C7,  0x9BE,   0xB47,   0xB3E,
      0x1D15E, 0x212B, 0x2126, 0x340,  0x344,  0xF900, 0x2ADC, 0x110BA, 0x11099, 0x110BA,
      0x5D0,   0x5B7,  0x5BC,  ' ',    'x',    0x4E00};
  std::mt19937 random{15};
  for (int i = 0; i < 60'000; ++i) {
    std::string text;
    for (auto n = random() % 7 + 2; n > 0; --n)
      text += random() % 32 == 0 ? "\xFF" : utf8_of(points[random() % std::size(points)]);
    add(text);
  }
  const scratch_folder folder;
  CHECK(run_oracle("nfc", folder.file("texts", lines)) == 0);
}

TEST_CASE("published vocabularies give the ids of a naive implementation",
          "[engine][tokenizer][oracle]") {
  const auto folder = fixtures();
  if (!folder)
    return;
  const auto* name = GENERATE("llama-bpe", "llama-spm", "falcon", "gpt-neox-olmo");
  CAPTURE(name);
  const auto path = *folder / "tokenizers" / ("ggml-vocab-" + std::string{name} + ".gguf");
  if (!std::filesystem::exists(path)) {
    WARN(path << " is not there: this case was not run");
    return;
  }
  const auto file = gguf_file::open(path);
  const auto words = tokenizer::from_metadata(file);
  const std::string key = "tokenizer.ggml.";
  const auto* merges = file.get_strings(key + "merges");
  const auto* scores = file.get_floats(key + "scores");
  nlohmann::json vocabulary = {
      {"model", *file.get_string(key + "model")},
      {"pre", *file.get_string(key + "pre")},
      {"tokens", hex(*file.get_strings(key + "tokens"))},
      {"kinds", file.get_integers(key + "token_type")},
      {"scores", scores != nullptr ? *scores : std::vector<float>{}},
      {"merges", merges != nullptr ? hex(*merges) : std::vector<std::string>{}},
      {"unknown", nullptr},
      {"space_prefix", true},
      {"composes", false}};
  if (const auto unknown = file.get_count(key + "unknown_token_id"))
    vocabulary["unknown"] = *unknown;
  compare_with_oracle(*words, vocabulary, 600);
}
