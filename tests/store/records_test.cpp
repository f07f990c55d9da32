// SPDX-License-Identifier: MIT
#include "store/byte_io.h"
#include "store/cache_records.h"
#include "store/crc32c.h"
#include "store/envelope.h"
#include "store/records.h"
#include "tests/store/store_support.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace bitnetd;
using namespace bitnetd::store;

namespace {

job_record full_job() {
  auto job = tests::some_job(5);
  job.request.clear();
  job.parent = tests::job_number(4);
  job.index = 17;
  job.is_batch = true;
  job.items = 50'000;
  job.parts = 3;
  job.more = true;
  job.key = std::string("once\0only", 9);
  job.fingerprint = hash_bytes("body");
  job.state = job_state::dead;
  job.cls = job_class::background;
  job.started_us = job.created_us + 1;
  job.ended_us = job.created_us + 2;
  job.deadline_us = job.created_us + 3;
  job.not_before_us = job.created_us + 4;
  job.attempts = 2;
  job.retention_us = 5;
  job.options = "{\"x\":1}";
  job.error = "it ran in two crashes";
  job.request_bytes = 1ull << 40;
  job.result_bytes = 6;
  job.output_tokens = 7;
  job.output_bytes = 8;
  return job;
}

cache_meta full_meta() {
  cache_meta meta;
  meta.head.key = hash_bytes("key");
  meta.head.embedder = hash_bytes("embedder");
  meta.head.created_us = 1;
  meta.head.expires_us = 2;
  meta.head.last_used_us = 3;
  meta.head.bytes = 4;
  meta.head.hits = 5;
  meta.head.cost_ms = 6;
  meta.head.owner = hash_bytes("somebody");
  meta.tags = {"", "news", std::string(64, 'x')};
  return meta;
}

} // namespace

TEST_CASE("a job record is read back as it was written", "[store][records]") {
  const auto job = full_job();
  const auto read = decode_job("k", encode_job("k", job));
  REQUIRE(read);
  CHECK(*read == job);
  const auto plain = decode_job("k", encode_job("k", job_record{}));
  REQUIRE(plain);
  CHECK(*plain == job_record{});
}

TEST_CASE("a job record is schema byte, CBOR map and CRC32C, as documented", "[store][records]") {
  const auto stored = encode_job("k", full_job());
  CHECK(stored.front() == 1);
  const auto body = stored.substr(0, stored.size() - 4);
  CHECK(byte_reader(std::string_view(stored).substr(body.size())).number<std::uint32_t>() ==
        crc32c("k" + body));
  const auto map = nlohmann::json::from_cbor(body.substr(1));
  CHECK(map.at("principal") == "ann");
  CHECK(map.at("state") == 8);
  CHECK(map.at("class") == 3);
  CHECK(map.at("created") == tests::new_year_us + 5000);
  CHECK(map.at("id").get_binary().size() == 16);
  CHECK(map.at("items") == 50'000);
  CHECK(map.size() == 26);
}

TEST_CASE("numbers and texts of every length are read back from a job record", "[store][records]") {
  const std::vector<std::int64_t> numbers{
      1,  23,  24,  255,  256,  65'535,  65'536,  4'294'967'295,  4'294'967'296,  INT64_MAX,
      -1, -24, -25, -256, -257, -65'536, -65'537, -4'294'967'296, -4'294'967'297, INT64_MIN};
  for (const auto number : numbers) {
    INFO(number);
    job_record job;
    job.created_us = number;
    const auto read = decode_job("k", encode_job("k", job));
    REQUIRE(read);
    CHECK(read->created_us == number);
  }
  for (const std::size_t size : {1, 23, 24, 255, 256, 65'535, 65'536}) {
    INFO(size);
    job_record job;
    job.error = std::string(size, 'e');
    const auto read = decode_job("k", encode_job("k", job));
    REQUIRE(read);
    CHECK(read->error == job.error);
  }
}

TEST_CASE("unknown fields of a record are passed over, wrong ones are corrupt",
          "[store][records]") {
  const auto stored = encode_job("k", full_job());
  const auto with = [&](const char* name, const nlohmann::json& value) {
    auto map = nlohmann::json::from_cbor(std::string_view(stored).substr(1, stored.size() - 5));
    map[name] = value;
    const auto cbor = nlohmann::json::to_cbor(map);
    return decode_job("k", seal(1, "k", {reinterpret_cast<const char*>(cbor.data()), cbor.size()}));
  };
  const auto unknown = with("invented_later", 1);
  REQUIRE(unknown);
  CHECK(*unknown == full_job());
  CHECK(with("state", 9).why().code() == errc::corrupt);
  CHECK(with("state", "done").why().code() == errc::corrupt);
  CHECK(with("class", 4).why().code() == errc::corrupt);
  CHECK(with("index", 1ull << 32).why().code() == errc::corrupt);
  CHECK(with("created", 1.5).why().code() == errc::corrupt);
  CHECK(with("id", "text").why().code() == errc::corrupt);
  CHECK(decode_job("k", seal(1, "k", "\xA0")).why().code() == errc::corrupt); // {}: no id
  CHECK(decode_job("k", seal(1, "k", "not CBOR")).why().code() == errc::corrupt);
}

TEST_CASE("a changed byte anywhere in a record is seen, and so is another key",
          "[store][records]") {
  const auto stored = encode_job("key", full_job());
  for (std::size_t i = 0; i < stored.size(); ++i) {
    auto flipped = stored;
    flipped[i] = static_cast<char>(flipped[i] ^ 0x10);
    REQUIRE(decode_job("key", flipped).why().code() == errc::corrupt);
  }
  for (std::size_t size = 0; size < stored.size(); ++size)
    REQUIRE(decode_job("key", stored.substr(0, size)).why().code() == errc::corrupt);
  CHECK(decode_job("kex", stored).why().code() == errc::corrupt);
}

TEST_CASE("a record of a newer schema is refused as such", "[store][records]") {
  const auto newer = seal(job_schema + 1, "k", "whatever it holds");
  CHECK(decode_job("k", newer).why().code() == errc::newer_schema);
  CHECK(decode_output("k", newer).why().code() == errc::newer_schema);
  const auto newer_cache = seal(cache_schema + 1, "k", "whatever it holds");
  CHECK(decode_meta("k", newer_cache).why().code() == errc::newer_schema);
  CHECK(decode_answer("k", newer_cache).why().code() == errc::newer_schema);
}

TEST_CASE("the other records are read back as they were written", "[store][records]") {
  const output_row row{100, 2000, {1, 0xFFFFFFFF}, std::string("a\0b", 3)};
  CHECK(*decode_output("k", encode_output("k", row)) == row);
  const key_entry entry{tests::job_number(3), hash_bytes("body"), 12345};
  CHECK(*decode_key_entry("k", encode_key_entry("k", entry)) == entry);
  const job_totals totals{1, 2, 3, 1ull << 63};
  CHECK(*decode_totals("k", encode_totals("k", totals)) == totals);
  const journal_loss loss{-1, 2, 3, 4};
  CHECK(*decode_loss("k", encode_loss("k", loss)) == loss);
  CHECK(*decode_blob("k", encode_blob("k", "")) == "");

  const cached_answer answer{"text", "stop", {1, 2, 3}, 10, 3, "tiny"};
  CHECK(*decode_answer("k", encode_answer("k", answer)) == answer);
  const quantized_vector vector{0.5f, {-127, 0, 127}};
  CHECK(*decode_vector("k", encode_vector("k", vector)) == vector);
  const auto exact = decode_exact("k", encode_exact("k", 9, "canonical"));
  REQUIRE(exact);
  CHECK(exact->id == 9);
  CHECK(exact->canonical == "canonical");
  const auto meta = decode_meta("k", encode_meta("k", full_meta()));
  REQUIRE(meta);
  CHECK(meta->tags == full_meta().tags);
  CHECK(meta->head.owner == full_meta().head.owner);
  CHECK(meta->head.key == full_meta().head.key);
  CHECK(meta->head.embedder == full_meta().head.embedder);
  CHECK(meta->head.expires_us == 2);
  CHECK(meta->head.cost_ms == 6);
}

TEST_CASE("records whose lengths lie are corrupt, not read past their end", "[store][records]") {
  std::string payload;
  byte_writer(payload)
      .number(std::uint64_t{0})
      .number(std::uint64_t{0})
      .number(std::uint32_t{0x40000000}); // a billion tokens
  CHECK(decode_output("k", seal(1, "k", payload)).why().code() == errc::corrupt);
  std::string answer;
  byte_writer(answer).number(std::uint32_t{0xFFFFFFFF}).raw({});
  CHECK(decode_answer("k", seal(1, "k", answer)).why().code() == errc::corrupt);
  CHECK(decode_meta("k", seal(1, "k", "short")).why().code() == errc::corrupt);
  CHECK(decode_vector("k", seal(1, "k", "abcd")).why().code() == errc::corrupt); // no values
  CHECK(decode_exact("k", seal(1, "k", "1234567")).why().code() == errc::corrupt);
  CHECK(decode_key_entry("k", seal(1, "k", "x")).why().code() == errc::corrupt);
  CHECK(decode_totals("k", seal(1, "k", "x")).why().code() == errc::corrupt);
  CHECK(decode_loss("k", seal(1, "k", "x")).why().code() == errc::corrupt);
}
