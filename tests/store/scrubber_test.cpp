// SPDX-License-Identifier: MIT
#include "store/answers_db.h"
#include "tests/store/store_support.h"

#include <catch2/catch.hpp>

#include <array>
#include <chrono>
#include <fstream>
#include <iterator>
#include <random>
#include <thread>
#include <vector>

using namespace bitnetd;
using namespace bitnetd::store;
using namespace bitnetd::tests;
namespace fs = std::filesystem;

namespace {

/// Letters that no compression makes shorter.
std::string random_words(std::mt19937& random, std::size_t n) {
  std::string out(n, ' ');
  std::uniform_int_distribution<int> letter('!', '~');
  for (auto& one : out)
    one = static_cast<char>(letter(random));
  return out;
}

/// An entry whose request and answer are in blob files.
cache_entry secret_entry(answers_db& db, const std::string& secret) {
  cache_entry entry;
  entry.id = must(db.next_id());
  entry.partition = hash_bytes("partition");
  entry.canonical = secret.substr(0, 100);
  entry.key = hash_bytes(entry.canonical);
  entry.prompt = secret;
  entry.answer = {secret, "stop", {1, 2, 3}, 12, 3, "tiny"};
  entry.created_us = new_year_us;
  entry.expires_us = new_year_us + hour_us;
  entry.owner = hash_bytes("somebody");
  entry.embedder = hash_bytes("embedder");
  entry.tags = {"news"};
  entry.last_used_us = new_year_us;
  return entry;
}

/// Whether any piece of `secret` stands in a file of the folder.
bool is_on_disk(const fs::path& folder, const std::string& secret) {
  for (const auto& file : fs::recursive_directory_iterator(folder)) {
    std::ifstream in(file.path(), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>{in}, {}};
    for (std::size_t at = 0; at + 50 <= secret.size(); at += 50)
      if (bytes.find(secret.substr(at, 50)) != std::string::npos)
        return true;
  }
  return false;
}

bool leaves_the_disk(const fs::path& folder, const std::string& secret) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes{1};
  while (is_on_disk(folder, secret)) {
    if (std::chrono::steady_clock::now() > end)
      return false;
    std::this_thread::sleep_for(std::chrono::milliseconds{20});
  }
  return true;
}

} // namespace

TEST_CASE("what is erased leaves the disk", "[store][answers][scrubber]") {
  std::mt19937 random{7};
  const scratch_folder folder;
  std::vector<cache_entry> entries;
  std::vector<std::string> secrets;
  const auto put_some = [&](answers_db& db) {
    for (int n = 0; n < 20; ++n) {
      secrets.push_back(random_words(random, 700));
      entries.push_back(secret_entry(db, secrets.back()));
      CHECK(must(db.put(std::array{entries.back()})).empty());
    }
  };
  // Some rows in tables and blob files that two lives wrote, some in the log alone.
  for (int life = 0; life < 2; ++life) {
    answers_db db(folder.path());
    put_some(db);
  }
  answers_db db(folder.path());
  put_some(db);
  must(db.sync());
  for (const auto& secret : secrets)
    REQUIRE(is_on_disk(folder.path(), secret));

  for (const std::size_t one : {3U, 25U, 50U}) {
    CHECK(must(db.erase(std::array{entries[one].id})).size() == 1);
    CHECK(leaves_the_disk(folder.path(), secrets[one]));
  }
  for (std::size_t n = 0; n < entries.size(); ++n) {
    const bool erased = n == 3 || n == 25 || n == 50;
    CHECK(db.get(entries[n].id).ok() == !erased);
    CHECK(is_on_disk(folder.path(), secrets[n]) == !erased);
  }

  must(db.invalidate("news"));
  CHECK(must(db.purge()).size() == entries.size() - 3);
  for (const auto& secret : secrets)
    CHECK(leaves_the_disk(folder.path(), secret));
}
