// SPDX-License-Identifier: MIT
#include "engine/safetensors.h"
#include "tests/support/gguf_bytes.h"
#include "tests/support/memory_file.h"
#include "tests/support/scratch_folder.h"

#include <catch2/catch.hpp>

#include <random>

using namespace bitnetd;
using namespace bitnetd::engine;
using namespace bitnetd::tests;
using Catch::Matchers::Contains;

namespace {

std::string with_header(const std::string& json, std::size_t data_bytes) {
  return gguf_bytes::raw(std::uint64_t{json.size()}) + json + std::string(data_bytes, '\7');
}

const std::string good_json = R"({"__metadata__":{"format":"pt"},)"
                              R"("a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
                              R"("b":{"dtype":"BF16","shape":[],"data_offsets":[24,26]}}  )";

std::string refusal(const std::string& bytes) {
  try {
    const memory_file stored{bytes};
    const auto file = safetensors_file::open(stored.path());
    return "accepted";
  } catch (const load_error& reason) {
    return reason.what();
  }
}

std::string refusal_of(const std::string& json) { return refusal(with_header(json, 26)); }

} // namespace

TEST_CASE("a sound safetensors file tells its tensors", "[engine][safetensors]") {
  const scratch_folder folder;
  const auto path = folder.file("x.safetensors", with_header(good_json, 26));
  const auto file = safetensors_file::open(path);
  CHECK(file.metadata().at("format") == "pt");
  REQUIRE(file.tensors().size() == 2);
  const auto* a = file.find("a");
  REQUIRE(a != nullptr);
  CHECK(a->shape == std::vector<std::uint64_t>{2, 3});
  CHECK(a->bytes == 24);
  CHECK(a->offset == 8 + good_json.size());
  CHECK(file.find("b")->type == safetensors_type::bf16);
  CHECK(file.find("c") == nullptr);
  std::byte bytes[2];
  file.read(*file.find("b"), 0, bytes);
  CHECK(bytes[1] == std::byte{7});
}

TEST_CASE("a safetensors file cut at any byte is refused", "[engine][safetensors]") {
  const auto bytes = with_header(good_json, 26);
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    INFO("length " << length);
    REQUIRE(refusal(bytes.substr(0, length)) != "accepted");
  }
}

TEST_CASE("flipped bytes in a safetensors file never do more than refuse it",
          "[engine][safetensors]") {
  const auto bytes = with_header(good_json, 26);
  std::mt19937 random{2};
  std::size_t refused = 0;
  for (int round = 0; round < 20'000; ++round) {
    auto damaged = bytes;
    for (auto flips = 1 + random() % 3; flips > 0; --flips)
      damaged[random() % damaged.size()] = static_cast<char>(random());
    refused += refusal(damaged) != "accepted";
  }
  CHECK(refused > 5'000);
  CHECK(refused < 20'000);
}

TEST_CASE("every rule of the safetensors header is enforced with its own message",
          "[engine][safetensors]") {
  const auto tensor = [](const std::string& fields) {
    return refusal_of(R"({"t":{)" + fields + "}}");
  };
  CHECK_THAT(tensor(R"("dtype":"F31","shape":[1],"data_offsets":[0,4])"), Contains("F31"));
  CHECK_THAT(tensor(R"("dtype":"F32","shape":[1],"data_offsets":[4,0])"), Contains("reversed"));
  CHECK_THAT(tensor(R"("dtype":"F32","shape":[2],"data_offsets":[0,4])"), Contains("need 8 bytes"));
  CHECK_THAT(tensor(R"("dtype":"F32","shape":[-1],"data_offsets":[0,4])"), Contains("negative"));
  CHECK_THAT(tensor(R"("dtype":"F32","shape":[1.0],"data_offsets":[0,4])"), Contains("whole"));
  CHECK_THAT(tensor(R"("dtype":"F32","shape":[1],"data_offsets":[24,28])"),
             Contains("past the end"));
  CHECK_THAT(tensor(R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4])"),
             Contains("overflows"));
  CHECK_THAT(tensor(R"("dtype":"F32","shape":[1])"), Contains("expected dtype"));
  CHECK_THAT(tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0])"), Contains("expected dtype"));
  CHECK_THAT(tensor(R"("dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4])"),
             Contains("'dtype' occurs twice"));
  CHECK_THAT(tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1)"),
             Contains("unknown field 'x'"));
  CHECK_THAT(tensor(R"("dtype":"F32","shape":{},"data_offsets":[0,4])"), Contains("nested object"));
  CHECK_THAT(tensor(R"("dtype":"F32","shape":[[1]],"data_offsets":[0,4])"), Contains("array"));
  CHECK_THAT(tensor(R"("dtype":null,"shape":[1],"data_offsets":[0,4])"), Contains("null"));
  const std::string one = R"({"dtype":"F32","shape":[1],"data_offsets":[0,4]})";
  CHECK_THAT(refusal_of(R"({"t":)" + one + R"(,"t":)" + one + "}"), Contains("'t': occurs twice"));
  CHECK_THAT(refusal_of(R"({"t":)" + one + R"(,"u":)" + one + "}"), Contains("overlaps"));
  CHECK_THAT(refusal_of("[1]"), Contains("JSON object"));
  CHECK_THAT(refusal_of("{} {}"), Contains("not JSON"));
  CHECK_THAT(refusal_of(""), Contains("JSON object"));
  CHECK_THAT(refusal_of(R"({"__metadata__":{"a":1}})"), Contains("number"));
}

TEST_CASE("a header that nests without end is refused at once", "[engine][safetensors]") {
  CHECK_THAT(refusal_of(R"({"a":)" + std::string(1'000'000, '[')), Contains("array"));
  CHECK_THAT(refusal_of(std::string(1'000'000, '{')), Contains("not JSON"));
}

TEST_CASE("a header length that lies is refused before it is read", "[engine][safetensors]") {
  for (const auto length : {std::uint64_t{100}, std::uint64_t{1} << 40, ~std::uint64_t{0}})
    CHECK_THAT(refusal(gguf_bytes::raw(length) + "{}"), Contains("announced"));
}
