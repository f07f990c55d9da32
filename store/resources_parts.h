// SPDX-License-Identifier: MIT
#pragma once

#include "store/resources.h"

#include <memory>

namespace rocksdb {
class Cache;
class RateLimiter;
class WriteBufferManager;
} // namespace rocksdb

namespace bitnetd::store {

struct resources::parts {
  std::shared_ptr<rocksdb::Cache> cache;
  std::shared_ptr<rocksdb::WriteBufferManager> write_buffers;
  std::shared_ptr<rocksdb::RateLimiter> background;
};

} // namespace bitnetd::store
