// SPDX-License-Identifier: MIT
#include "conf/watch.h"
#include "tests/conf/conf_fixture.h"

#include <catch2/catch.hpp>

#include <fstream>
#include <functional>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace bitnetd;
using namespace bitnetd::conf;
namespace fs = std::filesystem;

namespace {

struct watch_files : conf_fixture {
  watch_files() {
    directory.write("bitnetd.yaml", one_model);
    directory.write("profiles/balanced.yaml", "{}\n");
  }
};

struct watch_fixture : watch_files {
  manual_clock time;
  watcher watching{directory.path() / "bitnetd.yaml", time};

  [[nodiscard]] fs::path file() const { return directory.path() / "bitnetd.yaml"; }

  // The kernel queues an event before the call that caused it returns, so nothing is waited for.
  bool readable() {
    pollfd one{watching.fd(), POLLIN, 0};
    return ::poll(&one, 1, 0) == 1;
  }

  // What the service loop does: poll with the watcher's timeout until nothing is due any more.
  int changes_seen() {
    int seen = 0;
    while (readable() || watching.wait()) {
      if (!readable())
        time.advance(*watching.wait());
      seen += watching.relevant_change() ? 1 : 0;
    }
    return seen;
  }
};

void write(const fs::path& to, std::string_view text) {
  std::ofstream(to, std::ios::binary | std::ios::trunc) << text;
}

constexpr const char* other_text = "models: [{name: other, path: other.gguf}]\n";

} // namespace

TEST_CASE_METHOD(watch_fixture, "an edit is noticed once, however the editor writes",
                 "[conf][watch]") {
  using edit = std::function<void(const fs::path&)>;
  const auto [style, change] = GENERATE(table<std::string, edit>({
      {"truncate and write in place", [](const fs::path& f) { write(f, other_text); }},
      {"write beside and rename over",
       [](const fs::path& f) {
         const auto beside = f.parent_path() / ".bitnetd.yaml.swp";
         write(beside, other_text);
         fs::rename(beside, f);
       }},
      {"move to a backup and write anew",
       [](const fs::path& f) {
         fs::rename(f, f.parent_path() / "bitnetd.yaml~");
         write(f, other_text);
       }},
      {"delete and create",
       [](const fs::path& f) {
         fs::remove(f);
         write(f, other_text);
       }},
      {"append",
       [](const fs::path& f) { std::ofstream(f, std::ios::app) << "log: {level: warn}\n"; }},
      {"replace by a symbolic link",
       [](const fs::path& f) {
         write(f.parent_path() / "real.yaml", other_text);
         fs::create_symlink("real.yaml", f.parent_path() / "link");
         fs::rename(f.parent_path() / "link", f);
       }},
      {"keep the old time stamp",
       [](const fs::path& f) {
         const auto stamp = fs::last_write_time(f);
         write(f, other_text);
         fs::last_write_time(f, stamp);
       }},
  }));
  INFO(style);
  CHECK_FALSE(readable());
  CHECK_FALSE(watching.wait());
  change(file());
  CHECK(changes_seen() == 1);
  change(file()); // the same content again, or for append: more of it
  CHECK(changes_seen() == (style == "append" ? 1 : 0));
}

TEST_CASE_METHOD(watch_files, "a mounted ConfigMap's swapped link is noticed", "[conf][watch]") {
  // ..data -> ..1, bitnetd.yaml -> ..data/bitnetd.yaml, as the kubelet makes them
  const auto mount = directory.path() / "mount";
  directory.write("mount/..1/bitnetd.yaml", one_model);
  fs::create_directory_symlink("..1", mount / "..data");
  fs::create_symlink("..data/bitnetd.yaml", mount / "bitnetd.yaml");
  manual_clock time;
  watcher watching(mount / "bitnetd.yaml", time);
  const auto seen = [&] {
    int n = 0;
    for (int i = 0; i < 6; ++i) {
      n += watching.relevant_change() ? 1 : 0;
      time.advance(milliseconds{300});
    }
    return n;
  };
  for (int version = 2; version <= 4; ++version) {
    const auto name = ".." + std::to_string(version);
    directory.write("mount/" + name + "/bitnetd.yaml",
                    one_model + std::string(static_cast<std::size_t>(version), '\n'));
    fs::create_directory_symlink(name, mount / "..tmp");
    fs::rename(mount / "..tmp", mount / "..data");
    fs::remove_all(mount / (".." + std::to_string(version - 1)));
    INFO(version);
    CHECK(seen() == 1);
  }
  directory.write("mount/..4/bitnetd.yaml", other_text); // in the directory that the link leads to
  CHECK(seen() == 1);
}

TEST_CASE_METHOD(watch_fixture, "profiles are watched, new and missing ones too", "[conf][watch]") {
  const auto profiles = directory.path() / "profiles";
  write(profiles / "balanced.yaml", "threads: 1\n");
  CHECK(changes_seen() == 1);
  write(profiles / "new.yaml", "threads: 2\n");
  CHECK(changes_seen() == 1);
  write(profiles / "notes.txt", "not ours\n");
  CHECK(changes_seen() == 0);
  fs::remove(profiles / "new.yaml");
  CHECK(changes_seen() == 1);
  fs::remove_all(profiles);
  CHECK(changes_seen() == 1);
  fs::create_directory(profiles);
  CHECK(changes_seen() == 0);
  write(profiles / "balanced.yaml", "threads: 3\n"); // the new directory is watched
  CHECK(changes_seen() == 1);
  fs::rename(profiles, directory.path() / "old");
  CHECK(changes_seen() == 1);
  fs::create_directory_symlink("old", profiles);
  CHECK(changes_seen() == 1);
  write(directory.path() / "old/balanced.yaml", "threads: 4\n"); // behind the link
  CHECK(changes_seen() == 1);
}

TEST_CASE_METHOD(watch_fixture, "clients' keys are watched from the first one on",
                 "[conf][watch]") {
  const auto clients = directory.path() / "clients.d";
  fs::create_directory(clients);
  CHECK(changes_seen() == 0);
  write(clients / "alice.pub", "# a key\n");
  CHECK(changes_seen() == 1);
  write(clients / "alice.pub.new", "being written\n");
  CHECK(changes_seen() == 0);
  fs::remove(clients / "alice.pub");
  CHECK(changes_seen() == 1);
}

TEST_CASE_METHOD(watch_fixture, "a file that goes and comes back is noticed both times",
                 "[conf][watch]") {
  fs::remove(file());
  CHECK(changes_seen() == 1);
  write(file(), one_model);
  CHECK(changes_seen() == 1);
  fs::remove(file());
  fs::create_directory(file());
  CHECK(changes_seen() == 1);
  fs::remove(file());
  write(file(), other_text);
  CHECK(changes_seen() == 1);
}

TEST_CASE_METHOD(watch_fixture, "the whole directory may be replaced", "[conf][watch]") {
  const auto away = directory.path().string() + ".away";
  fs::rename(directory.path(), away);
  CHECK(changes_seen() == 1);
  fs::create_directory(directory.path());
  write(file(), other_text);
  CHECK(changes_seen() == 1);
  write(file(), one_model);
  CHECK(changes_seen() == 1);
  fs::remove_all(away);
}

TEST_CASE_METHOD(watch_fixture, "other files in the directory cause nothing", "[conf][watch]") {
  write(directory.path() / "jobs.log", "x\n");
  write(directory.path() / "bitnetd.yaml.bak", "x\n");
  fs::create_directory(directory.path() / "sub");
  CHECK(readable());
  CHECK_FALSE(watching.relevant_change());
  CHECK_FALSE(watching.wait());
}

TEST_CASE_METHOD(watch_fixture, "a change counts after 300 ms of quiet and two equal reads",
                 "[conf][watch]") {
  write(file(), "models: [{na");
  CHECK_FALSE(watching.relevant_change());
  CHECK(watching.wait() == milliseconds{300});
  time.advance(milliseconds{200});
  write(file(), "models: [{name: o"); // the wait starts again
  CHECK_FALSE(watching.relevant_change());
  CHECK(watching.wait() == milliseconds{300});
  time.advance(milliseconds{299});
  CHECK_FALSE(watching.relevant_change());
  CHECK(watching.wait() == milliseconds{1});
  time.advance(milliseconds{1});
  CHECK_FALSE(watching.relevant_change()); // the first read
  CHECK(watching.wait() == milliseconds{100});
  time.advance(milliseconds{99});
  CHECK_FALSE(watching.relevant_change());
  time.advance(milliseconds{1});
  CHECK(watching.relevant_change()); // the second
  CHECK_FALSE(watching.wait());
  CHECK_FALSE(watching.relevant_change());
}

TEST_CASE_METHOD(watch_fixture, "a file that is written between the two reads waits on",
                 "[conf][watch]") {
  write(file(), "");
  CHECK_FALSE(watching.relevant_change());
  time.advance(milliseconds{300});
  CHECK_FALSE(watching.relevant_change());
  time.advance(milliseconds{50});
  write(file(), other_text);
  time.advance(milliseconds{50});
  CHECK_FALSE(watching.relevant_change()); // the empty file is gone, and never counted
  CHECK(watching.wait() == milliseconds{300});
  CHECK(changes_seen() == 1);
}

TEST_CASE_METHOD(watch_fixture, "a writer that never rests cannot put the change off for ever",
                 "[conf][watch]") {
  write(file(), other_text);
  int seen = 0;
  int rounds = 0;
  for (; rounds < 100 && seen == 0; ++rounds) {
    fs::permissions(file(), rounds % 2 == 0 ? fs::perms{0600} : fs::perms{0644}); // an event each
    seen += watching.relevant_change() ? 1 : 0;
    time.advance(milliseconds{50});
  }
  CHECK(seen == 1);
  CHECK(rounds <= 45); // 2 s and the 100 ms between the reads
}

TEST_CASE_METHOD(watch_fixture, "an edit that is taken back within the wait is no change",
                 "[conf][watch]") {
  write(file(), other_text);
  CHECK_FALSE(watching.relevant_change());
  write(file(), one_model);
  CHECK(changes_seen() == 0);
}

TEST_CASE_METHOD(watch_fixture, "links that go round in circles end in an unreadable file",
                 "[conf][watch]") {
  fs::remove(file());
  fs::create_symlink("b.yaml", file());
  fs::create_symlink("bitnetd.yaml", directory.path() / "b.yaml");
  CHECK(changes_seen() == 1);
  fs::remove(file());
  write(file(), other_text);
  CHECK(changes_seen() == 1);
}

TEST_CASE_METHOD(watch_fixture, "lost events are a reason to look", "[conf][watch]") {
  // The queue holds max_queued_events, and merges equal neighbours: so two files, neither ours.
  std::size_t most = 16384;
  std::ifstream("/proc/sys/fs/inotify/max_queued_events") >> most;
  if (most > 200'000)
    return; // would take long, and proves the same
  const auto one = directory.write("one.log", ""), two = directory.write("two.log", "");
  for (std::size_t i = 0; i < most + 10; i += 2) {
    REQUIRE(::chmod(one.c_str(), 0600) == 0);
    REQUIRE(::chmod(two.c_str(), 0600) == 0);
  }
  write(file(), other_text);
  CHECK(changes_seen() == 1);
}
