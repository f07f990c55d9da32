// SPDX-License-Identifier: MIT
#include "engine/container.h"
#include "engine/gguf.h"
#include "engine/gguf_writer.h"
#include "engine/hyperparameters.h"
#include "engine/model_builder.h"
#include "tests/support/fixtures.h"
#include "tests/support/memory_file.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/small_model_file.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <random>

using namespace bitnetd;
using namespace bitnetd::engine;
using namespace bitnetd::tests;
using Catch::Matchers::Contains;

namespace {

std::shared_ptr<const model> describe(const small_model_file& model, bool check_payload = true) {
  const scratch_folder folder;
  return describe_model(folder.file("small.gguf", model.bytes()), check_payload);
}

std::string refusal(const small_model_file& model) {
  try {
    (void)describe(model);
    return "accepted";
  } catch (const load_error& reason) {
    return reason.what();
  }
}

std::string floats_with(float value) {
  std::string payload;
  for (int i = 0; i < 127; ++i)
    payload += gguf_bytes::raw(1.0f);
  return payload + gguf_bytes::raw(value);
}

} // namespace

TEST_CASE("a description has name, tensors, sizes and the share of zeros", "[engine][model]") {
  const auto model = describe(small_model_file{});
  CHECK(model->name == "small"); // the file's stem
  CHECK(model->words == nullptr);
  CHECK(model->dialogue == nullptr);
  CHECK(model->tensors.size() == 13);
  CHECK(model->file_bytes == small_model_file{}.bytes().size());
  CHECK(model->kv_bytes_per_token(kv_type::f16) == 2 * 64 * 1 * 2);
  for (const auto& tensor : model->tensors)
    CHECK(tensor.zero_share == (tensor.type == tensor_type::i2_s ? 0.75 : 0.0));
  CHECK(describe(small_model_file{}.text("general.name", "mine"))->name == "mine");
}

TEST_CASE("the name can be given by the caller", "[engine][model]") {
  const scratch_folder folder;
  const auto path = folder.file("small.gguf", small_model_file{}.bytes());
  CHECK(describe_model(path, false, {.template_name = {}, .name = "given"})->name == "given");
}

TEST_CASE("the model hash covers every byte of payload and metadata, not the layout of the file",
          "[engine][model]") {
  const auto original = describe(small_model_file{})->model_hash;
  CHECK(original != hash128{});
  CHECK(describe(small_model_file{})->model_hash == original);
  auto other_weight = small_model_file{};
  other_weight.tensors["blk.0.ffn_up.weight"].payload[17] = '\x59';
  CHECK(describe(other_weight)->model_hash != original);
  CHECK(describe(small_model_file{}.number("rope.freq_base", 20000.0f))->model_hash != original);
  CHECK(describe(small_model_file{}.text("general.name", "x"))->model_hash != original);
  // Without payload there is no identity.
  CHECK(describe(small_model_file{}, false)->model_hash == hash128{});
}

TEST_CASE("the tensors of a model may be read in any order", "[engine][model]") {
  const scratch_folder folder;
  const auto path = folder.file("small.gguf", small_model_file{}.bytes());
  const auto file = gguf_file::open(path);
  model_builder builder{file, {}};
  for (std::size_t i = file.tensors().size(); i-- > 0;) {
    std::vector<std::byte> raw(file.tensors()[i].bytes);
    file.read(file.tensors()[i], 0, raw);
    builder.tensor_read(i, check_payload(file, file.tensors()[i], raw));
  }
  CHECK(builder.finish()->model_hash == describe_model(path, true)->model_hash);
}

TEST_CASE("damaged payload is refused with tensor and place", "[engine][model]") {
  const auto q = small_model_file::block("attn_q");
  auto code_three = small_model_file{};
  code_three.tensors[q].payload[4095] = '\x57';
  CHECK_THAT(refusal(code_three),
             Contains("'" + q + "' (I2_S), byte 4095") && Contains("code of 3"));
  CHECK(describe(code_three, false) != nullptr); // payload is looked at only when asked
  auto scale = small_model_file{};
  scale.tensors[q].payload.replace(4096, 4, gguf_bytes::raw(std::nanf("")));
  CHECK_THAT(refusal(scale), Contains("byte 4096") && Contains("scale"));
  auto padding = small_model_file{};
  padding.tensors[q].payload[4127] = '\xff'; // behind the scale: without meaning
  CHECK(refusal(padding) == "accepted");
  auto norm = small_model_file{};
  norm.tensors["output_norm.weight"].payload = floats_with(std::nanf(""));
  CHECK_THAT(refusal(norm), Contains("'output_norm.weight' (F32), byte 508"));
  norm.tensors["output_norm.weight"].payload = floats_with(-std::numeric_limits<float>::infinity());
  CHECK_THAT(refusal(norm), Contains("infinite"));
}

TEST_CASE("scales of every block type must be finite", "[engine][model]") {
  struct block_case {
    std::uint32_t type;
    std::size_t bytes, scale_at;
    std::uint16_t infinite = 0x7c00;
  };
  // 128 columns for the embedding suit blocks of 32; wider blocks get a projection of 256.
  const auto check = [](const std::string& name, std::vector<std::uint64_t> dims, block_case what,
                        std::size_t n_blocks) {
    INFO(name << " type " << what.type);
    auto model = small_model_file{};
    const std::string block(what.bytes, '\x11');
    std::string payload;
    for (std::size_t i = 0; i < n_blocks; ++i)
      payload += block;
    model.tensors[name] = {dims, what.type, payload};
    CHECK(refusal(model) == "accepted");
    const auto at = (n_blocks - 1) * what.bytes + what.scale_at;
    model.tensors[name].payload.replace(at, 2, gguf_bytes::raw(what.infinite));
    CHECK_THAT(refusal(model), Contains("byte " + std::to_string(at)));
  };
  check("token_embd.weight", {128, 8}, {2, 18, 0}, 32);
  check("token_embd.weight", {128, 8}, {8, 34, 0}, 32);
  const auto down = small_model_file::block("ffn_down");
  check(down, {256, 128}, {12, 144, 0}, 128);
  check(down, {256, 128}, {12, 144, 2}, 128);
  check(down, {256, 128}, {14, 210, 208}, 128);
  check(down, {256, 128}, {34, 54, 52}, 128);
  check(down, {256, 128}, {35, 66, 64}, 128);
  // F16 and BF16: every value.
  check("token_embd.weight", {128, 8}, {1, 2, 0}, 1024);
  check("token_embd.weight", {128, 8}, {30, 2, 0, 0x7f80}, 1024);
}

TEST_CASE("inspecting tells whole models, sound containers and refused files apart",
          "[engine][model]") {
  const scratch_folder folder;
  const auto whole = inspect_container(folder.file("a.gguf", small_model_file{}.bytes()));
  CHECK(whole.whole != nullptr);
  CHECK(whole.format == "GGUF v3");
  auto piece = small_model_file{};
  piece.tensors.erase("output_norm.weight");
  const auto part = inspect_container(folder.file("b.gguf", piece.bytes()));
  CHECK(part.whole == nullptr);
  CHECK_THAT(part.missing, Contains("'output_norm.weight'"));
  auto damaged = small_model_file{};
  damaged.tensors[small_model_file::block("attn_q")].payload[0] = '\xff';
  CHECK_THROWS_AS(inspect_container(folder.file("c.gguf", damaged.bytes())), load_error);
  CHECK_THROWS_AS(inspect_container(folder.path()), load_error);
}

TEST_CASE("a model cut at any of its first 4,096 bytes is refused", "[engine][model]") {
  const auto bytes = small_model_file{}.bytes();
  REQUIRE(bytes.size() > 4096);
  for (std::size_t length = 0; length < 4096; ++length) {
    const memory_file cut{std::string_view{bytes}.substr(0, length)};
    INFO("length " << length);
    REQUIRE_THROWS_AS(inspect_container(cut.path()), load_error);
  }
}

TEST_CASE("flipped bytes in a model never do more than refuse it", "[engine][model]") {
  const auto bytes = small_model_file{}.bytes();
  const auto head = bytes.find(std::string{"blk.0.ffn_up.weight"}) + 64; // metadata and table
  std::mt19937 random{3};
  std::size_t refused = 0;
  for (int round = 0; round < 10'000; ++round) {
    auto damaged = bytes;
    for (auto flips = 1 + random() % 3; flips > 0; --flips)
      damaged[random() % (round % 4 == 0 ? damaged.size() : head)] = static_cast<char>(random());
    try {
      const memory_file stored{damaged};
      refused += inspect_container(stored.path()).whole == nullptr;
    } catch (const load_error&) {
      ++refused;
    }
  }
  CHECK(refused > 5'000);
  CHECK(refused < 10'000);
}

TEST_CASE("published bad files are refused and good ones accepted", "[engine][model]") {
  const auto published = fixtures();
  if (!published)
    return;
  const auto index = nlohmann::json::parse(read_bytes(*published / "bad" / "index.json"));
  REQUIRE(index.size() > 20);
  for (const auto& entry : index) {
    const auto name = entry.at("file").get<std::string>();
    INFO(name << ": " << entry.at("refuse_because").dump());
    if (entry.at("refuse_because").is_null())
      CHECK_NOTHROW(inspect_container(*published / "bad" / name));
    else
      CHECK_THROWS_AS(inspect_container(*published / "bad" / name), load_error);
  }
}

TEST_CASE("a written GGUF file reads back as it was declared", "[engine][gguf_writer]") {
  const scratch_folder folder;
  const auto path = folder.path() / "written.gguf";
  {
    gguf_writer out{path};
    out.add("a.text", "words");
    out.add("a.count", std::uint32_t{7});
    out.add("a.float", 0.5f);
    out.add("a.flag", true);
    out.add("a.texts", std::vector<std::string>{"x", "", "yz"});
    out.add("a.floats", std::vector<float>{1.0f, -2.0f});
    out.add("a.ints", std::vector<std::int32_t>{-1, 5});
    out.declare("first", tensor_type::f32, {3});
    out.declare("second", tensor_type::i2_s, {128, 2});
    CHECK_THROWS_WITH(out.declare("odd", tensor_type::q4_0, {3}), Contains("cannot hold"));
    const std::vector<std::byte> one(12, std::byte{1}), two(96, std::byte{2});
    CHECK_THROWS_WITH(out.write(two), Contains("another size"));
    out.write(one);
    CHECK_THROWS_WITH(out.add("late", true), Contains("before the first payload"));
    CHECK_THROWS_WITH(out.finish(), Contains("1 declared tensors"));
    out.write(two);
    out.finish();
  }
  const auto file = gguf_file::open(path);
  CHECK(file.get_string("a.text") == "words");
  CHECK(file.get_count("a.count") == 7u);
  CHECK(file.get_float("a.float") == 0.5);
  CHECK(file.get_bool("a.flag") == true);
  CHECK(*file.get_strings("a.texts") == std::vector<std::string>{"x", "", "yz"});
  CHECK(*file.get_floats("a.floats") == std::vector<float>{1.0f, -2.0f});
  CHECK(file.get_integers("a.ints") == std::vector<std::int64_t>{-1, 5});
  std::byte bytes[96];
  file.read(*file.find_tensor("second"), 0, bytes);
  CHECK(bytes[95] == std::byte{2});
}

TEST_CASE("an unfinished GGUF file leaves nothing behind", "[engine][gguf_writer]") {
  const scratch_folder folder;
  { gguf_writer out{folder.path() / "x.gguf"}; }
  CHECK(std::filesystem::is_empty(folder.path()));
  CHECK_THROWS_WITH(gguf_writer{folder.path() / "none" / "x.gguf"}, Contains("cannot be written"));
}
