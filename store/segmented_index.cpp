// SPDX-License-Identifier: MIT
#include "store/segmented_index.h"

#include "base/log.h"
#include "store/segment_file.h"

#include <algorithm>
#include <charconv>
#include <exception>
#include <sys/resource.h>
#include <thread>
#include <utility>

namespace bitnetd::store {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t most_segments = 4;
constexpr double rebuilt_at = 0.3; // share of rows that were removed
constexpr std::string_view suffix = ".segment";

} // namespace

/// A segment in the making.
struct segmented_index::build {
  fs::path file;
  std::atomic<bool> stop{false}, done{false};
  std::shared_ptr<const vector_segment> made; ///< before `done`: the thread's
  std::thread worker;

  void run(segment_rows rows, int niceness) {
    (void)setpriority(PRIO_PROCESS, 0, niceness); // of this thread alone
    made = vector_segment::build(std::move(rows), stop);
    if (made && !file.empty() && !stop)
      save();
    done = true;
  }
  void save() {
    status saved;
    try {
      saved = made->save(file);
    } catch (const std::exception& error) {
      saved = {errc::io_error, error.what()};
    }
    if (saved)
      return;
    log::warn("cache: a segment of vectors could not be saved, it will be built anew after a "
              "restart: {}",
              saved.text());
    remove_segment(file);
    file.clear();
  }
};

segmented_index::segmented_index(std::size_t dimension, std::shared_ptr<segment_workshop> shop,
                                 std::string name, std::size_t seal_at)
    : tail_(dimension), shop_(std::move(shop)), name_(std::move(name)), seal_at_(seal_at) {}

segmented_index::~segmented_index() {
  if (!building_)
    return;
  building_->stop = true;
  building_->worker.join();
  shop_->busy = false;
}

status segmented_index::add(std::uint64_t entry, const quantized_vector& vector) {
  if (sealed_at_.contains(entry))
    remove(entry);
  return tail_.add(entry, vector);
}

bool segmented_index::remove(std::uint64_t entry) {
  if (tail_.remove(entry))
    return true;
  const auto at = sealed_at_.extract(entry);
  if (at.empty())
    return false;
  auto& segment = sealed_.at(at.mapped().segment);
  segment.live[at.mapped().slot] = false;
  if (--segment.n_live == 0)
    drop_segment(at.mapped().segment);
  return true;
}

result<std::vector<neighbour>> segmented_index::search(std::span<const float> query,
                                                       std::size_t k) const {
  auto found = tail_.search(query, k);
  if (!found)
    return found.why();
  for (const auto& [number, segment] : sealed_) {
    const auto here = segment.graph->search(query);
    if (!here)
      return here.why();
    for (const auto& one : *here)
      if (segment.live[one.slot])
        found->push_back(one.what);
  }
  const auto n = std::min(k, found->size());
  std::partial_sort(found->begin(), found->begin() + static_cast<std::ptrdiff_t>(n), found->end(),
                    nearer);
  found->resize(n);
  return found;
}

segmented_index::plan segmented_index::what_is_due() const {
  plan out;
  out.tail = tail_.size() >= seal_at_;
  const bool all = out.tail && sealed_.size() >= most_segments;
  for (const auto& [number, segment] : sealed_) {
    const auto removed = segment.live.size() - segment.n_live;
    if (all || static_cast<double>(removed) > rebuilt_at * static_cast<double>(segment.live.size()))
      out.segments.push_back(number);
  }
  return out;
}

void segmented_index::settle() {
  if (building_ && building_->done)
    adopt();
  if (building_)
    return;
  const auto due = what_is_due();
  if ((due.tail || !due.segments.empty()) && !shop_->busy.exchange(true))
    start(due);
}

void segmented_index::start(const plan& what) {
  segment_rows rows;
  rows.dimension = tail_.dimension();
  if (what.tail)
    tail_.for_each(
        [&](std::uint64_t entry, std::span<const std::int8_t> row) { rows.add(entry, row); });
  for (const auto number : what.segments) {
    const auto& segment = sealed_.at(number);
    for (std::size_t slot = 0; slot < segment.live.size(); ++slot)
      if (segment.live[slot])
        rows.add(segment.graph->entries()[slot], segment.graph->row(slot));
  }
  building_ = std::make_unique<build>();
  if (!shop_->directory.empty())
    building_->file =
        shop_->directory / (name_ + "-" + std::to_string(next_number_) + std::string(suffix));
  building_->worker =
      std::thread([to = building_.get(), rows = std::move(rows),
                   niceness = shop_->niceness]() mutable { to->run(std::move(rows), niceness); });
}

void segmented_index::adopt() {
  const auto made = std::exchange(building_, nullptr);
  made->worker.join();
  shop_->busy = false;
  if (!made->made) {
    log::warn("cache: memory for a segment of {} vectors is not there; all are compared",
              tail_.size());
    seal_at_ = 2 * std::max(seal_at_, tail_.size());
    return;
  }
  put_in_place(std::move(made->made), std::move(made->file));
}

void segmented_index::put_in_place(std::shared_ptr<const vector_segment> made, fs::path file) {
  const auto number = next_number_++;
  sealed next;
  next.live.assign(made->size(), false);
  for (std::size_t slot = 0; slot < made->size(); ++slot) {
    const auto entry = made->entries()[slot];
    const auto before = sealed_at_.find(entry);
    if (before != sealed_at_.end()) {
      auto& old = sealed_.at(before->second.segment);
      old.live[before->second.slot] = false;
      --old.n_live;
    } else if (!tail_.remove(entry)) {
      continue; // removed meanwhile
    }
    next.live[slot] = true;
    ++next.n_live;
    sealed_at_[entry] = {number, static_cast<std::uint32_t>(slot)};
  }
  next.graph = std::move(made);
  next.file = std::move(file);
  sealed_.emplace(number, std::move(next));
  std::vector<std::uint32_t> empty;
  for (const auto& [one, segment] : sealed_)
    if (segment.n_live == 0)
      empty.push_back(one);
  for (const auto one : empty)
    drop_segment(one);
  tail_.shrink();
}

void segmented_index::drop_segment(std::uint32_t number) {
  const auto at = sealed_.find(number);
  if (!at->second.file.empty())
    remove_segment(at->second.file);
  sealed_.erase(at);
}

std::size_t segmented_index::load_saved() {
  if (shop_->directory.empty())
    return 0;
  std::error_code failed;
  std::vector<fs::path> files;
  for (const auto& file : fs::directory_iterator(shop_->directory, failed))
    if (file.path().filename().string().starts_with(name_ + "-"))
      files.push_back(file.path());
  std::ranges::sort(files);
  for (const auto& file : files) {
    const auto stem = file.stem().string().substr(name_.size() + 1);
    std::uint32_t number = 0;
    const auto read = std::from_chars(stem.data(), stem.data() + stem.size(), number);
    if (file.extension() != suffix || read.ec != std::errc{}) {
      if (!fs::exists(fs::path(file).replace_extension(), failed)) // else it is that one's graph
        fs::remove(file, failed);
      continue;
    }
    next_number_ = std::max(next_number_, number + 1);
    auto saved = vector_segment::load(file);
    if (!saved || (*saved)->dimension() != tail_.dimension()) {
      log::warn("cache: a saved segment is left out, it is built anew: {}",
                saved ? "another dimension" : saved.why().text());
      remove_segment(file);
      continue;
    }
    const auto& rows = **saved;
    std::size_t alike = 0;
    for (std::size_t slot = 0; slot < rows.size(); ++slot) {
      const auto stored = tail_.row_of(rows.entries()[slot]);
      if (!stored.empty() && !std::ranges::equal(stored, rows.row(slot))) {
        alike = 0; // not what the store holds: none of it is believed
        break;
      }
      alike += !stored.empty();
    }
    if (alike == 0)
      remove_segment(file);
    else
      put_in_place(std::move(*saved), file);
  }
  return sealed_at_.size();
}

std::size_t segmented_index::bytes() const noexcept {
  constexpr std::size_t map_node = 2 * sizeof(void*) + sizeof(std::uint64_t) + sizeof(place);
  std::size_t sum =
      tail_.bytes() + sealed_at_.size() * map_node + sealed_at_.bucket_count() * sizeof(void*);
  for (const auto& [number, segment] : sealed_)
    sum += segment.graph->bytes() + segment.live.capacity() / 8;
  return sum;
}

} // namespace bitnetd::store
