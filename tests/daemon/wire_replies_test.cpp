// SPDX-License-Identifier: MIT
#include "daemon/wire_replies.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <limits>

using namespace bitnetd::wire;
using nlohmann::json;

TEST_CASE("replies have the documented fields and leave out what is not known",
          "[daemon][replies]") {
  welcome hi;
  hi.server = "bitnetd/1";
  hi.epoch = "e";
  hi.role = "submit";
  hi.principal = "local";
  hi.state = "ready";
  hi.models = {"tiny"};
  hi.body_bytes = 1;
  hi.frame_bytes = 2;
  hi.max_tokens = 3;
  hi.batch_items = 4;
  hi.open_jobs = 5;
  hi.open_bytes = 6;
  hi.heartbeat_ms = 5000;
  CHECK(json::parse(encode(hi)) == json::parse(R"({"ver":1,"server":"bitnetd/1","epoch":"e",
    "role":"submit","principal":"local","state":"ready","models":["tiny"],"hb_ms":5000,
    "limits":{"body":1,"frame":2,"max_tokens":3,"batch_items":4,"open_jobs":5,"open_bytes":6}})"));

  CHECK(json::parse(encode(pong{"", "e", "ready"})) == json{{"epoch", "e"}, {"state", "ready"}});
  CHECK(json::parse(encode(pong{"1.5", "e", "ready"}))["t"] == 1.5);

  accepted yes;
  yes.job = "j";
  yes.epoch = "e";
  yes.durable = yes.fsync = true;
  CHECK(json::parse(encode(yes)) ==
        json::parse(R"({"job":"j","durable":true,"fsync":true,"dup":false,"epoch":"e"})"));
  yes.children = 3;
  yes.position = 2;
  yes.eta_ms = 1.23456;
  const auto more = json::parse(encode(yes));
  CHECK(more["children"] == 3);
  CHECK(more["pos"] == 2);
  CHECK(more["eta_ms"] == 1.235);

  CHECK(json::parse(encode(delta{"j", "té", 4, 10, 2})) ==
        json{{"job", "j"}, {"text", "té"}, {"seq", 4}, {"off", 10}, {"n", 2}});
  CHECK(json::parse(encode(goodbye{"shutdown", true})) ==
        json{{"why", "shutdown"}, {"resume", true}});
}

TEST_CASE("an error carries retry from the table and the bound that was exceeded",
          "[daemon][replies]") {
  const error one(refusal{errors::busy, "full", "", 10000, 250});
  CHECK(json::parse(encode(one)) ==
        json::parse(R"({"code":120,"name":"E_BUSY","msg":"full","retry":"later","limit":10000,
                        "retry_after_ms":250})"));
  error cached;
  cached.code = 134;
  cached.message = "no entry";
  cached.job = "j";
  cached.state = "failed";
  cached.cache = cache_block{};
  cached.cache->status = "NOT_CACHED";
  cached.trace = {{"cache", "nothing", 5, 6}};
  CHECK(json::parse(encode(cached)) == json::parse(R"({"code":134,"name":"E_NOT_CACHED",
    "msg":"no entry","retry":"no","job":"j","state":"failed",
    "cache":{"status":"NOT_CACHED","stored":false},
    "trace":[{"phase":"cache","decision":"nothing","started_us":5,"took_us":6}]})"));
  error foreign;
  foreign.code = 999;
  CHECK(json::parse(encode(foreign))["name"] == "E_INTERNAL");
}

TEST_CASE("results of jobs, embeddings and batches differ in what they carry",
          "[daemon][replies]") {
  result text;
  text.job = "j";
  text.state = "done";
  text.has_answer = true;
  text.text = "";
  text.finish = "stop";
  text.completion_tokens = 1;
  text.cache.status = "HIT";
  text.cache.entry = 18446744073709551615u;
  text.cache.similarity = 0.97;
  text.seed = 42;
  text.mean_logprob = -0.5;
  const auto one = json::parse(encode(text));
  CHECK(one["text"] == ""); // an empty answer is one
  CHECK(one["usage"] == json{{"prompt", 0}, {"cached", 0}, {"completion", 1}});
  CHECK(one["cache"] == json::parse(R"({"status":"HIT","stored":false,"similarity":0.97,
                        "entry":"18446744073709551615"})"));
  CHECK_FALSE(one.contains("embedding"));
  CHECK_FALSE(one.contains("trace"));
  CHECK_FALSE(one.contains("error"));
  CHECK_FALSE(one.contains("items"));

  result vector = text;
  vector.embedding = {0.1f, -0.25f};
  const auto two = json::parse(encode(vector));
  CHECK_FALSE(two.contains("text"));
  CHECK(two["embedding"] == json::parse("[0.1,-0.25]")); // shortest digits of a float

  result failed;
  failed.job = "k";
  failed.state = "failed";
  failed.error = error(refusal{errors::numeric, "NaN", ""});
  failed.index = 1;
  failed.custom_id = "b";
  result batch;
  batch.job = "p";
  batch.state = "done";
  batch.is_batch = true;
  batch.items = {text, failed};
  const auto all = json::parse(encode(batch));
  CHECK_FALSE(all.contains("text"));
  CHECK_FALSE(all.contains("cache"));
  REQUIRE(all["items"].size() == 2);
  CHECK(all["items"][1]["error"]["name"] == "E_NUMERIC");
  CHECK(all["items"][1]["custom_id"] == "b");
  CHECK(all["items"][1]["index"] == 1);
}

TEST_CASE("a body is valid JSON whatever an answer holds", "[daemon][replies]") {
  result bad;
  bad.has_answer = true;
  bad.text = "half \xE2\x82";
  bad.first_token_ms = std::numeric_limits<double>::quiet_NaN();
  bad.total_ms = std::numeric_limits<double>::infinity();
  bad.mean_logprob = -std::numeric_limits<double>::infinity();
  const auto body = json::parse(encode(bad));
  CHECK(body["text"] == "half \xEF\xBF\xBD");
  CHECK(body["timing"]["ttft_ms"] == 0);
  CHECK_FALSE(body.contains("mean_logprob"));
}
