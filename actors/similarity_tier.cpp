// SPDX-License-Identifier: MIT
#include "actors/similarity_tier.h"

#include "base/log.h"

#include <set>
#include <string>
#include <system_error>

namespace bitnetd::actors {

namespace {

namespace fs = std::filesystem;

std::string name_of(const hash128& partition, const hash128& embedder) {
  hasher h;
  h.field(partition.hex()).field(embedder.hex());
  return h.finish().hex();
}

} // namespace

similarity_tier::similarity_tier() : shop_(std::make_shared<store::segment_workshop>()) {}

bool similarity_tier::save_in(const fs::path& directory) {
  std::error_code failed;
  fs::create_directories(directory, failed);
  if (failed) {
    log::warn("cache: {}: {}; segments of vectors are not saved", directory.string(),
              failed.message());
    return false;
  }
  shop_->directory = directory;
  return true;
}

std::size_t similarity_tier::load(const store::answers_db& answers) {
  const auto read = answers.for_each([this](const store::cache_entry_head& head) {
    if (head.vector)
      add(head.partition, head.embedder, head.id, *head.vector);
    return true;
  });
  if (!read)
    log::warn("cache: not all vectors could be read ({}): what is left out is found by its exact "
              "words only",
              read.why().text());
  if (save_in(answers.index_directory())) {
    for (auto& [key, one] : indexes_)
      (void)one.rows.load_saved(); // what is not taken up is built again
    remove_leftovers();
  }
  return where_.size();
}

void similarity_tier::remove_leftovers() const {
  std::set<std::string> names;
  for (const auto& [key, one] : indexes_)
    names.insert(name_of(key.first, key.second));
  std::error_code failed;
  std::vector<fs::path> gone;
  for (fs::directory_iterator file(shop_->directory, failed), end; !failed && file != end;
       file.increment(failed)) {
    const auto name = file->path().filename().string();
    if (!names.contains(name.substr(0, name.find('-'))))
      gone.push_back(file->path());
  }
  for (const auto& file : gone)
    fs::remove(file, failed);
}

void similarity_tier::add(const hash128& partition, const hash128& embedder, std::uint64_t entry,
                          const store::quantized_vector& vector) {
  const index_key key{partition, embedder};
  auto& one =
      indexes_.try_emplace(key, key, vector.values.size(), shop_, name_of(partition, embedder))
          .first->second;
  if (one.rows.add(entry, vector))
    where_.insert_or_assign(entry, &one);
}

void similarity_tier::remove(std::uint64_t entry) {
  const auto at = where_.extract(entry);
  if (at.empty())
    return;
  auto& one = *at.mapped();
  one.rows.remove(entry);
  if (one.rows.size() == 0)
    indexes_.erase(index_key(one.key));
}

void similarity_tier::settle() {
  for (auto& [key, one] : indexes_)
    one.rows.settle();
}

std::vector<store::neighbour> similarity_tier::nearest(const hash128& partition,
                                                       const hash128& embedder,
                                                       std::span<const float> vector,
                                                       std::size_t k) const {
  const auto at = indexes_.find({partition, embedder});
  if (at == indexes_.end())
    return {};
  auto found = at->second.rows.search(vector, k);
  return found ? std::move(*found) : std::vector<store::neighbour>{};
}

std::size_t similarity_tier::segments() const noexcept {
  std::size_t sum = 0;
  for (const auto& [key, one] : indexes_)
    sum += one.rows.segments();
  return sum;
}

std::size_t similarity_tier::bytes() const noexcept {
  constexpr std::size_t map_node = 3 * sizeof(void*) + sizeof(std::uint64_t);
  std::size_t sum = where_.size() * map_node + where_.bucket_count() * sizeof(void*);
  for (const auto& [key, one] : indexes_)
    sum += one.rows.bytes();
  return sum;
}

} // namespace bitnetd::actors
