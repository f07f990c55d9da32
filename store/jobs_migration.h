// SPDX-License-Identifier: MIT
#pragma once

#include "store/database.h"
#include "store/status.h"

namespace bitnetd::store {

/// Brings the rows of a journal of schema 1 to schema 2: open batches leave the order of release
/// and get a live row, as running jobs do; jobs with a not_before, ended items of batches and dead
/// jobs get theirs. May be repeated after it was broken off: the caller writes the new schema, and
/// totals, when it has returned.
status migrate_journal_1_to_2(database& rows);

} // namespace bitnetd::store
