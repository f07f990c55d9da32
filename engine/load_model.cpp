// SPDX-License-Identifier: MIT
#include "base/log.h"
#include "engine/kernels/base3_layout.h"
#include "engine/kernels/ternary_layout.h"
#include "engine/memory_limit.h"
#include "engine/model_builder.h"
#include "engine/model_source.h"
#include "engine/printable.h"
#include "engine/quantizer.h"
#include "engine/repack.h"
#include "engine/weights_layout.h"

#include <tbb/enumerable_thread_specific.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <deque>
#include <new>
#include <numeric>
#include <unordered_map>

namespace bitnetd::engine {

namespace {

/// A matrix with values {-1, 0, +1} times one factor per row.
struct ternary_rows {
  std::vector<std::int8_t> codes; ///< [rows, cols]
  std::vector<float> row_scales;  ///< [rows]
};

/// The same with one factor per row and block of columns.
struct ternary_blocks {
  std::size_t block_cols;
  std::vector<std::int8_t> codes;  ///< [rows, cols]
  std::vector<float> block_scales; ///< [n_blocks, rows]
};

/// Reads every tensor once and puts it, repacked, into the weights of each node.
class weights_loader {
public:
  weights_loader(const model_source& file, model_builder& builder,
                 const std::vector<node_description>& nodes, const load_options& options,
                 const kernel_table& kernels)
      : file_{file}, builder_{builder}, nodes_{nodes}, options_{options}, kernels_{kernels} {
    for (std::size_t i = 0; i < nodes.size(); ++i)
      per_node_.emplace_back(std::make_shared<weights>())->layers.resize(builder.shape().n_layer);
    for (const auto& node : nodes)
      arenas_.emplace_back(node.memory_node);
    read_output_scales();
  }

  std::vector<std::shared_ptr<const weights>> load() {
    // Tensors are independent; their places are all there already. Threads claim them in this
    // order, so that matrices which are read one after the other lie so, too.
    const auto order = loading_order();
    std::atomic<std::size_t> next = 0;
    tbb::parallel_for(std::size_t{0}, order.size(), [&](std::size_t) {
      const auto i = order[next++];
      try {
        load_tensor(i);
      } catch (const std::bad_alloc&) {
        throw load_error{place_of(file_.tensors()[i]) +
                         ": not enough memory; free some or choose a smaller model"};
      }
    });
    for (std::size_t i = 0; i < nodes_.size(); ++i)
      per_node_[i]->prepare_head(options_.head, nodes_[i].memory_node, kernels_);
    tell_checksum();
    return {per_node_.begin(), per_node_.end()};
  }

private:
  [[nodiscard]] std::string place_of(const gguf_tensor& tensor) const {
    return file_.path().string() + ": tensor " + printable(tensor.name);
  }

  /// As in the file, but what is large by itself first: an embedding that one thread begins when
  /// the others have no more to do would keep them all waiting.
  [[nodiscard]] std::vector<std::size_t> loading_order() const {
    constexpr std::uint64_t large = std::uint64_t{64} << 20;
    std::vector<std::size_t> order(file_.tensors().size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_partition(order,
                                  [&](std::size_t i) { return file_.tensors()[i].bytes >= large; });
    return order;
  }

  /// Older conversions of architecture `bitnet` store ±1 and the factor apart, as
  /// "blk.0.attn_q.scale".
  void read_output_scales() {
    for (const auto& tensor : file_.tensors())
      if (tensor.name.ends_with(".scale")) {
        float factor = 0;
        file_.read(tensor, 0, std::as_writable_bytes(std::span{&factor, 1}));
        const auto stem = tensor.name.substr(0, tensor.name.size() - 5);
        output_scales_[stem + "weight"] = factor;
      }
  }

  /// No file says which layout its I2_S tensors have, and a wrong guess gives plausible noise. Read
  /// rightly, a model has the same checksum in each of them; read wrongly, another.
  void tell_checksum() const {
    const auto layout = std::ranges::find_if(file_.tensors(), has_layouts);
    if (layout != file_.tensors().end())
      log::info("{}: {} read, checksum of its rows {:016x}", file_.path().string(),
                info(layout->type).name, row_checksums_.load());
  }

  static bool has_layouts(const gguf_tensor& tensor) {
    return info(tensor.type).has_tensor_scale();
  }

  void load_tensor(std::size_t index) {
    const auto& tensor = file_.tensors()[index];
    auto& own = scratch_.local();
    auto raw = info(tensor.type).ternary ? std::move(own) : node_memory{};
    if (raw.size() < tensor.bytes)
      raw = {tensor.bytes, nodes_.empty() ? std::nullopt : nodes_.front().memory_node};
    const std::span bytes{raw.data(), tensor.bytes};
    file_.read(tensor, 0, bytes);
    builder_.tensor_read(index, check_payload(file_, tensor, bytes));
    if (nodes_.empty() || tensor.name.ends_with(".scale"))
      return;
    if (per_node_.front()->find_place(tensor.name).norm != nullptr)
      put_norm(tensor, bytes);
    else if (!put_rows(tensor, bytes) && !put_blocks(tensor, bytes))
      put_dense(tensor, std::move(raw));
    if (info(tensor.type).ternary)
      own = std::move(raw);
  }

  void put_norm(const gguf_tensor& tensor, std::span<const std::byte> raw) {
    std::vector<float> values(tensor.cols());
    decode_rows(tensor.type, raw, 1, tensor.cols(), 0, 1, values.data());
    for (auto& node : per_node_)
      *node->find_place(tensor.name).norm = values;
  }

  /// Keeps the tensor as ternary rows, if that is what it holds: in a ternary type, or, for
  /// projections, in any other.
  bool put_rows(const gguf_tensor& tensor, std::span<const std::byte> raw) {
    if (info(tensor.type).ternary)
      return put_stored(tensor, raw);
    auto rows = ternary_form(tensor, raw);
    if (rows)
      put_ternary(tensor, *rows);
    return rows.has_value();
  }

  bool put_blocks(const gguf_tensor& tensor, std::span<const std::byte> raw) {
    const auto blocks = ternary_by_blocks(tensor, raw);
    if (blocks)
      put_ternary(tensor, *blocks);
    return blocks.has_value();
  }

  /// A tensor of a ternary type goes to its panels straight from the file's layout. False when it
  /// has a factor per block.
  bool put_stored(const gguf_tensor& tensor, std::span<const std::byte> raw) {
    const auto rows = tensor.rows(), cols = tensor.cols();
    std::vector<float> scales(rows);
    switch (ternary_scales(tensor.type, raw, rows, cols, scales)) {
    case ternary_error::no_error:
      break;
    case ternary_error::mixed_scales:
      return false;
    default:
      throw load_error{place_of(tensor) + ": its ternary scales are invalid"};
    }
    for (auto& scale : scales)
      scale = finite(tensor, scale * output_scale(tensor));
    auto packed = room_for(rows, cols);
    const auto facts =
        repack_ternary(tensor.type, raw, rows, cols, {packed.data(), packed_bytes(rows, cols)});
    if (has_layouts(tensor))
      row_checksums_ += facts.checksum;
    place_ternary(tensor, std::move(packed), scales, facts.zeros);
    return true;
  }

  /// A projection of a dense type as ternary rows, if that is what it holds.
  [[nodiscard]] std::optional<ternary_rows> ternary_form(const gguf_tensor& tensor,
                                                         std::span<const std::byte> raw) {
    auto out = tensor.ternarise                  ? ternary_of_master(tensor, raw)
               : tensor.name.starts_with("blk.") ? ternary_in_disguise(tensor, raw)
                                                 : std::nullopt;
    if (out)
      for (auto& scale : out->row_scales)
        scale = finite(tensor, scale * output_scale(tensor));
    return out;
  }

  /// Float master weights, quantized as the family does at every forward pass.
  [[nodiscard]] static ternary_rows ternary_of_master(const gguf_tensor& tensor,
                                                      std::span<const std::byte> raw) {
    const auto rows = tensor.rows(), cols = tensor.cols();
    std::vector<float> values(rows * cols);
    decode_rows(tensor.type, raw, rows, cols, 0, rows, values.data());
    auto made = ternarise(values, rows, cols, ternary_threshold::absmean);
    return {std::move(made.t), std::move(made.row_scales)};
  }

  /// A dense matrix of which every row is {-a, 0, +a}.
  [[nodiscard]] static std::optional<ternary_rows>
  ternary_in_disguise(const gguf_tensor& tensor, std::span<const std::byte> raw) {
    const auto rows = tensor.rows(), cols = tensor.cols();
    ternary_rows out;
    std::vector<float> values(cols);
    for (std::uint64_t row = 0; row < rows; ++row) {
      decode_rows(tensor.type, raw, rows, cols, row, 1, values.data());
      const auto scale = dense_is_ternary(values);
      if (!scale)
        return {};
      out.row_scales.push_back(*scale);
      for (const float value : values)
        out.codes.push_back(static_cast<std::int8_t>((value > 0) - (value < 0)));
    }
    return out;
  }

  /// A projection of which every block of 256 columns (or 128, for block types of 64 that share a
  /// factor in pairs) is {-a, 0, +a}. What has more factors than that is kept dense.
  [[nodiscard]] std::optional<ternary_blocks>
  ternary_by_blocks(const gguf_tensor& tensor, std::span<const std::byte> raw) const {
    if (!tensor.name.starts_with("blk."))
      return {};
    for (const std::size_t block_cols : {256u, 128u})
      if (auto found = ternary_by_blocks(tensor, raw, block_cols))
        return found;
    return {};
  }

  [[nodiscard]] std::optional<ternary_blocks> ternary_by_blocks(const gguf_tensor& tensor,
                                                                std::span<const std::byte> raw,
                                                                std::size_t block_cols) const {
    const auto rows = tensor.rows(), cols = tensor.cols();
    const auto n_blocks = (cols + block_cols - 1) / block_cols;
    ternary_blocks out{block_cols, {}, {}};
    std::vector<float> values(cols);
    for (std::uint64_t row = 0; row < rows; ++row) {
      decode_rows(tensor.type, raw, rows, cols, row, 1, values.data());
      for (std::size_t b = 0; b < n_blocks; ++b) {
        const auto first = b * block_cols;
        const auto block =
            std::span{values}.subspan(first, std::min<std::size_t>(block_cols, cols - first));
        const auto scale = dense_is_ternary(block);
        if (!scale)
          return {};
        out.block_scales.resize(n_blocks * rows); // only now: most dense matrices end before
        out.block_scales[b * rows + row] = finite(tensor, *scale * output_scale(tensor));
        for (const float value : block)
          out.codes.push_back(static_cast<std::int8_t>((value > 0) - (value < 0)));
      }
    }
    return out;
  }

  void put_ternary(const gguf_tensor& tensor, const ternary_blocks& matrix) {
    const auto rows = tensor.rows(), cols = tensor.cols();
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      auto packed = arenas_[i].take(packed_bytes(rows, cols));
      const auto zeros = pack_ternary(matrix.codes, rows, cols, 0, {packed.data(), packed.size()});
      *per_node_[i]->find_place(tensor.name).matrix = linear::ternary_blocks(
          rows, cols, matrix.block_cols, std::move(packed), matrix.block_scales, zeros);
    }
  }

  void put_ternary(const gguf_tensor& tensor, const ternary_rows& matrix) {
    const auto rows = tensor.rows(), cols = tensor.cols();
    auto packed = room_for(rows, cols);
    const auto zeros =
        pack_ternary(matrix.codes, rows, cols, 0, {packed.data(), packed_bytes(rows, cols)});
    place_ternary(tensor, std::move(packed), matrix.row_scales, zeros);
  }

  /// Where a matrix is packed in two bits: for good in the first node's memory, or, if it is to be
  /// in base 3, in what this thread uses again for its next; at least packed_bytes long.
  [[nodiscard]] node_memory room_for(std::size_t rows, std::size_t cols) {
    if (options_.ternary != ternary_form::base3)
      return arenas_.front().take(packed_bytes(rows, cols));
    auto room = std::move(two_bits_.local());
    return room.size() >= packed_bytes(rows, cols)
               ? std::move(room)
               : node_memory{packed_bytes(rows, cols), nodes_.front().memory_node};
  }

  void place_ternary(const gguf_tensor& tensor, node_memory packed, std::span<const float> scales,
                     std::uint64_t zeros) {
    const auto rows = tensor.rows(), cols = tensor.cols();
    const std::span two_bits{packed.data(), packed_bytes(rows, cols)};
    for (std::size_t i = nodes_.size(); i-- > 0;) { // the first node, last, takes `packed` itself
      auto& place = *per_node_[i]->find_place(tensor.name).matrix;
      if (options_.ternary == ternary_form::base3) {
        auto dense = arenas_[i].take(base3_bytes(rows, cols));
        pack_base3(two_bits, rows, cols, {dense.data(), dense.size()});
        place = linear::ternary_base3(rows, cols, std::move(dense), scales, zeros);
        continue;
      }
      auto own = i > 0 ? arenas_[i].take(two_bits.size()) : std::move(packed);
      if (i > 0)
        std::ranges::copy(two_bits, own.data());
      place = linear::ternary(rows, cols, std::move(own), scales, zeros);
    }
    if (options_.ternary == ternary_form::base3)
      two_bits_.local() = std::move(packed);
  }

  /// Keeps a dense matrix in halves where these hold every value exactly, else in floats. `raw` is
  /// memory of the first node: a matrix that is stored as it is needed stays where it was read.
  void put_dense(const gguf_tensor& tensor, node_memory raw) {
    const auto count = tensor.rows() * tensor.cols();
    const auto factor = output_scale(tensor);
    bool halves = tensor.type == tensor_type::f16;
    if (factor != 1.0f || (tensor.type != tensor_type::f16 && tensor.type != tensor_type::f32)) {
      raw = decoded(tensor, raw, factor);
      halves = false;
    }
    if (!halves)
      if (auto narrowed = as_halves({reinterpret_cast<const float*>(raw.data()), count})) {
        raw = *std::move(narrowed);
        halves = true;
      }
    for (std::size_t i = nodes_.size(); i-- > 0;) { // the first node, last, takes `raw` itself
      auto values = i > 0 ? copy(raw, nodes_[i].memory_node) : std::move(raw);
      *per_node_[i]->find_place(tensor.name).matrix =
          halves ? linear::dense_f16(tensor.rows(), tensor.cols(), std::move(values))
                 : linear::dense_f32(tensor.rows(), tensor.cols(), std::move(values));
    }
  }

  [[nodiscard]] node_memory decoded(const gguf_tensor& tensor, const node_memory& raw,
                                    float factor) const {
    const auto count = tensor.rows() * tensor.cols();
    node_memory out{count * sizeof(float), nodes_.front().memory_node};
    auto* values = reinterpret_cast<float*>(out.data());
    decode_rows(tensor.type, {raw.data(), tensor.bytes}, tensor.rows(), tensor.cols(), 0,
                tensor.rows(), values);
    for (auto& value : std::span{values, count})
      value = finite(tensor, value * factor);
    return out;
  }

  [[nodiscard]] std::optional<node_memory> as_halves(std::span<const float> values) const {
    const auto exact = [](float value) { return half_to_float(float_to_half(value)) == value; };
    if (!std::ranges::all_of(values, exact))
      return {};
    node_memory out{values.size() * 2, nodes_.front().memory_node};
    std::ranges::transform(values, reinterpret_cast<std::uint16_t*>(out.data()), float_to_half);
    return out;
  }

  [[nodiscard]] static node_memory copy(const node_memory& from, std::optional<int> memory_node) {
    node_memory out{from.size(), memory_node};
    std::copy_n(from.data(), from.size(), out.data());
    return out;
  }

  /// `value`, which must be finite: a product of finite factors need not be.
  [[nodiscard]] float finite(const gguf_tensor& tensor, float value) const {
    if (!std::isfinite(value))
      throw load_error{place_of(tensor) + ": a value is not finite"};
    return value;
  }

  [[nodiscard]] float output_scale(const gguf_tensor& tensor) const {
    const auto found = output_scales_.find(tensor.name);
    return found == output_scales_.end() ? 1.0f : found->second;
  }

  const model_source& file_;
  model_builder& builder_;
  const std::vector<node_description>& nodes_;
  const load_options& options_;
  const kernel_table& kernels_;
  std::vector<std::shared_ptr<weights>> per_node_;
  std::deque<node_arena> arenas_; ///< of packed matrices, per node
  /// What a thread reads one ternary tensor into and uses again for its next: pages that are given
  /// back and asked for again, tensor by tensor, would take more time than repacking.
  tbb::enumerable_thread_specific<node_memory> scratch_;
  tbb::enumerable_thread_specific<node_memory> two_bits_; ///< of matrices on their way to base 3
  std::unordered_map<std::string, float> output_scales_;
  std::atomic<std::uint64_t> row_checksums_ = 0; ///< of all I2_S rows, whatever their order
};

/// "1.5 MiB", rounded up.
std::string mib(std::uint64_t bytes) {
  const auto tenths = (bytes * 10 + (1u << 20) - 1) >> 20;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " MiB";
}

void check_budget(const model_source& file, std::uint64_t bytes, const load_options& options) {
  if (options.max_weight_bytes && bytes > *options.max_weight_bytes)
    throw load_error{file.path().string() + ": its weights take " + mib(bytes) + ", and at most " +
                     mib(*options.max_weight_bytes) +
                     " are left of the budget for models; raise it, or load fewer or smaller ones"};
}

/// Refuses what cannot fit before anything is read: better than the kernel's way of saying so.
/// Counted is the least that the weights can come to: ternary at 2 bits, or 1.6, everything else in
/// halves.
void check_memory(const model_source& file, std::size_t n_nodes, const load_options& options) {
  std::uint64_t bytes = 0;
  for (const auto& tensor : file.tensors()) {
    const auto values = tensor.rows() * tensor.cols();
    const auto ternary = options.ternary == ternary_form::base3 ? values / 5 : values / 4;
    bytes += tensor.name.starts_with("blk.") ? ternary : values * 2;
  }
  bytes *= n_nodes;
  check_budget(file, bytes, options);
  const auto available = available_memory();
  if (!available || bytes <= *available)
    return;
  throw load_error{file.path().string() + ": its weights take at least " + mib(bytes) +
                   " of memory, and " + mib(*available) +
                   " can be had here (machine and control group); raise the limit, end something "
                   "else, or choose a smaller model"};
}

} // namespace

loaded_model load_model(const std::filesystem::path& path,
                        const std::vector<node_description>& nodes, const kernel_table& kernels,
                        const load_options& options) {
  const auto file = open_model_source(path, options.i2s);
  model_builder builder{*file, options};
  check_memory(*file, nodes.size(), options);
  auto per_node = weights_loader{*file, builder, nodes, options, kernels}.load();
  std::uint64_t bytes = 0;
  for (const auto& one : per_node)
    bytes += one->matrix_bytes();
  check_budget(*file, bytes, options); // what is dense after all has shown itself only now
  return {builder.finish(), std::move(per_node), bytes};
}

} // namespace bitnetd::engine
