// SPDX-License-Identifier: MIT
#include "engine/gguf.h"
#include "tests/support/gguf_bytes.h"
#include "tests/support/memory_file.h"
#include "tests/support/scratch_folder.h"

#include <catch2/catch.hpp>

#include <chrono>
#include <random>
#include <sys/stat.h>

using namespace bitnetd;
using namespace bitnetd::engine;
using namespace bitnetd::tests;
using Catch::Matchers::Contains;

namespace {

template <class T> std::string raw(T value) { return gguf_bytes::raw(value); }

/// One key of every type and two tensors.
gguf_bytes good() {
  gguf_bytes file;
  file.entry("general.architecture", "none");
  file.entry("a.u8", 0, raw(std::uint8_t{200})).entry("a.i8", 1, raw(std::int8_t{-5}));
  file.entry("a.u16", 2, raw(std::uint16_t{60000})).entry("a.i16", 3, raw(std::int16_t{-300}));
  file.count("a.u32", 4'000'000'000u).entry("a.i32", 5, raw(std::int32_t{-70000}));
  file.entry("a.u64", 10, raw(std::uint64_t{1} << 40)).entry("a.i64", 11, raw(std::int64_t{-9}));
  file.entry("a.f32", 6, raw(0.5f)).entry("a.f64", 12, raw(0.25)).entry("a.bool", 7, "\x01");
  file.entry("a.strings", 9,
             raw(std::uint32_t{8}) + raw(std::uint64_t{2}) + gguf_bytes::text("x") +
                 gguf_bytes::text("\xff\x01"));
  file.entry("a.floats", 9, raw(std::uint32_t{6}) + raw(std::uint64_t{1}) + raw(1.5f));
  file.entry("a.ints", 9, raw(std::uint32_t{5}) + raw(std::uint64_t{1}) + raw(std::int32_t{-2}));
  file.entry("a.counts", 9, raw(std::uint32_t{4}) + raw(std::uint64_t{1}) + raw(std::uint32_t{7}));
  file.tensor("one", {4, 3}, 0, std::string(48, '\1'));
  file.tensor("two", {8}, 1, std::string(16, '\2'));
  return file;
}

std::string refusal(const std::string& bytes) {
  try {
    const memory_file stored{bytes};
    const auto file = gguf_file::open(stored.path());
    return "accepted";
  } catch (const load_error& reason) {
    return reason.what();
  }
}

} // namespace

TEST_CASE("a sound GGUF file tells its metadata and tensors", "[engine][gguf]") {
  const scratch_folder folder;
  const auto file = gguf_file::open(folder.file("good.gguf", good().bytes()));
  CHECK(file.version() == 3);
  CHECK(file.get_string("general.architecture") == "none");
  CHECK(file.get_count("a.u8") == 200u);
  CHECK(file.get_count("a.u16") == 60000u);
  CHECK(file.get_count("a.u32") == 4'000'000'000u);
  CHECK(file.get_count("a.u64") == std::uint64_t{1} << 40);
  CHECK(std::get<std::int64_t>(*file.find("a.i8")) == -5);
  CHECK(std::get<std::int64_t>(*file.find("a.i16")) == -300);
  CHECK(std::get<std::int64_t>(*file.find("a.i32")) == -70000);
  CHECK(std::get<std::int64_t>(*file.find("a.i64")) == -9);
  CHECK(file.get_float("a.f32") == 0.5);
  CHECK(file.get_float("a.f64") == 0.25);
  CHECK(file.get_bool("a.bool") == true);
  CHECK(*file.get_strings("a.strings") == std::vector<std::string>{"x", "\xff\x01"});
  CHECK(*file.get_floats("a.floats") == std::vector<float>{1.5f});
  CHECK(file.get_integers("a.ints") == std::vector<std::int64_t>{-2});
  CHECK(file.get_integers("a.counts") == std::vector<std::int64_t>{7});
  CHECK(file.metadata()[1].first == "a.u8");
  REQUIRE(file.tensors().size() == 2);
  const auto* two = file.find_tensor("two");
  REQUIRE(two != nullptr);
  CHECK(two->rows() == 1);
  CHECK(file.find_tensor("one")->rows() == 3);
  std::byte bytes[3];
  file.read(*two, 13, bytes);
  CHECK(bytes[2] == std::byte{2});
}

TEST_CASE("absent keys are empty, keys of another type are errors that name them",
          "[engine][gguf]") {
  const scratch_folder folder;
  const auto file = gguf_file::open(folder.file("good.gguf", good().bytes()));
  CHECK_FALSE(file.get_count("b").has_value());
  CHECK_FALSE(file.get_string("b").has_value());
  CHECK(file.get_strings("b") == nullptr);
  CHECK(file.get_integers("b").empty());
  CHECK(file.find_tensor("three") == nullptr);
  CHECK_THROWS_WITH(file.get_count("a.i8"), Contains("'a.i8'") && Contains("-5"));
  CHECK_THROWS_WITH(file.get_count("a.f32"), Contains("'a.f32'"));
  CHECK_THROWS_WITH(file.get_string("a.u8"), Contains("'a.u8'"));
  CHECK_THROWS_WITH(file.get_strings("a.floats"), Contains("'a.floats'"));
}

TEST_CASE("GGUF version 2 reads like version 3", "[engine][gguf]") {
  auto bytes = good();
  bytes.version = 2;
  const scratch_folder folder;
  CHECK(gguf_file::open(folder.file("v2.gguf", bytes.bytes())).tensors().size() == 2);
}

TEST_CASE("a GGUF file cut at any byte is refused", "[engine][gguf]") {
  const auto bytes = good().bytes();
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    INFO("length " << length);
    REQUIRE(refusal(bytes.substr(0, length)) != "accepted");
  }
  CHECK(refusal(bytes) == "accepted");
}

TEST_CASE("flipped bytes in a GGUF file never do more than refuse it", "[engine][gguf]") {
  const auto bytes = good().bytes();
  std::mt19937 random{1};
  std::size_t refused = 0;
  for (int round = 0; round < 20'000; ++round) {
    auto damaged = bytes;
    for (auto flips = 1 + random() % 3; flips > 0; --flips)
      damaged[random() % damaged.size()] = static_cast<char>(random());
    refused += refusal(damaged) != "accepted";
  }
  CHECK(refused > 5'000);
  CHECK(refused < 20'000); // payload bytes and texts are free
}

TEST_CASE("counts that lie are refused before anything is allocated for them", "[engine][gguf]") {
  const auto lie = [](auto change) {
    auto file = good();
    change(file);
    return refusal(file.bytes());
  };
  const auto start = std::chrono::steady_clock::now();
  for (const auto count :
       {std::uint64_t{1} << 62, std::uint64_t{1} << 33, std::uint64_t{100'000}}) {
    CHECK_THAT(lie([&](auto& f) { f.stated_tensors = count; }), Contains("tensors cannot be"));
    CHECK_THAT(lie([&](auto& f) { f.stated_entries = count; }), Contains("entries cannot be"));
    for (const std::uint32_t type : {0u, 4u, 6u, 8u, 12u})
      CHECK_THAT(lie([&](auto& f) { f.entry("lie", 9, raw(type) + raw(count)); }),
                 Contains("'lie'") && Contains("cannot be"));
    CHECK_THAT(lie([&](auto& f) { f.entry("lie", 8, raw(count)); }), Contains("'lie'"));
  }
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds{30});
}

TEST_CASE("every rule of the GGUF container is enforced with its own message", "[engine][gguf]") {
  const auto changed = [](auto change) {
    auto file = good();
    change(file);
    return refusal(file.bytes());
  };
  CHECK_THAT(changed([](auto& f) { f.magic = "GGML"; }), Contains("not a GGUF file"));
  CHECK_THAT(changed([](auto& f) { f.version = 1; }), Contains("version 1"));
  CHECK_THAT(changed([](auto& f) { f.version = 0x03000000; }), Contains("big-endian"));
  CHECK_THAT(changed([](auto& f) { f.count("a.u32", 1); }), Contains("'a.u32': occurs twice"));
  CHECK_THAT(changed([](auto& f) { f.count("", 1); }), Contains("key is empty"));
  CHECK_THAT(changed([](auto& f) { f.count(std::string(65'537, 'k'), 1); }), Contains("65536"));
  CHECK_THAT(changed([](auto& f) { f.entry("b", 13, "1234"); }), Contains("value type 13"));
  CHECK_THAT(changed([](auto& f) { f.entry("b", 7, "\x02"); }), Contains("bool of 2"));
  CHECK_THAT(
      changed([](auto& f) { f.entry("b", 9, raw(std::uint32_t{9}) + raw(std::uint64_t{0})); }),
      Contains("arrays of arrays"));
  CHECK_THAT(
      changed([](auto& f) { f.entry("b", 9, raw(std::uint32_t{77}) + raw(std::uint64_t{0})); }),
      Contains("element type 77"));
  CHECK_THAT(changed([](auto& f) { f.count("general.alignment", 3); }), Contains("alignment"));
  CHECK_THAT(changed([](auto& f) { f.count("general.alignment", 0); }), Contains("alignment"));
  CHECK_THAT(changed([](auto& f) { f.entry("general.alignment", "x"); }), Contains("alignment"));
  CHECK_THAT(changed([](auto& f) { f.tensor("one", {4}, 0, std::string(16, 0)); }),
             Contains("'one': occurs twice"));
  CHECK_THAT(changed([](auto& f) { f.tensor("", {4}, 0, std::string(16, 0)); }),
             Contains("name is empty"));
  CHECK_THAT(changed([](auto& f) { f.tensor(std::string(65, 'n'), {4}, 0, std::string(16, 0)); }),
             Contains("at most 64"));
  CHECK_THAT(changed([](auto& f) { f.tensor("b", {}, 0, ""); }), Contains("0 dimensions"));
  CHECK_THAT(changed([](auto& f) {
               f.tensor("b", {1, 1, 1, 1, 1}, 0, "1234");
             }),
             Contains("5 dimensions"));
  CHECK_THAT(changed([](auto& f) { f.tensor("b", {4, 0}, 0, ""); }), Contains("is zero"));
  CHECK_THAT(changed([](auto& f) {
               f.tensor("b", {1ull << 40, 1ull << 40}, 0, "");
             }),
             Contains("overflows"));
  CHECK_THAT(changed([](auto& f) { f.tensor("b", {1ull << 62}, 0, ""); }), Contains("overflows"));
  CHECK_THAT(changed([](auto& f) { f.tensor("b", {33}, 2, std::string(36, 0)); }),
             Contains("block of 32"));
  CHECK_THAT(changed([](auto& f) { f.tensor("b", {64}, 36, std::string(48, 0)); }),
             Contains("block of 128"));
  CHECK_THAT(changed([](auto& f) { f.tensor("b", {4}, 0, std::string(16, 0), 8); }),
             Contains("no multiple of the alignment"));
  CHECK_THAT(changed([](auto& f) { f.tensor("b", {4}, 0, std::string(16, 0), 32); }),
             Contains("overlaps"));
  CHECK_THAT(changed([](auto& f) { f.tensor("b", {4}, 0, "", 1ull << 40); }),
             Contains("past the end"));
  CHECK_THAT(changed([](auto& f) { f.tensor("b", {4}, 0, "", ~31ull); }), Contains("past the end"));
}

TEST_CASE("tensor types that are not read are refused by name, number and what to do",
          "[engine][gguf]") {
  const auto with_type = [](std::uint32_t id, auto change) {
    auto file = good();
    change(file);
    file.tensor("w", {256}, id, std::string(512, 0));
    return refusal(file.bytes());
  };
  const auto plain = [](auto&) {};
  CHECK_THAT(with_type(38, plain), Contains("TL1 (38)") && Contains("convert the model to I2_S"));
  CHECK_THAT(with_type(39, plain), Contains("MXFP4 (39)") && Contains("use a file with"));
  CHECK_THAT(with_type(39, [](auto& f) { f.count("general.file_type", 39); }),
             Contains("TL2 (39)") && Contains("convert the model to I2_S"));
  CHECK_THAT(with_type(39, [](auto& f) { f.tensor("w_scale", {1}, 0, "1234"); }),
             Contains("TL2 (39)"));
  CHECK_THAT(with_type(335, plain), Contains("IQ2_BN_R4 (335)") && Contains("use the IQ2_BN file"));
  CHECK_THAT(with_type(31, plain), Contains("Q4_0_4_4 (31)") && Contains("withdrawn"));
  CHECK_THAT(with_type(143, plain), Contains("IQ1_TN (143)") && Contains("TQ1_0 or IQ1_BN"));
  CHECK_THAT(with_type(21, plain), Contains("IQ3_S (21)") && Contains("use a file with F32"));
  CHECK_THAT(with_type(0x10000 + 36, plain), Contains("unknown tensor type (65572)"));
  CHECK_THAT(with_type(99, plain), Contains("unknown tensor type (99)"));
  CHECK_THAT(with_type(4'000'000'000u, plain), Contains("(4000000000)"));
}

TEST_CASE("type 39 is told apart by the room that its tensor has", "[engine][gguf]") {
  // 64 rows of 512: MXFP4 takes 17 bytes for 32 values, TL2 five bits for three and four for two.
  const std::size_t mxfp4 = 64 * 512 / 32 * 17,
                    tl2 = 256 * 64 / 3 * 5 / 8 / 32 * 32 + 32 + 4096 + 32;
  const auto with_room = [](std::size_t bytes) {
    auto file = good();
    file.tensor("w", {512, 64}, 39, std::string(bytes, 0));
    return refusal(file.bytes());
  };
  CHECK_THAT(with_room(mxfp4), Contains("MXFP4 (39)"));
  CHECK_THAT(with_room(tl2), Contains("TL2 (39)"));
}

TEST_CASE("names from a file cannot break the line of a message", "[engine][gguf]") {
  auto file = good();
  file.tensor("evil\n\x1b[31m", {4}, 99, std::string(16, 0));
  const auto message = refusal(file.bytes());
  CHECK_THAT(message, Contains("evil\\x0a\\x1b[31m"));
  CHECK(message.find('\n') == std::string::npos);
}

TEST_CASE("only regular files are opened", "[engine][gguf]") {
  const scratch_folder folder;
  CHECK_THROWS_WITH(gguf_file::open(folder.path()), Contains("folder"));
  CHECK_THROWS_WITH(gguf_file::open(folder.path() / "none"), Contains("none"));
  const auto pipe = folder.path() / "pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  CHECK_THROWS_WITH(gguf_file::open(pipe), Contains("not a regular file")); // and does not wait
}

TEST_CASE("a file that shrinks after opening gives an error", "[engine][gguf]") {
  const scratch_folder folder;
  const auto path = folder.file("good.gguf", good().bytes());
  const auto file = gguf_file::open(path);
  std::filesystem::resize_file(path, 100);
  std::byte bytes[16];
  CHECK_THROWS_WITH(file.read(*file.find_tensor("two"), 0, bytes), Contains("replaced"));
}
