// SPDX-License-Identifier: MIT
#include "front_fixture.h"

#include <sys/stat.h>

using namespace bitnetd;
using namespace bitnetd::daemon;
using namespace bitnetd::daemon::test;

TEST_CASE("hello and ping are answered before anything is loaded, the rest says so",
          "[daemon][front]") {
  front_fixture house;
  auto client = house.open("front.sock");
  const auto hi = client.ask("hello", R"({"client":"test/1","want":["events"]})");
  CHECK(hi.type == "welcome");
  CHECK(hi.id == "q");
  CHECK(hi.body["server"] == "bitnetd/1.2.3");
  CHECK(hi.body["state"] == "starting");
  CHECK(hi.body["role"] == "submit");
  CHECK(hi.body["principal"] == "local");
  CHECK(hi.body["models"] == json{"tiny"});
  CHECK(hi.body["limits"]["body"] == 8 << 20);
  CHECK(hi.body["epoch"].get<std::string>().size() == 16);
  CHECK(hi.body["events"] == "ipc://" + (house.directory.path / "events.sock").native());
  CHECK_FALSE(client.ask("hello", "{}").body.contains("events"));

  const auto early = client.ask("submit", R"({"prompt":"x"})");
  CHECK(early.body["name"] == "E_STARTING");
  CHECK(early.body["retry"] == "later");

  house.connect_pipeline();
  const auto pong = client.ask("ping", R"({"t":"now"})");
  CHECK(pong.type == "pong");
  CHECK(pong.body["t"] == "now");
  CHECK(pong.body["state"] == "ready");
  CHECK(pong.body["epoch"] == hi.body["epoch"]);
}

TEST_CASE("a submit reaches the analyzer with the client's words and the socket's principal",
          "[daemon][front]") {
  front_fixture house;
  house.connect_pipeline();
  auto client = house.open("front.sock");
  const std::string body = R"({"prompt":"Hi","mode":"stream","params":{"top_k":3},"trace":true})";
  client.send("submit", "17", body);
  const auto request = house.seen.submits.next();
  CHECK(request->principal == "local");
  CHECK(request->body == body);
  CHECK(request->items.at(0).text == "Hi");
  CHECK(request->mode == actors::reply_mode::stream);
  CHECK_FALSE(request->durable);
  CHECK(request->cancel_on_disconnect); // nobody reads a stream that is not kept
  CHECK(request->credit == 64);
  CHECK(request->params.top_k == 3u);
  CHECK(request->trace);

  actors::reply_accepted yes;
  yes.job = some_job();
  house.answer(request, yes);
  house.answer(request, actors::reply_delta{some_job(), 0, 0, "Hal", 1});
  house.answer(request, actors::reply_delta{some_job(), 1, 3, "lo", 1});
  auto done = std::make_shared<actors::reply_result>();
  done->job = some_job();
  auto what = std::make_shared<actors::answer>();
  what->text = "Hallo";
  what->finish = "stop";
  done->what = what;
  done->cache.status = actors::cache_status::miss;
  house.answer(request, actors::result_ptr(done), true);

  const auto accepted = client.receive();
  CHECK(accepted.type == "accepted");
  CHECK(accepted.id == "17");
  CHECK(accepted.body["job"] == some_job().text());
  CHECK(accepted.body["epoch"] == house.door->epoch());
  CHECK(client.receive().body["text"] == "Hal");
  CHECK(client.receive().body["off"] == 3);
  const auto result = client.receive();
  CHECK(result.type == "result");
  CHECK(result.body["text"] == "Hallo");
  CHECK(result.body["state"] == "done");
  CHECK(result.body["cache"]["status"] == "MISS");
}

TEST_CASE("questions and administration go where they belong", "[daemon][front]") {
  front_fixture house;
  house.connect_pipeline();
  auto client = house.open("front.sock");
  auto admin = house.open("admin.sock");
  const auto job = R"({"job":")" + some_job().text() + "\"}";
  for (const std::string type : {"status", "result", "cancel", "ack"}) {
    client.send(type, "1", job);
    const auto [seen, query] = house.seen.queries.next();
    CHECK(seen == type);
    CHECK(query.jobs == std::vector{some_job()});
    CHECK(query.principal == "local");
    CHECK_FALSE(query.admin);
  }
  client.send("credit", "1", R"({"n":9,"job":")" + some_job().text() + "\"}");
  const auto credit = house.seen.queries.next();
  CHECK(credit.first == "credit");
  CHECK(credit.second.credit == 9);
  admin.send("list", "1", R"({"state":["failed","done"],"limit":7,"cursor":"c"})");
  const auto list = house.seen.queries.next().second;
  CHECK(list.admin);
  CHECK(list.states == std::vector{actors::job_state::failed, actors::job_state::done});
  CHECK(list.limit == 7);
  CHECK(list.cursor == "c");

  admin.send("drain", "1", R"({"timeout_s":5})");
  const auto drain = house.seen.admin.next();
  CHECK(drain.type == "drain");
  CHECK(drain.timeout == std::chrono::seconds(5));
  admin.send("reload", "1", R"({"dry_run":true})");
  CHECK(house.seen.admin.next().dry_run);
  admin.send("profile", "1", R"({"name":"eco"})");
  CHECK(house.seen.admin.next().name == "eco");
  for (const std::string type : {"models", "stats", "metrics"}) {
    client.send(type, "1", "{}");
    CHECK(house.seen.admin.next().type == type);
  }
}

TEST_CASE("a socket's role is checked before the body is looked at", "[daemon][front]") {
  front_fixture house;
  house.connect_pipeline();
  auto client = house.open("front.sock");
  auto reader = house.open("read.sock");
  const std::string garbage = "\xff{not JSON"; // a parser would say E_JSON
  for (const char* type : {"reload", "profile", "drain", "undrain"}) {
    const auto refused = client.ask(type, garbage);
    CHECK(refused.body["name"] == "E_ROLE");
    CHECK(refused.body["code"] == 111);
  }
  for (const char* type : {"submit", "cancel", "ack", "job.requeue", "reload"})
    CHECK(reader.ask(type, garbage).body["name"] == "E_ROLE");
  CHECK(reader.ask("status", garbage).body["name"] == "E_JSON");
  CHECK(house.seen.submits.size() == 0);
  CHECK(house.seen.admin.size() == 0);

  reader.send("status", "1", R"({"job":")" + some_job().text() + "\"}");
  CHECK(house.seen.queries.next().second.principal == "watcher");
}

TEST_CASE("malformed messages are answered with their error and the connection goes on",
          "[daemon][front]") {
  front_fixture house;
  house.connect_pipeline();
  auto client = house.open("front.sock");
  const auto refused = [&](const std::vector<std::string>& frames) {
    client.send_frames(frames);
    return client.receive();
  };
  CHECK(refused({"BN1"}).body["name"] == "E_FRAME");
  CHECK(refused({"BN2", "ping", "1", "{}"}).body["name"] == "E_VERSION");
  CHECK(refused({"BN1", "ping", "1", "{}", "x"}).body["name"] == "E_FRAME");
  CHECK(refused({"BN1", "ping", "1", "{}", "1", "2", "3", "4", "5", "6", "7"}).body["name"] ==
        "E_FRAME");
  CHECK(refused({"BN1", "ping", std::string(65, 'i'), "{}"}).id.empty());
  CHECK(refused({"BN1", std::string(1 << 20, 'a'), "1", "{}"}).id == "1");
  const auto unknown = refused({"BN1", "sumbit", "1", "{}"});
  CHECK(unknown.body["name"] == "E_FRAME");
  CHECK_THAT(unknown.body["msg"].get<std::string>(), Catch::Contains("did you mean submit?"));
  CHECK(refused({"BN1", "submit", "1", "{"}).body["name"] == "E_JSON");
  CHECK(refused({"BN1", "submit", "1", ""}).body["name"] == "E_JSON");
  const auto field = refused({"BN1", "submit", "1", R"({"prompt":"x","params":{"top_k":-1}})"});
  CHECK(field.body["name"] == "E_FIELD");
  CHECK(field.body["field"] == "params.top_k");
  CHECK(refused({"BN1", "ping", "1", "{}"}).type == "pong");
  CHECK(house.seen.submits.size() == 0);
}

TEST_CASE("a body above the limit is refused unread, also when it is ten megabytes",
          "[daemon][front]") {
  conf::limits_config limits;
  limits.body_bytes = 1000;
  front_fixture house(limits);
  house.connect_pipeline();
  auto client = house.open("front.sock");
  const auto body = [](std::size_t n) {
    const std::string head = R"({"prompt":")", tail = "\"}";
    return head + std::string(n - head.size() - tail.size(), 'x') + tail;
  };
  client.send("submit", "1", body(1000));
  CHECK(house.seen.submits.next()->body.size() == 1000);
  for (const std::size_t size : {std::size_t{1001}, std::size_t{10} << 20}) {
    const auto refused = client.ask("submit", body(size));
    CHECK(refused.body["name"] == "E_TOO_BIG");
    CHECK(refused.body["limit"] == 1000);
  }
  CHECK(client.ask("submit", std::string(10 << 20, '{')).body["name"] == "E_TOO_BIG");
  CHECK(house.seen.submits.size() == 0);
}

TEST_CASE("a frame above 64 MiB ends its connection, nobody else's", "[daemon][front]") {
  front_fixture house;
  house.connect_pipeline();
  auto other = house.open("front.sock");
  CHECK(other.ask("ping", "{}").type == "pong");
  auto client = house.open("front.sock");
  CHECK(client.ask("ping", "{}").type == "pong");
  client.send("ping", "1", std::string((64 << 20) + 1, ' '));
  client.socket().set(zmq::sockopt::rcvtimeo, 500);
  CHECK_THROWS(client.receive());
  CHECK(other.ask("ping", "{}").type == "pong");
  client.socket().set(zmq::sockopt::rcvtimeo, 60'000);
  CHECK(client.ask("ping", "{}").type == "pong"); // libzmq connected again by itself
}

TEST_CASE("a plain REQ socket works", "[daemon][front]") {
  front_fixture house;
  house.connect_pipeline();
  auto client = house.open("front.sock", zmq::socket_type::req);
  CHECK(client.ask("ping", "{}").type == "pong");
  CHECK(client.ask("nonsense", "{}").body["name"] == "E_FRAME");
  client.send("submit", "s", R"({"prompt":"Hi","mode":"sync"})");
  const auto request = house.seen.submits.next();
  CHECK(request->reply_to.delimiter);
  house.answer(request, actors::reply_error{{132, "E_DEADLINE", "late", "", {}, {}}, some_job()});
  const auto ended = client.receive();
  CHECK(ended.body["name"] == "E_DEADLINE");
  CHECK(ended.body["job"] == some_job().text());
}

TEST_CASE("a client that sets its routing id is refused", "[daemon][front]") {
  front_fixture house;
  house.connect_pipeline();
  auto client = house.open("front.sock", zmq::socket_type::dealer, "somebody");
  const auto refused = client.ask("submit", R"({"prompt":"x"})");
  CHECK(refused.body["name"] == "E_FRAME");
  CHECK_THAT(refused.body["msg"].get<std::string>(), Catch::Contains("routing id"));
  CHECK(house.seen.submits.size() == 0);
}

TEST_CASE("open jobs and bytes are counted per principal and refused above the limits",
          "[daemon][front]") {
  conf::limits_config limits;
  limits.open_jobs = 3;
  limits.open_bytes = 10'000;
  front_fixture house(limits);
  house.connect_pipeline();
  auto client = house.open("front.sock");
  auto same = house.open("admin.sock"); // another socket, the same principal
  client.send("submit", "1", R"({"prompt":"x"})");
  same.send("submit", "2", R"({"items":[{"prompt":"x"},{"prompt":"y"}]})");
  const auto one = house.seen.submits.next();
  const auto two = house.seen.submits.next();
  const auto busy = client.ask("submit", R"({"prompt":"x"})");
  CHECK(busy.body["name"] == "E_BUSY");
  CHECK(busy.body["retry"] == "later");
  CHECK(busy.body["retry_after_ms"] >= 50);
  CHECK(busy.body["limit"] == 3);
  CHECK(house.seen.submits.size() == 0); // the pipeline heard nothing of it

  // A refused batch that no waiting would let in is told so.
  CHECK(client
            .ask("submit", R"({"items":[{"prompt":"a"},{"prompt":"b"},{"prompt":"c"},
                                 {"prompt":"d"}]})")
            .body["name"] == "E_TOO_BIG");

  // A reply without anything to say gives room.
  house.answer(one->items.size() == 1 ? one : two, actors::reply_document{}, true);
  json answer;
  for (int i = 0; i < 5000 && house.seen.submits.size() == 0; ++i) {
    client.send("submit", "3", R"({"prompt":"z"})");
    std::this_thread::sleep_for(2ms);
  }
  CHECK(house.seen.submits.next()->items[0].text == "z");
}

TEST_CASE("bytes of requests are bounded, but one request is always taken", "[daemon][front]") {
  conf::limits_config limits;
  limits.open_bytes = 100;
  front_fixture house(limits);
  house.connect_pipeline();
  auto client = house.open("front.sock");
  const auto large = R"({"prompt":")" + std::string(500, 'x') + "\"}";
  client.send("submit", "1", large);
  CHECK(house.seen.submits.next()->body == large);
  CHECK(client.ask("submit", R"({"prompt":"x"})").body["name"] == "E_BUSY");
}

TEST_CASE("a stream whose client is gone is cancelled where that was agreed", "[daemon][front]") {
  front_fixture house;
  house.connect_pipeline();
  for (const bool keep : {false, true}) {
    std::optional<client> reader(house.open("front.sock"));
    reader->send("submit", "1",
                 keep ? R"({"prompt":"x","mode":"stream","on_disconnect":"keep"})"
                      : R"({"prompt":"x","mode":"stream"})");
    const auto request = house.seen.submits.next();
    actors::reply_accepted yes;
    yes.job = some_job(keep ? 2 : 1);
    house.answer(request, yes);
    CHECK(reader->receive().type == "accepted");
    reader.reset();
    // The front learns of it when it sends, some time after the connection went.
    for (std::uint64_t i = 0; i < (keep ? 200u : 5000u) && house.seen.queries.size() == 0; ++i) {
      house.answer(request, actors::reply_delta{yes.job, i, i, "x", 1});
      std::this_thread::sleep_for(keep ? 1ms : 5ms);
    }
    if (keep) {
      CHECK(house.seen.queries.size() == 0);
    } else {
      const auto [type, query] = house.seen.queries.next();
      CHECK(type == "cancel");
      CHECK(query.jobs == std::vector{some_job(1)});
      CHECK(query.reply_to.peer.empty()); // nobody is told
    }
  }
}

TEST_CASE("many submits of one connection come and are answered in their order",
          "[daemon][front]") {
  front_fixture house;
  house.connect_pipeline();
  auto client = house.open("front.sock");
  constexpr int n = 200; // more than one turn of the front takes
  for (int i = 0; i < n; ++i)
    client.send("submit", std::to_string(i), i == 7 ? "{" : R"({"prompt":"x","mode":"sync"})");
  CHECK(client.receive().id == "7"); // refused by itself
  actors::message_group replies;
  for (int i = 0; i < n; ++i) {
    if (i == 7)
      continue;
    const auto request = house.seen.submits.next();
    CHECK(request->reply_to.tag == std::to_string(i));
    actors::reply out;
    out.to = request->reply_to;
    out.principal = request->principal;
    out.what = actors::reply_document{"result", "{}"};
    replies.messages.push_back(caf::make_message(std::move(out)));
  }
  caf::anon_send(house.outbox, std::move(replies));
  for (int i = 0; i < n; ++i)
    if (i != 7)
      CHECK(client.receive().id == std::to_string(i));
}

TEST_CASE("events are numbered per topic", "[daemon][front]") {
  front_fixture house;
  auto subscriber = house.open("events.sock", zmq::socket_type::sub);
  subscriber.socket().set(zmq::sockopt::subscribe, "");
  house.await_subscriptions(subscriber);
  for (const char* topic : {"job", "metrics", "job"})
    caf::anon_send(house.outbox, actors::event{topic, R"({"a":1})"});
  CHECK(subscriber.receive_frames() == std::vector<std::string>{"job", "1", R"({"a":1})"});
  CHECK(subscriber.receive_frames() == std::vector<std::string>{"metrics", "1", R"({"a":1})"});
  CHECK(subscriber.receive_frames() == std::vector<std::string>{"job", "2", R"({"a":1})"});
}

TEST_CASE("the socket files have their mode, and go when the front goes", "[daemon][front]") {
  std::filesystem::path path;
  {
    front_fixture house;
    path = house.directory.path;
    const auto mode = [&](const char* name) {
      struct stat info {};
      REQUIRE(::stat((path / name).c_str(), &info) == 0);
      return info.st_mode & 0777u;
    };
    CHECK(mode("front.sock") == 0660);
    CHECK(mode("admin.sock") == 0600);
    CHECK(mode("read.sock") == 0666);
    CHECK(mode("events.sock") == 0660);
    house.door->stop();
    CHECK_FALSE(std::filesystem::exists(path / "front.sock"));
    CHECK_FALSE(std::filesystem::exists(path / "events.sock"));
  }
}

TEST_CASE("those who wait are told goodbye", "[daemon][front]") {
  front_fixture house;
  house.connect_pipeline();
  auto waiting = house.open("front.sock");
  auto idle = house.open("front.sock");
  CHECK(idle.ask("ping", "{}").type == "pong");
  waiting.send("submit", "1", R"({"prompt":"x","wait":"result"})");
  (void)house.seen.submits.next();
  house.door->stop();
  const auto bye = waiting.receive();
  CHECK(bye.type == "goodbye");
  CHECK(bye.body["resume"] == true);
  idle.socket().set(zmq::sockopt::rcvtimeo, 200);
  CHECK_THROWS(idle.receive());
}

TEST_CASE("an attach is handed on, and ended when its client is gone", "[daemon][front]") {
  front_fixture house;
  house.connect_pipeline();
  const auto job = some_job();
  const auto body = R"({"off":5,"credit":2,"job":")" + job.text() + "\"}";
  auto stays = house.open("front.sock");
  stays.send("attach", "a", body);
  const auto attach = house.seen.queries.next();
  CHECK(attach.first == "attach");
  CHECK(attach.second.offset == 5);
  CHECK(attach.second.credit == 2);
  stays.send("detach", "d", R"({"job":")" + job.text() + "\"}");
  CHECK(house.seen.queries.next().first == "detach");

  std::optional<client> leaves(house.open("front.sock"));
  leaves->send("attach", "b", body);
  const auto left = house.seen.queries.next();
  CHECK(left.first == "attach");
  leaves.reset();
  // The front learns of it when it sends, some time after the connection went.
  for (std::uint64_t i = 0; i < 5000 && house.seen.queries.size() == 0; ++i) {
    actors::reply out;
    out.to = left.second.reply_to;
    out.principal = left.second.principal;
    out.what = actors::reply_delta{job, i, i, "x", 1};
    caf::anon_send(house.outbox, std::move(out));
    std::this_thread::sleep_for(5ms);
  }
  const auto [type, query] = house.seen.queries.next();
  CHECK(type == "detach");
  CHECK(query.jobs == std::vector{job});
  CHECK(query.reply_to.peer == left.second.reply_to.peer);
  CHECK(query.reply_to.tag.empty()); // nobody is told
}
