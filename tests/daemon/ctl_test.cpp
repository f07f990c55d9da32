// SPDX-License-Identifier: MIT
#include "front_fixture.h"

#include <cstdio>
#include <fstream>
#include <functional>
#include <memory>
#include <sstream>
#include <sys/wait.h>

// bitnetctl as a process against a real front; what stands behind it answers as each test wants.

using namespace bitnetd;
using namespace bitnetd::daemon;
using namespace bitnetd::daemon::test;

namespace {

struct outcome {
  int status = -1;
  std::string out, err;
};

class ctl_house : public front_fixture {
public:
  ctl_house() { connect_pipeline(); }

  // Runs `bitnetctl ARGUMENTS`; the test's thread can answer meanwhile.
  outcome run(const std::string& arguments) {
    const auto errors = directory.path / "stderr";
    const auto command = std::string(BITNETCTL) + " --socket " +
                         (directory.path / "front.sock").native() + ' ' + arguments + " 2>" +
                         errors.native();
    outcome result;
    std::FILE* pipe = ::popen(command.c_str(), "r");
    char buffer[4096];
    while (const auto n = std::fread(buffer, 1, sizeof buffer, pipe))
      result.out.append(buffer, n);
    result.status = WEXITSTATUS(::pclose(pipe));
    std::ifstream file(errors);
    std::stringstream text;
    text << file.rdbuf();
    result.err = text.str();
    return result;
  }
  outcome run(const std::string& arguments, const std::function<void()>& behind_it) {
    std::string problem;
    std::thread other([&] {
      try {
        behind_it();
      } catch (const std::exception& error) {
        problem = error.what();
      }
    });
    auto result = run(arguments);
    other.join();
    if (!problem.empty())
      FAIL(problem << "; bitnetctl said: " << result.err << result.out);
    return result;
  }

  void document(const actors::route& to, const char* type, const json& body) {
    actors::reply out;
    out.to = to;
    out.what = actors::reply_document{type, body.dump()};
    reply(std::move(out));
  }
  // Answers the next query of this kind.
  void answer_query(const char* kind, const char* type, const json& body) {
    const auto [seen_kind, query] = seen.queries.next();
    if (seen_kind != kind)
      throw std::runtime_error("another query came: " + seen_kind);
    document(query.reply_to, type, body);
  }
  void answer_admin(const char* type, const json& body) {
    document(seen.admin.next().reply_to, type, body);
  }
};

actors::result_ptr result_of(const std::string& text, actors::job_state state) {
  auto result = std::make_shared<actors::reply_result>();
  result->job = some_job();
  result->state = state;
  auto what = std::make_shared<actors::answer>();
  what->text = text;
  what->finish = "stop";
  result->what = what;
  result->trace = {{"cache", 10, 1500, "nothing like it"}};
  return result;
}

} // namespace

TEST_CASE("bitnetctl without a daemon says so and ends with 4", "[daemon][bitnetctl]") {
  ctl_house house;
  house.door->stop();
  const auto ping = house.run("ping");
  CHECK(ping.status == 4);
  CHECK_THAT(ping.err, Catch::Contains("no bitnetd answers at"));
  const auto began = std::chrono::steady_clock::now();
  CHECK(house.run("--wait-ready 1 ping").status == 4);
  CHECK(std::chrono::steady_clock::now() - began > 900ms);
}

TEST_CASE("bitnetctl without a sensible command line ends with 2", "[daemon][bitnetctl]") {
  ctl_house house;
  CHECK(house.run("").status == 2);
  CHECK(house.run("fly").status == 2);
  CHECK(house.run("submit --wait --no-wait x").status == 2);
  CHECK(house.run("submit --top-k many x").status == 2);
  CHECK(house.run("profile paint").status == 2);
  CHECK(house.run("validate").status == 2);
  CHECK(house.run("--help").status == 0);
  CHECK_THAT(house.run("--version").out, Catch::StartsWith("bitnetctl "));
}

TEST_CASE("bitnetctl ping tells state and epoch", "[daemon][bitnetctl]") {
  ctl_house house;
  const auto ping = house.run("--wait-ready 5 ping");
  CHECK(ping.status == 0);
  CHECK_THAT(ping.out, Catch::StartsWith("ready in "));
  CHECK_THAT(ping.out, Catch::Contains(house.door->epoch()));
  const auto as_json = json::parse(house.run("ping --json").out);
  CHECK(as_json["state"] == "ready");
}

TEST_CASE("bitnetctl submit streams, grants credit, and shows the trace", "[daemon][bitnetctl]") {
  ctl_house house;
  const auto done =
      house.run("submit --chat --system Short. --trace -n 9 --stop END 'Hi there'", [&] {
        const auto request = house.seen.submits.next();
        CHECK(request->mode == actors::reply_mode::stream);
        CHECK(request->items[0].messages.size() == 2);
        CHECK(request->items[0].messages[1].content == "Hi there");
        CHECK(request->params.max_tokens == 9u);
        CHECK(request->params.stop == std::vector<std::string>{"END"});
        actors::reply_accepted yes;
        yes.job = some_job();
        house.answer(request, yes);
        std::string all;
        for (std::uint64_t i = 0; i < 200; ++i) {
          house.answer(request, actors::reply_delta{yes.job, i, all.size(), "word ", 1});
          all += "word ";
        }
        const auto [kind, credit] = house.seen.queries.next();
        CHECK(kind == "credit");
        CHECK(credit.credit == 128);
        house.answer(request, result_of(all + "end.", actors::job_state::done));
      });
  CHECK(done.status == 0);
  CHECK(done.out.size() == 1005);
  CHECK_THAT(done.out, Catch::EndsWith("word end.\n"));
  CHECK_THAT(done.err, Catch::Contains("nothing like it"));
  CHECK_THAT(done.err, Catch::Contains("1.5 ms"));
}

TEST_CASE("bitnetctl shows a stream's gap from the result, once", "[daemon][bitnetctl]") {
  ctl_house house;
  const auto done = house.run("submit x", [&] {
    const auto request = house.seen.submits.next();
    actors::reply_accepted yes;
    yes.job = some_job();
    house.answer(request, yes);
    house.answer(request, actors::reply_delta{yes.job, 0, 0, "ab", 1});
    house.answer(request, actors::reply_delta{yes.job, 2, 4, "ef", 1}); // "cd" was left out
    house.answer(request, result_of("abcdef", actors::job_state::done));
  });
  CHECK(done.out == "abcdef\n");
}

TEST_CASE("bitnetctl submit --no-wait prints the job, --wait its text", "[daemon][bitnetctl]") {
  ctl_house house;
  const auto left = house.run("submit --no-wait x", [&] {
    const auto request = house.seen.submits.next();
    CHECK(request->durable);
    actors::reply_accepted yes;
    yes.job = some_job();
    house.answer(request, yes);
  });
  CHECK(left.status == 0);
  CHECK(left.out == some_job().text() + "\n");

  std::ofstream(house.directory.path / "prompt") << "from a file";
  const auto waited =
      house.run("submit --wait --json -f " + (house.directory.path / "prompt").native(), [&] {
        const auto request = house.seen.submits.next();
        CHECK(request->wait_result);
        CHECK(request->items[0].text == "from a file");
        actors::reply_accepted yes;
        yes.job = some_job();
        house.answer(request, yes);
        house.answer(request, result_of("here", actors::job_state::done));
      });
  CHECK(waited.status == 0);
  CHECK(json::parse(waited.out)["text"] == "here");
}

TEST_CASE("bitnetctl tells refused input, a failed job and a busy daemon apart",
          "[daemon][bitnetctl]") {
  ctl_house house;
  const auto field = house.run("submit --temperature 1000 x");
  CHECK(field.status == 3);
  CHECK_THAT(field.err, Catch::Contains("params.temperature"));
  CHECK(house.run("submit -f /nonexistent").status == 3);
  CHECK(house.run("submit").status == 3);
  CHECK(house.run("submit --cache no-stor x").status == 3);
  CHECK(house.run("submit --meta novalue x").status == 3);

  const auto end = [&](actors::failure why, std::optional<actors::job_id> job) {
    return house.run("submit x", [&, why, job] {
      house.answer(house.seen.submits.next(), actors::reply_error{why, job});
    });
  };
  CHECK(end({141, "E_NUMERIC", "NaN", "", {}, {}}, some_job()).status == 5);
  const auto busy = end({120, "E_BUSY", "full", "", {}, 250}, {});
  CHECK(busy.status == 1);
  CHECK_THAT(busy.err, Catch::Contains("250 ms"));
  CHECK(end({142, "E_CTX", "too long", "", {}, {}}, {}).status == 3);
}

TEST_CASE("bitnetctl gives up on a silent daemon with 4", "[daemon][bitnetctl]") {
  ctl_house house;
  const auto silent = house.run("submit --silence 1 x");
  CHECK(silent.status == 4);
  CHECK_THAT(silent.err, Catch::Contains("no answer within"));
  CHECK(house.run("--timeout 1 models").status == 4);
}

TEST_CASE("bitnetctl asks for jobs", "[daemon][bitnetctl]") {
  ctl_house house;
  const auto id = some_job().text();
  const json job{{"job", id}, {"state", "running"}, {"class", "normal"}, {"model", "tiny"}};
  const auto status = house.run("status " + id, [&] {
    house.answer_query("status", "status", {{"jobs", {job}}});
  });
  CHECK(status.status == 0);
  CHECK_THAT(status.out, Catch::Contains("running"));
  const auto list = house.run("ls --json --state running --limit 3", [&] {
    const auto [kind, query] = house.seen.queries.next();
    CHECK(query.states == std::vector{actors::job_state::running});
    CHECK(query.limit == 3);
    house.document(query.reply_to, "list", {{"jobs", {job}}});
  });
  CHECK(json::parse(list.out)["job"] == id);
  const auto cancel = house.run("cancel " + id, [&] {
    house.answer_query("cancel", "ok", {{"job", id}, {"state", "cancelled"}});
  });
  CHECK(cancel.out == id + " cancelled\n");
  const auto unknown = house.run("result " + id, [&] {
    house.answer_query("result", "error",
                       {{"code", 130}, {"name", "E_NO_JOB"}, {"msg", "no such job"}});
  });
  CHECK(unknown.status == 1);
  const auto failed = house.run("result --wait 2 " + id, [&] {
    house.answer_query("result", "result",
                       {{"job", id},
                        {"state", "failed"},
                        {"error", {{"code", 141}, {"name", "E_NUMERIC"}, {"msg", "NaN"}}}});
  });
  CHECK(failed.status == 5);
  CHECK_THAT(failed.err, Catch::Contains("E_NUMERIC"));
  CHECK(house.run("status nonsense").status == 3);
}

TEST_CASE("bitnetctl operates the daemon through the admin socket", "[daemon][bitnetctl]") {
  ctl_house house;
  const auto reload = house.run("reload --dry-run", [&] {
    const auto request = house.seen.admin.next();
    CHECK(request.dry_run);
    house.document(
        request.reply_to, "ok",
        {{"version", 2},
         {"applied", false},
         {"changed",
          {{{"path", "log.level"}, {"old", "info"}, {"new", "debug"}, {"effect", "step"}}}}});
  });
  CHECK(reload.status == 0);
  CHECK_THAT(reload.out, Catch::Contains("log.level  info  debug  step"));
  const auto refused = house.run("reload", [&] {
    house.answer_admin("error", {{"code", 106}, {"name", "E_CONFIG"}, {"msg", "x.yaml:3:1: no"}});
  });
  CHECK(refused.status == 3);
  CHECK_THAT(refused.err, Catch::Contains("x.yaml:3:1"));
  const auto profiles = house.run("profile list", [&] {
    house.answer_admin("ok", {{"active", "eco"}, {"available", {"balanced", "eco"}}});
  });
  CHECK(profiles.out == "  balanced\n* eco\n");
  CHECK(house.run("profile use").status == 3);
  const auto drain = house.run("drain", [&] {
    house.answer_admin("ok", {{"state", "draining"}, {"open_jobs", 2}});
  });
  CHECK(drain.out == "draining, 2 jobs open\n");
  const auto raw = house.run("raw ping '{\"t\":7}'");
  CHECK(json::parse(raw.out)["body"]["t"] == 7);
  CHECK(house.run("raw ping '{'").status == 3);
}

TEST_CASE("bitnetctl top draws one screen from stats and jobs", "[daemon][bitnetctl]") {
  ctl_house house;
  const auto top = house.run("top --once", [&] {
    house.answer_admin("stats", {{"state", "ready"},
                                 {"uptime_s", 5},
                                 {"profile", "balanced"},
                                 {"metrics", {{"bitnetd_jobs_total{state=\"done\"}", 7}}},
                                 {"batcher", {{"waiting", 3}}},
                                 {"workers", {{{"worker", 0}, {"steps", 12}}}}});
    house.answer_query("list", "list", {{"jobs", {{{"job", "j"}, {"state", "running"}}}}});
  });
  CHECK(top.status == 0);
  CHECK_THAT(top.out, Catch::Contains("7 done"));
  CHECK_THAT(top.out, Catch::Contains("3 waiting"));
  CHECK_THAT(top.out, Catch::Contains("worker 0"));
  CHECK_THAT(top.out, Catch::Contains("running"));
}

TEST_CASE("bitnetctl batch runs a file and writes its results in order", "[daemon][bitnetctl]") {
  ctl_house house;
  const auto in = (house.directory.path / "in.jsonl").native();
  const auto out = (house.directory.path / "out.jsonl").native();
  std::ofstream(in) << "{\"prompt\":\"a\",\"custom_id\":\"A\"}\n\"b\"\n";
  std::string key;
  const auto behind = [&] {
    const auto request = house.seen.submits.next();
    CHECK(request->is_batch);
    CHECK(request->durable);
    CHECK(request->items.size() == 2);
    key = request->key;
    actors::reply_accepted yes;
    yes.job = some_job();
    yes.children = 2;
    house.answer(request, yes, true);
    const auto id = some_job().text();
    const json children{{"total", 2}, {"done", 1}, {"failed", 0}};
    house.answer_query("status", "status",
                       {{"jobs", {{{"job", id}, {"state", "running"}, {"children", children}}}}});
    const auto [kind, query] = house.seen.queries.next();
    CHECK(kind == "attach");
    CHECK(query.in_order);
    const auto item = [&](int off, const json& what) {
      house.document(query.reply_to, "item", {{"job", id}, {"off", off}, {"item", what}});
    };
    item(0, {{"state", "done"}, {"text", "1"}, {"custom_id", "A"}});
    house.document(query.reply_to, "progress",
                   {{"job", id}, {"state", "running"}, {"children", children}});
    item(1, {{"state", "failed"}, {"error", {{"code", 141}}}});
    house.document(query.reply_to, "result", {{"job", id}, {"state", "done"}});
  };
  const auto first = house.run("batch run " + in + " -o " + out, behind);
  CHECK(first.status == 5); // one item failed
  CHECK_THAT(first.err, Catch::Contains("2 of 2 done (1 by an earlier run)"));
  std::ifstream file(out);
  std::string one, two;
  std::getline(file, one);
  std::getline(file, two);
  CHECK(json::parse(one)["text"] == "1");
  CHECK(json::parse(one)["custom_id"] == "A");
  CHECK(json::parse(two)["index"] == 1);

  const auto earlier = key;
  CHECK_FALSE(earlier.empty());
  (void)house.run("batch run " + in + " -o " + out, behind);
  CHECK(key == earlier); // the same run again is the same job
  (void)house.run("batch run --fresh " + in + " -o " + out, behind);
  CHECK(key != earlier);

  std::ofstream(in) << "{\"prompt\":\"a\"}\nnonsense\n";
  const auto wrong = house.run("batch run " + in + " -o " + out);
  CHECK(wrong.status == 3);
  CHECK_THAT(wrong.err, Catch::Contains("line 2"));
}

TEST_CASE("bitnetctl validate needs no daemon and names every problem", "[daemon][bitnetctl]") {
  ctl_house house;
  const auto file = (house.directory.path / "bitnetd.yaml").native();
  std::ofstream(file) << "limits:\n  max_tokens: many\n  qeue: 1\n";
  const auto bad = house.run("validate " + file);
  CHECK(bad.status == 3);
  CHECK_THAT(bad.err, Catch::Contains(file + ":2:"));
  CHECK_THAT(bad.err, Catch::Contains(file + ":3:"));
  CHECK(house.run("validate /nonexistent").status == 3);
  CHECK_THAT(house.run("validate --schema").out, Catch::Contains("max_tokens"));
}
