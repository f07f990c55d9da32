// SPDX-License-Identifier: MIT
#include "store/vector_segment.h"

#include "store/beam_search.h"
#include "store/dot_product.h"
#include "store/fine_query.h"
#include "store/segment_file.h"
#include "store/sign_table.h"

// The only file that includes it: its headers define functions that are not inline. Without its
// prefetches, which read the neighbour behind the last one of a list; distances are ours anyway.
#define NO_MANUAL_VECTORIZATION
#include <hnswlib/hnswlib.h>

#include <cstring>
#include <exception>
#include <mutex>
#include <span>
#include <utility>

namespace bitnetd::store {
namespace {

constexpr std::size_t links = 16, candidates_building = 200, candidates_searching = 96;

/// What the graph holds of a row: its inverse norm, then its values, padded with zeros.
struct element {
  static std::size_t size(std::size_t dimension) { return sizeof(float) + padded(dimension); }
  static float inverse_norm(const void* at) {
    float out = 0;
    std::memcpy(&out, at, sizeof out);
    return out;
  }
  static const std::int8_t* values(const void* at) {
    return static_cast<const std::int8_t*>(at) + sizeof(float);
  }
  static std::vector<char> of(std::span<const std::int8_t> row) {
    std::vector<char> out(size(row.size()), 0);
    const auto inverse = static_cast<float>(store::inverse_norm(row));
    std::memcpy(out.data(), &inverse, sizeof inverse);
    std::memcpy(out.data() + sizeof inverse, row.data(), row.size());
    return out;
  }
};

struct distance_of {
  std::size_t size; ///< of the padded values
  row_dot_fn* dot;
};

/// 1 - cosine.
float distance(const void* a, const void* b, const void* how) {
  const auto* by = static_cast<const distance_of*>(how);
  const auto product = by->dot(element::values(a), element::values(b), by->size);
  return 1 - static_cast<float>(product) * element::inverse_norm(a) * element::inverse_norm(b);
}

class cosine_space final : public hnswlib::SpaceInterface<float> {
public:
  explicit cosine_space(std::size_t dimension)
      : size_(element::size(dimension)), how_{padded(dimension), choose_row_dot()} {}
  std::size_t get_data_size() override { return size_; }
  hnswlib::DISTFUNC<float> get_dist_func() override { return distance; }
  void* get_dist_func_param() override { return &how_; }

private:
  std::size_t size_;
  distance_of how_;
};

using graph_type = hnswlib::HierarchicalNSW<float>;

/// What only inserting and deleting need: 80 bytes for every row.
void trim(graph_type& graph) {
  std::vector<std::mutex>().swap(graph.link_list_locks_);
  std::vector<std::mutex>().swap(graph.link_list_update_locks_);
  graph.label_lookup_ = {};
  graph.num_deleted_ = 0; // the loading constructor of hnswlib 0.6.2 leaves it as it was
}

/// One search's way through a graph.
class walk {
public:
  walk(const graph_type& graph, const void* query)
      : graph_(graph), query_(query), seen_(graph.visited_list_pool_->getFreeVisitedList()) {}
  ~walk() { graph_.visited_list_pool_->releaseVisitedList(seen_); }
  walk(const walk&) = delete;
  walk& operator=(const walk&) = delete;

  /// From the graph's entry down to its bottom layer, always to the nearest neighbour.
  std::uint32_t descend() const {
    auto at = graph_.enterpoint_node_;
    auto here = distance(at);
    for (int level = graph_.maxlevel_; level > 0; --level)
      for (bool moved = true; moved;) {
        moved = false;
        for (const auto node : links_in(graph_.get_linklist(at, level)))
          if (const auto there = distance(node); there < here) {
            at = node;
            here = there;
            moved = true;
          }
      }
    return at;
  }
  std::span<const std::uint32_t> links(std::uint32_t node) const {
    return links_in(graph_.get_linklist0(node));
  }
  bool first_visit(std::uint32_t node) {
    return std::exchange(seen_->mass[node], seen_->curV) != seen_->curV;
  }
  float distance(std::uint32_t node) const {
    return graph_.fstdistfunc_(query_, graph_.getDataByInternalId(node), graph_.dist_func_param_);
  }
  void fetch(std::uint32_t node) const {
    const char* const row = graph_.getDataByInternalId(node);
    for (std::size_t at = 0; at < graph_.data_size_; at += 64)
      __builtin_prefetch(row + at);
  }

private:
  std::span<const std::uint32_t> links_in(hnswlib::linklistsizeint* list) const {
    return {list + 1, graph_.getListCount(list)};
  }

  const graph_type& graph_;
  const void* query_;
  hnswlib::VisitedList* seen_;
};

} // namespace

struct vector_segment::parts {
  std::size_t dimension;
  std::vector<std::uint64_t> entries;
  cosine_space space;
  std::unique_ptr<graph_type> graph;
  sign_table directions; ///< of all rows

  parts(std::size_t n, std::vector<std::uint64_t> of)
      : dimension(n), entries(std::move(of)), space(n), directions(n) {}
  /// What is made from the graph's rows.
  void complete() {
    trim(*graph);
    for (std::size_t slot = 0; slot < entries.size(); ++slot)
      directions.add(static_cast<std::uint32_t>(slot), element::values(at(slot)));
    directions.seal();
  }
  // Rows were added in their order: the graph's own numbers are the slots.
  [[nodiscard]] const char* at(std::size_t slot) const {
    return graph->getDataByInternalId(static_cast<hnswlib::tableint>(slot));
  }
};

vector_segment::vector_segment(std::unique_ptr<parts> made) : parts_(std::move(made)) {}
vector_segment::~vector_segment() = default;

std::shared_ptr<const vector_segment> vector_segment::build(segment_rows rows,
                                                            const std::atomic<bool>& stop) {
  const auto n = rows.entries.size();
  if (n == 0)
    return nullptr;
  try {
    auto made = std::make_unique<parts>(rows.dimension, std::move(rows.entries));
    made->graph = std::make_unique<graph_type>(&made->space, n, links, candidates_building);
    for (std::size_t slot = 0; slot < n; ++slot) {
      if (stop)
        return nullptr;
      const auto row = std::span(rows.values).subspan(slot * rows.dimension, rows.dimension);
      made->graph->addPoint(element::of(row).data(), slot);
    }
    made->complete();
    return std::shared_ptr<const vector_segment>(new vector_segment(std::move(made)));
  } catch (const std::exception&) { // hnswlib throws what malloc refuses
    return nullptr;
  }
}

result<std::vector<vector_segment::candidate>>
vector_segment::search(std::span<const float> query) const {
  const auto fine = refine(query, parts_->dimension);
  if (!fine)
    return fine.why();
  const auto coarse = quantize(query);
  if (!coarse)
    return coarse.why();
  const auto asked = element::of(coarse->values);
  walk through(*parts_->graph, asked.data());
  auto starts = parts_->directions.find(element::values(asked.data()));
  starts.push_back(through.descend());
  const auto found = beam_search(through, starts, candidates_searching);
  const auto scan = choose_scan();
  std::vector<candidate> out;
  out.reserve(found.size());
  for (const auto& one : found) {
    const std::size_t slot = one.node;
    std::int64_t product = 0;
    scan(element::values(parts_->at(slot)), fine->values.data(), 1, padded(parts_->dimension),
         &product);
    const auto cosine =
        static_cast<double>(product) * fine->inverse_norm * element::inverse_norm(parts_->at(slot));
    out.push_back({slot, {parts_->entries[slot], static_cast<float>(cosine)}});
  }
  return out;
}

std::size_t vector_segment::size() const noexcept { return parts_->entries.size(); }
std::size_t vector_segment::dimension() const noexcept { return parts_->dimension; }

std::span<const std::uint64_t> vector_segment::entries() const noexcept { return parts_->entries; }

std::span<const std::int8_t> vector_segment::row(std::size_t slot) const noexcept {
  return {element::values(parts_->at(slot)), parts_->dimension};
}

std::size_t vector_segment::bytes() const noexcept {
  const auto& graph = *parts_->graph;
  constexpr std::size_t per_row =
      sizeof(std::uint64_t) + sizeof(int) + sizeof(char*) + sizeof(hnswlib::vl_type);
  std::size_t upper = 0;
  for (const auto level : graph.element_levels_)
    upper += static_cast<std::size_t>(level) * graph.size_links_per_element_;
  return size() * (graph.size_data_per_element_ + per_row) + upper + parts_->directions.bytes();
}

status vector_segment::save(const std::filesystem::path& file) const {
  segment_header header;
  header.dimension = parts_->dimension;
  header.entries = parts_->entries;
  return write_segment(file, header, [&](const std::filesystem::path& graph_file) {
    parts_->graph->saveIndex(graph_file.string());
  });
}

result<std::shared_ptr<const vector_segment>>
vector_segment::load(const std::filesystem::path& file) {
  auto header = read_segment(file);
  if (!header)
    return header.why();
  const auto n = header->entries.size();
  auto made = std::make_unique<parts>(header->dimension, std::move(header->entries));
  try {
    made->graph =
        std::make_unique<graph_type>(&made->space, graph_file_of(file).string(), false, n);
  } catch (const std::exception& error) {
    return status(errc::corrupt, file.string() + ": " + error.what());
  }
  const auto& graph = *made->graph;
  if (graph.cur_element_count != n || graph.maxM0_ != 2 * links ||
      graph.data_size_ != element::size(made->dimension) ||
      graph.size_data_per_element_ !=
          graph.size_links_level0_ + graph.data_size_ + sizeof(hnswlib::labeltype))
    return status(errc::corrupt, file.string() + ": the graph is not of these rows");
  for (std::size_t slot = 0; slot < n; ++slot)
    if (graph.getExternalLabel(static_cast<hnswlib::tableint>(slot)) != slot)
      return status(errc::corrupt, file.string() + ": the graph's rows are in another order");
  made->complete();
  return std::shared_ptr<const vector_segment>(new vector_segment(std::move(made)));
}

} // namespace bitnetd::store
