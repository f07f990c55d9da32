// SPDX-License-Identifier: MIT
#include "tests/support/program.h"
#include "tests/support/scratch_folder.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <functional>

using namespace bitnetd::tests;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

/// A copy of the tree's golden folder, to be damaged.
class golden_copy {
public:
  golden_copy() {
    fs::copy(fs::path{BITNETD_SOURCE_DIR} / "tests" / "golden", root(),
             fs::copy_options::recursive);
  }
  [[nodiscard]] fs::path root() const { return scratch_.path() / "golden"; }
  [[nodiscard]] program_result run(const std::string& required) const {
    return run_program({CONFORMANCE, root().string(), "--require", required});
  }
  /// Changes one byte of a file, counted from its end.
  void flip(const char* file, std::size_t from_end) const {
    auto bytes = read_bytes(root() / file);
    bytes.at(bytes.size() - from_end) ^= 0x40;
    (void)scratch_.file("golden/" + std::string{file}, bytes);
  }
  void change_json(const char* file, const std::function<void(nlohmann::json&)>& change) const {
    auto content = nlohmann::json::parse(read_bytes(root() / file));
    change(content);
    (void)scratch_.file("golden/" + std::string{file}, content.dump());
  }

private:
  scratch_folder scratch_;
};

std::string last_line(const std::string& text) {
  const auto end = text.find_last_not_of('\n');
  return text.substr(text.rfind('\n', end) + 1, end - text.rfind('\n', end));
}

void expect_failure(const golden_copy& copy, const char* named, const char* required = "01") {
  const auto done = copy.run(required);
  INFO(done.out << done.err);
  CHECK(done.status == 1);
  CHECK_THAT(done.out, Contains(std::string{"FAILED: "} + named));
}

} // namespace

TEST_CASE("the golden folder of the tree passes, and the last line counts", "[conformance]") {
  const auto done = golden_copy{}.run("all");
  INFO(done.out << done.err);
  CHECK(done.status == 0);
  CHECK_THAT(last_line(done.out),
             Catch::Matchers::Matches("[1-9][0-9]* passed, 0 failed, 0 skipped"));
}

TEST_CASE("a changed expectation of any section is a failure that names it", "[conformance]") {
  const golden_copy copy;
  SECTION("a logit") {
    copy.flip("golden/mini158/reference.none.npy", 1);
    expect_failure(copy, "golden mini158-i2_s / reference.none");
  }
  SECTION("a layer's output") {
    copy.flip("layers/mini158.p1_n7.out.none.npy", 1);
    expect_failure(copy, "layers mini158-i2_s, float activations");
  }
  SECTION("an integer sum") {
    copy.flip("bitlinear/mini158.attn_q0.acc.npy", 3);
    expect_failure(copy, "bitlinear mini158.attn_q0: int32 sums, scalar");
  }
  SECTION("a decoded value") {
    copy.flip("codecs/q6_k.values.npy", 1);
    expect_failure(copy, "codecs q6_k");
  }
  SECTION("a token id") {
    copy.change_json("tokenizers/mini158.cases.json",
                     [](auto& texts) { texts[0]["ids"][0] = 7'777; });
    expect_failure(copy, "tokenizers mini158.cases");
  }
  SECTION("a rendered prompt") {
    copy.change_json("chat/bitnetd-chat.json",
                     [](auto& list) { list[0]["rendered"] = "something else"; });
    expect_failure(copy, "chat bitnetd-chat: prompt as text");
  }
  SECTION("a greedy token") {
    copy.change_json("golden/mini158/greedy.json", [](auto& all) {
      for (auto& one : all["reference.none"])
        one["tokens"][0] = 1, one["margins"][0] = 9.0;
    });
    expect_failure(copy, "golden mini158-i2_s / reference.none, greedy");
  }
  SECTION("a bad file that is good") {
    copy.change_json("bad/index.json", [](auto& all) {
      for (auto& one : all)
        if (one["refuse_because"].is_null())
          one["refuse_because"] = "no reason";
    });
    expect_failure(copy, "bad damaged and lying files");
  }
}

TEST_CASE("a case that cannot be run is skipped, or a failure where it is required",
          "[conformance]") {
  const golden_copy copy;
  SECTION("values whose model is missing belong to what must run") {
    fs::remove(copy.root() / "models" / "mini158-i2_s.gguf");
    fs::remove_all(copy.root() / "bitlinear");
    CHECK(copy.run("nothing").status == 0);
    expect_failure(copy, "golden mini158");
  }
  SECTION("a tensor type that is not read does not") {
    copy.change_json("codecs/index.json", [](auto& all) {
      all.push_back({{"name", "mxfp4"}, {"type_id", 39}, {"rows", 1}, {"cols", 64}});
    });
    const auto done = copy.run("01");
    CHECK(done.status == 0);
    CHECK_THAT(last_line(done.out), Contains("0 failed, 1 skipped"));
    expect_failure(copy, "codecs mxfp4: not run, but required", "all");
  }
  SECTION("a damaged model of the house is a failure, not a skip") {
    const auto model = copy.root() / "models" / "mini158-i2_s.gguf";
    fs::resize_file(model, fs::file_size(model) / 2);
    expect_failure(copy, "models mini158-i2_s");
  }
}

TEST_CASE("an empty folder is no success", "[conformance]") {
  const scratch_folder empty;
  const auto done = run_program({CONFORMANCE, empty.path().string()});
  CHECK(done.status == 1);
  CHECK(last_line(done.out) == "0 passed, 0 failed, 0 skipped");
  CHECK(run_program({CONFORMANCE, (empty.path() / "none").string()}).status == 1);
  CHECK(run_program({CONFORMANCE, "--require", "everything"}).status == 1);
}
