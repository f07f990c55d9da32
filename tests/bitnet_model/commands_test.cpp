// SPDX-License-Identifier: MIT
#include "tests/bitnet_model/tool.h"
#include "tests/support/npy.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/small_model_file.h"

#include <catch2/catch.hpp>

#include <cmath>

using namespace bitnetd::tests;
using Catch::Matchers::Contains;
using nlohmann::json;

namespace {

const std::string model = golden("models/mini158-i2_s.gguf");

json golden_json(const char* name) { return json::parse(read_bytes(golden(name))); }

double relative_l2(std::span<const float> a, std::span<const float> b) {
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    difference += std::pow(double{a[i]} - double{b[i]}, 2);
    size += std::pow(double{b[i]}, 2);
  }
  return std::sqrt(difference / size);
}

} // namespace

TEST_CASE("logits --last writes one row per sequence, equal to the golden values",
          "[bitnet_model][logits]") {
  const scratch_folder scratch;
  const auto cases = golden_json("golden/mini158/cases.json");
  const auto tokens = scratch.file("tokens", token_lines(cases)).string();
  for (const std::string act : {"none", "absmax"}) {
    const auto out = (scratch.path() / (act + ".npy")).string();
    const auto done = tool(
        {"logits", "--model", model, "--tokens", tokens, "--out", out, "--last", "--act", act});
    INFO(done.err);
    REQUIRE(done.status == 0);
    const auto ours = read_npy<float>(out);
    const auto theirs = read_npy<float>(golden("golden/mini158/reference." + act + ".npy"));
    REQUIRE(ours.shape == theirs.shape);
    for (std::size_t i = 0; i < cases.size(); ++i)
      if (act == "none" || cases[i].at("stable").get<bool>())
        CHECK(relative_l2(ours.row(i), theirs.row(i)) < 1e-4);
  }
}

TEST_CASE("logits without --last has a row per token, the last of which is that of --last",
          "[bitnet_model][logits]") {
  const scratch_folder scratch;
  const auto tokens = scratch.file("tokens", "1 2 3\n4 5\n").string();
  const auto all = (scratch.path() / "all.npy").string();
  const auto last = (scratch.path() / "last.npy").string();
  REQUIRE(tool({"logits", "--model", model, "--tokens", tokens, "--out", all}).status == 0);
  REQUIRE(tool({"logits", "--model", model, "--tokens", tokens, "--out", last, "--last"}).status ==
          0);
  const auto rows = read_npy<float>(all), ends = read_npy<float>(last);
  REQUIRE(rows.shape.at(0) == 5);
  REQUIRE(ends.shape.at(0) == 2);
  CHECK(std::equal(ends.row(0).begin(), ends.row(0).end(), rows.row(2).begin()));
  CHECK(std::equal(ends.row(1).begin(), ends.row(1).end(), rows.row(4).begin()));
  CHECK(std::filesystem::exists(all + ".part") == false);
}

TEST_CASE("greedy --json gives the golden continuations and margins", "[bitnet_model][greedy]") {
  const scratch_folder scratch;
  const auto cases = golden_json("golden/mini158/cases.json");
  const auto expected = golden_json("golden/mini158/greedy.json").at("reference.none");
  const auto tokens = scratch.file("tokens", token_lines(cases)).string();
  const auto done =
      tool({"greedy", "--model", model, "--tokens", tokens, "-n", "4", "--act", "none", "--json"});
  INFO(done.err);
  REQUIRE(done.status == 0);
  const auto ours = json::parse(done.out);
  REQUIRE(ours.size() == cases.size());
  std::size_t compared = 0;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const auto& one = expected.at(cases[i].at("id").get<std::string>());
    for (std::size_t step = 0; step < 4 && step < one.at("tokens").size(); ++step) {
      const double margin = one.at("margins")[step];
      if (margin < 0.02)
        break;
      CHECK(ours[i].at("tokens")[step] == one.at("tokens")[step]);
      CHECK(ours[i].at("margins")[step].get<double>() == Approx(margin).margin(0.01));
      ++compared;
    }
  }
  CHECK(compared > cases.size());
}

TEST_CASE("embed writes unit vectors", "[bitnet_model][embed]") {
  const scratch_folder scratch;
  const auto tokens = scratch.file("tokens", "1 2 3\n4 5\n7\n").string();
  const auto out = (scratch.path() / "e.npy").string();
  REQUIRE(tool({"embed", "--model", model, "--tokens", tokens, "--out", out}).status == 0);
  const auto vectors = read_npy<float>(out);
  REQUIRE(vectors.shape.at(0) == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    double size = 0;
    for (const float value : vectors.row(i))
      size += double{value} * double{value};
    CHECK(size == Approx(1.0).epsilon(1e-5));
  }
  CHECK(relative_l2(vectors.row(0), vectors.row(1)) > 0.01);
}

TEST_CASE("tokenize gives the golden ids, detokenize the text again", "[bitnet_model][tokenize]") {
  std::size_t compared = 0;
  for (const auto& one : golden_json("tokenizers/mini158.cases.json")) {
    const auto text = one.at("text").get<std::string>();
    INFO(text);
    const auto plain = tool({"tokenize", "--model", model, "--json"}, text);
    REQUIRE(plain.status == 0);
    CHECK(json::parse(plain.out) == one.at("ids"));
    const auto special = tool({"tokenize", "--model", model, "--add-special", "--json"}, text);
    CHECK(json::parse(special.out) == one.at("ids_add_special"));
    const auto parsed = tool({"tokenize", "--model", model, "--parse-special", "--json"}, text);
    CHECK(json::parse(parsed.out) == one.at("ids_parse_special"));
    // Ids as words or as JSON; byte-level BPE loses nothing.
    CHECK(tool({"detokenize", "--model", model}, tool({"tokenize", "--model", model}, text).out)
              .out == text);
    CHECK(json::parse(tool({"detokenize", "--model", model, "--json"}, plain.out).out) == text);
    ++compared;
  }
  CHECK(compared > 5);
}

TEST_CASE("perplexity is that of the logits, each token given those before it",
          "[bitnet_model][perplexity]") {
  const scratch_folder scratch;
  const std::string text = "The quick brown fox jumps over the lazy dog, twice.";
  const auto file = scratch.file("text", text).string();
  const auto ids = json::parse(tool({"tokenize", "--model", model, "--json"}, text).out);
  const auto tokens = scratch.file("tokens", token_lines(json::array({{{"tokens", ids}}})));
  const auto out = (scratch.path() / "x.npy").string();
  REQUIRE(tool({"logits", "--model", model, "--tokens", tokens.string(), "--out", out}).status ==
          0);
  const auto logits = read_npy<float>(out);
  double sum = 0;
  for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
    double total = 0;
    for (const float value : logits.row(i))
      total += std::exp(double{value});
    sum += std::log(total) - double{logits.row(i)[ids[i + 1].get<std::size_t>()]};
  }
  const auto done = tool({"perplexity", "--model", model, "--file", file, "--json"});
  REQUIRE(done.status == 0);
  const auto answer = json::parse(done.out);
  CHECK(answer.at("tokens") == ids.size() - 1);
  CHECK(answer.at("ppl").get<double>() ==
        Approx(std::exp(sum / static_cast<double>(ids.size() - 1))).epsilon(1e-4));
  CHECK(answer.at("err").get<double>() > 0);
}

TEST_CASE("generate streams what greedy decoding says", "[bitnet_model][generate]") {
  const auto texts = golden_json("golden/bitnetd-chat/texts.json");
  const auto shipped =
      (std::filesystem::path{BITNETD_SOURCE_DIR} / "models" / "bitnetd-chat.gguf").string();
  const auto& first = texts.at("q0");
  const auto done =
      tool({"generate", "-m", shipped, "--chat", "-p", first.at("prompt").get<std::string>()});
  INFO(done.err);
  REQUIRE(done.status == 0);
  CHECK(done.out == first.at("answer").get<std::string>() + "\n");
  // A stop string ends the text before it.
  const auto answer = first.at("answer").get<std::string>();
  const auto stop = answer.substr(answer.size() / 2, 5);
  const auto stopped = tool({"generate", "-m", shipped, "--chat", "-p",
                             first.at("prompt").get<std::string>(), "--stop", stop});
  CHECK(stopped.out == answer.substr(0, answer.find(stop)) + "\n");
}

TEST_CASE("a seed decides what is sampled", "[bitnet_model][generate]") {
  const auto draw = [&](const char* seed) {
    return tool({"generate", "-m", model, "-p", "a", "-n", "24", "--temp", "2", "--ignore-eos",
                 "--seed", seed})
        .out;
  };
  CHECK(draw("1") == draw("1"));
  CHECK(draw("1") != draw("2"));
}

TEST_CASE("inspect tells whole models, sound containers and refused files apart",
          "[bitnet_model][inspect]") {
  const scratch_folder scratch;
  const auto whole = tool({"inspect", model, "--tensors"});
  CHECK(whole.status == 0);
  CHECK_THAT(whole.out, Contains("bitnet-b1.58") && Contains("blk.0.attn_q.weight"));
  CHECK(whole.out.find("no whole model") == std::string::npos);
  auto part = small_model_file{};
  part.tensors.erase("output_norm.weight");
  const auto piece = tool({"inspect", scratch.file("p.gguf", part.bytes()).string()});
  CHECK(piece.status == 0);
  CHECK_THAT(piece.out, Contains("no whole model") && Contains("output_norm.weight"));
  auto damaged = small_model_file{};
  damaged.tensors["blk.0.attn_q.weight"].payload[0] = '\xff';
  const auto bad = tool({"inspect", scratch.file("b.gguf", damaged.bytes()).string()});
  CHECK(bad.status == 3);
  CHECK(bad.out.empty());
  CHECK_THAT(bad.err, Contains("code of 3"));
  CHECK(std::count(bad.err.begin(), bad.err.end(), '\n') == 1);
}

TEST_CASE("wrong usage ends with 2, refused input with 3, each with a reason",
          "[bitnet_model][errors]") {
  const scratch_folder scratch;
  const auto tokens = scratch.file("tokens", "1 2 3\n").string();
  const auto no_words = scratch.file("n.gguf", small_model_file{}.bytes()).string();
  const auto ends = [&](int status, const char* reason, std::vector<std::string> arguments) {
    const auto done = tool(std::move(arguments));
    INFO(done.err);
    CHECK(done.status == status);
    CHECK_THAT(done.err, Contains(reason));
  };
  ends(2, "subcommand", {});
  ends(2, "--model", {"greedy", "--tokens", tokens});
  ends(2, "--act", {"greedy", "--model", model, "--tokens", tokens, "--act", "int4"});
  ends(2, "-n", {"greedy", "--model", model, "--tokens", tokens, "-n", "0"});
  ends(2, "--shape", {"synth", "--shape", "70b", "--out", (scratch.path() / "x").string()});
  ends(3, "none.gguf", {"inspect", (scratch.path() / "none.gguf").string()});
  ends(3, "folder", {"greedy", "--model", scratch.path().string(), "--tokens", tokens});
  ends(2, "--kv", {"greedy", "--model", model, "--tokens", tokens, "--kv", "q4"});
  ends(3, "this machine has", {"greedy", "--model", model, "--tokens", tokens, "--isa", "neon"});
  ends(3, "context", {"greedy", "--model", model, "--tokens", tokens, "-n", "100000"});
  ends(3, "no tokenizer", {"tokenize", "--model", no_words});
  ends(3, "no tokenizer", {"generate", "-m", no_words, "-p", "x"});
  ends(3, "chat template", {"generate", "-m", model, "-p", "x", "--template", "none"});
  ends(1, "cannot be written",
       {"logits", "--model", model, "--tokens", tokens, "--out", "/proc/none/x.npy"});
  for (const auto& [text, reason] : std::vector<std::pair<std::string, const char*>>{
           {"", "holds no token ids"},
           {"1 2\n\n3\n", ":2: a line without"},
           {"1 -2\n", ":1: expected token ids"},
           {"1\n2 99999999\n", ":2: expected token ids"},
           {"1 2x\n", "\"2x\""},
           {"99999999999999999999\n", "expected token ids"}})
    ends(3, reason,
         {"greedy", "--model", model, "--tokens", scratch.file("bad", text).string(), "-n", "1"});
  const auto help = tool({"greedy", "--help"});
  CHECK(help.status == 0);
  CHECK_THAT(help.out, Contains("--tokens"));
}

TEST_CASE("embed takes lines of text as it takes their tokens, with prefix and pooling",
          "[bitnet_model][embed]") {
  const scratch_folder scratch;
  std::string ids;
  for (const char* text : {"query: a daemon", "query: ternary weights"})
    ids += tool({"tokenize", "--model", model, "--add-special"}, text).out;
  const auto tokens = scratch.file("tokens", ids).string();
  const auto text = scratch.file("text", "a daemon\nternary weights\n").string();
  const auto embed = [&](std::vector<std::string> more) {
    const auto out = (scratch.path() / "out.npy").string();
    std::vector<std::string> all{"embed", "--model", model, "--out", out};
    all.insert(all.end(), more.begin(), more.end());
    const auto done = tool(all);
    INFO(done.err);
    REQUIRE(done.status == 0);
    return read_npy<float>(out);
  };
  const auto by_tokens = embed({"--tokens", tokens});
  CHECK(by_tokens.shape.at(0) == 2);
  CHECK(embed({"--text", text, "--prefix", "query: "}).values == by_tokens.values);
  CHECK(embed({"--text", text}).values != by_tokens.values);
  CHECK(embed({"--tokens", tokens, "--pooling", "last"}).values == by_tokens.values);
  const auto mean = embed({"--tokens", tokens, "--pooling", "mean"});
  CHECK(mean.values != by_tokens.values);
  double squares = 0;
  for (const float value : mean.row(0))
    squares += double{value} * value;
  CHECK(squares == Approx(1).epsilon(1e-5));
  CHECK(tool({"embed", "--model", model, "--out", "x.npy"}).status == 3);
}

TEST_CASE("tokenize --lines gives one line of ids for each text", "[bitnet_model][tokenize]") {
  const auto whole = tool({"tokenize", "--model", model, "--json"}, "two\nlines").out;
  const auto lines =
      tool({"tokenize", "--model", model, "--json", "--lines"}, "\"two\\nlines\"\n\"\"\n").out;
  CHECK(lines == whole + "[]\n");
  const auto bad = tool({"tokenize", "--model", model, "--lines"}, "\"a\"\nb\n");
  CHECK(bad.status == 3);
  CHECK_THAT(bad.err, Contains("line 2: expected a JSON string"));
}

TEST_CASE("perplexity tells how far it is when asked", "[bitnet_model][perplexity]") {
  const scratch_folder scratch;
  const auto text = scratch.file("text", std::string(200, 'a')).string();
  const auto done = tool(
      {"perplexity", "--model", model, "--file", text, "--window", "16", "--progress", "--json"});
  REQUIRE(done.status == 0);
  CHECK_THAT(done.err, Contains("16 of ") && Contains("perplexity") && Contains("s left"));
  CHECK(json::parse(done.out).at("err").get<double>() >= 0);
  CHECK(tool({"perplexity", "--model", model, "--file", text, "--window", "16"}).err.empty());
}

TEST_CASE("inspect tells layers, parameters, memory, speed and what will not work",
          "[bitnet_model][inspect]") {
  const auto seen = tool({"inspect", model});
  REQUIRE(seen.status == 0);
  CHECK_THAT(seen.out, Contains("I2_S: attn_k attn_output attn_q attn_v ffn_down ffn_gate ffn_up"));
  CHECK_THAT(seen.out, Contains("parameters: "));
  CHECK_THAT(seen.out, Contains(" tokens/s at most for one sequence"));
  CHECK_THAT(seen.out, Contains("ffn_down") && Contains("%   lines 0 of ") &&
                           Contains("form:       dense SIMD for all ternary tensors"));
  CHECK_THAT(seen.out, Contains("will not do chats: the model has no chat template"));
}

TEST_CASE("another I2_S layout is another model", "[bitnet_model][inspect]") {
  const auto hash = [](const std::string& layout) {
    const auto text = tool({"inspect", model, "--i2s", layout}).out;
    return text.substr(text.find("hash:"), 50);
  };
  CHECK(hash("common") != hash("lanes16"));
  CHECK(tool({"inspect", model, "--i2s", "other"}).status == 2);
}
