// SPDX-License-Identifier: MIT
#include "daemon/wire_requests.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <chrono>
#include <string>

using namespace bitnetd;
using namespace bitnetd::wire;
using nlohmann::json;

namespace {

std::variant<request, refusal> decode(const json& body) {
  return decode_request("submit", body.dump(), {});
}

submit accepted(const json& body) {
  auto decoded = decode(body);
  if (const auto* why = std::get_if<refusal>(&decoded))
    FAIL(why->message);
  return std::get<submit>(std::get<request>(decoded));
}

refusal refused(const json& body) {
  const auto decoded = decode(body);
  INFO(body.dump().substr(0, 300));
  REQUIRE(std::holds_alternative<refusal>(decoded));
  return std::get<refusal>(decoded);
}

json with(json value, const char* name) {
  json body{{"prompt", "x"}};
  body[json::json_pointer(name)] = std::move(value);
  return body;
}

} // namespace

TEST_CASE("a submit has the defaults of its mode", "[daemon][submit]") {
  const auto job = accepted({{"prompt", "Hi"}});
  CHECK(job.mode == mode::job);
  CHECK(job.is_durable());
  CHECK_FALSE(job.wait_result);
  CHECK(job.items == std::vector<prompt>{{prompt_kind::completion, "Hi", {}, {}}});
  CHECK(job.params == sampling{});
  CHECK_FALSE(job.credit.has_value());

  CHECK_FALSE(accepted({{"prompt", "Hi"}, {"mode", "sync"}}).is_durable());
  CHECK_FALSE(accepted({{"prompt", "Hi"}, {"mode", "stream"}}).is_durable());
  CHECK(accepted({{"prompt", "Hi"}, {"mode", "stream"}, {"durable", true}}).is_durable());
  CHECK_FALSE(accepted({{"prompt", "Hi"}, {"durable", false}}).is_durable());
}

TEST_CASE("every field of a submit is read", "[daemon][submit]") {
  const auto read = accepted(json::parse(R"({
    "messages": [{"role": "system", "content": ""}, {"role": "user", "content": "Hi"}],
    "model": "tiny", "mode": "stream", "durable": true, "key": "k-1", "class": "background",
    "deadline_ms": 5000, "ttl_result_s": 60, "quality_retries": 3, "on_disconnect": "cancel",
    "credit": 7, "meta": {"a": "b"}, "trace": true,
    "params": {"max_tokens": 9, "temperature": 0.5, "top_k": 40, "top_p": 0.9, "min_p": 0.1,
               "repetition_penalty": 1.1, "seed": 9007199254740991, "stop": ["\n", "END"],
               "logit_bias": {"10": -100, "2": 1.5}, "ignore_eos": true},
    "cache": {"no-store": true, "no-cache": true, "exact-only": true, "allow-sampled": true,
              "max-age": 60, "max-stale": 50, "stale-while-revalidate": 40, "ttl": 30,
              "min-confidence": 0.75, "namespace": "a.b-c_D", "tags": ["b", "a"],
              "explain": true}})"));
  submit expected;
  expected.items = {{prompt_kind::chat, "", {{"system", ""}, {"user", "Hi"}}, ""}};
  expected.model = "tiny";
  expected.mode = mode::stream;
  expected.durable = true;
  expected.key = "k-1";
  expected.cls = job_class::background;
  expected.deadline_ms = 5000;
  expected.ttl_result_s = 60;
  expected.quality_retries = 3;
  expected.cancel_on_disconnect = true;
  expected.credit = 7;
  expected.meta = {{"a", "b"}};
  expected.trace = true;
  expected.params = {
      9, 40, 0.5, 0.9, 0.1, 1.1, 9007199254740991u, {"\n", "END"}, {{2, 1.5}, {10, -100}}, true};
  expected.cache = {true,       true, false, true, true, "a.b-c_D", true,
                    {"b", "a"}, 60,   50,    40,   30,   0.75};
  expected.fingerprint = read.fingerprint;
  CHECK(read == expected);
  CHECK(read.fingerprint != hash128{});
}

TEST_CASE("a batch keeps the order and the names of its items", "[daemon][submit]") {
  const auto batch = accepted({{"items",
                                {{{"prompt", "one"}, {"custom_id", "a"}},
                                 {{"messages", {{{"role", "user"}, {"content", "two"}}}}}}}});
  CHECK(batch.is_batch);
  REQUIRE(batch.items.size() == 2);
  CHECK(batch.items[0].custom_id == "a");
  CHECK(batch.items[1].kind == prompt_kind::chat);
}

TEST_CASE("an encoded submit is read back as it was", "[daemon][submit]") {
  const auto point = wall_time{std::chrono::microseconds{1'800'000'000'123'456}};
  submit full;
  full.items = {{prompt_kind::chat, "", {{"user", "Grüße \"\\\n"}}, ""}};
  full.model = "m";
  full.params = {1, 2, 0.25, 0.5, 0.125, 1.5, 3u, {"stop"}, {{5, -1}}, true};
  full.wait_result = true;
  full.cls = job_class::interactive;
  full.deadline = point;
  full.not_before = point;
  full.ttl_result_s = 1;
  full.quality_retries = 0;
  full.cancel_on_disconnect = false;
  full.cache = {true, false, true, true, true, "ns", true, {"t"}, 0, 1, 2, 3, 0.5};
  full.meta = {{"k", ""}};
  full.trace = true;
  CHECK(decode_submit(encode_submit(full), {}) == full);

  submit batch;
  batch.is_batch = true;
  batch.items = {{prompt_kind::embedding, "a", {}, "1"}, {prompt_kind::embedding, "b", {}, ""}};
  batch.mode = mode::sync;
  batch.prefix = "Query: ";
  CHECK(decode_submit(encode_submit(batch), {}) == batch);
}

TEST_CASE("whole numbers are refused outside their bounds and in every other type",
          "[daemon][submit]") {
  struct bounded {
    const char* path;
    std::int64_t least, most;
  };
  const std::vector<bounded> fields{
      {"/params/max_tokens", 1, 4096},
      {"/params/top_k", 0, 1'000'000},
      {"/params/seed", 0, 9'007'199'254'740'991},
      {"/deadline_ms", 1, 2'592'000'000},
      {"/ttl_result_s", 1, 2'592'000},
      {"/quality_retries", 0, 8},
      {"/cache/max-age", 0, 31'536'000},
      {"/cache/ttl", 1, 31'536'000},
  };
  const std::vector<json> always_wrong{
      -1,      9'007'199'254'740'993, UINT64_MAX,     1.5,  1.0,  1e3, "1",
      nullptr, json::array(),         json::object(), true, 1e308};
  for (const auto& field : fields) {
    const auto dotted = [&] {
      std::string out = field.path + 1;
      std::replace(out.begin(), out.end(), '/', '.');
      return out;
    }();
    INFO(field.path);
    CHECK_NOTHROW(accepted(with(field.least, field.path)));
    CHECK_NOTHROW(accepted(with(field.most, field.path)));
    auto values = always_wrong;
    values.emplace_back(field.least - 1);
    values.emplace_back(field.most + 1);
    for (const auto& value : values) {
      const auto why = refused(with(value, field.path));
      CHECK(why.kind.code == 103);
      CHECK(why.field == dotted);
      CHECK_THAT(why.message, Catch::Contains(std::to_string(field.least) + " to " +
                                              std::to_string(field.most)));
    }
  }
}

TEST_CASE("numbers are refused outside their bounds and in every other type", "[daemon][submit]") {
  struct bounded {
    const char* path;
    std::vector<json> good, bad;
  };
  const std::vector<bounded> fields{
      {"/params/temperature", {0, 0.0, 1e-300, 100}, {-1, -1e-9, 100.001, 1e308}},
      {"/params/top_p", {1e-9, 0.5, 1}, {0, -0.5, 1.000001}},
      {"/params/min_p", {0, 0.5, 0.999}, {-0.1, 1, 2}},
      {"/params/repetition_penalty", {0.01, 1, 100}, {0, -1, 0.009, 101}},
      {"/cache/min-confidence", {0, 0.5, 1}, {-0.1, 1.1}},
  };
  for (const auto& field : fields) {
    INFO(field.path);
    for (const auto& value : field.good)
      CHECK_NOTHROW(accepted(with(value, field.path)));
    auto bad = field.bad;
    for (const auto& value :
         {json("0.5"), json(nullptr), json::array(), json::object(), json(true)})
      bad.push_back(value);
    for (const auto& value : bad)
      CHECK(refused(with(value, field.path)).kind.code == 103);
  }
}

TEST_CASE("what does not belong together or does not fit is refused by its field",
          "[daemon][submit]") {
  struct bad_submit {
    const char* what;
    json body;
    const char* field;
  };
  const auto bias = [](int n) {
    json out;
    for (int i = 0; i < n; ++i)
      out[std::to_string(i)] = 0;
    return out;
  };
  const std::string kilo(1000, 'x');
  const json stream{{"prompt", "x"}, {"mode", "stream"}};
  const auto plus = [](json body, const char* name, json value) {
    body[name] = std::move(value);
    return body;
  };
  const std::vector<bad_submit> cases{
      {"nothing to do", json::object(), "prompt"},
      {"two prompts", {{"prompt", "x"}, {"input", "y"}}, "prompt"},
      {"empty prompt", {{"prompt", ""}}, "prompt"},
      {"prompt of another type", {{"prompt", 1}}, "prompt"},
      {"empty input", {{"input", ""}}, "input"},
      {"no messages", {{"messages", json::array()}}, "messages"},
      {"messages not an array", {{"messages", "x"}}, "messages"},
      {"a message that is text", {{"messages", {"x"}}}, "messages[0]"},
      {"a message without role", {{"messages", {{{"content", "x"}}}}}, "messages[0].role"},
      {"a message without content", {{"messages", {{{"role", "user"}}}}}, "messages[0].content"},
      {"an unknown role",
       {{"messages", {{{"role", "tool"}, {"content", "x"}}}}},
       "messages[0].role"},
      {"an empty last message",
       {{"messages", {{{"role", "user"}, {"content", ""}}}}},
       "messages[0].content"},
      {"a field of a message",
       {{"messages", {{{"role", "user"}, {"content", "x"}, {"name", "y"}}}}},
       "messages[0].name"},
      {"items beside a prompt", {{"prompt", "x"}, {"items", {{{"prompt", "y"}}}}}, "prompt"},
      {"no items", {{"items", json::array()}}, "items"},
      {"an item that is text", {{"items", {"x"}}}, "items[0]"},
      {"an empty item", {{"items", {{{"prompt", "x"}}, json::object()}}}, "items[1].prompt"},
      {"an item with params",
       {{"items", {{{"prompt", "x"}, {"params", json::object()}}}}},
       "items[0].params"},
      {"a mixed batch", {{"items", {{{"prompt", "x"}}, {{"input", "y"}}}}}, "items[1]"},
      {"a streamed batch", {{"items", {{{"prompt", "x"}}}}, {"mode", "stream"}}, "mode"},
      {"a streamed embedding", {{"input", "x"}, {"mode", "stream"}}, "mode"},
      {"an embedding with params", {{"input", "x"}, {"params", {{"top_k", 1}}}}, "params"},
      {"a prefix of a prompt", with("Query: ", "/prefix"), "prefix"},
      {"a prefix of items that are prompts",
       {{"items", {{{"prompt", "x"}}}}, {"prefix", "y"}},
       "prefix"},
      {"an empty prefix", {{"input", "x"}, {"prefix", ""}}, "prefix"},
      {"a prefix of 1,025 bytes", {{"input", "x"}, {"prefix", std::string(1025, 'p')}}, "prefix"},
      {"an item with a prefix",
       {{"items", {{{"input", "x"}, {"prefix", "y"}}}}},
       "items[0].prefix"},
      {"an unknown mode", with("async", "/mode"), "mode"},
      {"wait in mode sync", {{"prompt", "x"}, {"mode", "sync"}, {"wait", "result"}}, "wait"},
      {"wait in mode stream", plus(stream, "wait", "accept"), "wait"},
      {"credit in mode job", with(1, "/credit"), "credit"},
      {"credit below zero", plus(stream, "credit", -1), "credit"},
      {"credit of 2^31", plus(stream, "credit", 2147483648), "credit"},
      {"durable as text", with("yes", "/durable"), "durable"},
      {"durable as number", with(1, "/durable"), "durable"},
      {"empty key", with("", "/key"), "key"},
      {"key of 129 bytes", with(std::string(129, 'k'), "/key"), "key"},
      {"key with a line feed", with("a\nb", "/key"), "key"},
      {"unknown class", with("urgent", "/class"), "class"},
      {"both deadlines",
       {{"prompt", "x"}, {"deadline_ms", 1}, {"deadline", "2030-01-01T00:00:00Z"}},
       "deadline"},
      {"a deadline that is no time", with("tomorrow", "/deadline"), "deadline"},
      {"a deadline in the year 9999", with("9999-12-31T23:59:59Z", "/deadline"), "deadline"},
      {"the 30th of February", with("2030-02-30T00:00:00Z", "/not_before"), "not_before"},
      {"not_before without a zone", with("2030-01-01T00:00:00", "/not_before"), "not_before"},
      {"not_before in mode sync",
       {{"prompt", "x"}, {"mode", "sync"}, {"not_before", "2030-01-01T00:00:00Z"}},
       "not_before"},
      {"not_before for a job that is not durable",
       {{"prompt", "x"}, {"durable", false}, {"not_before", "2030-01-01T00:00:00Z"}},
       "not_before"},
      {"retention of what is not kept",
       {{"prompt", "x"}, {"mode", "sync"}, {"ttl_result_s", 1}},
       "ttl_result_s"},
      {"unknown on_disconnect", with("drop", "/on_disconnect"), "on_disconnect"},
      {"17 pairs of meta",
       {{"prompt", "x"},
        {"meta",
         [] {
           json meta;
           for (int i = 0; i < 17; ++i)
             meta[std::to_string(i)] = "";
           return meta;
         }()}},
       "meta"},
      {"meta that is a number", with(1, "/meta/a"), "meta.a"},
      {"meta of 513 bytes", with(std::string(513, 'x'), "/meta/a"), "meta.a"},
      {"meta with an empty key", {{"prompt", "x"}, {"meta", {{"", "x"}}}}, "meta"},
      {"params as an array", with(json::array(), "/params"), "params"},
      {"stop as a text", with("x", "/params/stop"), "params.stop"},
      {"an empty stop", with({"x", ""}, "/params/stop"), "params.stop[1]"},
      {"a long stop", with({kilo}, "/params/stop"), "params.stop[0]"},
      {"ten thousand stops", with(std::vector<std::string>(10'000, "x"), "/params/stop"),
       "params.stop"},
      {"bias for token -1", with({{"-1", 0}}, "/params/logit_bias"), "params.logit_bias"},
      {"bias for token 01", with({{"01", 0}}, "/params/logit_bias"), "params.logit_bias"},
      {"bias for token 2^31", with({{"2147483648", 0}}, "/params/logit_bias"), "params.logit_bias"},
      {"bias for a word", with({{"the", 0}}, "/params/logit_bias"), "params.logit_bias"},
      {"bias of 101", with({{"1", 101}}, "/params/logit_bias"), "params.logit_bias.1"},
      {"bias as text", with({{"1", "1"}}, "/params/logit_bias"), "params.logit_bias.1"},
      {"1025 biases", with(bias(1025), "/params/logit_bias"), "params.logit_bias"},
      {"a grammar", with("root ::= x", "/params/grammar"), "params.grammar"},
      {"a schema", with(json::object(), "/json_schema"), "json_schema"},
      {"a part without items", {{"prompt", "x"}, {"more", true}}, "more"},
      {"a part that is not durable",
       {{"items", {{{"prompt", "x"}}}}, {"more", true}, {"durable", false}},
       "more"},
      {"a part that is waited for",
       {{"items", {{{"prompt", "x"}}}}, {"more", true}, {"wait", "result"}},
       "more"},
      {"a later part without its job", {{"items", {{{"prompt", "x"}}}}, {"part", 1}}, "part"},
      {"a job without its part",
       {{"items", {{{"prompt", "x"}}}}, {"job", "0198f0a0-0000-7000-8000-000000000001"}},
       "part"},
      {"a key in a later part",
       {{"items", {{{"prompt", "x"}}}},
        {"job", "0198f0a0-0000-7000-8000-000000000001"},
        {"part", 1},
        {"key", "k"}},
       "key"},
      {"no items in a part that is not the last",
       {{"items", json::array()},
        {"job", "0198f0a0-0000-7000-8000-000000000001"},
        {"part", 1},
        {"more", true}},
       "items"},
      {"no-cache and only-if-cached",
       {{"prompt", "x"}, {"cache", {{"no-cache", true}, {"only-if-cached", true}}}},
       "cache.only-if-cached"},
      {"a namespace with a slash", with("a/b", "/cache/namespace"), "cache.namespace"},
      {"a directive with an underscore", with(true, "/cache/no_store"), "cache.no_store"},
      {"model of 129 bytes", with(std::string(129, 'm'), "/model"), "model"},
      {"null", with(nullptr, "/trace"), "trace"},
  };
  for (const auto& one : cases) {
    INFO(one.what);
    const auto why = refused(one.body);
    CHECK(why.kind.code == 103);
    CHECK(why.field == one.field);
    CHECK(why.message.find(one.field) == 0); // path first, then what was expected
    CHECK(why.message.size() < 400);
  }
}

TEST_CASE("an unknown field names the nearest known one", "[daemon][submit]") {
  CHECK_THAT(refused({{"promt", "x"}}).message, Catch::Contains("did you mean prompt?"));
  CHECK_THAT(refused({{"prompt", "x"}, {"retries", 1}}).message, Catch::Contains("unknown field"));
  CHECK_THAT(refused(with(1, "/params/max_token")).message,
             Catch::Contains("did you mean max_tokens?"));
  CHECK_THAT(refused(with(true, "/cache/nostore")).message,
             Catch::Contains("did you mean no-store?"));
  CHECK_THAT(refused({{"prompt", "x"}, {"zzzzzzzz", 1}}).message, !Catch::Contains("did you mean"));
  const auto why = refused({{"prompt", "x"}, {std::string(100'000, 'q'), 1}});
  CHECK(why.message.size() < 200);
}

TEST_CASE("times of RFC 3339 are read to the microsecond", "[daemon][submit]") {
  // `date -u -d 2026-11-20T08:30:15Z +%s` prints 1795163415.
  const auto deadline = [](const char* text) {
    return to_wall_us(*accepted({{"prompt", "x"}, {"deadline", text}}).deadline);
  };
  CHECK(deadline("2026-11-20T08:30:15Z") == 1'795'163'415'000'000);
  CHECK(deadline("2026-11-20t08:30:15.25z") == 1'795'163'415'250'000);
  CHECK(deadline("2026-11-20T10:00:15.000001+01:30") == 1'795'163'415'000'001);
  CHECK(deadline("2026-11-20 03:30:15-05:00") == 1'795'163'415'000'000);
  CHECK(deadline("1970-01-01T00:00:00Z") == 0);
  for (const char* bad :
       {"2026-11-20", "2026-11-20T08:30Z", "2026-13-20T08:30:15Z", "2026-11-20T24:00:00Z",
        "2026-11-20T08:30:15.Z", "2026-11-20T08:30:15+0100", "2026-11-20T08:30:15Z ",
        "20261120T083015Z", "1969-12-31T23:59:59Z", ""})
    CHECK(refused({{"prompt", "x"}, {"deadline", bad}}).field == "deadline");
}

TEST_CASE("the fingerprint is the same for the same job, whatever its order and delivery",
          "[daemon][submit]") {
  const auto print = [](const char* text) {
    const auto decoded = decode_request("submit", text, {});
    return std::get<submit>(std::get<request>(decoded)).fingerprint;
  };
  const auto one = print(R"({"prompt":"x","key":"a","meta":{"p":"1","q":"2"}})");
  CHECK(one == print(R"({"key":"b", "meta":{"q":"2","p":"1"}, "trace":true,
                         "wait":"result", "prompt":"\u0078"})"));
  CHECK(one != print(R"({"prompt":"y","key":"a","meta":{"p":"1","q":"2"}})"));
  CHECK(one != print(R"({"prompt":"x","key":"a","meta":{"p":"1","q":"3"}})"));
  CHECK(one != print(R"({"input":"x","key":"a","meta":{"p":"1","q":"2"}})"));
  CHECK(print(R"({"prompt":"x"})") == hash128{}); // nobody asks without a key
}
