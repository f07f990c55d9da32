// SPDX-License-Identifier: MIT
#include "store/resources_parts.h"

#include <rocksdb/cache.h>
#include <rocksdb/rate_limiter.h>
#include <rocksdb/write_buffer_manager.h>

namespace bitnetd::store {

resources::resources(const resource_limits& limits) {
  auto made = std::make_unique<parts>();
  made->cache = rocksdb::NewLRUCache(limits.block_cache_bytes);
  // Write buffers are charged to the cache: both databases together stay under one number.
  made->write_buffers =
      std::make_shared<rocksdb::WriteBufferManager>(limits.write_buffer_bytes, made->cache);
  made->background.reset(
      rocksdb::NewGenericRateLimiter(static_cast<std::int64_t>(limits.background_bytes_per_s)));
  parts_ = std::move(made);
}

resources::~resources() = default;

} // namespace bitnetd::store
