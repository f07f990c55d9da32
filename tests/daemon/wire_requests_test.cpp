// SPDX-License-Identifier: MIT
#include "daemon/wire_messages.h"
#include "daemon/wire_requests.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <random>
#include <string>

using namespace bitnetd::wire;
using nlohmann::json;

namespace {

const std::string job = "0190163d-8694-739b-aea5-966c26f8ad91";

template <class T> T read(const char* type, const json& body) {
  auto decoded = decode_request(type, body.dump(), {});
  if (const auto* why = std::get_if<refusal>(&decoded))
    FAIL(why->message);
  return std::get<T>(std::get<request>(decoded));
}

} // namespace

TEST_CASE("every request is read with its fields and defaults", "[daemon][requests]") {
  CHECK(read<hello>("hello", json::object()) == hello{});
  CHECK(
      read<hello>("hello", {{"ver", {1, 2}}, {"client", "c/1"}, {"want", {"stream", "events"}}}) ==
      hello{"c/1", true});
  CHECK(read<ping>("ping", json::object()) == ping{});
  CHECK(read<ping>("ping", {{"t", "x"}}) == ping{"\"x\""});
  CHECK(read<ping>("ping", {{"t", 1.5}}) == ping{"1.5"});
  CHECK(read<credit>("credit", {{"job", job}, {"n", 5}}) == credit{job, 5});
  CHECK(read<attach>("attach", {{"job", job}}) == attach{job, 0, 64, false, false});
  CHECK(read<attach>(
            "attach",
            {{"job", job}, {"off", 7}, {"credit", 0}, {"progress", true}, {"order", "input"}}) ==
        attach{job, 7, 0, true, true});
  CHECK(read<detach>("detach", {{"job", job}}) == detach{job});
  CHECK(read<dead_query>("dead.list", {{"limit", 5}, {"cursor", job}}) == dead_query{job, 5});
  CHECK(read<dead_order>("dead.purge", json::object()) == dead_order{});
  for (const char* type : {"dead.retry", "dead.purge", "job.requeue"})
    CHECK(read<dead_order>(type, {{"job", job}}) == dead_order{job});
  CHECK(read<status_query>("status", {{"job", job}}) == status_query{{job}});
  CHECK(read<status_query>("status", {{"jobs", {job, job}}}) == status_query{{job, job}});
  CHECK(read<result_query>("result", {{"job", job}}) == result_query{job, 0});
  CHECK(read<result_query>("result", {{"job", job}, {"wait_ms", 60000}}) ==
        result_query{job, 60000});
  CHECK(read<list_query>("list", json::object()) == list_query{});
  CHECK(
      read<list_query>(
          "list", {{"state", {"done", "dead"}}, {"batch", job}, {"limit", 500}, {"cursor", "c"}}) ==
      list_query{{"done", "dead"}, job, "c", 500});
  CHECK(read<cancel>("cancel", {{"job", job}, {"reason", "enough"}}) == cancel{job, "enough"});
  CHECK(read<ack>("ack", {{"job", job}}) == ack{job});
  CHECK(read<tokenize>("tokenize", {{"text", "Hi"}}) == tokenize{"Hi", ""});
  CHECK(read<tokenize>("tokenize", {{"text", ""}, {"model", "m"}}) == tokenize{"", "m"});
  CHECK(read<detokenize>("detokenize", {{"tokens", json::array()}}) == detokenize{});
  CHECK(read<detokenize>("detokenize", {{"tokens", {0, 2147483647}}, {"model", "m"}}) ==
        detokenize{{0, 2147483647}, "m"});
  CHECK(read<reload>("reload", {{"dry_run", true}}) == reload{true});
  CHECK(read<profile>("profile", {{"name", "eco"}}) == profile{"eco"});
  CHECK(read<profile>("profile", json::object()) == profile{""});
  CHECK(read<drain>("drain", {{"timeout_s", 0}}) == drain{0});
  CHECK(read<cache_order>("cache", {{"op", "get"}, {"entry", "17"}}) ==
        cache_order{"get", 17, true, "", "", "", ""});
  for (const std::string op : {"del", "pin", "unpin"})
    CHECK(read<cache_order>("cache", {{"op", op}, {"entry", "17"}}) ==
          cache_order{op, 17, true, "", "", "", ""});
  CHECK(read<cache_order>("cache", {{"op", "flush"}}) ==
        cache_order{"flush", 0, true, "", "", "", ""});
  CHECK(read<cache_order>("cache", {{"op", "flush"}, {"principal", "a"}, {"tag", "t"}}) ==
        cache_order{"flush", 0, true, "a", "", "", "t"});
  CHECK(read<cache_order>("cache.report",
                          {{"entry", "18446744073709551615"}, {"verdict", "right"}}) ==
        cache_order{"report", 18446744073709551615u, false, "", "", "", ""});
  for (const char* type : {"models", "stats", "metrics", "undrain"})
    CHECK(read<plain>(type, json::object()) == plain{});
}

TEST_CASE("malformed requests are refused by their field", "[daemon][requests]") {
  struct bad_request {
    const char* type;
    json body;
    const char* field;
    int code = 103;
  };
  const std::string v4 = "0190163d-8694-439b-aea5-966c26f8ad91";
  const std::vector<bad_request> cases{
      {"hello", {{"ver", {2}}}, "ver", 100},
      {"hello", {{"ver", 1}}, "ver"},
      {"hello", {{"ver", json::array()}}, "ver"},
      {"hello", {{"ver", {"1"}}}, "ver"},
      {"hello", {{"want", {"everything"}}}, "want[0]"},
      {"hello", {{"client", ""}}, "client"},
      {"hello", {{"name", "x"}}, "name"},
      {"ping", {{"t", std::string(257, 'x')}}, "t"},
      {"ping", {{"t", nullptr}}, "t"},
      {"ping", {{"t", json::object()}}, "t"},
      {"credit", json::object(), "job"},
      {"credit", {{"job", job}}, "n"},
      {"credit", {{"job", job}, {"n", 0}}, "n"},
      {"credit", {{"job", job}, {"n", -1}}, "n"},
      {"credit", {{"job", job}, {"n", 2147483648}}, "n"},
      {"status", json::object(), "job"},
      {"status", {{"job", job}, {"jobs", {job}}}, "job"},
      {"status", {{"job", "7"}}, "job"},
      {"status", {{"job", v4}}, "job"},
      {"status", {{"job", job + "0"}}, "job"},
      {"status", {{"jobs", json::array()}}, "jobs"},
      {"status", {{"jobs", std::vector<std::string>(101, job)}}, "jobs"},
      {"status", {{"jobs", {job, 7}}}, "jobs[1]"},
      {"attach", json::object(), "job"},
      {"attach", {{"job", job}, {"off", -1}}, "off"},
      {"attach", {{"job", job}, {"off", std::int64_t{1} << 54}}, "off"},
      {"attach", {{"job", job}, {"credit", 1'000'001}}, "credit"},
      {"attach", {{"job", job}, {"order", "random"}}, "order"},
      {"attach", {{"job", job}, {"seq", 1}}, "seq"},
      {"detach", json::object(), "job"},
      {"dead.list", {{"cursor", "x"}}, "cursor"},
      {"dead.retry", json::object(), "job"},
      {"job.requeue", json::object(), "job"},
      {"result", {{"job", job}, {"wait_ms", 60001}}, "wait_ms"},
      {"result", {{"job", job}, {"wait_ms", -1}}, "wait_ms"},
      {"list", {{"state", {"finished"}}}, "state[0]"},
      {"list", {{"state", "done"}}, "state"},
      {"list", {{"limit", 0}}, "limit"},
      {"list", {{"limit", 501}}, "limit"},
      {"list", {{"batch", "x"}}, "batch"},
      {"list", {{"cursor", ""}}, "cursor"},
      {"cancel", {{"jobs", {job}}}, "jobs"},
      {"cancel", {{"job", nullptr}}, "job"},
      {"ack", json::object(), "job"},
      {"tokenize", json::object(), "text"},
      {"tokenize", {{"text", 7}}, "text"},
      {"tokenize", {{"text", std::string((1u << 20) + 1, 'x')}}, "text"},
      {"tokenize", {{"text", "x"}, {"model", ""}}, "model"},
      {"detokenize", json::object(), "tokens"},
      {"detokenize", {{"tokens", {1, -1}}}, "tokens[1]"},
      {"detokenize", {{"tokens", {std::int64_t{1} << 31}}}, "tokens[0]"},
      {"detokenize", {{"tokens", {1.5}}}, "tokens[0]"},
      {"detokenize", {{"tokens", {nullptr}}}, "tokens[0]"},
      {"detokenize", {{"tokens", std::vector<int>((1u << 18) + 1, 1)}}, "tokens"},
      {"models", {{"x", 1}}, "x"},
      {"reload", {{"dry-run", true}}, "dry-run"},
      {"reload", {{"dry_run", 1}}, "dry_run"},
      {"profile", {{"name", ""}}, "name"},
      {"drain", {{"timeout_s", 86401}}, "timeout_s"},
      {"cache", json::object(), "op"},
      {"cache", {{"op", "get"}}, "entry"},
      {"cache", {{"op", "get"}, {"entry", "-1"}}, "entry"},
      {"cache", {{"op", "pin"}}, "entry"},
      {"cache", {{"op", "del"}, {"entry", "18446744073709551616"}}, "entry"},
      {"cache", {{"op", "flush"}, {"tag", "t"}}, "principal"},
      {"cache", {{"op", "flush"}, {"principal", "a"}, {"model", "m"}}, "model"},
      {"cache", {{"op", "flush"}, {"principal", "a"}, {"tag", "t"}, {"namespace", "n"}}, "tag"},
      {"cache.report", {{"entry", "1"}}, "verdict"},
      {"cache.report", {{"entry", "1"}, {"verdict", "bad"}}, "verdict"},
  };
  for (const auto& one : cases) {
    INFO(one.type << ' ' << one.body.dump().substr(0, 200));
    const auto decoded = decode_request(one.type, one.body.dump(), {});
    REQUIRE(std::holds_alternative<refusal>(decoded));
    const auto& why = std::get<refusal>(decoded);
    CHECK(why.kind.code == one.code);
    CHECK(why.field == one.field);
  }
}

TEST_CASE("roles are known for every type without its body", "[daemon][requests]") {
  CHECK(find_request_kind("submit")->needs == role::submit);
  CHECK(find_request_kind("cancel")->needs == role::submit);
  CHECK(find_request_kind("ack")->needs == role::submit);
  for (const char* type :
       {"hello", "ping", "status", "result", "list", "models", "stats", "metrics"})
    CHECK(find_request_kind(type)->needs == role::read);
  for (const char* type : {"reload", "profile", "drain", "undrain"})
    CHECK(find_request_kind(type)->needs == role::admin);
  CHECK(find_request_kind("shutdown") == nullptr);
  CHECK(find_request_kind("") == nullptr);
  CHECK(role::read < role::submit);
  CHECK(role::submit < role::admin);
}

TEST_CASE("random and damaged bodies are read or refused, never anything else",
          "[daemon][requests][property]") {
  std::mt19937_64 random(20261120);
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  const std::vector<std::pair<const char*, std::string>> seeds{
      {"submit",
       R"({"prompt":"Hi","params":{"max_tokens":5,"stop":["\n"],"logit_bias":{"1":0.5}}})"},
      {"submit",
       R"({"messages":[{"role":"user","content":"\u00e9\ud83d\ude00"}],"mode":"stream","credit":3})"},
      {"submit",
       R"({"items":[{"input":"a","custom_id":"1"},{"input":"b"}],"cache":{"max-age":1}})"},
      {"submit", R"({"prompt":"x","deadline":"2026-11-20T08:30:15.5+01:00","meta":{"a":"b"}})"},
      {"result", R"({"job":"0190163d-8694-739b-aea5-966c26f8ad91","wait_ms":5})"},
      {"list", R"({"state":["done"],"limit":5})"},
  };
  const std::string alphabet = "{}[]\",:\\0123456789.eE+-truefalsn \x01\x7f\xc3\xa9\xff\xed\xa0";
  std::size_t n_read = 0, n_refused = 0;
  for (int i = 0; i < 200'000; ++i) {
    auto [type, body] = seeds[below(seeds.size())];
    const auto n_changes = below(4);
    for (std::size_t change = 0; change < n_changes; ++change) {
      const auto at = below(body.size() + 1);
      switch (below(4)) {
      case 0:
        body.insert(at, 1, alphabet[below(alphabet.size())]);
        break;
      case 1:
        if (at < body.size())
          body[at] = alphabet[below(alphabet.size())];
        break;
      case 2:
        body.erase(at, below(8));
        break;
      default: {
        const auto& other = seeds[below(seeds.size())].second;
        body.insert(at, other.substr(below(other.size()), below(24)));
      }
      }
    }
    const auto kinds = request_kinds();
    const auto used = below(8) == 0 ? kinds[below(kinds.size())].type : std::string_view(type);
    const auto decoded = decode_request(used, body, {});
    if (const auto* why = std::get_if<refusal>(&decoded)) {
      ++n_refused;
      const bool named = (why->kind.code == 102 || why->kind.code == 103) && !why->message.empty();
      if (!named)
        FAIL(body);
    } else {
      ++n_read;
      if (const auto* what = std::get_if<submit>(&std::get<request>(decoded))) {
        auto again = decode_submit(encode_submit(*what), {});
        again.fingerprint = what->fingerprint;
        if (again != *what)
          FAIL("not the same after encoding: " << body);
      }
    }
  }
  CHECK(n_read > 20'000); // the damage left enough that was right, or little was tested
  CHECK(n_refused > 50'000);
}
