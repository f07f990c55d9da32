// SPDX-License-Identifier: MIT
#pragma once

#include "store/jobs_db.h"

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bitnetd::store {

/// Something that was in a damaged journal and is not in the one made of it.
struct lost_fact {
  job_id job;
  std::string what; ///< "job", "request", "result", "output" or "key"

  bool operator==(const lost_fact&) const = default;
};

/// What became of a damaged journal.
struct salvage_report {
  std::string why;            ///< what did not read, as the open said
  std::filesystem::path kept; ///< the damaged files, untouched
  std::filesystem::path list; ///< a text file beside them that names every loss
  std::uint64_t jobs_saved = 0;
  std::vector<lost_fact> lost; ///< those that are known by name
  /// Accepted jobs that the witness saw and of which nothing is left, not even the name.
  std::uint64_t jobs_unknown = 0;
};

/// An open journal, and what had to be done to get there.
struct opened_journal {
  std::unique_ptr<jobs_db> jobs;
  std::optional<salvage_report> salvaged;
};

/// Opens the journal. One that is damaged is moved aside as it is, what still reads of it is put
/// into a new one, and what does not is listed: nothing is shortened in silence. Everything that is
/// kept was checked by its checksum; a job whose request is lost and that had not ended is failed.
/// Throws open_error where that is not possible either (no room for the copy, locked,
/// newer_schema), and then has changed nothing but perhaps a folder named …salvage.
[[nodiscard]] opened_journal open_or_salvage(const std::filesystem::path& directory,
                                             const jobs_options& options = {});

} // namespace bitnetd::store
