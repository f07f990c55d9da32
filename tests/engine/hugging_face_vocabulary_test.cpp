// SPDX-License-Identifier: MIT
#include "engine/chat_template.h"
#include "engine/gguf.h"
#include "engine/hugging_face/sentencepiece.h"
#include "engine/hugging_face/vocabulary.h"
#include "engine/tokenizer_builder.h"
#include "tests/support/fixtures.h"
#include "tests/support/gguf_bytes.h"
#include "tests/support/hf_files.h"
#include "tests/support/scratch_folder.h"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace bitnetd::engine;
using namespace bitnetd::tests;
using Catch::Matchers::Contains;
using nlohmann::json;

namespace {

/// The entries of a folder as metadata of a source, so that a tokenizer can be built from them.
class metadata_only final : public model_source {
public:
  explicit metadata_only(std::vector<std::pair<std::string, gguf_value>> entries) {
    path_ = "folder";
    for (auto& [key, value] : entries)
      add_entry(key, std::move(value));
  }
  [[nodiscard]] std::string format() const override { return "metadata"; }
  void read(const gguf_tensor&, std::uint64_t, std::span<std::byte>) const override {}
};

struct vocabulary_folder {
  json file, settings, generation, config = json::object();
  std::string sentencepiece;
  std::uint64_t n_rows = 300;

  [[nodiscard]] metadata_only read() const {
    const scratch_folder scratch;
    if (!file.is_null())
      (void)scratch.file("tokenizer.json", file.dump());
    if (!sentencepiece.empty())
      (void)scratch.file("tokenizer.model", sentencepiece);
    if (!settings.is_null())
      (void)scratch.file("tokenizer_config.json", settings.dump());
    if (!generation.is_null())
      (void)scratch.file("generation_config.json", generation.dump());
    return metadata_only{hugging_face::read_vocabulary(
        scratch.path(), hugging_face::json_object{config, "config.json"}, n_rows)};
  }
  [[nodiscard]] std::shared_ptr<const tokenizer> words() const {
    return tokenizer::from_metadata(read());
  }
  [[nodiscard]] std::string refusal() const {
    try {
      (void)words();
      return "accepted";
    } catch (const load_error& reason) {
      return reason.what();
    }
  }
};

const std::string llama3_pattern =
    R"x((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)x";

json split(const std::string& pattern) {
  return {{"type", "Split"},
          {"pattern", {{"Regex", pattern}}},
          {"behavior", "Isolated"},
          {"invert", false}};
}

json byte_level(bool use_regex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", true},
          {"use_regex", use_regex}};
}

/// A byte-level tokenizer.json of a few merges, in the form of Llama 3's.
vocabulary_folder byte_level_folder() {
  vocabulary_folder folder;
  json vocab;
  for (unsigned c = 33; c < 127; ++c)
    vocab[std::string(1, static_cast<char>(c))] = c - 33;
  vocab["\xC4\xA0"] = 94; // the alphabet's space
  vocab["lo"] = 95;
  vocab["hel"] = 96;
  vocab["he"] = 97;
  vocab["hello"] = 98;
  folder.file = {
      {"model",
       {{"type", "BPE"},
        {"vocab", vocab},
        {"ignore_merges", true},
        {"merges", {"h e", "l o", json::array({"he", "l"})}}}},
      {"added_tokens",
       {{{"id", 100}, {"content", "<|begin|>"}, {"special", true}},
        {{"id", 101}, {"content", "<|end|>"}, {"special", true}},
        {{"id", 102}, {"content", "<tool>"}, {"special", false}}}},
      {"pre_tokenizer",
       {{"type", "Sequence"}, {"pretokenizers", {split(llama3_pattern), byte_level(false)}}}},
      {"post_processor",
       {{"type", "Sequence"},
        {"processors",
         {byte_level(true),
          {{"type", "TemplateProcessing"},
           {"single",
            {{{"SpecialToken", {{"id", "<|begin|>"}, {"type_id", 0}}}},
             {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}}}}}}}}};
  folder.settings = {{"eos_token", {{"content", "<|end|>"}}}};
  return folder;
}

std::string varint(std::uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7)
    out += static_cast<char>(value | 0x80);
  return out + static_cast<char>(value);
}
std::string number_field(unsigned field, std::uint64_t value) {
  return varint(field << 3) + varint(value);
}
std::string bytes_field(unsigned field, const std::string& content) {
  return varint(field << 3 | 2) + varint(content.size()) + content;
}
std::string piece(const std::string& text, float score, unsigned kind) {
  return bytes_field(1, bytes_field(1, text) + varint(2 << 3 | 5) + gguf_bytes::raw(score) +
                            number_field(3, kind));
}

const std::string mark = "\xE2\x96\x81";

/// A small SentencePiece model: specials, two bytes, and what "▁ab" is made of.
std::string small_sentencepiece(std::uint64_t type = 2, bool removes_spaces = false) {
  return piece("<unk>", 0, 2) + piece("<s>", 0, 3) + piece("</s>", 0, 3) + piece("<0xC3>", 0, 6) +
         piece("<0xA9>", 0, 6) + piece(mark + "a", -1, 1) + piece("ab", -2, 1) +
         piece(mark, -3, 1) + piece("a", -4, 1) + piece("b", -5, 1) +
         bytes_field(2, number_field(3, type) + number_field(35, 1)) +
         bytes_field(3, bytes_field(1, "identity") + number_field(4, removes_spaces ? 1 : 0));
}

} // namespace

TEST_CASE("a byte-level tokenizer.json gives pattern, merges, kinds and special ids",
          "[engine][hugging_face][tokenizer]") {
  const auto folder = byte_level_folder();
  const auto words = folder.words();
  CHECK(words->name() == "llama-bpe");
  CHECK(words->size() == 300); // filled up to the embedding's rows
  CHECK(words->kind(299) == token_kind::unused);
  CHECK(words->encode("hello hel", true, false) ==
        std::vector<token_id>{100, 98, 94, 96}); // a whole word first, then merges
  CHECK(words->encode("<|end|><tool>", false, false).back() == 102); // added, but not special
  CHECK(words->encode("<|end|>", false, false).size() == 7);
  CHECK(words->encode("<|end|>", false, true) == std::vector<token_id>{101});
  CHECK(words->bos() == 100);
  CHECK(words->eos() == 101);
  CHECK(words->adds_bos());
  CHECK_FALSE(words->adds_eos());

  auto merging = folder;
  merging.file["model"]["ignore_merges"] = false;
  CHECK(merging.words()->encode("hello", false, false) == std::vector<token_id>{96, 95});
}

TEST_CASE("every id that ends a generation is taken from the folder",
          "[engine][hugging_face][tokenizer]") {
  auto folder = byte_level_folder();
  folder.generation = {{"eos_token_id", {101, 7}}};
  folder.config = {{"eos_token_id", 9u}};
  const auto stops = folder.words()->stop_tokens();
  CHECK(stops == std::vector<token_id>{101, 9, 7});
  folder.generation = {{"eos_token_id", -1}};
  CHECK_THAT(folder.refusal(), Contains("generation_config.json: eos_token_id"));
  folder.generation = {{"eos_token_id", 5000}};
  CHECK_THAT(folder.refusal(), Contains("5000 is outside the vocabulary"));
}

TEST_CASE("what would change token ids is refused, not ignored",
          "[engine][hugging_face][tokenizer]") {
  const auto refused = [](const char* at, const json& value) {
    auto folder = byte_level_folder();
    folder.file[json::json_pointer{at}] = value;
    return folder.refusal();
  };
  CHECK_THAT(refused("/model/type", "Unigram"), Contains("'Unigram' is not supported"));
  CHECK_THAT(refused("/model/dropout", 0.1), Contains("dropout"));
  CHECK_THAT(refused("/normalizer", {{"type", "Lowercase"}}), Contains("Lowercase"));
  CHECK_THAT(refused("/pre_tokenizer/pretokenizers/0/pattern/Regex", ".+"),
             Contains("pre_tokenizer") && Contains("use the model's GGUF file"));
  CHECK_THAT(refused("/pre_tokenizer", nullptr), Contains("how texts are split"));
  CHECK_THAT(refused("/pre_tokenizer", byte_level(true)), Contains("accepted"));
  CHECK_THAT(refused("/pre_tokenizer/pretokenizers/1/use_regex", true),
             Contains("not supported")); // two patterns, one after the other
  CHECK_THAT(refused("/post_processor", {{"type", "BertProcessing"}}), Contains("BertProcessing"));
  CHECK_THAT(refused("/model/merges", "h e"), Contains("merges: expected a list"));
  CHECK_THAT(refused("/model/merges/0", 5), Contains("expected two token texts"));
  CHECK_THAT(refused("/model/vocab/!", 99'999'999), Contains("token id 99999999"));
  CHECK_THAT(refused("/model/vocab/!", -1), Contains("expected an id"));
  CHECK_THAT(refused("/added_tokens/0/id", "x"), Contains("added_tokens: id"));
  CHECK_THAT(refused("/added_tokens/0", 7), Contains("expected a JSON object"));
  CHECK_THAT(refused("/model", 7), Contains("model"));
  CHECK_THAT(refused("/pre_tokenizer/pretokenizers/0", 7), Contains("pre_tokenizer"));
  auto small = byte_level_folder();
  small.n_rows = 50;
  CHECK_THAT(small.refusal(), Contains("the embedding only 50 rows"));
}

TEST_CASE("the ways in which published tokenizer.json files cut texts are known",
          "[engine][hugging_face][tokenizer]") {
  const json punctuation = {{"type", "Punctuation"}, {"behavior", "Contiguous"}};
  const auto digits = [](bool each) {
    return json{{"type", "Digits"}, {"individual_digits", each}};
  };
  const auto name = [](const json& steps) {
    auto folder = byte_level_folder();
    folder.file["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", steps}};
    const auto refusal = folder.refusal();
    return refusal == "accepted" ? std::string{folder.words()->name()} : refusal;
  };
  CHECK(name(json::array({byte_level(true)})) == "gpt-2");
  CHECK(name({split(llama3_pattern), byte_level(false)}) == "llama-bpe");
  CHECK(name({punctuation, byte_level(true), split("[0-9][0-9][0-9]")}) == "falcon");
  CHECK(name({punctuation, byte_level(true), split("[0-9]")}) == "falcon_e");
  CHECK(name({punctuation, byte_level(true), digits(false), split("[0-9][0-9][0-9]")}) ==
        "falcon-runs");
  CHECK(name({punctuation, byte_level(true), digits(true)}) == "falcon-digits");
  // In another order the same steps mean something else.
  CHECK_THAT(name({byte_level(true), punctuation, split("[0-9]")}), Contains("not supported"));
  CHECK_THAT(name({byte_level(false), split(llama3_pattern)}), Contains("not supported"));
  CHECK_THAT(name(json::array({split(llama3_pattern)})), Contains("not supported"));
}

TEST_CASE("a folder whose tokenizer composes characters does so before it splits",
          "[engine][hugging_face][tokenizer]") {
  auto folder = byte_level_folder();
  folder.file["model"]["vocab"]["\xC3\x83\xC2\xA9"] = 103; // é by the letters of its bytes
  folder.file["model"]["vocab"]["\xC3\x83"] = 104;
  folder.file["model"]["vocab"]["\xC2\xA9"] = 105;
  folder.file["model"]["merges"].push_back("\xC3\x83 \xC2\xA9");
  folder.file["normalizer"] = {{"type", "NFC"}};
  const std::string decomposed = "e\xCC\x81", composed = "\xC3\xA9";
  CHECK(folder.words()->encode(decomposed, false, false) == std::vector<token_id>{103});
  CHECK(folder.words()->encode(composed, false, false) == std::vector<token_id>{103});
  CHECK(folder.words()->encode(decomposed + "<tool>" + decomposed, false, false) ==
        std::vector<token_id>{103, 102, 103});
  folder.file["normalizer"] = nullptr;
  CHECK(folder.words()->encode(decomposed, false, false).front() == 'e' - 33);
}

TEST_CASE("the published vocabulary gives the same ids from tokenizer.json as from GGUF",
          "[engine][hugging_face][tokenizer]") {
  const auto root = fixtures();
  if (!root)
    return;
  const auto gguf = gguf_file::open(*root / "tokenizers" / "ggml-vocab-llama-bpe.gguf");
  const auto expected = tokenizer::from_metadata(gguf);
  auto folder = byte_level_folder();
  folder.n_rows = expected->size();
  folder.settings = nullptr;
  auto& model = folder.file["model"];
  model["vocab"] = json::object();
  folder.file["added_tokens"] = json::array();
  folder.file["post_processor"] = nullptr;
  for (std::size_t i = 0; i < expected->size(); ++i) {
    const auto id = static_cast<token_id>(i);
    if (expected->kind(id) == token_kind::control)
      folder.file["added_tokens"].push_back(
          {{"id", i}, {"content", expected->text(id)}, {"special", true}});
    else
      model["vocab"][expected->text(id)] = i;
  }
  model["merges"] = *gguf.get_strings("tokenizer.ggml.merges");
  const auto words = folder.words();
  std::size_t compared = 0;
  for (const auto& one : json::parse(read_bytes(*root / "tokenizers" / "llama-bpe.cases.json"))) {
    const auto text = one.at("text").get<std::string>();
    CHECK(words->encode(text, false, false) == one.at("ids").get<std::vector<token_id>>());
    CHECK(words->encode(text, false, true) ==
          one.at("ids_parse_special").get<std::vector<token_id>>());
    ++compared;
  }
  CHECK(compared > 10);
}

TEST_CASE("SentencePiece models are read from their own file",
          "[engine][hugging_face][tokenizer]") {
  vocabulary_folder folder;
  folder.n_rows = 12;
  folder.sentencepiece = small_sentencepiece();
  folder.settings = {{"added_tokens_decoder", {{"10", {{"content", "<pad>"}, {"special", true}}}}},
                     {"add_bos_token", true}};
  const auto words = folder.words();
  CHECK(words->name() == "llama-spm");
  CHECK(words->encode("ab b", true, false) == std::vector<token_id>{1, 5, 9, 7, 9});
  CHECK(words->encode("\xC3\xA9", false, false) == std::vector<token_id>{7, 3, 4}); // bytes
  CHECK(words->encode("<pad>", false, true) == std::vector<token_id>{10});
  CHECK(words->eos() == 2);
  CHECK(words->kind(11) == token_kind::unused);
}

TEST_CASE("the same SentencePiece vocabulary as tokenizer.json gives the same ids",
          "[engine][hugging_face][tokenizer]") {
  vocabulary_folder folder;
  folder.n_rows = 12;
  folder.file = {{"model",
                  {{"type", "BPE"},
                   {"byte_fallback", true},
                   {"unk_token", "<unk>"},
                   {"vocab",
                    {{"<unk>", 0},
                     {"<s>", 1},
                     {"</s>", 2},
                     {"<0xC3>", 3},
                     {"<0xA9>", 4},
                     {mark + "a", 5},
                     {"ab", 6},
                     {mark, 7},
                     {"a", 8},
                     {"b", 9}}},
                   {"merges", {mark + " a", "a b"}}}},
                 {"added_tokens",
                  {{{"id", 0}, {"content", "<unk>"}, {"special", true}},
                   {{"id", 1}, {"content", "<s>"}, {"special", true}},
                   {{"id", 2}, {"content", "</s>"}, {"special", true}}}},
                 {"normalizer",
                  {{"type", "Sequence"},
                   {"normalizers",
                    {{{"type", "Prepend"}, {"prepend", mark}},
                     {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", mark}}}}}}};
  const auto words = folder.words();
  CHECK(words->encode("ab b", false, false) == std::vector<token_id>{5, 9, 7, 9});
  CHECK(words->encode("\xC3\xA9", false, false) == std::vector<token_id>{7, 3, 4});
  CHECK(words->kind(0) == token_kind::unknown);
  // Gemma's: no space before the text.
  folder.file["normalizer"] = {
      {"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", mark}};
  CHECK(folder.words()->encode("ab", false, false) == std::vector<token_id>{6});
}

TEST_CASE("damaged SentencePiece files are refused", "[engine][hugging_face][tokenizer]") {
  const auto whole = small_sentencepiece();
  const auto refused = [](const std::string& bytes) -> std::string {
    try {
      (void)hugging_face::read_sentencepiece(bytes, "tokenizer.model");
      return "accepted";
    } catch (const load_error& reason) {
      return reason.what();
    }
  };
  CHECK(refused(whole) == "accepted");
  std::size_t accepted = 0;
  for (std::size_t n = 0; n < whole.size(); ++n)
    accepted += refused(whole.substr(0, n)) == "accepted" ? 1 : 0;
  CHECK(accepted == 0); // the specification that is needed stands last
  CHECK_THAT(refused(small_sentencepiece(1)), Contains("type 1"));
  CHECK_THAT(refused(small_sentencepiece(2, true)), Contains("removes extra spaces"));
  CHECK_THAT(refused(std::string(20, '\xff')), Contains("longer than 64 bits"));
  CHECK_THAT(refused(piece("x", std::nanf(""), 1) + whole), Contains("piece 0"));
  CHECK_THAT(refused(piece("x", 0, 9) + whole), Contains("piece 0"));
}

TEST_CASE("a folder's chat template is its own, whichever file holds it",
          "[engine][hugging_face][tokenizer]") {
  auto folder = byte_level_folder();
  const std::string chatml = "{{ '<|im_start|>' + m.role }}<|im_end|>";
  folder.settings["chat_template"] = chatml;
  CHECK(folder.read().get_string("tokenizer.chat_template") == chatml);
  folder.settings["chat_template"] = json::array(
      {{{"name", "tool_use"}, {"template", "x"}}, {{"name", "default"}, {"template", chatml}}});
  CHECK(folder.read().get_string("tokenizer.chat_template") == chatml);
}
