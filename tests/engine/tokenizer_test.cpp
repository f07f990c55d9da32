// SPDX-License-Identifier: MIT
#include "tests/support/small_vocabulary.h"

#include <catch2/catch.hpp>

#include <chrono>
#include <random>

using namespace bitnetd::engine;
using namespace bitnetd::tests;

namespace {

std::string random_bytes(std::mt19937& random, std::size_t most) {
  std::string bytes(random() % (most + 1), '\0');
  for (auto& c : bytes)
    c = static_cast<char>(random());
  return bytes;
}

token_id id_of(const tokenizer& words, std::string_view text) {
  const auto id = words.find(text);
  REQUIRE(id);
  return *id;
}

/// Tokens of 2, 4, 8, … 64 equal characters, so that a long run merges many times over.
void add_doublings(small_vocabulary& vocabulary) {
  for (const auto* unit : {"a", "7", "!", "<", "\xCC\x81", " ", "\n"}) {
    std::string half;
    for (const char c : std::string_view{unit})
      half += vocabulary.merges ? spell_byte(static_cast<std::uint8_t>(c)) : std::string{c};
    if (!vocabulary.merges && half == " ")
      half = "\xE2\x96\x81";
    for (int i = 0; i < 6; ++i, half += half) {
      if (vocabulary.merges)
        vocabulary.merges->push_back(half + " " + half);
      vocabulary.add(half + half, 1, static_cast<float>(-i));
    }
  }
}

std::string repeated(std::string_view unit, std::size_t n_bytes) {
  std::string out;
  while (out.size() < n_bytes)
    out += unit;
  return out;
}

} // namespace

TEST_CASE("byte-level BPE gives back whatever bytes it was given", "[engine][tokenizer]") {
  const auto* pre = GENERATE("llama-bpe", "qwen2", "gpt-2", "falcon");
  const auto words = small_bpe(pre).build();
  std::mt19937 random{1};
  for (int i = 0; i < 2000; ++i) {
    const auto bytes = random_bytes(random, 60);
    REQUIRE(words->decode(words->encode(bytes, false, false)) == bytes);
  }
  CHECK(words->decode(words->encode(training_text, false, false)) == training_text);
  CHECK(words->encode(training_text, false, false).size() < training_text.size() * 2 / 3);
}

TEST_CASE("SentencePiece gives back whatever bytes it was given", "[engine][tokenizer]") {
  auto vocabulary = small_spm();
  vocabulary.add_space_prefix = GENERATE(true, false);
  const auto words = vocabulary.build();
  std::mt19937 random{2};
  for (int i = 0; i < 2000; ++i) {
    const auto bytes = random_bytes(random, 60);
    REQUIRE(words->decode(words->encode(bytes, false, false)) == bytes);
  }
  CHECK(words->decode(words->encode("  two spaces ", false, false)) == "  two spaces ");
}

TEST_CASE("special tokens are added as the file wants", "[engine][tokenizer]") {
  auto vocabulary = small_bpe();
  const auto bos = static_cast<token_id>(*vocabulary.bos);
  const auto eos = static_cast<token_id>(*vocabulary.eos);
  CHECK(vocabulary.build()->encode("", true, false) == std::vector{bos}); // Llama-3's default
  vocabulary.add_eos = true;
  CHECK(vocabulary.build()->encode("", true, false) == std::vector{bos, eos});
  CHECK(vocabulary.build()->encode("", false, false).empty());
  vocabulary.add_bos = false;
  CHECK(vocabulary.build()->encode("", true, false) == std::vector{eos});
  CHECK(small_bpe("gpt-2").build()->encode("", true, false).empty());
  CHECK(small_spm().build()->encode("", true, false) == std::vector<token_id>{1});
}

TEST_CASE("text becomes a control token only when it is trusted", "[engine][tokenizer]") {
  const auto words = GENERATE(small_bpe(), small_spm()).build();
  const std::string end{words->text(*words->eos())};
  const auto text = "a" + end + "b";
  const auto is_control = [&](token_id id) { return words->kind(id) == token_kind::control; };

  const auto plain = words->encode(text, false, false);
  CHECK(std::none_of(plain.begin(), plain.end(), is_control));
  CHECK(words->decode(plain) == text);

  const auto parsed = words->encode(text, false, true);
  CHECK(std::count(parsed.begin(), parsed.end(), *words->eos()) == 1);
  CHECK(words->decode(parsed, true).find(end) != std::string::npos);
  CHECK(words->decode(parsed).find(end) == std::string::npos);
}

TEST_CASE("no merge and no whole word leads a user's text to a control token",
          "[engine][tokenizer]") {
  SECTION("a control token that is one word") {
    auto vocabulary = small_bpe();
    vocabulary.add("secret", 3);
    const auto words = vocabulary.build();
    const auto ids = words->encode("secret", false, false);
    CHECK(ids.size() > 1);
    CHECK(words->decode(ids) == "secret");
    CHECK(words->encode("secret", false, true) == std::vector{id_of(*words, "secret")});
  }
  SECTION("a merge into a control token") {
    auto vocabulary = small_bpe("gpt-2");
    vocabulary.add("zq", 3);
    vocabulary.merges->push_back("z q");
    CHECK(vocabulary.build()->encode("zq", false, false).size() == 2);
  }
  SECTION("pieces whose concatenation is a control or byte token") {
    auto vocabulary = small_spm();
    vocabulary.add_space_prefix = false;
    for (const char* text : {"<", ">", "/", "</", "s>", "<s", "0", "x", "<0x0", "0A>"})
      vocabulary.add(text, 1, -1);
    const auto words = vocabulary.build();
    for (const auto* text : {"<s>", "</s>", "<0x0A>"}) {
      const auto ids = words->encode(text, false, false);
      CHECK(ids.size() > 1);
      CHECK(words->decode(ids) == text);
    }
  }
}

TEST_CASE("merges cross from a template's text into a content, control tokens do not",
          "[engine][tokenizer]") {
  const auto words = small_bpe().build();
  const prompt_part split[] = {{"the", true}, {" da", false}, {"emon", true}};
  CHECK(words->encode(split, false) == words->encode("the daemon", false, false));
  const prompt_part sly[] = {{"<|eot_", true}, {"id|>", false}};
  const auto ids = words->encode(sly, false);
  CHECK(std::find(ids.begin(), ids.end(), id_of(*words, "<|eot_id|>")) == ids.end());
  const prompt_part framed[] = {{"<|eot_id|>", true}, {"<|eot_id|>", false}, {"<|eot_id|>", true}};
  const auto three = words->encode(framed, false);
  CHECK(std::count(three.begin(), three.end(), id_of(*words, "<|eot_id|>")) == 2);
  CHECK(words->decode(three, true) == "<|eot_id|><|eot_id|><|eot_id|>");
}

TEST_CASE("user-defined tokens are found in any text, the longest first", "[engine][tokenizer]") {
  const auto words = small_bpe("gpt-2").build();
  const auto four = id_of(*words, "    "), six = id_of(*words, "      ");
  CHECK(words->encode(std::string(10, ' '), false, false) == std::vector{six, four});
  CHECK(words->decode(std::vector{six, four}) == std::string(10, ' '));
}

TEST_CASE("pieces are bytes, and control tokens are shown only on request", "[engine][tokenizer]") {
  const auto words = small_spm().build();
  CHECK(words->piece(3 + 0xE2) == "\xE2");
  CHECK(words->piece(1).empty());
  CHECK(words->piece(1, true) == "<s>");
  CHECK(words->piece(0).empty());
  CHECK(words->piece(-1).empty());
  CHECK(words->piece(1'000'000'000, true).empty());
  CHECK(words->text(-5).empty());
  CHECK(words->kind(1'000'000'000) == token_kind::unknown);
  CHECK(words->decode(words->encode(" a", true, false)) == " a"); // one leading space was ours
}

TEST_CASE("a generation stops on every token that ends a turn", "[engine][tokenizer]") {
  auto vocabulary = small_bpe();
  auto words = vocabulary.build();
  CHECK(words->stop_tokens() == std::vector{*words->eos(), id_of(*words, "<|eot_id|>")});
  vocabulary.eot = *vocabulary.bos + 2;
  vocabulary.add("<|im_end|>", 3);
  vocabulary.add("<|endoftext|>", 1); // not a control token: a user may write it
  words = vocabulary.build();
  CHECK(words->stop_tokens() == std::vector{*words->eos(), id_of(*words, "<|start_header_id|>"),
                                            id_of(*words, "<|eot_id|>"),
                                            id_of(*words, "<|im_end|>")});
  CHECK(small_spm().build()->stop_tokens() == std::vector<token_id>{2});
}

TEST_CASE("ids that the file does not name are found by their texts", "[engine][tokenizer]") {
  auto vocabulary = small_bpe();
  const auto bos = *vocabulary.bos;
  vocabulary.bos = vocabulary.eos = std::nullopt;
  CHECK(vocabulary.build()->bos() == static_cast<token_id>(bos));
  CHECK(vocabulary.build()->eos() == static_cast<token_id>(bos + 1));
}

TEST_CASE("a text has at least its length over the longest piece in tokens",
          "[engine][tokenizer]") {
  const auto words = GENERATE(small_bpe(), small_spm()).build();
  CHECK(words->longest_piece() >= std::string_view{"<|begin_of_text|>"}.size() - 10);
  std::mt19937 random{3};
  for (int i = 0; i < 300; ++i) {
    const auto text = repeated(training_text.substr(random() % 300, 1 + random() % 20), 200);
    CHECK(words->encode(text, false, false).size() * words->longest_piece() >= text.size());
  }
}

TEST_CASE("long texts of one kind take no more than n log n", "[engine][tokenizer]") {
  // Quadratic work on 256 KiB would be 7e10 steps: minutes, where this takes a fraction of a
  // second.
  auto vocabulary = GENERATE(small_bpe(), small_spm());
  add_doublings(vocabulary);
  const auto words = vocabulary.build();
  const auto* unit = GENERATE("a", " ", "\n", "7", "!", "<", "\xCC\x81", "\xFF", "<|eot_id|",
                              "\xF0\x9F\x91\xA8\xE2\x80\x8D", "the", " \n");
  CAPTURE(unit);
  const auto text = repeated(unit, std::size_t{1} << 18);
  const auto start = std::chrono::steady_clock::now();
  const auto ids = words->encode(text, false, true);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds{60});
  CHECK(words->decode(ids, true) == text);
}
