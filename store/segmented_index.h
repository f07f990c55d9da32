// SPDX-License-Identifier: MIT
#pragma once

#include "store/vector_index.h"
#include "store/vector_segment.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace bitnetd::store {

/// Where segments are saved, and who may build: shared by the indexes of a process.
struct segment_workshop {
  std::filesystem::path directory; ///< empty: nothing is saved
  std::atomic<bool> busy{false};   ///< one is built at a time: it takes a core
  int niceness = 10; ///< of the thread that builds: at 19 it starves beside busy workers
};

/// The vectors of one partition, however many: a flat tail, in which everything begins, and sealed
/// segments with graphs.
///
/// A tail of `seal_at` rows becomes a segment, in a thread of its own and at a low priority;
/// until that is done the rows are found in the tail as before, so that no search waits. Five
/// segments become one; one with 30 % of its rows removed is made anew. A partition that stays
/// below `seal_at` is flat for ever: everything is compared.
///
/// Threads  one, but for the building, which only it starts and takes over.
class segmented_index {
public:
  /// `name` is the stem of its files in the workshop's directory.
  segmented_index(std::size_t dimension, std::shared_ptr<segment_workshop> shop, std::string name,
                  std::size_t seal_at = 8192);
  /// Stops a build under way.
  ~segmented_index();
  segmented_index(const segmented_index&) = delete;
  segmented_index& operator=(const segmented_index&) = delete;

  /// As vector_index::add. The id of an entry is never used for another vector.
  status add(std::uint64_t entry, const quantized_vector& vector);
  bool remove(std::uint64_t entry);

  /// The nearest, best first. What is near is found as if all were compared; see vector_segment.
  result<std::vector<neighbour>> search(std::span<const float> query, std::size_t k) const;

  /// Takes over what was built, and starts to build what is due. To be called now and then.
  void settle();
  /// Takes up the saved segments whose rows are all alike in the tail, and removes the other
  /// files of this name. Rows that a segment has beyond the tail count as removed. To be called
  /// once, when everything was added. Returns how many rows are in segments then.
  std::size_t load_saved();

  [[nodiscard]] std::size_t size() const noexcept { return tail_.size() + sealed_at_.size(); }
  [[nodiscard]] std::size_t segments() const noexcept { return sealed_.size(); }
  [[nodiscard]] std::size_t sealed_rows() const noexcept { return sealed_at_.size(); }
  [[nodiscard]] bool is_building() const noexcept { return building_ != nullptr; }
  [[nodiscard]] std::size_t bytes() const noexcept;

private:
  struct sealed {
    std::shared_ptr<const vector_segment> graph;
    std::vector<bool> live;
    std::size_t n_live = 0;
    std::filesystem::path file; ///< empty: not saved
  };
  struct place {
    std::uint32_t segment = 0, slot = 0;
  };
  struct build;

  /// Which segments are to be made into one, with the tail or without.
  struct plan {
    std::vector<std::uint32_t> segments;
    bool tail = false;
  };
  [[nodiscard]] plan what_is_due() const;
  void start(const plan& what);
  void adopt();
  /// Moves the rows that are still there from tail and segments into this one, and drops the
  /// segments that have none left.
  void put_in_place(std::shared_ptr<const vector_segment> made, std::filesystem::path file);
  void drop_segment(std::uint32_t number);

  vector_index tail_;
  std::map<std::uint32_t, sealed> sealed_;
  std::unordered_map<std::uint64_t, place> sealed_at_;
  std::shared_ptr<segment_workshop> shop_;
  std::string name_;
  std::size_t seal_at_;
  std::uint32_t next_number_ = 1;
  std::unique_ptr<build> building_;
};

} // namespace bitnetd::store
