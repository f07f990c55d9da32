// SPDX-License-Identifier: MIT
#include "engine/hugging_face/tokenizer_json.h"

#include "engine/printable.h"
#include "engine/unicode_class.h"

#include <algorithm>
#include <unordered_map>

namespace bitnetd::engine::hugging_face {

using nlohmann::json;

namespace {

/// The split patterns that are matched by hand, as tokenizer.json spells them.
struct known_pattern {
  std::string_view text, name;
};
constexpr known_pattern patterns[] = {
    {R"x((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)x",
     "llama3"},
    {R"x((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)x",
     "qwen2"},
    {R"x('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)x", "gpt2"},
    {"[0-9][0-9][0-9]", "threes"},
    {"[0-9]", "ones"},
};

/// What the steps of a pre-tokenizer come to, in their order, and GGUF's name for it (or ours).
/// "bytes" is ByteLevel without its own pattern, "words" with it.
struct known_steps {
  std::string_view steps, pre;
};
constexpr known_steps pipelines[] = {
    {"llama3 bytes", "llama-bpe"},
    {"qwen2 bytes", "qwen2"},
    {"gpt2 bytes", "gpt-2"},
    {"words", "gpt-2"},
    {"punctuation words threes", "falcon"},
    {"punctuation words ones", "falcon_e"},
    {"punctuation words runs threes", "falcon-runs"},
    {"punctuation words runs ones", "falcon_e-runs"},
    {"punctuation words digits", "falcon-digits"},
    {"punctuation words digits ones", "falcon-digits"},
    {"punctuation words digits threes", "falcon-digits"},
};

/// One step of a normalizer, pre-tokenizer or post-processor: a sequence of one or of several.
std::vector<json> steps_of(const json_object& file, const char* part, const char* list) {
  const auto* whole = file.find(part);
  if (whole == nullptr)
    return {};
  if (!whole->is_object())
    file.refuse(part, "expected an object");
  if (whole->value("type", json{}) != "Sequence")
    return {*whole};
  const auto inner = whole->find(list);
  if (inner == whole->end() || !inner->is_array())
    file.refuse(part, "a Sequence without " + std::string{list});
  return inner->get<std::vector<json>>();
}

class tokenizer_reader {
public:
  explicit tokenizer_reader(const json_object& file)
      : file_{file}, model_{object("model")}, place_{file.place()} {}

  vocabulary read() {
    check_model();
    byte_level_ = !model_.flag("byte_fallback").value_or(false);
    out_.model = byte_level_ ? "gpt2" : "llama";
    read_vocab();
    read_merges();
    read_added_tokens();
    read_normalizer();
    byte_level_ ? read_split_rules() : check_sentencepiece_split();
    read_post_processor();
    return std::move(out_);
  }

private:
  [[nodiscard]] json_object object(const char* key) const {
    auto found = file_.object(key);
    if (!found)
      file_.refuse(key, "is missing");
    return *std::move(found);
  }

  void check_model() const {
    const auto type = model_.text("type").value_or("BPE");
    if (type != "BPE")
      model_.refuse("type", printable(type) + " is not supported; only BPE is");
    for (const auto* key : {"continuing_subword_prefix", "end_of_word_suffix"})
      if (!model_.text(key).value_or("").empty())
        model_.refuse(key, "is not supported");
    if (model_.number("dropout").value_or(0) != 0)
      model_.refuse("dropout", "is not supported");
  }

  void read_vocab() {
    const auto* vocab = model_.find("vocab");
    if (vocab == nullptr || !vocab->is_object() || vocab->empty())
      model_.refuse("vocab", "expected an object of texts and ids");
    for (const auto& [text, id] : vocab->items()) {
      if (!id.is_number_unsigned())
        model_.refuse("vocab", printable(text) + ": expected an id, got " + printable(id.dump()));
      const bool byte = !byte_level_ && text.size() == 6 && text.starts_with("<0x");
      out_.put(id.get<std::uint64_t>(), text, byte ? kind_byte : kind_normal, place_);
    }
    out_.ignore_merges = model_.flag("ignore_merges").value_or(false);
    if (const auto unknown = model_.text("unk_token")) {
      out_.unknown = id_of(*vocab, *unknown);
      if (out_.unknown)
        out_.kinds[*out_.unknown] = kind_unknown;
    }
  }

  static std::optional<std::uint64_t> id_of(const json& vocab, const std::string& text) {
    const auto at = vocab.find(text);
    return at == vocab.end() ? std::nullopt : std::optional{at->get<std::uint64_t>()};
  }

  void read_merges() {
    const auto* merges = model_.find("merges");
    if (merges == nullptr || !merges->is_array())
      model_.refuse("merges", "expected a list");
    out_.merges.reserve(merges->size());
    for (const auto& one : *merges) {
      if (one.is_string())
        out_.merges.push_back(one.get<std::string>());
      else if (one.is_array() && one.size() == 2 && one[0].is_string() && one[1].is_string())
        out_.merges.push_back(one[0].get<std::string>() + " " + one[1].get<std::string>());
      else
        model_.refuse("merges",
                      "entry " + std::to_string(out_.merges.size()) + ": expected two token texts");
    }
    if (!byte_level_)
      score_by_merges();
  }

  /// SentencePiece orders merges by the score of what they make; here the order is given, and a
  /// score that falls with it says the same. Single characters need none. What no merge makes
  /// cannot come out of a text.
  void score_by_merges() {
    const auto& vocab = *model_.find("vocab");
    std::vector<bool> made(out_.tokens.size(), false);
    out_.scores.assign(out_.tokens.size(), -1e9f);
    for (std::size_t rank = 0; rank < out_.merges.size(); ++rank) {
      auto joined = out_.merges[rank];
      const auto gap = joined.find(' ');
      if (gap == std::string::npos)
        model_.refuse("merges", "entry " + std::to_string(rank) + ": expected two token texts");
      const auto id = id_of(vocab, joined.erase(gap, 1));
      if (!id || made[*id])
        continue;
      made[*id] = true;
      out_.scores[*id] = -static_cast<float>(rank);
    }
    for (std::size_t id = 0; id < out_.tokens.size(); ++id) {
      const auto& text = out_.tokens[id];
      if (made[id] || out_.kinds[id] != kind_normal)
        continue;
      if (char_at(text, 0).size == text.size())
        out_.scores[id] = 0;
      else
        out_.kinds[id] = kind_unused;
    }
    out_.merges.clear();
  }

  void read_added_tokens() {
    const auto* added = file_.find("added_tokens");
    if (added == nullptr)
      return;
    if (!added->is_array())
      file_.refuse("added_tokens", "expected a list");
    for (const auto& one : *added) {
      const json_object token{one, place_ + ": added_tokens"};
      const auto id = token.count("id", 0, UINT32_MAX);
      const auto text = token.text("content");
      if (!id || !text)
        token.refuse("id", "a token needs id and content");
      const bool special = token.flag("special").value_or(false);
      out_.put(*id, *text,
               id == out_.unknown ? kind_unknown
               : special          ? kind_control
                                  : kind_user,
               place_);
      special_ids_[*text] = *id;
    }
    if (!byte_level_)
      out_.scores.resize(out_.tokens.size(), -1000.0f);
  }

  [[noreturn]] void refuse_step(const char* part, const json& step) const {
    file_.refuse(part, printable(step.dump()) + " is not supported; use the model's GGUF file");
  }

  static std::string type_of(const json& step) {
    return step.is_object() ? step.value("type", std::string{}) : std::string{};
  }

  void read_normalizer() {
    for (const auto& step : steps_of(file_, "normalizer", "normalizers")) {
      const auto type = type_of(step);
      if (type == "NFC")
        out_.composes = true;
      else if (!byte_level_ && type == "Prepend" && step.value("prepend", json{}) == space_mark)
        out_.add_space_prefix = true;
      else if (byte_level_ || type != "Replace" ||
               step.value("pattern", json{}) != json{{"String", " "}} ||
               step.value("content", json{}) != space_mark)
        refuse_step("normalizer", step);
    }
    if (!byte_level_ && !out_.add_space_prefix)
      out_.add_space_prefix = false;
  }

  /// The steps by name, which together must be one of the known ways to cut.
  void read_split_rules() {
    const auto steps = steps_of(file_, "pre_tokenizer", "pretokenizers");
    if (steps.empty())
      file_.refuse("pre_tokenizer", "does not say how texts are split into words");
    std::string names;
    for (const auto& step : steps)
      names.append(names.empty() ? "" : " ").append(step_name(step));
    const auto* known = std::find_if(std::begin(pipelines), std::end(pipelines),
                                     [&](const known_steps& one) { return one.steps == names; });
    if (known == std::end(pipelines))
      refuse_step("pre_tokenizer", *file_.find("pre_tokenizer"));
    out_.pre = known->pre;
  }

  [[nodiscard]] std::string_view step_name(const json& step) const {
    const auto type = type_of(step);
    if (type == "ByteLevel" && !step.value("add_prefix_space", false))
      return step.value("use_regex", true) ? "words" : "bytes";
    if (type == "Punctuation" && step.value("behavior", json{}) == "Contiguous")
      return "punctuation";
    if (type == "Digits")
      return step.value("individual_digits", false) ? "digits" : "runs";
    const auto pattern = step.is_object() ? step.value("pattern", json::object()) : json{};
    if (type == "Split" && step.value("behavior", json{}) == "Isolated" &&
        !step.value("invert", false) && pattern.is_object() && pattern.contains("Regex"))
      for (const auto& known : patterns)
        if (pattern["Regex"] == known.text)
          return known.name;
    refuse_step("pre_tokenizer", step);
  }

  /// SentencePiece does not split; what stands here only says how spaces are written.
  void check_sentencepiece_split() {
    for (const auto& step : steps_of(file_, "pre_tokenizer", "pretokenizers")) {
      const auto type = type_of(step);
      if (type == "Metaspace" && step.value("replacement", json{}) == space_mark &&
          !step.value("split", false))
        out_.add_space_prefix = step.value("prepend_scheme", std::string{"always"}) != "never";
      else if (type != "Split" || step.value("pattern", json{}) != json{{"String", " "}})
        refuse_step("pre_tokenizer", step); // spaces are gone by then: that split finds none
    }
  }

  /// Which special tokens stand before and after a text.
  void read_post_processor() {
    for (const auto& step : steps_of(file_, "post_processor", "processors")) {
      const auto type = type_of(step);
      if (type == "ByteLevel")
        continue; // offsets only
      if (type != "TemplateProcessing")
        refuse_step("post_processor", step);
      const auto single = step.value("single", json::array());
      bool before = true;
      out_.add_bos = out_.add_eos = false;
      for (const auto& part : single) {
        if (!part.is_object() || !part.contains("SpecialToken")) {
          before = false;
          continue;
        }
        const auto text = part["SpecialToken"].value("id", std::string{});
        const auto id = special_ids_.find(text);
        auto& place = before ? out_.bos : out_.eos;
        auto& adds = before ? out_.add_bos : out_.add_eos;
        if (id == special_ids_.end() || *adds)
          refuse_step("post_processor", step);
        place = id->second;
        adds = true;
      }
    }
  }

  static constexpr std::string_view space_mark = "\xE2\x96\x81"; // U+2581

  const json_object& file_;
  json_object model_;
  std::string place_;
  bool byte_level_ = true;
  std::unordered_map<std::string, std::uint64_t> special_ids_;
  vocabulary out_;
};

} // namespace

vocabulary read_tokenizer_json(const json_object& file) {
  try {
    return tokenizer_reader{file}.read();
  } catch (const json::exception& reason) { // a value of another type where one is looked up
    throw load_error{file.place() + ": " + printable(reason.what())};
  }
}

} // namespace bitnetd::engine::hugging_face
