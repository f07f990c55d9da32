// SPDX-License-Identifier: MIT
#include "tests/bitnet_model/tool.h"
#include "tests/support/scratch_folder.h"

#include <catch2/catch.hpp>

using namespace bitnetd::tests;
using Catch::Matchers::Contains;
using nlohmann::json;

namespace {

std::string synth(const scratch_folder& scratch, const char* name, const char* seed,
                  const char* threshold = "absmean") {
  const auto path = (scratch.path() / name).string();
  const auto done = tool(
      {"synth", "--shape", "tiny-random", "--out", path, "--seed", seed, "--threshold", threshold});
  INFO(done.err);
  REQUIRE(done.status == 0);
  return path;
}

/// Share of zeros that inspect tells of the I2_S tensors, in percent.
double zeros(const std::string& path) {
  const auto text = tool({"inspect", path}).out;
  const auto at = text.find("zeros ", text.find("I2_S"));
  REQUIRE(at != std::string::npos);
  return std::stod(text.substr(at + 6));
}

} // namespace

TEST_CASE("synth writes a whole model whose bytes follow from the seed", "[bitnet_model][synth]") {
  const scratch_folder scratch;
  const auto one = synth(scratch, "a.gguf", "1");
  CHECK(read_bytes(one) == read_bytes(synth(scratch, "b.gguf", "1")));
  CHECK(read_bytes(one) != read_bytes(synth(scratch, "c.gguf", "2")));
  const auto seen = tool({"inspect", one});
  CHECK(seen.status == 0);
  CHECK_THAT(seen.out, Contains("bitnet-b1.58") && Contains("tokenizer:  llama-bpe"));
}

TEST_CASE("the thresholds leave the zeros that a normal distribution gives",
          "[bitnet_model][synth]") {
  const scratch_folder scratch;
  // P(|z| <= mean|z| / 2) and P(|z| <= 0.7 mean|z|), mean|z| = sqrt(2 / pi).
  CHECK(zeros(synth(scratch, "a.gguf", "1")) == Approx(31.0).margin(0.3));
  CHECK(zeros(synth(scratch, "b.gguf", "1", "twn")) == Approx(42.4).margin(0.3));
}

TEST_CASE("a synthetic model takes text and gives text", "[bitnet_model][synth]") {
  const scratch_folder scratch;
  const auto path = synth(scratch, "a.gguf", "1");
  const auto done =
      tool({"generate", "-m", path, "-p", "hello", "-n", "8", "--ignore-eos", "--temp", "1"});
  CHECK(done.status == 0);
  CHECK(done.out.size() > 4);
  const auto round = tool({"detokenize", "--model", path},
                          tool({"tokenize", "--model", path}, "héllo  wörld\n").out);
  CHECK(round.out == "héllo  wörld\n");
}

TEST_CASE("bench gives a line or an object per test", "[bitnet_model][bench]") {
  const scratch_folder scratch;
  const auto path = synth(scratch, "a.gguf", "1");
  const auto table =
      tool({"bench", "-m", path, "-p", "16,32", "-n", "4", "-t", "1", "-b", "8", "-r", "2"});
  CHECK(table.status == 0);
  CHECK_THAT(table.out, Contains("| pp16 |") && Contains("| pp32 |") && Contains("| tg4 |"));
  const auto list = json::parse(
      tool({"bench", "-m", path, "-p", "16", "-n", "4", "-t", "1,2", "-r", "3", "-o", "json"}).out);
  REQUIRE(list.size() == 4);
  for (const auto& one : list) {
    CHECK(one.at("samples_ts").size() == 3);
    CHECK(one.at("q1_ts").get<double>() <= one.at("median_ts").get<double>());
    CHECK(one.at("median_ts").get<double>() <= one.at("q3_ts").get<double>());
    CHECK(one.at("median_ts").get<double>() > 0);
  }
  CHECK(list[0].at("n_prompt") == 16);
  CHECK(list[1].at("n_gen") == 4);
  CHECK(list[2].at("n_threads") == 2);
}

TEST_CASE("layers counts every weight once per step and every product once per token",
          "[bitnet_model][layers]") {
  const scratch_folder scratch;
  const auto path = synth(scratch, "a.gguf", "1");
  const auto lines =
      json::parse(tool({"layers", "--model", path, "-p", "8", "-n", "2", "--json"}).out);
  const auto cost = [&](const char* layer, const char* operation) {
    for (const auto& one : lines)
      if (one.at("layer") == layer && one.at("operation") == operation)
        return one;
    FAIL("no line for " << layer << " " << operation);
    return json{};
  };
  // 256 x 768 weights at two bits, in one step of prefill and two of decode; ten tokens in all.
  const auto down = cost("1", "ffn_down");
  CHECK(down.at("weight_bytes") == 3 * 256 * 768 / 4);
  CHECK(down.at("additions") == 10 * 256 * 768);
  const auto in_base3 = json::parse(
      tool({"layers", "--model", path, "-p", "8", "-n", "2", "--json", "--weights", "base3"}).out);
  CHECK(std::ranges::any_of(in_base3, [](const auto& one) { // 39 lines of 20 columns
    return one.at("layer") == "1" && one.at("operation") == "ffn_down" &&
           one.at("weight_bytes") == 3 * 256 * 39 * 4;
  }));
  CHECK(down.at("zero_share").get<double>() == Approx(0.31).margin(0.01));
  CHECK(cost("all", "ffn_down").at("additions") == 4 * 10 * 256 * 768);
  CHECK(cost("all", "total").at("joules_with_memory_estimate").get<double>() >
        cost("all", "total").at("joules_arithmetic_estimate").get<double>());
  CHECK_THAT(tool({"layers", "--model", path, "-p", "2", "-n", "0"}).out, Contains("gate_up"));
}
