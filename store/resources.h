// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>

namespace bitnetd::store {

/// Bounds that both databases share.
struct resource_limits {
  std::uint64_t block_cache_bytes = 64ull << 20;      ///< cached blocks and write buffers together
  std::uint64_t write_buffer_bytes = 32ull << 20;     ///< share of it that write buffers may take
  std::uint64_t background_bytes_per_s = 32ull << 20; ///< flush and compaction, never the log
};

/// One block cache, write buffer manager and rate limiter, made once and handed to both databases.
/// May be used from any thread.
class resources {
public:
  explicit resources(const resource_limits& limits = {});
  ~resources();
  resources(const resources&) = delete;
  resources& operator=(const resources&) = delete;

  /// The RocksDB objects; of no use outside store/.
  struct parts;
  [[nodiscard]] const parts& get() const noexcept { return *parts_; }

private:
  std::unique_ptr<const parts> parts_;
};

} // namespace bitnetd::store
