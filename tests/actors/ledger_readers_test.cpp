// SPDX-License-Identifier: MIT
#include "tests/actors/ledger_fixture.h"

#include <catch2/catch.hpp>

using namespace bitnetd;
using namespace bitnetd::actors;
using namespace bitnetd::actors::testing;

namespace {

/// Replies of one type to one request, as JSON.
std::vector<nlohmann::json> documents(const conversation& said, const std::string& type) {
  std::vector<nlohmann::json> out;
  for (const auto& one : said.all)
    if (const auto* document = std::get_if<reply_document>(&one.what);
        document && document->type == type)
      out.push_back(nlohmann::json::parse(document->body));
  return out;
}

} // namespace

TEST_CASE_METHOD(ledger_fixture, "a reader gets what is stored, what comes, and the end",
                 "[actors][ledger][attach]") {
  admit(make(1));
  tell(aut, output{id_of(1), 0, {5, 6}, "ab", 0});
  auto reader = ask(1, "reader");
  reader.credit = 10;
  attach(reader);
  CHECK(told("reader").delta_text() == "ab");
  CHECK(told("reader").deltas.at(0).n_tokens == 2);
  tell(aut, output{id_of(1), 2, {7}, "cd", 0});
  CHECK(told("reader").delta_text() == "abcd");
  CHECK(told("reader").deltas.at(1).offset == 2);
  CHECK(told("reader").deltas.at(1).seq == 1);
  finish(1, "abcdef");
  CHECK(told("reader").delta_text() == "abcdef");
  CHECK(documents(told("reader"), "result").at(0)["text"] == "abcdef");
  CHECK(told("reader").ends == 1);
}

TEST_CASE_METHOD(ledger_fixture, "a reader begins anywhere, at any time, after a restart as well",
                 "[actors][ledger][attach]") {
  admit(make(1));
  tell(aut, output{id_of(1), 0, {5, 6}, "abcdef", 0});
  auto reader = ask(1, "reader");
  reader.credit = 10;
  reader.offset = 4;
  SECTION("while it runs") {}
  SECTION("after a restart of the daemon") { restart(); }
  attach(reader);
  CHECK(told("reader").delta_text() == "ef");
  CHECK(told("reader").deltas.at(0).offset == 4);
  finish(1, "abcdefgh");
  CHECK(told("reader").delta_text() == "efgh");
  reader.reply_to.tag = "late";
  reader.offset = 7;
  attach(reader);
  CHECK(told("late").delta_text() == "h");
  CHECK(told("late").ends == 1);
}

TEST_CASE_METHOD(ledger_fixture, "without credit nothing is sent and everything is kept",
                 "[actors][ledger][attach]") {
  admit(make(1));
  auto reader = ask(1, "reader");
  reader.credit = 1;
  attach(reader);
  for (std::uint32_t i = 0; i < 5; ++i)
    tell(aut, output{id_of(1), i, {5}, "x", 0});
  CHECK(told("reader").deltas.size() == 1);
  auto credit = ask(1, "credit");
  credit.credit = 1;
  tell(aut, credit_atom_v, credit);
  REQUIRE(told("reader").deltas.size() == 2);
  CHECK(told("reader").deltas[1].text == "xxxx"); // coalesced
  tell(aut, output{id_of(1), 5, {5}, "y", 0});
  finish(1, "xxxxxy");
  CHECK(told("reader").deltas.size() == 2);
  CHECK(documents(told("reader"), "result").at(0)["text"] == "xxxxxy"); // the result has it all
}

TEST_CASE_METHOD(ledger_fixture, "an offset that is not known is told the one that is",
                 "[actors][ledger][attach]") {
  admit(make(1));
  tell(aut, output{id_of(1), 0, {5}, "a\xc3\xa9", 0}); // aé
  auto reader = ask(1, "reader");
  reader.credit = 10;
  SECTION("beyond what is stored") {
    reader.offset = 50;
    attach(reader);
    CHECK(documents(told("reader"), "rewound").at(0)["off"] == 3);
    CHECK(told("reader").deltas.empty());
    tell(aut, output{id_of(1), 1, {6}, "!", 0});
    CHECK(told("reader").deltas.at(0).offset == 3);
  }
  SECTION("within a character") {
    reader.offset = 2;
    attach(reader);
    CHECK(documents(told("reader"), "rewound").at(0)["off"] == 1);
    CHECK(told("reader").delta_text() == "\xc3\xa9");
  }
  SECTION("beyond the end of a job that has ended") {
    finish(1, "a\xc3\xa9");
    reader.offset = 4;
    attach(reader);
    CHECK(documents(told("reader"), "rewound").at(0)["off"] == 3);
    CHECK(told("reader").deltas.empty());
    CHECK(documents(told("reader"), "result").size() == 1);
  }
  SECTION("what was sent is drawn anew") {
    attach(reader);
    tell(aut, redrawn_atom_v, id_of(1), std::uint64_t{1}, 1u);
    CHECK(documents(told("reader"), "rewound").at(0)["off"] == 0);
    tell(aut, output{id_of(1), 0, {5}, "other", 0});
    CHECK(told("reader").deltas.back().offset == 0);
    CHECK(told("reader").deltas.back().text == "other");
  }
}

TEST_CASE_METHOD(ledger_fixture, "a reader waits until the answer cannot be drawn anew any more",
                 "[actors][ledger][attach]") {
  admit(make(1));
  tell(aut, output{id_of(1), 0, {5}, "first try", 0});
  auto reader = ask(1, "reader");
  reader.credit = 10;
  tell(aut, attach_atom_v, reader);
  CHECK(told("reader").all.empty());
  CHECK(responder_in.count<seen_atom, job_id>() == 1);
  CHECK(read_options(jobs->find(id_of(1))->options)->read);
  // It was decided before the responder heard of the reader.
  tell(aut, redrawn_atom_v, id_of(1), std::uint64_t{1}, 1u);
  tell(aut, output{id_of(1), 0, {5}, "second", 0});
  tell(aut, seen_atom_v, id_of(1));
  CHECK(told("reader").delta_text() == "second");
}

TEST_CASE_METHOD(ledger_fixture, "who detached, or whose job is not theirs, reads nothing",
                 "[actors][ledger][attach]") {
  admit(make(1));
  auto reader = ask(1, "reader"), foreign = ask(1, "foreign"), other = ask(1, "other");
  reader.credit = foreign.credit = other.credit = 10;
  foreign.principal = "mallory";
  other.reply_to.peer = "another connection";
  attach(reader);
  attach(foreign);
  attach(other);
  CHECK(told("foreign").error_name() == "E_NO_JOB");
  tell(aut, detach_atom_v, ask(1, "bye"));
  CHECK(document("bye")["state"] == "queued");
  tell(aut, output{id_of(1), 0, {5}, "x", 0});
  finish(1, "x");
  CHECK(told("reader").all.empty());
  CHECK(told("other").delta_text() == "x");
}

TEST_CASE_METHOD(ledger_fixture, "a job that ends badly ends its readers with the error",
                 "[actors][ledger][attach]") {
  maker.what.durable = GENERATE(true, false);
  admit(make(1));
  attach(ask(1, "reader"));
  finish(1, "broke", job_state::failed);
  const auto end = documents(told("reader"), "error").at(0);
  CHECK(end["state"] == "failed");
  CHECK(end["name"] == "E_TEST");
}

TEST_CASE_METHOD(ledger_fixture, "a repeated durable stream reads from the beginning",
                 "[actors][ledger][attach]") {
  maker.what.mode = reply_mode::stream;
  maker.what.key = "k";
  admit(make(1, "first"));
  tell(aut, output{id_of(1), 0, {5}, "begun", 0});
  admit(make(1, "again"));
  tell(aut, seen_atom_v, id_of(1));
  CHECK(told("again").accepted->duplicate);
  CHECK(told("again").delta_text() == "begun");
  finish(1, "begun and ended");
  CHECK(told("again").delta_text() == "begun and ended");
  CHECK(told("again").released_jobs == 1);
}

TEST_CASE_METHOD(ledger_fixture, "progress is told at once, then when it changes, not too often",
                 "[actors][ledger][attach]") {
  admit(make(1));
  auto reader = ask(1, "reader");
  reader.credit = 0;
  reader.progress = true;
  attach(reader);
  const auto told_progress = [&] { return documents(told("reader"), "progress"); };
  REQUIRE(told_progress().size() == 1);
  CHECK(told_progress()[0]["tokens"] == 0);
  pass(seconds{2});
  CHECK(told_progress().size() == 1);
  for (std::uint32_t i = 0; i < 4; ++i) {
    tell(aut, output{id_of(1), i, {5}, "x", 0});
    pass(milliseconds{200});
  }
  CHECK(told_progress().size() >= 2);
  CHECK(told_progress().size() <= 3);
  pass(seconds{1});
  CHECK(told_progress().back()["tokens"] == 4);
  CHECK(told_progress().back()["bytes"] == 4);
}

TEST_CASE_METHOD(ledger_fixture, "items of a batch are read as they end, or in their order",
                 "[actors][ledger][attach]") {
  tell(aut, admit_atom_v, make_batch(10, 4));
  miss_all();
  finish(13, "third");
  auto by_end = ask(10, "by end"), by_order = ask(10, "by order"), slow = ask(10, "slow");
  by_end.credit = by_order.credit = 10;
  slow.credit = 1;
  by_order.in_order = true;
  attach(by_end);
  attach(by_order);
  attach(slow);
  const auto texts = [&](const std::string& tag) {
    std::vector<std::string> out;
    for (const auto& item : documents(told(tag), "item")) {
      const auto& what = item["item"];
      const auto& said = what.contains("text") ? what["text"] : what["error"]["msg"];
      out.push_back(said.get<std::string>());
    }
    return out;
  };
  CHECK(texts("by end") == std::vector<std::string>{"third"});
  CHECK(texts("by order").empty());
  finish(11, "first");
  finish(14, "broken", job_state::failed);
  CHECK(texts("by end") == std::vector<std::string>{"third", "first", "broken"});
  CHECK(texts("by order") == std::vector<std::string>{"first"});
  finish(12, "second");
  finish(10);
  CHECK(texts("by end") == std::vector<std::string>{"third", "first", "broken", "second"});
  CHECK(texts("by order") == std::vector<std::string>{"first", "second", "third", "broken"});
  for (const auto* tag : {"by end", "by order"}) {
    const auto result = documents(told(tag), "result");
    REQUIRE(result.size() == 1);
    CHECK(result[0]["children"]["done"] == 3);
    CHECK(result[0]["children"]["failed"] == 1);
    CHECK_FALSE(result[0].contains("items"));
  }
  // Who has no credit has its place kept, after the end of the batch too.
  CHECK(texts("slow") == std::vector<std::string>{"third"});
  CHECK(documents(told("slow"), "result").empty());
  auto credit = ask(10, "credit");
  credit.credit = 10;
  tell(aut, credit_atom_v, credit);
  CHECK(texts("slow").size() == 4);
  CHECK(documents(told("slow"), "result").size() == 1);
  // And from the middle, after a restart.
  restart();
  auto rest = ask(10, "rest");
  rest.credit = 10;
  rest.offset = 2;
  attach(rest);
  CHECK(texts("rest") == std::vector<std::string>{"broken", "second"});
}
