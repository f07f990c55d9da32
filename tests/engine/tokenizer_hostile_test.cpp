// SPDX-License-Identifier: MIT
#include "engine/gguf.h"
#include "engine/gguf_writer.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/small_vocabulary.h"

#include <catch2/catch.hpp>

#include <cmath>
#include <limits>

using namespace bitnetd::engine;
using namespace bitnetd::tests;
using Catch::Contains;

namespace {

/// The whole message of the refusal; one line that begins with the file.
std::string refusal(const small_vocabulary& vocabulary) {
  try {
    static_cast<void>(vocabulary.build());
  } catch (const load_error& e) {
    const std::string what = e.what();
    CHECK(what.find('\n') == std::string::npos);
    CHECK(what.starts_with("small.gguf: tokenizer.ggml."));
    return what;
  }
  return "accepted";
}

void check_still_works(const small_vocabulary& vocabulary) {
  const auto words = vocabulary.build();
  const std::string text = "the daemon\xFF 12";
  CHECK(words->decode(words->encode(text, false, false)) == text);
}

} // namespace

TEST_CASE("byte tokens that spell no byte are refused", "[engine][tokenizer][hostile]") {
  const auto* text =
      GENERATE("<0x-1>", "<0xZZ>", "<0x1>", "<0x123>", "<0x", "", "<0x 1>", "\xFF\n");
  CAPTURE(text);
  auto vocabulary = small_spm();
  vocabulary.tokens[3 + 65] = text;
  CHECK_THAT(refusal(vocabulary), Contains("tokens[68]: a byte token must be spelled"));
}

TEST_CASE("special ids outside the vocabulary are refused", "[engine][tokenizer][hostile]") {
  auto vocabulary = small_bpe();
  const std::uint64_t id = GENERATE(100000u, 4294967295u, 18446744073709551615u);
  SECTION("BOS") {
    vocabulary.bos = id;
    CHECK_THAT(refusal(vocabulary), Contains("bos_token_id") && Contains("outside"));
  }
  SECTION("EOS") {
    vocabulary.eos = id;
    CHECK_THAT(refusal(vocabulary), Contains("eos_token_id") && Contains("outside"));
  }
  SECTION("EOT") {
    vocabulary.eot = id;
    CHECK_THAT(refusal(vocabulary), Contains("eot_token_id") && Contains("outside"));
  }
  SECTION("unknown") {
    vocabulary.unknown = id;
    CHECK_THAT(refusal(vocabulary), Contains("unknown_token_id") && Contains("outside"));
  }
  SECTION("of a file without kinds") {
    vocabulary.kinds.clear();
    vocabulary.bos = id;
    CHECK_THAT(refusal(vocabulary), Contains("bos_token_id") && Contains("outside"));
  }
}

TEST_CASE("lists of different lengths are refused", "[engine][tokenizer][hostile]") {
  auto vocabulary = small_spm();
  SECTION("scores") {
    vocabulary.scores.pop_back();
    CHECK_THAT(refusal(vocabulary), Contains("scores") && Contains("entries for"));
  }
  SECTION("kinds") {
    vocabulary.kinds.push_back(1);
    CHECK_THAT(refusal(vocabulary), Contains("token_type") && Contains("entries for"));
  }
  SECTION("no scores") {
    vocabulary.scores.clear();
    CHECK_THAT(refusal(vocabulary), Contains("scores: missing"));
  }
  SECTION("no tokens") {
    vocabulary.tokens.clear();
    CHECK_THAT(refusal(vocabulary), Contains("tokens: the vocabulary is empty"));
  }
  SECTION("no merges") {
    vocabulary = small_bpe();
    vocabulary.merges.reset();
    CHECK_THAT(refusal(vocabulary), Contains("merges: missing"));
  }
}

TEST_CASE("values that make no sense are refused", "[engine][tokenizer][hostile]") {
  auto vocabulary = small_spm();
  SECTION("kinds") {
    vocabulary.kinds[5] =
        GENERATE(std::int64_t{-1}, std::int64_t{7}, std::numeric_limits<std::int64_t>::min());
    CHECK_THAT(refusal(vocabulary), Contains("token_type[5]: expected 1 to 6"));
  }
  SECTION("scores") {
    vocabulary.scores[5] = GENERATE(std::nanf(""), std::numeric_limits<float>::infinity());
    CHECK_THAT(refusal(vocabulary), Contains("scores[5]: not a finite number"));
  }
  SECTION("a merge that is no pair") {
    vocabulary = small_bpe();
    vocabulary.merges->at(3) = GENERATE("", " ", "ab", "ab ", "\xFF\n");
    CHECK_THAT(refusal(vocabulary), Contains("merges[3]: expected two tokens"));
  }
  SECTION("a special token of great length") {
    vocabulary.add(std::string(5000, 'x'), 3);
    CHECK_THAT(refusal(vocabulary), Contains("a special token of 5000 bytes"));
  }
}

TEST_CASE("unknown kinds of tokenizer are refused with the known ones", "[engine][tokenizer]") {
  auto vocabulary = small_bpe("deepseek-llm");
  CHECK_THAT(refusal(vocabulary), Contains("'deepseek-llm' is not known") &&
                                      Contains("llama-bpe") && Contains("gpt-2") &&
                                      Contains("falcon"));
  vocabulary.model = "bert";
  CHECK_THAT(refusal(vocabulary), Contains("'bert' is not known") && Contains("'llama'"));
}

TEST_CASE("oddities that change no id are accepted", "[engine][tokenizer][hostile]") {
  auto bpe = small_bpe();
  auto spm = small_spm();
  SECTION("merges of or into unknown tokens") {
    bpe.merges->push_back("nothing here");
    bpe.merges->push_back("t \xFF");
    bpe.merges->push_back("t q");
  }
  SECTION("empty texts") {
    for (const int kind : {1, 3, 4, 5})
      bpe.add("", kind);
    spm.add("", 1);
    spm.add("", 4);
  }
  SECTION("texts that are no UTF-8 or no alphabet") {
    bpe.add("\xFF\xFE", 1);
    bpe.add("a b\xE2\x96\x81", 1);
    spm.add("\xE2\x96", 1, 5);
    spm.add("\xFF\xFE", 1, 5);
  }
  SECTION("repeated texts") {
    bpe.add("t", 3);
    bpe.add("<|eot_id|>", 3);
    spm.add("t", 1, 100);
    spm.add("<s>", 3);
    spm.add("<0x41>", 6);
  }
  SECTION("kinds of 0, ggml's undefined") {
    bpe.add("odd", 0);
    spm.add("odd", 0);
  }
  SECTION("a very long plain token") {
    bpe.add(std::string(100000, 'x'), 1);
    spm.add(std::string(100000, 'x'), 1);
  }
  check_still_works(bpe);
  check_still_works(spm);
}

TEST_CASE("the first of two tokens with one text is used", "[engine][tokenizer][hostile]") {
  auto vocabulary = small_bpe();
  vocabulary.add("t", 1);
  CHECK(vocabulary.build()->encode("t", false, false) == std::vector<token_id>{'t'});
}

TEST_CASE("bytes without token become the unknown token or nothing", "[engine][tokenizer]") {
  auto vocabulary = small_bpe();
  vocabulary.tokens['z'] = "[no z]";
  CHECK(vocabulary.build()->encode("zz", false, false).empty());
  vocabulary.unknown = 'z';
  CHECK(vocabulary.build()->encode("zz", false, false) == std::vector<token_id>{'z', 'z'});
}

TEST_CASE("a file without kinds keeps its named ids out of reach of text", "[engine][tokenizer]") {
  auto vocabulary = small_spm();
  vocabulary.kinds.clear();
  const auto words = vocabulary.build();
  CHECK(words->kind(1) == token_kind::control);
  CHECK(words->kind(0) == token_kind::unknown);
  CHECK(words->kind(3 + 0x41) == token_kind::byte);
  CHECK(words->encode("</s>", false, false).size() > 1);
  CHECK(words->encode("</s>", false, true) == std::vector<token_id>{2});
}

TEST_CASE("a file that does not say how words are split gets a guess by its family",
          "[engine][tokenizer]") {
  auto vocabulary = small_bpe("");
  CHECK(vocabulary.build()->name() == "gpt-2");
  vocabulary.pre = "default";
  CHECK(vocabulary.build()->name() == "gpt-2");
  vocabulary.pre = "";
  vocabulary.architecture = GENERATE("bitnet-b1.58", "bitnet-25");
  while (vocabulary.tokens.size() < 128256) // the vocabulary of 2B-4T, published without a name
    vocabulary.add("[" + std::to_string(vocabulary.tokens.size()) + "]", 5);
  CHECK(vocabulary.build()->name() == "llama-bpe");
}

TEST_CASE("synonyms of Llama 3's pre-tokenizer are known", "[engine][tokenizer]") {
  const auto* pre = GENERATE("llama-bpe", "llama3", "llama-v3");
  CHECK(small_bpe(pre).build()->name() == "llama-bpe");
}

TEST_CASE("a GGUF file's metadata become a tokenizer, none, or a refusal", "[engine][tokenizer]") {
  const scratch_folder folder;
  const auto path = folder.path() / "words.gguf";
  const auto vocabulary = small_spm();
  const auto build = [&](auto&& change) {
    gguf_writer out{path};
    out.add("general.architecture", "llama");
    change(out);
    out.finish();
    return tokenizer::from_metadata(gguf_file::open(path));
  };
  const std::vector<std::int32_t> kinds(vocabulary.kinds.begin(), vocabulary.kinds.end());
  const auto add_words = [&](gguf_writer& out) {
    out.add("tokenizer.ggml.model", "llama");
    out.add("tokenizer.ggml.tokens", vocabulary.tokens);
    out.add("tokenizer.ggml.scores", vocabulary.scores);
    out.add("tokenizer.ggml.token_type", kinds);
  };

  CHECK(build([](gguf_writer&) {}) == nullptr);
  CHECK(build([](gguf_writer& out) { out.add("tokenizer.ggml.model", "no_vocab"); }) == nullptr);

  const auto words = build([&](gguf_writer& out) {
    add_words(out);
    out.add("tokenizer.ggml.add_bos_token", false);
    out.add("tokenizer.ggml.add_eos_token", true);
    out.add("tokenizer.ggml.eos_token_id", std::uint32_t{2});
    out.add("tokenizer.ggml.add_space_prefix", false);
  });
  REQUIRE(words);
  CHECK(words->name() == "llama-spm");
  CHECK(words->bos() == 1); // by its text
  CHECK(words->encode("e", true, false).back() == 2);
  CHECK(words->encode("e", true, false).size() == 2);

  CHECK_THROWS_WITH(
      build([&](gguf_writer& out) { out.add("tokenizer.ggml.tokens", vocabulary.tokens); }),
      Contains("tokenizer.ggml.model: missing"));
  CHECK_THROWS_WITH(build([&](gguf_writer& out) { out.add("tokenizer.ggml.model", "llama"); }),
                    Contains("the vocabulary is empty"));
  CHECK_THROWS_AS(build([&](gguf_writer& out) {
                    out.add("tokenizer.ggml.model", "gpt2");
                    out.add("tokenizer.ggml.tokens", vocabulary.scores);
                  }),
                  load_error);
  CHECK_THROWS_AS(build([&](gguf_writer& out) {
                    add_words(out);
                    out.add("tokenizer.ggml.bos_token_id", "one");
                  }),
                  load_error);
}
