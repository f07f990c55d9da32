// SPDX-License-Identifier: MIT
#pragma once

#include "store/database.h"
#include "store/resources.h"

#include <rocksdb/options.h>

namespace bitnetd::store {

// How RocksDB is run, for database.cpp.

[[nodiscard]] rocksdb::DBOptions database_settings(const database_options& options);
[[nodiscard]] rocksdb::ColumnFamilyOptions column_settings(const column& what,
                                                           const resources::parts& shared);

} // namespace bitnetd::store
